"""libbpf as an oracle, in the version of the distribution and in the newest: what C programs are compiled against.

The distribution's is Debian's libbpf-dev. The newest comes as the source that the crate libbpf-sys carries, and is
built with cargo, make and gcc (Debian: libelf-dev, zlib1g-dev), once, below tests/.work.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

from attrs import frozen

HERE = Path(__file__).parent
WORK = HERE.parent / ".work" / "libbpf"


class NoLibbpfError(Exception):
    """It is not there and cannot be built; the message says what is missing."""


@frozen
class Libbpf:
    """One version of libbpf: what the compiler is told."""

    name: str
    is_newest: bool
    arguments: tuple[str, ...]

    def compile(self, source: Path, output: Path, *more: str) -> None:
        """One C program; NoLibbpfError without a compiler, CalledProcessError if it refuses."""
        compiler = shutil.which("cc")
        if compiler is None:
            raise NoLibbpfError("no C compiler (Debian: gcc)")
        command = [compiler, "-O1", "-rdynamic", str(source), "-o", str(output), *self.arguments, *more]
        subprocess.run(command, check=True, capture_output=True, text=True)


@functools.cache
def distribution() -> Libbpf:
    """The one whose headers are installed; NoLibbpfError without."""
    if not Path("/usr/include/bpf/libbpf.h").exists():
        raise NoLibbpfError("no libbpf headers (Debian: libbpf-dev)")
    return Libbpf("distribution", False, ("-lbpf",))


@functools.cache
def newest() -> Libbpf:
    """The one of Cargo.lock, built if it is not yet; NoLibbpfError where that cannot be."""
    for tool in ("cargo", "make", "cc"):
        if shutil.which(tool) is None:
            raise NoLibbpfError(f"no {tool} to build the newest libbpf with")
    if not Path("/usr/include/libelf.h").exists():
        raise NoLibbpfError("no libelf headers (Debian: libelf-dev) to build the newest libbpf with")
    command = ["cargo", "build", "-q", "--locked", "--release", f"--target-dir={WORK}"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoLibbpfError(f"cargo: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    archive = next(WORK.glob("release/build/libbpf-sys-*/out/libbpf.a"))
    return Libbpf("newest", True, (f"-I{archive.parent / 'include'}", str(archive), "-lelf", "-lz"))


ORACLES = {"distribution": distribution, "newest": newest}
