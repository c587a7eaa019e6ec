"""The symbol table: what lies where in which section."""

from __future__ import annotations

from bisect import bisect_right
from struct import iter_unpack
from typing import TYPE_CHECKING, Final, NamedTuple, final

from aiobpf.elf.file import SHN_UNDEF, SHT_SYMTAB, StringTable
from aiobpf.errors import ElfError

if TYPE_CHECKING:
    from aiobpf.elf.file import ElfFile

STB_LOCAL: Final = 0
STB_GLOBAL: Final = 1
STB_WEAK: Final = 2
STT_NOTYPE: Final = 0
STT_OBJECT: Final = 1
STT_FUNC: Final = 2
STT_SECTION: Final = 3
STV_HIDDEN: Final = 2
_STV_INTERNAL = 1

_ENTRY_SIZE = 24


class Symbol(NamedTuple):
    """One symbol: *value* is a byte offset in section *section* (SHN_UNDEF: an extern)."""

    name: str
    value: int
    size: int
    bind: int
    type: int
    visibility: int
    section: int

    @property
    def is_global(self) -> bool:
        return self.bind != STB_LOCAL

    @property
    def is_weak(self) -> bool:
        return self.bind == STB_WEAK

    @property
    def is_hidden(self) -> bool:
        return self.visibility in {STV_HIDDEN, _STV_INTERNAL}

    @property
    def is_undefined(self) -> bool:
        return self.section == SHN_UNDEF


@final
class SymbolTable:
    """All symbols, by index as relocations have them, and by place."""

    def __init__(self, symbols: list[Symbol]) -> None:
        self._symbols = symbols
        self._by_section: dict[int, list[Symbol]] = {}
        for symbol in symbols:
            if symbol.section != SHN_UNDEF and symbol.name and symbol.type in {STT_NOTYPE, STT_OBJECT, STT_FUNC}:
                self._by_section.setdefault(symbol.section, []).append(symbol)
        for found in self._by_section.values():
            found.sort(key=lambda symbol: symbol.value)
        self._places: dict[int, tuple[list[int], list[Symbol]]] = {}

    @classmethod
    def of(cls, file: ElfFile) -> SymbolTable:
        """The table of *file*; ElfError if there is none, or two, or it breaks the format."""
        tables = [section for section in file.sections if section.type == SHT_SYMTAB]
        if len(tables) != 1:
            raise ElfError("the file has no symbol table" if not tables else f"{len(tables)} symbol tables, not one")
        data = file.data(tables[0])
        if len(data) % _ENTRY_SIZE:
            raise ElfError(f"section {tables[0].name!r}: {len(data)} bytes are no multiple of {_ENTRY_SIZE}")
        names = file.section(tables[0].link, f"section {tables[0].name!r}")
        strings = StringTable(file.data(names), f"section {names.name!r}")
        order = "<" if file.byte_order == "little" else ">"
        at = strings.at
        return cls(
            [
                Symbol(at(name) if name else "", value, size, info >> 4, info & 15, other & 3, section)
                for name, info, other, section, value, size in iter_unpack(order + "IBBHQQ", data)
            ]
        )

    def __getitem__(self, index: int) -> Symbol:
        if index >= len(self._symbols):
            raise ElfError(f"symbol {index}, of {len(self._symbols)}")
        return self._symbols[index]

    def undefined(self) -> list[Symbol]:
        """The named symbols that no section defines."""
        return [symbol for symbol in self._symbols if symbol.section == SHN_UNDEF and symbol.name]

    def exported(self) -> list[Symbol]:
        """The named symbols that other files may refer to."""
        return [symbol for symbol in self._symbols if symbol[3] and symbol[6] and symbol[0]]

    def in_section(self, section: int) -> list[Symbol]:
        """Functions, objects and symbols of no type in *section*, by offset."""
        return self._by_section.get(section, [])

    def functions(self, section: int) -> list[Symbol]:
        """The functions of *section*, by offset.

        Where no symbol says that it is a function (hand-written assembly), the global ones without a type are.
        """
        found = self.in_section(section)
        functions = [symbol for symbol in found if symbol.type == STT_FUNC]
        return functions or [symbol for symbol in found if symbol.type == STT_NOTYPE and symbol.is_global]

    def objects(self, section: int) -> list[Symbol]:
        """The variables of *section*, by offset."""
        return [symbol for symbol in self.in_section(section) if symbol.type == STT_OBJECT]

    def object_around(self, section: int, offset: int) -> Symbol | None:
        """The variable that the byte at *offset* belongs to."""
        places = self._places.get(section)
        if places is None:
            objects = self.objects(section)
            places = self._places[section] = ([symbol.value for symbol in objects], objects)
        starts, objects = places
        i = bisect_right(starts, offset) - 1
        if i >= 0 and offset < objects[i].value + max(objects[i].size, 1):
            return objects[i]
        return None
