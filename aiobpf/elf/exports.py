"""What an object offers to others: its global symbols, weak and hidden ones too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.elf.symbols import STB_WEAK, STT_OBJECT
from aiobpf.errors import ElfError
from aiobpf.spec.externs import Export, ExternKind

if TYPE_CHECKING:
    from aiobpf.elf.relocations import Places
    from aiobpf.elf.symbols import Symbol


def read_exports(places: Places) -> dict[str, Export]:
    """The functions, maps and variables that other objects may refer to, by name. ElfError if two have one name."""
    exports: dict[str, Export] = {}
    sections = places.file.sections
    for symbol in places.symbols.exported():
        name, value, size, bind, _, _, section, *_ = symbol
        kind = _kind(symbol, places)
        if kind is None:
            continue
        if name in exports:
            raise ElfError(f"two symbols are named {name!r}")
        if kind is not ExternKind.VARIABLE:
            value = size = 0
        exports[name] = Export(name, kind, bind == STB_WEAK, symbol.is_hidden, sections[section].name, value, size)
    return exports


def _kind(symbol: Symbol, places: Places) -> ExternKind | None:
    if symbol.section in places.functions.by_section:
        return ExternKind.FUNCTION if symbol.name in places.functions.names else None
    if (symbol.section, symbol.value) in places.maps or symbol.section in places.struct_ops_sections:
        return ExternKind.MAP
    if symbol.section in places.data and symbol.type == STT_OBJECT:
        return ExternKind.VARIABLE
    return None
