"""The header of a .BTF section: where its types, strings and layout are."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Literal

from attrs import frozen

from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from mmap import mmap

ByteOrder = Literal["little", "big"]

MAGIC = {b"\x9f\xeb": "<", b"\xeb\x9f": ">"}
_SHORT = 24
_WITH_LAYOUT = 32


@frozen
class Header:
    """Three stretches of the file, as offsets from its start and lengths in bytes, all inside it."""

    byte_order: ByteOrder
    types: int
    types_length: int
    strings: int
    strings_length: int
    layout: int = 0
    layout_length: int = 0
    """4 bytes (size of the fixed part, size of each element, flags) for each kind from 0 on; length 0 without one."""


def read_header(data: bytes | mmap, *, is_split: bool = False) -> Header:
    """The BTF header at the start of *data*, either byte order.

    Invariant: any bytes give a Header whose stretches lie inside *data*, whose types are aligned to 4 and whose strings
    end with a zero byte, or a BtfError.

    Layout: 24 bytes, or 32 and more with the optional layout section (UAPI btf.h, 7.1). Offsets count from its end.
    A split BTF may have no strings of its own, or begin with one that is not empty.
    """
    if len(data) < _SHORT:
        raise BtfError(f"BTF header needs {_SHORT} bytes, found {len(data)}")
    order = MAGIC.get(data[:2])
    if order is None:
        raise BtfError(f"no BTF: the first two bytes are {data[:2].hex()}, not 9feb or eb9f")
    version, flags, length, *fields = struct.unpack_from(order + "BBIIIII", data, 2)
    if version != 1 or flags:
        raise BtfError(f"BTF version {version} with flags {flags:#x} is unknown")
    if not _SHORT <= length <= len(data):
        raise BtfError(f"BTF header claims {length} bytes in a file of {len(data)}")
    if length >= _WITH_LAYOUT:
        fields += struct.unpack_from(order + "II", data, _SHORT)
    else:
        fields += (0, 0)
    starts, lengths = [length + each for each in fields[::2]], fields[1::2]
    for name, start, size in zip(("type", "string", "layout"), starts, lengths, strict=True):
        if start + size > len(data):
            raise BtfError(f"BTF {name} section of {size} bytes at {start} ends past the file's {len(data)} bytes")
    if starts[0] % 4:
        raise BtfError(f"BTF type section at {starts[0]} is not aligned to 4 bytes")
    if lengths[2] % 4:
        raise BtfError(f"BTF layout section of {lengths[2]} bytes is not made of entries of 4")
    strings, strings_length = starts[1], lengths[1]
    if strings_length:
        if data[strings + strings_length - 1]:
            raise BtfError("BTF string section does not end with a zero byte")
        if data[strings] and not is_split:
            raise BtfError("BTF string section does not begin with the empty string")
    elif not is_split:
        raise BtfError("BTF has no string section")
    return Header(
        byte_order="little" if order == "<" else "big",
        types=starts[0],
        types_length=lengths[0],
        strings=strings,
        strings_length=strings_length,
        layout=starts[2],
        layout_length=lengths[2],
    )
