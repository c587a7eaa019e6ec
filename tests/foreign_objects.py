"""BPF objects that others compiled: .o files of Debian's packages, and those inside executables and libraries.

    python -m tests.foreign_objects     # fetch the packages of the newer release, which are not installed

Two releases, so that objects of different compilers and of different versions of their tools are there: the packages
that this machine has installed, and those of `FETCHED`, unpacked below ``$AIOBPF_OBJECTS`` (~/.cache/aiobpf/objects).
"""

from __future__ import annotations

import functools
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = ("libxdp1", "xdp-tools", "libbpf-tools", "qemu-system-x86", "systemd", "bpftool")
FETCHED = ("libxdp1", "xdp-tools", "libbpf-tools", "systemd", "systemd-container", "udev", "bpftool")
SUITE = "debian trixie"
CACHE = Path(os.environ.get("AIOBPF_OBJECTS") or Path.home() / ".cache" / "aiobpf" / "objects")
EM_BPF = 247
_MAX_SIZE = 64 << 20


@frozen
class ForeignObject:
    """One object: "execsnoop", or "trixie/xdp-bench.2" for the third one in an executable of the newer release."""

    name: str
    content: bytes


def embedded_objects(data: bytes) -> Iterator[bytes]:
    """Every ELF file for BPF inside *data*, each up to the end of its section table, which clang writes last."""
    at = data.find(b"\x7fELF", 1)
    while at >= 0:
        if data[at + 18 : at + 20] == struct.pack("<H", EM_BPF):
            (sections,) = struct.unpack_from("<Q", data, at + 40)
            (count,) = struct.unpack_from("<H", data, at + 60)
            yield data[at : at + sections + 64 * count]
        at = data.find(b"\x7fELF", at + 1)


def installed_files() -> list[Path]:
    """The regular files of *PACKAGES*, as dpkg knows them: none where a package, or dpkg, is absent."""
    if shutil.which("dpkg-query") is None:
        return []
    listing = subprocess.run(["dpkg-query", "-L", *PACKAGES], capture_output=True, text=True, check=False).stdout
    return [Path(line) for line in listing.splitlines() if line.startswith("/")]


@functools.cache
def foreign_objects() -> tuple[ForeignObject, ...]:
    """All that there are, each content once, by name."""
    found: dict[bytes, str] = {}
    for prefix, files in (("", installed_files()), ("trixie/", (CACHE / "trixie" / "root").rglob("*"))):
        for path in sorted(set(files)):
            for number, content in enumerate(_objects_of(path)):
                name = prefix + path.name.removesuffix("-libbpf") + (f".{number}" if number else "")
                found.setdefault(content, name)
    return tuple(sorted((ForeignObject(name, content) for content, name in found.items()), key=lambda each: each.name))


def _objects_of(path: Path) -> Iterator[bytes]:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _MAX_SIZE:
        return
    with path.open("rb") as file:
        head = file.read(20)
        if head[:4] != b"\x7fELF":
            return
        data = head + file.read()
    if path.suffix == ".o" and head[18:20] == struct.pack("<H", EM_BPF):
        yield data
    else:
        yield from embedded_objects(data)


def fetch() -> None:
    """Download and unpack the packages of the newer release, if that was not done yet."""
    from tests.vm.debian_kernels import Apt

    folder = CACHE / "trixie"
    if (folder / "root").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    apt = Apt.of(folder / "apt", (SUITE,))
    # What was cut short must not look whole: it gets its name when it is.
    with tempfile.TemporaryDirectory(dir=folder, prefix="incoming-") as incoming:
        os.chmod(incoming, 0o755)  # apt gives up root to download, and wants to write there
        root = Path(incoming) / "root"
        apt.download(list(FETCHED), Path(incoming))
        for package in Path(incoming).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, root], check=True)
        root.rename(folder / "root")


if __name__ == "__main__":
    fetch()
    print(f"{len(foreign_objects())} objects")
