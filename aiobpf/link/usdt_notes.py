"""The notes by which a binary tells of its USDT probes: the section ``.note.stapsdt``, bytes in, probes out.

Each note is an ELF note with the name "stapsdt" and the type 3 (SystemTap's sys/sdt.h, version 3): three words of the
machine (the probe's address, the address of ``.stapsdt.base`` when it was linked, the semaphore's or 0), then provider,
name and arguments as C strings.
"""

from __future__ import annotations

import struct
from typing import Final

from attrs import frozen

from aiobpf.errors import ElfError

SECTION: Final = ".note.stapsdt"
BASE_SECTION: Final = ".stapsdt.base"
_OWNER: Final = b"stapsdt\0"
_TYPE: Final = 3


@frozen
class UsdtNote:
    """One place where a program has a probe; a probe that is inlined, or used twice, has several."""

    provider: str
    name: str
    arguments: str
    """As the compiler wrote them: "-4@%eax 8@16(%rsp)"."""
    address: int
    base: int
    """Where ``.stapsdt.base`` was when the note was written: a prelinked file has been moved since."""
    semaphore: int
    """The address of the 16-bit counter of those who watch; 0 for none."""


def parse_notes(data: bytes, *, is_64: bool, is_little_endian: bool, what: str = "notes") -> list[UsdtNote]:
    """The USDT notes in *data*, the bytes of a note section; notes of others in it are passed over.

    Invariant: any bytes give notes whose text lies in *data*, or an ElfError naming *what*; never another exception.
    """
    order = "<" if is_little_endian else ">"
    header = struct.Struct(f"{order}III")
    words = struct.Struct(f"{order}3Q" if is_64 else f"{order}3I")
    found = []
    at = 0
    while at + header.size <= len(data):
        name_size, size, kind = header.unpack_from(data, at)
        start = at + header.size + _padded(name_size)
        if start + size > len(data):
            raise ElfError(f"{what}: the note at {at:#x} ends outside the section")
        owner = data[at + header.size : at + header.size + name_size]
        if owner == _OWNER and kind == _TYPE:
            if size < words.size:
                raise ElfError(f"{what}: the USDT note at {at:#x} has {size} bytes, too few for its addresses")
            texts = data[start + words.size : start + size].split(b"\0")
            if len(texts) < 4:  # three strings end with a NUL each; what follows the last one is padding
                raise ElfError(f"{what}: the USDT note at {at:#x} has not three strings")
            address, base, semaphore = words.unpack_from(data, start)
            provider, name, arguments = (text.decode("utf-8", "backslashreplace") for text in texts[:3])
            found.append(UsdtNote(provider, name, arguments, address, base, semaphore))
        at = start + _padded(size)
    return found


def _padded(size: int) -> int:
    return size + 3 & ~3
