"""Objects with one thing changed: in place, or by sections laid out anew."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from aiobpf.elf import read_spec
from aiobpf.elf.file import ElfFile
from tests.fuzz.mutate_btf import Image as BtfImage
from tests.fuzz.mutate_elf import Image as ElfImage
from tests.fuzz.mutate_elf import Section

if TYPE_CHECKING:
    from collections.abc import Callable

OBJECTS = Path(__file__).parent.parent / "objects"

SECTION = struct.Struct("<IIQQQQIIQQ")
SYMBOL = struct.Struct("<IBBHQQ")
RELOCATION = struct.Struct("<QQ")
FIELDS = {"name": 0, "type": 1, "flags": 2, "address": 3, "offset": 4, "size": 5, "link": 6, "info": 7, "entsize": 9}


class Patch:
    """A little-endian object to change in place."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self.file = ElfFile(data)
        (self.headers,) = struct.unpack_from("<Q", data, 40)

    def section(self, name: str, /) -> int:
        return next(section.index for section in self.file.sections if section.name == name)

    def set_section(self, wanted: str, /, **fields: int) -> Patch:
        at = self.headers + self.section(wanted) * 64
        values = list(SECTION.unpack_from(self.data, at))
        for field, value in fields.items():
            values[FIELDS[field]] = value
        SECTION.pack_into(self.data, at, *values)
        return self

    def symbol(self, name: str) -> int:
        """The file offset of a symbol's entry."""
        symtab = self.file.sections[self.section(".symtab")]
        strings = bytes(self.file.data(self.file.sections[symtab.link]))
        for at in range(symtab.offset, symtab.offset + symtab.size, 24):
            offset = SYMBOL.unpack_from(self.data, at)[0]
            if strings[offset : strings.index(b"\0", offset)].decode() == name:
                return at
        raise LookupError(name)

    def set_symbol(self, wanted: str, /, **fields: int) -> Patch:
        at = self.symbol(wanted)
        name, info, other, section, value, size = SYMBOL.unpack_from(self.data, at)
        values = {"name": name, "info": info, "other": other, "section": section, "value": value, "size": size} | fields
        SYMBOL.pack_into(self.data, at, *values.values())
        return self

    def set_relocation(self, section: str, index: int, /, **fields: int) -> Patch:
        at = self.file.sections[self.section(section)].offset + index * 16
        offset, info = RELOCATION.unpack_from(self.data, at)
        values = {"offset": offset, "type": info & 0xFFFF_FFFF, "symbol": info >> 32} | fields
        RELOCATION.pack_into(self.data, at, values["offset"], values["symbol"] << 32 | values["type"])
        return self

    def set_bytes(self, section: str, offset: int, data: bytes) -> Patch:
        at = self.file.sections[self.section(section)].offset + offset
        self.data[at : at + len(data)] = data
        return self

    def read(self) -> object:
        return read_spec(self.data)


def read(name: str) -> bytes:
    """A committed object of the tests."""
    return (OBJECTS / f"{name}.bpf.o").read_bytes()


def patched(name: str) -> Patch:
    return Patch(read(name))


def find_section(image: ElfImage, name: str) -> Section:
    return next(section for section in image.sections if image.name_of(section) == name.encode())


def with_section(data: bytes, name: str, content: bytes | Callable[[bytes], bytes]) -> bytes:
    """The object with other bytes in that section."""
    image = ElfImage(data)
    section = find_section(image, name)
    section.data = content if isinstance(content, bytes) else content(section.data)
    return image.encode()


def with_btf(data: bytes, change: Callable[[BtfImage], None]) -> bytes:
    """The object with other types."""

    def changed(content: bytes) -> bytes:
        types = BtfImage(content)
        change(types)
        return types.encode()

    return with_section(data, ".BTF", changed)


def with_name(data: bytes, name: str, new: bytes) -> bytes:
    """The object with another name for that section."""
    image = ElfImage(data)
    section = find_section(image, name)
    section.name = add_name(image, new)
    return image.encode()


def add_name(image: ElfImage, name: bytes) -> int:
    """Where *name* is in the table of section names, which is put there."""
    table = image.sections[struct.unpack_from(image.order + "H", image.head, 62)[0]]
    at = len(table.data)
    table.data += name + b"\0"
    return at


def with_symbol_name(data: bytes, symbol: str, new: bytes) -> bytes:
    """The object with another name for that symbol (and, as LLVM keeps them in one table, room for it)."""
    image = ElfImage(data)
    at = add_name(image, new)
    made = Patch(image.encode())
    return bytes(made.set_symbol(symbol, name=at).data)
