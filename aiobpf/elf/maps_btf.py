"""Maps that BTF describes: each variable of ``.maps`` is a struct whose member types are the map's fields.

``__uint(name, 5)`` is ``int (*name)[5]``, ``__ulong(name, 5)`` an enum with one enumerator of that value, ``__type(key,
T)`` is ``T *key``, and ``__array(values, T)`` is ``T *values[]``, last. The bytes of the section mean nothing, but for
relocations in ``values``, which name what the map holds at first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import define

from aiobpf.btf import (
    Array,
    DataSection,
    Enum,
    FunctionPrototype,
    Pointer,
    Struct,
    Variable,
    size_of,
)
from aiobpf.btf import strip_qualifiers as bare
from aiobpf.errors import BtfError, ElfError
from aiobpf.spec.map import MapSpec, Pinning
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    from aiobpf.btf import Btf, Member, Type
    from aiobpf.elf.file import ElfFile, Section
    from aiobpf.elf.symbols import SymbolTable

_NUMBERS: Final = {
    "type": 32,
    "max_entries": 32,
    "map_flags": 32,
    "numa_node": 32,
    "key_size": 32,
    "value_size": 32,
    "pinning": 32,
    "map_extra": 64,
}
"""Fields with a number for value, and its bits in bpf(2)."""

_POINTER_SIZE = 8
_OUTER = frozenset({MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS})
_PROGRAMS = frozenset({MapType.PROG_ARRAY})
_ZERO = b"\0"


@define
class MapDefinition:
    """A map of ``.maps``, with its place there and where its initial values are, both in bytes."""

    spec: MapSpec
    offset: int
    size: int
    values_offset: int | None = None
    """Of the pointers to inner maps or programs, from the start of the section; None if it has none."""


def read_map_definitions(file: ElfFile, section: Section, symbols: SymbolTable, btf: Btf | None) -> list[MapDefinition]:
    """The maps of section ``.maps``, by offset. Raises ElfError naming the map and its field."""
    if btf is None:
        raise ElfError("section '.maps' needs BTF, which the file lacks: compile it with -g")
    if any(bytes(file.data(section)).strip(_ZERO)):
        raise ElfError("section '.maps' has initial values: only 'values' may have some")
    found = btf.all_by_name(".maps", DataSection)
    if len(found) != 1:
        raise ElfError(f"BTF describes section '.maps' {len(found)} times, not once")
    described = found[0]
    assert isinstance(described, DataSection)
    variables = {each.variable.name: each.variable for each in described.variables}
    definitions = []
    seen: set[str] = set()
    for symbol in symbols.objects(section.index):
        name = symbol.name
        if name in seen:
            raise ElfError(f"two maps are named {name!r}")
        seen.add(name)
        if symbol.value + symbol.size > section.size:
            raise ElfError(f"map {name!r} ({symbol.size} bytes at {symbol.value}) is past the end of section '.maps'")
        variable = variables.get(name)
        if not isinstance(variable, Variable):
            raise ElfError(f"map {name!r} is not in the BTF of section '.maps'")
        try:
            definition = _read_definition(name, bare(variable.type), can_nest=True)
        except BtfError as error:
            raise ElfError(f"map {name!r}: {error}") from error
        definition.spec.tags = variable.tags
        definition.offset = symbol.value
        definition.size = symbol.size
        if definition.values_offset is not None:
            definition.values_offset += symbol.value
        definitions.append(definition)
    return definitions


def read_declaration(name: str, type: Type) -> MapSpec:  # noqa: A002
    """The map that an extern of that BTF type (`Extern.type`) asks for. Raises ElfError naming map and field."""
    try:
        return _read_definition(name, bare(type), can_nest=True).spec
    except BtfError as error:
        raise ElfError(f"map {name!r}: {error}") from error


def _read_definition(name: str, definition: Type, *, can_nest: bool) -> MapDefinition:
    if not isinstance(definition, Struct):
        raise ElfError(f"map {name!r} is defined by {definition!r}, not by a struct")
    numbers: dict[str, int] = {}
    types: dict[str, Type] = {}
    inner: MapSpec | None = None
    values_offset: int | None = None
    seen: set[str] = set()
    for member in definition.members:
        field = member.name
        if field in seen:
            raise ElfError(f"map {name!r} has the field {field!r} twice")
        seen.add(field)
        if field in _NUMBERS:
            numbers[field] = _number(name, member, _NUMBERS[field])
        elif field in {"key", "value"}:
            types[field] = _pointed_to(name, member)
        elif field == "values":
            if member is not definition.members[-1]:
                raise ElfError(f"map {name!r}: field 'values' must be the last one")
            values_offset = member.offset
            inner = _read_values(name, member, can_nest=can_nest)
        else:
            raise ElfError(f"map {name!r} has a field {field!r}, which no map has")
    spec = MapSpec(
        name=name,
        type=_map_type(name, numbers.get("type", 0)),
        key_size=_size(name, "key", types, numbers),
        value_size=_size(name, "value", types, numbers),
        max_entries=numbers.get("max_entries", 0),
        flags=numbers.get("map_flags", 0),
        key=types.get("key"),
        value=types.get("value"),
        inner=inner,
        pinning=_pinning(name, numbers.get("pinning", 0)),
        map_extra=numbers.get("map_extra", 0),
        numa_node=numbers.get("numa_node"),
    )
    if values_offset is not None:
        expected = _OUTER if inner is not None else _PROGRAMS
        if spec.type not in expected:
            what = "programs" if inner is None else "maps"
            raise ElfError(f"map {name!r} has {what} for values, but its type is {spec.type.name}")
        if spec.value_size not in {0, 4}:
            raise ElfError(f"map {name!r}: 'value_size' is {spec.value_size}, but a map or program is referred to by 4")
        spec.value_size = 4  # an fd to write, an id to read
    return MapDefinition(spec, offset=0, size=definition.size, values_offset=values_offset)


def _read_values(name: str, member: Member, *, can_nest: bool) -> MapSpec | None:
    """The inner map of `values`, or None where it holds programs."""
    array = bare(member.type)
    pointer = bare(array.element) if isinstance(array, Array) and array.count == 0 else None
    if not isinstance(pointer, Pointer):
        raise ElfError(f"map {name!r}: field 'values' is not an array of pointers without a length")
    target = bare(pointer.target)
    if isinstance(target, FunctionPrototype):
        return None
    if not can_nest:
        raise ElfError(f"map {name!r}: the inner map of a map cannot hold maps")
    inner = _read_definition(f"{name}.inner", target, can_nest=False).spec
    if inner.pinning:
        raise ElfError(f"map {name!r}: its inner map cannot be pinned")
    return inner


def _number(name: str, member: Member, bits: int) -> int:
    type = bare(member.type)  # noqa: A001
    value: int | None = None
    if isinstance(type, Pointer) and isinstance(array := bare(type.target), Array):
        value = array.count
    elif isinstance(type, Enum) and len(type.enumerators) == 1:
        value = type.enumerators[0].value
    if value is None:
        raise ElfError(f"map {name!r}: field {member.name!r} is no number: write it with __uint or __ulong")
    if not 0 <= value < 1 << bits:
        raise ElfError(f"map {name!r}: field {member.name!r} is {value}, which does not fit {bits} bits")
    return value


def _pointed_to(name: str, member: Member) -> Type:
    pointer = bare(member.type)
    if not isinstance(pointer, Pointer):
        raise ElfError(f"map {name!r}: field {member.name!r} is no type: write it with __type")
    return pointer.target


def _size(name: str, field: str, types: dict[str, Type], numbers: dict[str, int]) -> int:
    declared = numbers.get(f"{field}_size")
    type = types.get(field)  # noqa: A001
    if type is None:
        return declared or 0
    size = size_of(type)
    if declared not in {None, size}:
        raise ElfError(f"map {name!r}: '{field}_size' is {declared}, but its type has {size} bytes")
    if size > 0xFFFF_FFFF:
        raise ElfError(f"map {name!r}: a {field} of {size} bytes is too large")
    return size


def _map_type(name: str, number: int) -> MapType:
    try:
        return MapType(number)
    except ValueError:
        raise ElfError(f"map {name!r} is of type {number}, which is none known here") from None


def _pinning(name: str, number: int) -> Pinning:
    try:
        return Pinning(number)
    except ValueError:
        raise ElfError(f"map {name!r}: 'pinning' is {number}, not 0 (none) or 1 (by name)") from None
