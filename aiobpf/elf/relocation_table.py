"""Relocation entries, by the section that they change."""

from __future__ import annotations

from struct import iter_unpack
from typing import TYPE_CHECKING, Final, NamedTuple

from aiobpf.elf.file import SHT_REL, SHT_RELA
from aiobpf.errors import ElfError

if TYPE_CHECKING:
    from aiobpf.elf.file import ElfFile, Section
    from aiobpf.elf.symbols import Symbol, SymbolTable

R_BPF_NONE: Final = 0
R_BPF_64_64: Final = 1
"""The immediate of a 64-bit load."""
R_BPF_64_ABS64: Final = 2
R_BPF_64_32: Final = 10
"""The immediate of a call."""

_ENTRY_SIZE = 16


class Relocation(NamedTuple):
    """At byte *offset* of a section, *symbol* goes in, in the way *type* (R_BPF_*) says."""

    offset: int
    type: int
    symbol: Symbol
    symbol_index: int
    """Of the symbol in its table."""


def tables_by_target(file: ElfFile) -> dict[int, Section]:
    """The relocation section of each section that has one, by that section's index."""
    tables: dict[int, Section] = {}
    for section in file.sections:
        if section.type not in {SHT_REL, SHT_RELA}:
            continue
        target = file.section(section.info, f"relocation section {section.name!r}")
        if target.index == 0:
            raise ElfError(f"relocation section {section.name!r} refers to section 0, which is none")
        if target.index in tables:
            raise ElfError(f"section {target.name!r} has two relocation sections")
        tables[target.index] = section
    return tables


def read_relocations(file: ElfFile, table: Section, symbols: SymbolTable) -> list[Relocation]:
    """The entries of *table*, by offset. ElfError for a broken table, and for RELA, which no BPF compiler emits."""
    if table.type != SHT_REL:
        raise ElfError(f"section {table.name!r} has relocations with addends (RELA), which BPF has not")
    data = file.data(table)
    if len(data) % _ENTRY_SIZE:
        raise ElfError(f"section {table.name!r}: {len(data)} bytes are no multiple of {_ENTRY_SIZE}")
    order = "<" if file.byte_order == "little" else ">"
    try:
        found = [
            Relocation(offset, info & 0xFFFF_FFFF, symbols[info >> 32], info >> 32)
            for offset, info in iter_unpack(order + "QQ", data)
        ]
    except ElfError as error:
        raise ElfError(f"section {table.name!r}: {error}") from None
    found.sort(key=lambda relocation: relocation.offset)
    return found
