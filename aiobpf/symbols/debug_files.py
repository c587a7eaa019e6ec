"""Where the symbols of a stripped binary lie: its build id, and the files that go by it."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Final

from aiobpf.errors import BpfError, ElfError
from aiobpf.symbols.elf_image import open_elf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.symbols.elf_image import ElfImage

DEBUG_ROOT: Final = "/usr/lib/debug"
_BINARY_ROOT: Final = "/usr/lib"
_MAX_SUMMED: Final = 1 << 30
_CHUNK: Final = 1 << 20


def build_id(image: ElfImage) -> bytes:
    """The build id of *image*, as a rule 20 bytes; b"" where it has none. ElfError for a note that is broken."""
    note = image.section(".note.gnu.build-id")
    if note is None:
        return b""
    data = image.read(note)
    name_size, size, _kind = image.unpack("III", data, 0)
    start = 12 + (name_size + 3 & ~3)
    return data[start : start + min(size, 64)]


def debug_file_by_build_id(number: bytes) -> str | None:
    """The path where a debug file of that build id would lie; None for one that is too short to be one."""
    name = number.hex()
    return f"{DEBUG_ROOT}/.build-id/{name[:2]}/{name[2:]}.debug" if len(name) > 2 else None


def files_by_build_id(number: bytes) -> Iterator[str]:
    """The paths where a binary of that build id (as Fedora links them), and then its debug file, would lie."""
    debug = debug_file_by_build_id(number)
    if debug is not None:
        name = number.hex()
        yield f"{_BINARY_ROOT}/.build-id/{name[:2]}/{name[2:]}"
        yield debug


def debug_files(path: str, image: ElfImage) -> Iterator[str]:
    """Where a stripped binary's symbols may lie: by its build id, then by its debug link (gdb's rules).

    A file that a debug link names counts only if it belongs to the binary: packages are upgraded one by one, and the
    path of a process in a container is another file here. What it is known by is the build id, else the link's CRC-32.
    """
    number = build_id(image)
    by_id = debug_file_by_build_id(number)
    if by_id is not None:
        yield by_id
    link = image.section(".gnu_debuglink")
    if link is None:
        return
    data = image.read(link)
    raw_name = data.partition(b"\0")[0]
    name = raw_name.decode("utf-8", "surrogateescape")
    if not name or "/" in name:
        return
    directory = os.path.dirname(os.path.realpath(path))
    for candidate in (
        os.path.join(directory, name),
        os.path.join(directory, ".debug", name),
        f"{DEBUG_ROOT}{directory}/{name}",
    ):
        try:
            if os.path.samefile(candidate, path):
                continue
        except OSError:
            if not os.path.exists(candidate):
                continue
        if number:
            is_meant = _has_build_id(candidate, number)
        else:
            # The name's NUL, and padding to 4 bytes, come before it.
            at = len(raw_name) + 4 & ~3
            is_meant = at + 4 <= len(data) and image.unpack("I", data, at)[0] == _crc(candidate)
        if is_meant:
            yield candidate


def _has_build_id(path: str, number: bytes) -> bool:
    try:
        with open_elf(path, f"debug file {path!r}") as image:
            return build_id(image) == number
    except BpfError:
        return False


def _crc(path: str) -> int | None:
    """The CRC-32 of a file of a gigabyte at most; None for what is none."""
    try:
        with open_elf(path, f"debug file {path!r}") as image:  # no FIFO, no directory
            if image.size > _MAX_SUMMED:
                return None
        summed = 0
        with open(path, "rb") as file:
            left = _MAX_SUMMED
            while left > 0 and (chunk := file.read(_CHUNK)):
                summed = zlib.crc32(chunk, summed)
                left -= len(chunk)
    except (OSError, ElfError):
        return None
    return summed
