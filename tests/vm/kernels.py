"""Run the kernel tests under other kernels: fetch each from Debian, boot it in QEMU without KVM, run pytest inside.

    python tests/vm/kernels.py 6.12 [6.1 ...]

Needs Debian's qemu-system-x86, busybox-static and apt, and root. Kernels are kept below ``$AIOBPF_KERNELS`` (default
~/.cache/aiobpf/kernels). The guest runs this very Python and checkout, shared read-only.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
CACHE = Path(os.environ.get("AIOBPF_KERNELS") or Path.home() / ".cache" / "aiobpf" / "kernels")

# What a guest runs: the parts of the suite that need a kernel, above all those that the usual host cannot show.
TESTS = ("tests/link", "tests/runtime", "tests/collection", "tests/stream", "tests/kernel")


def newest_package(version: str) -> str:
    """The newest signed cloud kernel of *version* ("6.12") that apt knows."""
    listing = subprocess.run(
        ["apt-cache", "search", "--names-only", rf"^linux-image-{re.escape(version)}\..*-cloud-amd64$"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    names = [line.split()[0] for line in listing.splitlines()]
    if not names:
        raise SystemExit(f"apt knows no linux-image-{version}.*-cloud-amd64: run apt-get update, or add its suite")
    return max(names, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])


def fetch(version: str) -> Path:
    """The folder that holds the .deb of kernel *version*, fetched if it is not there yet."""
    folder = CACHE / version
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob("*.deb")):
        subprocess.run(["apt-get", "download", "-q", newest_package(version)], check=True, cwd=folder)
    return folder


def run(version: str, arguments: list[str]) -> int:
    """The tests under kernel *version*; pytest's exit status."""
    folder = fetch(version)
    print(f"== Linux {version} ==", flush=True)
    command = [
        sys.executable, str(HERE / "vmrun.py"), str(folder),
        "--mem", "3G", "--timeout", "3000", "--chdir", str(REPOSITORY), "--env", f"AIOBPF_VM={version}",
        "--env", "PYTHONDONTWRITEBYTECODE=1", "--",
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "timeout=600",
        "-o", "faulthandler_timeout=550", *(arguments or TESTS),
    ]  # fmt: skip
    return subprocess.run(command, check=False, cwd=REPOSITORY).returncode


def main() -> int:
    versions = [argument for argument in sys.argv[1:] if re.fullmatch(r"\d+\.\d+", argument)]
    arguments = [argument for argument in sys.argv[1:] if argument not in versions]
    if os.geteuid() != 0:
        raise SystemExit("kernels.py must run as root: virtiofsd shares the whole root file system")
    failed = [version for version in versions if run(version, arguments) != 0]
    if failed:
        print(f"failed under: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
