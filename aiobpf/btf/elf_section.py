"""One section of an ELF file by its name, for BTF that comes in a vmlinux, a module or an object.

Not the reader of BPF objects (that is aiobpf.elf, floors above): it looks at nothing but section headers.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from mmap import mmap

ELF_MAGIC: Final = b"\x7fELF"
_SHT_NOBITS: Final = 8
_SHF_COMPRESSED: Final = 0x800
_SHN_XINDEX: Final = 0xFFFF


def find_section(data: bytes | mmap, name: str) -> bytes | None:
    """The contents of the first section called *name*, or None. 32 and 64 bits, both byte orders.

    Invariant: any bytes that begin with the ELF magic give a section that lies inside *data*, None, or a BtfError.
    """
    try:
        return _find(data, name.encode() + b"\0")
    except struct.error:
        raise BtfError(f"ELF file of {len(data)} bytes ends inside its headers") from None


def _find(data: bytes | mmap, name: bytes) -> bytes | None:
    if len(data) < 20 or data[4] not in {1, 2} or data[5] not in {1, 2}:
        raise BtfError("ELF file is neither of 32 nor of 64 bits")
    order = "<" if data[5] == 1 else ">"
    is_64 = data[4] == 2
    (table,) = struct.unpack_from(order + ("Q" if is_64 else "I"), data, 40 if is_64 else 32)
    each, count, names_at = struct.unpack_from(order + "HHH", data, 58 if is_64 else 46)
    header = struct.Struct(order + ("IIQQQQIIQQ" if is_64 else "IIIIIIIIII"))
    if not table:
        return None
    if each < header.size:
        raise BtfError(f"ELF section headers of {each} bytes are too short")
    if table + header.size > len(data):
        raise BtfError(f"ELF file of {len(data)} bytes has no section headers at byte {table}")
    # Extended numbering (gABI): with 0xff00 sections and more the real numbers are in the first header.
    first = header.unpack_from(data, table)
    count = count or first[5]
    names_at = first[6] if names_at == _SHN_XINDEX else names_at
    if names_at >= count or table + count * each > len(data):
        raise BtfError(f"ELF file of {len(data)} bytes has no room for its {count} section headers")
    names = header.unpack_from(data, table + names_at * each)
    for i in range(count):
        section = header.unpack_from(data, table + i * each)
        at = names[4] + section[0]
        if section[0] < names[5] and data[at : at + len(name)] == name:
            return _contents(data, name[:-1].decode(), section)
    return None


def _contents(data: bytes | mmap, name: str, section: tuple[int, ...]) -> bytes:
    _, kind, flags, _, start, size, *_ = section
    if kind == _SHT_NOBITS:
        raise BtfError(f"section {name} has no contents (SHT_NOBITS)")
    if flags & _SHF_COMPRESSED:
        raise BtfError(f"section {name} is compressed")
    if start + size > len(data):
        raise BtfError(f"section {name} of {size} bytes at {start} ends past the file's {len(data)} bytes")
    return data[start : start + size]
