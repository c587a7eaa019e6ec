"""Every check, as one runs it by hand: ``nox -s tests`` (as root, for the kernel's part); ``nox -l`` lists them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import nox

nox.options.sessions = ["tests", "lint", "types", "contract", "docs"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_external_run = True

HERE = Path(__file__).parent
KERNELS = ("5.10", "6.12")
"""The oldest that there is, and the newest that Debian keeps; this machine's own, often newer, runs the whole suite."""


def install(session: nox.Session, *groups: str) -> None:
    """The package itself, editable (so that the C unit is built in place), and dependency groups of pyproject.toml."""
    session.install("-q", "-e", ".[cli,numpy,trio,uvloop]", *nox.project.dependency_groups(PROJECT, *groups))


PROJECT = nox.project.load_toml(HERE / "pyproject.toml")


@nox.session
def tests(session: nox.Session) -> None:
    """The whole suite on this kernel; as root it loads programs, else only the Python parts run."""
    install(session, "test")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python=["3.12", "3.13"])
def pythons(session: nox.Session) -> None:
    """The suite on the other Pythons that are installed."""
    install(session, "test")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def kernels(session: nox.Session) -> None:
    """The kernel tests in virtual machines, for each kernel given (default 5.10 and 6.12): no KVM needed."""
    install(session, "test")
    wanted = session.posargs or KERNELS
    session.run("python", "-m", "tests.vm.kernels", *wanted)


@nox.session
def lint(session: nox.Session) -> None:
    """ruff: rules and format."""
    session.install("-q", *nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """mypy (strict) and pyright."""
    install(session, "types")
    session.run("mypy")
    session.run("pyright", "--pythonpath", f"{session.bin}/python")


@nox.session
def contract(session: nox.Session) -> None:
    """The floors: imports go down only."""
    install(session, "contract")
    session.run("lint-imports")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the sdist and, from it, the wheel; look inside, and run it in a fresh environment of each Python found."""
    session.install("-q", *nox.project.dependency_groups(PROJECT, "wheel"))
    folder = session.create_tmp()
    for old in Path(folder).glob("aiobpf-*"):
        old.unlink()
    session.run("python", "-m", "build", "--outdir", folder, silent=True)
    session.run("python", "-m", "pytest", "-p", "no:cacheprovider", "tests/wheel", env={"AIOBPF_DIST": folder})


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, warnings being errors."""
    install(session, "docs")
    session.run("sphinx-build", "-q", "-W", "-n", "--keep-going", "-b", "html", "docs", "docs/_build/html")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Fuzz each target by coverage, a minute each (``nox -s fuzz -- elf btf --seconds 600``); into build/fuzz.

    Where atheris has no wheel the same changes are made by chance.
    """
    try:
        install(session, "fuzz")
    except nox.command.CommandFailed:
        session.warn("atheris cannot be installed here: fuzzing without coverage")
        install(session, "test")
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session
def sanitize(session: nox.Session) -> None:
    """The C unit built with AddressSanitizer and UBSan, under its own tests and hostile types (gcc)."""
    flags = "-fsanitize=address,undefined -fno-sanitize-recover=undefined"
    copy = Path(session.create_tmp()) / "tree"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(HERE, copy, ignore=shutil.ignore_patterns(".*", "build", "*.so"))
    install(session, "test")
    session.install("-q", "setuptools")
    libraries = [
        str(session.run("gcc", f"-print-file-name={name}", external=True, silent=True)).strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    with session.chdir(copy):
        built = {"CFLAGS": f"{flags} -g -O1", "LDFLAGS": flags}
        session.run("python", "setup.py", "-q", "build_ext", "--inplace", env=built)
        checked = {
            "LD_PRELOAD": " ".join(libraries),
            "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",  # Python itself leaks at its end
            "PYTHONMALLOC": "malloc",
            "PYTHONPATH": str(copy),
        }
        tests = session.posargs or ("tests/native", "tests/btf/test_hostile_btf.py", "tests/btf/test_btf.py")
        session.run("python", "-m", "pytest", "-p", "no:cacheprovider", *tests, env=checked)


@nox.session
def objects(session: nox.Session) -> None:
    """Compile every BPF C source anew and compare with the committed object (needs clang)."""
    install(session, "test")
    session.run("python", "-m", "pytest", "tests/objects", *session.posargs)


@nox.session
def foreign(session: nox.Session) -> None:
    """Objects of a newer Debian release, fetched and unpacked, beside libbpf: spec, CO-RE, and what is loaded."""
    install(session, "test")
    session.run("python", "-m", "tests.foreign_objects")
    session.run("python", "-m", "pytest", "tests/foreign", "tests/elf/test_against_libbpf.py", "-k", "trixie")


@nox.session
def endurance(session: nox.Session) -> None:
    """Checks that take minutes, as root: ``nox -s endurance -- events --seconds 600`` (all options: ``-- --help``)."""
    install(session, "test")
    session.run("python", "-m", "tests.endurance", *(session.posargs or ("events",)))


@nox.session
def guard(session: nox.Session) -> None:
    """Instructions, allocations, system calls and turns within their bounds, as root; needs valgrind, strace and gcc.

    ``nox -s guard -- --record`` makes what is counted now the bounds.
    """
    install(session, "test")
    session.run("python", "-m", "tests.guard", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks beside libbpf (C), cilium/ebpf (Go) and aya (Rust); writes docs/performance.md."""
    install(session, "test")
    session.run("python", "-m", "benchmarks", *session.posargs)


if __name__ == "__main__":
    sys.exit("run `nox`, not this file")
