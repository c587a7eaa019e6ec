"""struct_ops maps: each variable of ``.struct_ops`` and ``.struct_ops.link`` is a struct with programs in it."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from aiobpf.btf import Struct, Variable
from aiobpf.btf import strip_qualifiers as bare
from aiobpf.elf.data import find_section
from aiobpf.elf.relocation_table import R_BPF_64_64, R_BPF_64_ABS64, R_BPF_NONE, read_relocations
from aiobpf.elf.symbols import STT_SECTION
from aiobpf.errors import BtfError, ElfError
from aiobpf.spec.externs import ExternKind
from aiobpf.spec.map import MapSpec
from aiobpf.spec.struct_ops import StructOpsMembers
from aiobpf.uapi import MapFlags, MapType, ProgramType

if TYPE_CHECKING:
    from aiobpf.btf import Btf
    from aiobpf.elf.file import ElfFile, Section
    from aiobpf.elf.relocation_table import Relocation
    from aiobpf.elf.relocations import Places
    from aiobpf.spec.collection import CollectionSpec

_POINTER_SIZE = 8


def read_struct_ops(
    file: ElfFile, section: Section, table: Section | None, places: Places, btf: Btf | None
) -> list[MapSpec]:
    """The maps of *section*, by offset, their programs filled in from its relocations. ElfError names the variable."""
    described = None if btf is None else find_section(btf, section.name)
    if described is None:
        raise ElfError(f"section {section.name!r} is not in the BTF, which says what its members are: compile with -g")
    types = {each.variable.name: each.variable for each in described.variables}
    data = bytes(file.data(section))
    starts: list[int] = []
    found: list[MapSpec] = []
    for symbol in places.symbols.objects(section.index):
        variable = types.get(symbol.name)
        if not isinstance(variable, Variable):
            raise ElfError(f"variable {symbol.name!r} is not in the BTF of section {section.name!r}")
        what = f"struct_ops map {symbol.name!r}"
        try:
            struct = bare(variable.type)
            if not isinstance(struct, Struct) or not struct.name:
                raise ElfError(f"{what} is {struct!r}, not a struct with a name")
            if symbol.value + struct.size > section.size:
                raise ElfError(f"{what} ({struct.size} bytes at {symbol.value}) is past the end of {section.name!r}")
            raw = data[symbol.value : symbol.value + struct.size]
            members = StructOpsMembers(struct, raw, byte_order=file.byte_order)
        except BtfError as error:
            raise ElfError(f"{what}: {error}") from error
        starts.append(symbol.value)
        found.append(
            MapSpec(
                name=symbol.name,
                type=MapType.STRUCT_OPS,
                key_size=4,
                value_size=struct.size,
                max_entries=1,
                flags=MapFlags.LINK if section.name.endswith(".link") else 0,
                value=struct,
                section=section.name.removeprefix("?"),
                members=members,
                autocreate=not section.name.startswith("?"),
            )
        )
    for relocation in [] if table is None else read_relocations(file, table, places.symbols):
        if relocation.type != R_BPF_NONE:
            i = bisect_right(starts, relocation.offset) - 1
            where = f"section {section.name!r}, byte {relocation.offset:#x}"
            if i < 0 or relocation.offset >= starts[i] + found[i].value_size:
                raise ElfError(f"{where}: relocation for symbol {relocation.symbol.name!r}: no struct is there")
            _fill_in(found[i], relocation.offset - starts[i], relocation, places, where)
    return found


def _fill_in(spec: MapSpec, offset: int, relocation: Relocation, places: Places, where: str) -> None:
    members, symbol = spec.members, relocation.symbol
    assert members is not None
    where = f"{where}: relocation for symbol {symbol.name!r} in struct_ops map {spec.name!r}"
    if relocation.type not in {R_BPF_64_ABS64, R_BPF_64_64}:  # the latter before clang 13
        raise ElfError(f"{where}: type {relocation.type} is not known")
    raw = members.raw[offset : offset + _POINTER_SIZE]
    extern = places.externs.get(symbol.name) if symbol.is_undefined else None
    is_declared = extern is not None and extern.kind is ExternKind.FUNCTION  # for another object to define
    at = symbol.value + (int.from_bytes(raw, places.file.byte_order) if symbol.type == STT_SECTION else 0)
    function = places.function_at(symbol.section, at)
    if function is None and not is_declared:
        raise ElfError(f"{where}: it is no program")
    try:
        name = next(
            (name for name, place in members.places().items() if place.offset == offset and place.is_function_pointer),
            None,
        )
    except BtfError as error:
        raise ElfError(f"{where}: {error}") from error
    if name is None:
        raise ElfError(f"{where}: no member of {members.type!r} at byte {offset} is a function pointer")
    members.programs[name] = symbol.name if function is None else function.name
    members.raw = members.raw[:offset] + bytes(_POINTER_SIZE) + members.raw[offset + _POINTER_SIZE :]


def bind_programs(spec: CollectionSpec) -> None:
    """Give each struct_ops program that a map refers to its place for `attach_to`: "tcp_congestion_ops:init".

    What its section says after the slash is only a name to the reader, as in libbpf.
    """
    bound: set[str] = set()
    for each in spec.maps.values():
        if each.members is None:
            continue
        for member, name in each.members.programs.items():
            program = spec.programs.get(name)
            if program is None and name in spec.externs:
                continue  # another object's
            if program is None or program.type != ProgramType.STRUCT_OPS:
                section = "" if program is None else f" (section {program.section!r})"
                raise ElfError(
                    f"member {member!r} of struct_ops map {each.name!r} is {name!r}{section}, which is no struct_ops "
                    'program: put it in SEC("struct_ops")'
                )
            if name not in bound:
                program.attach_to = f"{each.members.struct_name}:{member}"
                bound.add(name)
