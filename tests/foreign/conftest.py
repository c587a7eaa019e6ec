"""Every BPF object that Debian's packages install: .o files, and those inside the executables of libbpf-tools."""

from __future__ import annotations

import functools
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = ("libxdp1", "xdp-tools", "libbpf-tools")
EM_BPF = 247


@frozen
class ForeignObject:
    name: str
    content: bytes


def packaged_files() -> list[Path]:
    """The regular files of *PACKAGES*, as dpkg knows them: none where a package, or dpkg, is absent."""
    if shutil.which("dpkg-query") is None:
        return []
    listing = subprocess.run(["dpkg-query", "-L", *PACKAGES], capture_output=True, text=True, check=False).stdout
    paths = [Path(line) for line in listing.splitlines() if line.startswith("/")]
    return sorted({path for path in paths if path.is_file() and not path.is_symlink()})


def embedded_object(data: bytes) -> bytes | None:
    """The ELF file for BPF inside *data*, up to the end of its section table, which clang writes last."""
    at = data.find(b"\x7fELF", 1)
    while at >= 0:
        if struct.unpack_from("<H", data, at + 18) == (EM_BPF,):
            (sections,) = struct.unpack_from("<Q", data, at + 40)
            (count,) = struct.unpack_from("<H", data, at + 60)
            return data[at : at + sections + 64 * count]
        at = data.find(b"\x7fELF", at + 1)
    return None


@functools.cache
def foreign_objects() -> tuple[ForeignObject, ...]:
    found = []
    for path in packaged_files():
        if path.suffix == ".o":
            found.append(ForeignObject(path.name, path.read_bytes()))
        elif "bin" in path.parent.name and os.access(path, os.X_OK):
            content = embedded_object(path.read_bytes())
            if content is not None:
                found.append(ForeignObject(path.name, content))
    return tuple(found)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "foreign" in metafunc.fixturenames:
        metafunc.parametrize("foreign", foreign_objects(), ids=lambda foreign: foreign.name)


@pytest.fixture
def foreign_path(foreign: ForeignObject, tmp_path: Path) -> Path:
    """The object as a file."""
    path = tmp_path / foreign.name
    path.write_bytes(foreign.content)
    return path


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    """A bpffs of the test's own."""
    where = tmp_path / "bpffs"
    where.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", where], check=True)
    yield where
    subprocess.run(["umount", where], check=True)
