"""Run the kernel tests under other kernels: fetch each from Debian, boot it in QEMU without KVM, run pytest inside.

    python -m tests.vm.kernels 6.12 [6.1 ...] [pytest's arguments]

Needs Debian's qemu-system-x86, busybox-static and apt, and root. Kernels are kept below ``$AIOBPF_KERNELS`` (default
~/.cache/aiobpf/kernels). The guest runs this very Python and checkout, shared read-only.

An emulated Python is ten to twenty times slower, so a guest runs, on asyncio alone, the tests that need a kernel:
those that the usual host cannot show (kprobes, trampolines) and those of each package that makes system calls. What
others' objects load to is compared with libbpf there too: on the host, whatever has a fentry program is refused.
A guest keeps one CPU busy, so as many run at once as there are CPUs; each one's output comes when it is done.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.matrix.outcomes import PREFIX
from tests.vm.debian_kernels import CACHE, fetch

REPOSITORY = Path(__file__).parent.parent.parent
TIMEOUT_S = 2100

FOLDERS = (
    "link",
    "runtime",
    "collection",
    "stream",
    "kernel",
    "foreign",
    "linker",
    "compatibility",
    "hostile",
    "symbols",
)
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "timeout=600", "-o", "faulthandler_timeout=550")
TESTS = ("-m", "(root or requires) and not slow", *(f"tests/{folder}" for folder in FOLDERS))
MODULES = "veth nf_conntrack xfrm_interface x_tables netkit"  # what tests trace and call functions of
SETTINGS = (
    "PYTHONDONTWRITEBYTECODE=1",
    "AIOBPF_TEST_BACKENDS=asyncio",
    "AIOBPF_TEST_MATRIX=-",
    "AIOBPF_TEST_REQUIRE=root,kprobes,uprobes,trampolines",  # Debian's kernels have them all, from 5.10 on
)


def run(version: str, arguments: list[str]) -> int:
    """The tests under kernel *version*; pytest's exit status, or vmrun's."""
    folder = CACHE / version
    guest = ["--mem", "3G", "--timeout", str(TIMEOUT_S), "--chdir", str(REPOSITORY)]
    guest += ["--modprobe", MODULES]
    for setting in (*SETTINGS, f"AIOBPF_TEST_KERNEL={version}"):
        guest += ["--env", setting]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, (Path(scratch) / "output").open("wb") as output:
        status = subprocess.run(
            [
                *(sys.executable, "-m", "tests.vm.vmrun", str(folder), *guest, "--"),
                *(sys.executable, *PYTEST, *(arguments or TESTS)),
            ],
            check=False,
            cwd=REPOSITORY,
            stdout=output,
            stderr=output,
        ).returncode
        text = keep_matrix(Path(output.name).read_text(errors="replace"))
    print(f"== Linux {version}: {time.monotonic() - started:.0f} s\n{text}", end="", flush=True)
    return status


def keep_matrix(output: str) -> str:
    """The output without the lines of the matrix, which go into the file that $AIOBPF_TEST_MATRIX names."""
    lines = output.splitlines(keepends=True)
    told = [line for line in lines if line.startswith(PREFIX)]
    where = os.environ.get("AIOBPF_TEST_MATRIX")
    if where:
        with Path(where).open("a") as file:
            file.writelines(told)
    return "".join(line for line in lines if not line.startswith(PREFIX))


def compile_tests(arguments: list[str]) -> None:
    """Leave the tests' byte code in the checkout, so that no guest, which cannot write there, has to make it anew."""
    quiet = ["-p", "no:cacheprovider", "--collect-only", "-q"]
    subprocess.run(
        [sys.executable, "-m", "pytest", *quiet, *(arguments or TESTS)],
        check=False,  # what is wrong with the tests, the guests say
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    subprocess.run([sys.executable, "-m", "compileall", "-q", "aiobpf"], check=False, cwd=REPOSITORY)


def main(arguments: list[str]) -> int:
    if os.geteuid() != 0:
        raise SystemExit("as root, please: virtiofsd shares the whole root file system")
    versions = [argument for argument in arguments if re.fullmatch(r"\d+\.\d+", argument)]
    if not versions:
        raise SystemExit("which kernel? For example: python -m tests.vm.kernels 6.12")
    rest = [argument for argument in arguments if argument not in versions]
    for version in versions:
        fetch(version)
    compile_tests(rest)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as guests:
        statuses = list(guests.map(lambda version: run(version, rest), versions))
    failed = [version for version, status in zip(versions, statuses, strict=True) if status != 0]
    if failed:
        print(f"failed under: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
