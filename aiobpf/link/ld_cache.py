"""The dynamic linker's cache of libraries, /etc/ld.so.cache (glibc 2.41, sysdeps/generic/dl-cache.h)."""

from __future__ import annotations

import platform
import re
import struct
from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable

CACHE_PATH = "/etc/ld.so.cache"

_OLD_MAGIC = b"ld.so-1.7.0\0"
_OLD_ENTRY_SIZE = 12
_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER_SIZE = 48
_ENTRY_SIZE = 24

# The second byte of an entry's flags says which ABI the library is for (sysdeps/generic/ldconfig.h).
_ABI_OF_MACHINE = {
    "x86_64": 0x0300,
    "aarch64": 0x0A00,
    "s390x": 0x0400,
    "ppc64": 0x0500,
    "ppc64le": 0x0500,
    "riscv64": 0x1000,
    "loongarch64": 0x1200,
}
_ABI_MASK = 0xFF00


@frozen
class CachedLibrary:
    """One entry: *name* ("libc.so.6"), where it lies, which ABI it is for, the CPU features it asks for (0: none)."""

    name: str
    path: str
    abi: int
    hwcap: int


def native_abi() -> int | None:
    """The ABI mark of this machine's own libraries, None where the table above does not say."""
    return _ABI_OF_MACHINE.get(platform.machine())


def parse_ld_cache(data: bytes) -> list[CachedLibrary]:
    """The libraries that a cache file lists, in its order (which is by name, the newest version first).

    Both layouts: the new one alone (glibc 2.32 and up write it), or behind the old one. Invariant: any bytes give a
    list or a SpecError, in time proportional to their length.
    """
    start = 0
    if data.startswith(_OLD_MAGIC):
        if len(data) < len(_OLD_MAGIC) + 4:
            raise SpecError("ld.so.cache ends within its header")
        (count,) = struct.unpack_from("=I", data, len(_OLD_MAGIC))
        start = len(_OLD_MAGIC) + 4 + count * _OLD_ENTRY_SIZE
        start = (start + 7) & ~7  # the new header is aligned for its 64-bit fields
    if data[start : start + len(_MAGIC)] != _MAGIC:
        raise SpecError("ld.so.cache has no glibc-ld.so.cache1.1 header")
    if len(data) < start + _HEADER_SIZE:
        raise SpecError("ld.so.cache ends within its header")
    (count,) = struct.unpack_from("=I", data, start + len(_MAGIC))
    entries = memoryview(data)[start + _HEADER_SIZE :]
    if count * _ENTRY_SIZE > len(entries):
        raise SpecError(f"ld.so.cache claims {count} libraries and has room for {len(entries) // _ENTRY_SIZE}")
    found = []
    for flags, key, value, _os, hwcap in struct.iter_unpack("=iIIIQ", entries[: count * _ENTRY_SIZE]):
        found.append(CachedLibrary(_string(data, start + key), _string(data, start + value), flags & _ABI_MASK, hwcap))
    return found


def _string(data: bytes, offset: int) -> str:
    end = data.find(b"\0", offset, offset + 4096)  # PATH_MAX; without it a hostile cache makes this quadratic
    if offset >= len(data) or end < 0:
        raise SpecError(f"ld.so.cache has no string at offset {offset}")
    return data[offset:end].decode("utf-8", "surrogateescape")


def is_library_named(name: str, file_name: str) -> bool:
    """Whether a user who says *name* ("libc.so.6", "libc.so", "libc", "c") may mean the file *file_name*."""
    if file_name == name:
        return True
    bare = name if name.startswith("lib") else f"lib{name}"
    stem = bare if ".so" in bare else f"{bare}.so"
    return file_name == stem or file_name.startswith(f"{stem}.")


def pick_library(libraries: Iterable[CachedLibrary], name: str, abi: int | None) -> str | None:
    """The path of the library that *name* means: an exact name first, else the newest version of it."""
    fitting = [library for library in libraries if abi is None or library.abi == abi]
    matches = [library for library in fitting if is_library_named(name, library.name)]
    if not matches:
        return None
    # A build for newer CPUs (glibc-hwcaps) has the same name; the plain one is what every machine can map.
    best = max(matches, key=lambda library: (library.name == name, version_of(library.name), library.hwcap == 0))
    return best.path


def version_of(file_name: str) -> tuple[int, ...]:
    """(3,) for "libssl.so.3": what its versions sort by."""
    _, _, version = file_name.partition(".so")
    return tuple(int(number) for number in re.findall(r"[0-9]{1,9}", version))
