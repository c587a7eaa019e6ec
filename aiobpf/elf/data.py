"""Global variables: each data section is an array map of one element, each variable a window on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.btf import DataSection, Linkage, SectionVariable, size_of
from aiobpf.elf.layout import is_read_only
from aiobpf.errors import BtfError, ElfError
from aiobpf.spec.map import MapSpec
from aiobpf.spec.variable import VariableSpec
from aiobpf.uapi import MapFlags, MapType

if TYPE_CHECKING:
    from aiobpf.btf import Btf, Type
    from aiobpf.elf.file import ElfFile, Section
    from aiobpf.elf.symbols import Symbol, SymbolTable

_MAX_SIZE = 0xFFFF_FFFF
"""value_size of bpf(2) is 32 bits."""

KEY = b"\0\0\0\0"


def read_data_section(
    file: ElfFile, section: Section, symbols: SymbolTable, btf: Btf | None
) -> tuple[MapSpec, list[VariableSpec]]:
    """The map of a data section, and its variables that are visible outside of the object.

    The map has the section's name and, where there is BTF, its DataSection for value type. Static and hidden variables
    are the program's own: they are part of the contents, and no `VariableSpec` shows them (as libbpf's skeletons).
    """
    data_section = describe_section(section, symbols, btf)
    is_frozen = is_read_only(section)
    spec = MapSpec(
        name=section.name,
        type=MapType.ARRAY,
        key_size=4,
        value_size=section.size,
        max_entries=1,
        flags=MapFlags.RDONLY_PROG if is_frozen else 0,
        value=data_section,
        contents={KEY: contents} if (contents := bytes(file.data(section))) else {},
        is_frozen=is_frozen,
        section=section.name,
        alignment=_alignment(section),
    )
    return spec, read_variables(file, section, symbols, spec)


def read_arena(
    file: ElfFile, section: Section, symbols: SymbolTable, btf: Btf | None, arena: MapSpec
) -> list[VariableSpec]:
    """The variables that lie in *arena*, whose *value* and *contents* become those of the section.

    Where in the arena they lie is decided when it is loaded.
    """
    arena.value = describe_section(section, symbols, btf) or DataSection(section.name, section.size)
    if contents := bytes(file.data(section)):
        arena.contents[KEY] = contents
    arena.alignment = _alignment(section)
    return read_variables(file, section, symbols, arena)


def _alignment(section: Section) -> int:
    alignment = section.alignment or 1
    if alignment & alignment - 1:
        raise ElfError(f"section {section.name!r} is aligned to {alignment} bytes, which is no power of two")
    return alignment


def describe_section(section: Section, symbols: SymbolTable, btf: Btf | None) -> DataSection | None:
    """What BTF says of *section*, with the places of its variables; ElfError where they do not lie in it."""
    if section.size > _MAX_SIZE:
        raise ElfError(f"section {section.name!r} of {section.size} bytes is too large for a map")
    objects = symbols.objects(section.index)
    for symbol in objects:
        if symbol.value + symbol.size > section.size:
            raise ElfError(
                f"variable {symbol.name!r} ({symbol.size} bytes at {symbol.value}) is past the end of section "
                f"{section.name!r} ({section.size} bytes)"
            )
    return None if btf is None else _complete(find_section(btf, section.name), section, objects)


def read_variables(file: ElfFile, section: Section, symbols: SymbolTable, spec: MapSpec) -> list[VariableSpec]:
    """The variables of *section* that are visible outside of the object; *spec* is the map that they lie in."""
    described = spec.value.variables if isinstance(spec.value, DataSection) else ()
    types = {(each.variable.name, each.offset): each.variable.type for each in described}
    return [
        VariableSpec(
            name=symbol.name,
            section=section.name,
            offset=symbol.value,
            size=symbol.size,
            type=_type_of_size(types.get((symbol.name, symbol.value)), symbol.size),
            map=spec,
            byte_order=file.byte_order,
        )
        for symbol in symbols.objects(section.index)
        if symbol.is_global and not symbol.is_hidden and symbol.size
    ]


def find_section(btf: Btf, name: str) -> DataSection | None:
    """The DataSection of that name; ElfError where there are two."""
    found = btf.all_by_name(name, DataSection)
    if len(found) > 1:
        raise ElfError(f"BTF describes section {name!r} twice")
    section = found[0] if found else None
    assert section is None or isinstance(section, DataSection)
    return section


def _complete(btf_section: DataSection | None, section: Section, objects: list[Symbol]) -> DataSection | None:
    """The DataSection with the places that only the symbol table knows.

    clang leaves sizes and offsets of sections to a linker (relocations of .BTF), and there is none for BPF objects; the
    kernel wants them, ascending. What is only declared here (extern) has its place in another object. Where there was a
    linker (`bpftool gen object`), static variables of several files may have one name, and places tell them apart.
    """
    if btf_section is None:
        return None
    places: dict[str, Symbol] = {}
    several: dict[str, dict[int, Symbol]] = {}
    for symbol in objects:
        other = places.setdefault(symbol.name, symbol)
        if other is not symbol:
            several.setdefault(symbol.name, {other.value: other})[symbol.value] = symbol
    variables = []
    for each in btf_section.variables:
        if each.variable.linkage == Linkage.EXTERN:
            continue
        name = each.variable.name
        found = several[name].get(each.offset) if name in several else places.get(name)
        variables.append(
            each if found is None else SectionVariable(each.variable, found.value, each.size or found.size)
        )
    variables.sort(key=lambda each: each.offset)
    return DataSection(btf_section.name, section.size, variables)


def _type_of_size(type: Type | None, size: int) -> Type | None:  # noqa: A002
    """*type*, if it has as many bytes as the symbol.

    It has fewer for a struct that ends in an initialised flexible array: only the bytes say it all then.
    """
    if type is None:
        return None
    try:
        return type if size_of(type) == size else None
    except BtfError:
        return None
