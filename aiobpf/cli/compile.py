"""A BPF C source to an object file, by whichever compiler this machine has.

Looked for in this order: $AIOBPF_CLANG, then clang and clang-NN on PATH (newest first), then the clang inside the
``ziglang`` package (``pip install aiobpf[compile]``: a complete one, no system headers needed). A clang counts only if
it was built with the BPF target: a distribution's often is, Apple's and Android's are not.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from attrs import frozen

from aiobpf.errors import CompilerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

INCLUDE = Path(__file__).parent.parent / "include"
"""aiobpf's own headers: what a BPF program needs besides the kernel's."""

SETTING = "AIOBPF_CLANG"
HINT = "pip install 'aiobpf[compile]' brings one, or set $AIOBPF_CLANG to a clang that has the BPF target"
_PROBE_TIMEOUT_S = 20.0

# The name by which libbpf's bpf_tracing.h and zig's header directories know a machine.
_TARGET_ARCH = {
    "x86_64": ("x86", "x86"),
    "aarch64": ("arm64", "aarch64"),
    "s390x": ("s390", "s390x"),
    "ppc64le": ("powerpc", "powerpc"),
    "riscv64": ("riscv", "riscv"),
    "loongarch64": ("loongarch", "loongarch"),
}


@frozen
class Compiler:
    """A C compiler with the BPF target: *command* comes before the arguments, *fallback* are include directories that
    it needs where the machine has none of its own."""

    name: str
    command: tuple[str, ...]
    fallback: tuple[Path, ...] = ()


@frozen
class Compiled:
    """An object file, and what the compiler said about the source ("" if it was content)."""

    data: bytes
    warnings: str


def find_compiler() -> Compiler:
    """The first compiler that can emit BPF; CompilerError says where it looked and how to get one."""
    chosen = os.environ.get(SETTING)
    if chosen:
        command = tuple(shlex.split(chosen))
        if not has_bpf_target(command):
            raise CompilerError(f"${SETTING} ({chosen}) does not run, or has no BPF target")
        return Compiler(name=chosen, command=command)
    for path in clangs_on_path():
        if has_bpf_target((str(path),)):
            return Compiler(name=path.name, command=(str(path),))
    zig = ziglang()
    if zig is not None:
        return zig
    raise CompilerError(f"no compiler for BPF: neither clang on PATH nor the ziglang package has the target. {HINT}")


def clangs_on_path() -> Iterator[Path]:
    """Every clang and clang-NN on PATH: the plain name first, then by falling version."""
    numbered: dict[int, Path] = {}
    plain: Path | None = None
    for directory in map(Path, os.get_exec_path()):
        if plain is None and os.access(directory / "clang", os.X_OK):
            plain = directory / "clang"
        with suppress(OSError):  # PATH may hold what this user cannot read
            for path in directory.glob("clang-[0-9]*"):
                match = re.fullmatch(r"clang-(\d+)", path.name)
                if match and os.access(path, os.X_OK):
                    numbered.setdefault(int(match[1]), path)
    if plain is not None:
        yield plain
    for version in sorted(numbered, reverse=True):
        yield numbered[version]


@cache
def has_bpf_target(command: tuple[str, ...]) -> bool:
    try:
        run = subprocess.run(
            [*command, "-print-targets"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return run.returncode == 0 and re.search(r"^\s*bpf\b", run.stdout, re.MULTILINE) is not None


def ziglang() -> Compiler | None:
    """The ``ziglang`` package's clang, if it is installed. It knows no system header, but brings the kernel's."""
    found = importlib.util.find_spec("ziglang")
    if found is None or not found.submodule_search_locations:
        return None
    headers = Path(found.submodule_search_locations[0]) / "lib" / "libc" / "include"
    _, machine = _TARGET_ARCH.get(platform.machine(), ("", platform.machine()))
    return Compiler(
        name="ziglang",
        # `zig clang` is the plain driver; `zig cc` knows neither -target bpf nor how to leave .eh_frame out.
        command=(sys.executable, "-m", "ziglang", "clang"),
        fallback=(Path("/usr/include"), headers / "any-linux-any", headers / f"{machine}-linux-any"),
    )


def compile_object(
    source: Path,
    *,
    compiler: Compiler | None = None,
    byte_order: Literal["little", "big"] = sys.byteorder,
    flags: Sequence[str] = (),
) -> Compiled:
    """The BPF object of a C source, with BTF and CO-RE relocations, for instruction set v3 (Linux 5.1).

    Raises CompilerError with the compiler's diagnostics, and OSError if the source cannot be read.
    """
    with source.open("rb"):  # a missing file is said by name, before anything is looked for or run
        pass
    compiler = compiler or find_compiler()
    with tempfile.TemporaryDirectory(prefix="aiobpf-") as directory:
        target = Path(directory) / "object.o"
        command = [*compiler.command, *arguments(compiler, byte_order), *flags, "-c", str(source), "-o", str(target)]
        run = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
        )
        diagnostics = run.stderr.strip()
        if run.returncode != 0 or not target.exists():
            reason = diagnostics or f"exit status {run.returncode}"
            raise CompilerError(f"{compiler.name} refused {source}:\n{reason}")
        return Compiled(data=target.read_bytes(), warnings=diagnostics)


def arguments(compiler: Compiler, byte_order: Literal["little", "big"]) -> list[str]:
    """What every BPF source is compiled with."""
    machine = platform.machine()
    arch, _ = _TARGET_ARCH.get(machine, (machine, machine))
    # aiobpf's headers come first, so that a source means the same on every machine; what they lack is the machine's.
    after = [*compiler.fallback, Path(f"/usr/include/{machine}-linux-gnu")]
    return [
        "-target",
        "bpfel" if byte_order == "little" else "bpfeb",
        "-mcpu=v3",
        "-O2",
        "-g",
        "-Wall",
        "-fno-stack-protector",
        # A vmlinux.h of 7.x has structs as unnamed members of others (the kernel is built with -fms-extensions since).
        "-fms-extensions",
        "-Wno-microsoft-anon-tag",
        f"-D__TARGET_ARCH_{arch}",
        f"-I{INCLUDE}",
        *(f"-idirafter{path}" for path in after if path.is_dir()),
    ]
