"""Where the symbols of a stripped binary lie: its build id, and the files that go by it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.symbols.elf_image import ElfImage

DEBUG_ROOT: Final = "/usr/lib/debug"


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


def debug_files(path: str, image: ElfImage) -> Iterator[str]:
    """Where a stripped binary's symbols may lie: by its build id, then by its debug link (gdb's rules)."""
    by_id = debug_file_by_build_id(build_id(image))
    if by_id is not None:
        yield by_id
    link = image.section(".gnu_debuglink")
    if link is not None:
        name = image.read(link).partition(b"\0")[0].decode("utf-8", "surrogateescape")
        if name and "/" not in name:
            directory = os.path.dirname(os.path.realpath(path))
            for candidate in (
                os.path.join(directory, name),
                os.path.join(directory, ".debug", name),
                f"{DEBUG_ROOT}{directory}/{name}",
            ):
                if os.path.exists(candidate) and not os.path.samefile(candidate, path):
                    yield candidate
