"""What maps of maps and of programs hold at first: relocations in section ``.maps``."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from aiobpf.elf.relocation_table import R_BPF_64_ABS64, R_BPF_NONE
from aiobpf.errors import ElfError
from aiobpf.spec.externs import ExternKind

if TYPE_CHECKING:
    from aiobpf.elf.maps_btf import MapDefinition
    from aiobpf.elf.relocation_table import Relocation
    from aiobpf.elf.relocations import Places

_POINTER_SIZE = 8
_MAX_ENTRIES = 1 << 32


def read_contents(definitions: list[MapDefinition], relocations: list[Relocation], places: Places) -> None:
    """Put a name into `MapSpec.contents` for every pointer in a ``values`` field; its index is the key (32 bits)."""
    starts = [definition.offset for definition in definitions]
    for relocation in relocations:
        if relocation.type == R_BPF_NONE:
            continue
        symbol = relocation.symbol
        where = f"section '.maps', byte {relocation.offset:#x}: relocation for symbol {symbol.name!r}"
        if relocation.type != R_BPF_64_ABS64:
            raise ElfError(f"{where}: type {relocation.type} is not known")
        i = bisect_right(starts, relocation.offset) - 1
        definition = definitions[i] if i >= 0 else None
        if definition is None or relocation.offset >= definition.offset + definition.size:
            raise ElfError(f"{where}: no map is there")
        if definition.values_offset is None or relocation.offset < definition.values_offset:
            raise ElfError(f"{where}: map {definition.spec.name!r} has no 'values' there")
        index, remainder = divmod(relocation.offset - definition.values_offset, _POINTER_SIZE)
        if remainder:
            raise ElfError(f"{where}: in the middle of a pointer of map {definition.spec.name!r}")
        if index >= _MAX_ENTRIES:
            raise ElfError(f"{where}: map {definition.spec.name!r} has no element {index}")
        key = index.to_bytes(4, places.file.byte_order)
        definition.spec.contents[key] = _target(definition, relocation, places, where)


def _target(definition: MapDefinition, relocation: Relocation, places: Places, where: str) -> str:
    symbol = relocation.symbol
    if symbol.is_undefined:
        extern = places.externs.get(symbol.name)
        wanted = ExternKind.FUNCTION if definition.spec.inner is None else ExternKind.MAP
        if extern is None or extern.kind is not wanted:
            raise ElfError(f"{where}: BTF describes no extern {wanted.value} of that name")
        return symbol.name  # of another object
    if definition.spec.inner is not None:
        name = places.maps.get((symbol.section, symbol.value))
        if name is None:
            raise ElfError(f"{where}: it is no map, but map {definition.spec.name!r} holds maps")
        return name
    function = places.function_at(symbol.section, symbol.value)
    if function is None:
        raise ElfError(f"{where}: it is no program, but map {definition.spec.name!r} holds programs")
    return function.name
