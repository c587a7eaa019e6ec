"""Several objects as one spec, as a linker would have made it of their files.

Metadata makes that cheap: an instruction says what it refers to by name, so joining objects is to resolve names, move
the contents of data sections, and say everything again in one set of types. It works on specs, not on files; so what
someone changed in a spec beforehand is linked as it is.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve

from aiobpf.btf import DataSection
from aiobpf.elf import read_spec
from aiobpf.elf.externs import lay_out_kconfig
from aiobpf.elf.layout import ARENA_SECTION
from aiobpf.elf.struct_ops import bind_programs
from aiobpf.errors import AsmError, SpecError
from aiobpf.linker.code import CodeMover
from aiobpf.linker.inputs import Input
from aiobpf.linker.programs import join_programs
from aiobpf.linker.sections import join_sections
from aiobpf.linker.symbols import Symbols
from aiobpf.linker.types import JoinedTypes
from aiobpf.spec import CollectionSpec, ExternKind
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from os import PathLike

    from aiobpf.linker.sections import Section
    from aiobpf.spec import MapSpec, StructOpsMembers

T = TypeVar("T")


def link_objects(
    sources: Iterable[CollectionSpec | str | PathLike[str] | bytes | bytearray | memoryview],
) -> CollectionSpec:
    """The objects *sources* (paths, bytes or specs) as one spec, which loads as if they had been compiled as one.

    - Functions, maps and variables that one object declares (``extern``) are those that another one defines: strong
      before weak, else the first weak one. Static ones stay apart, whatever they are called: functions and maps whose
      names are taken get new ones ("name.2").
    - Data sections of one name become one, and so do BTF and `externs`; what is still in there with a kind that
      is not the kernel's, nobody has defined, and a program that needs it does not load (UnresolvedSymbolError).
    - A hidden symbol (``__hidden``) is linked, and is then the program's own, as with libbpf.

    The specs that go in are left as they are. Raises SpecError, which names the symbol and the objects, for two strong
    definitions, declarations and definitions that differ in type or, for a map, in any field, licenses or byte orders
    that differ; what `read_spec` raises; BtfError for types that refer to nothing.

    Source: libbpf's linker (linker.c, as ``bpftool gen object``), for what goes and what does not.
    """
    inputs = _inputs(sources)
    _require_one("byte order", inputs, [each.spec.byte_order for each in inputs])
    license = _require_one("license", inputs, [each.spec.license for each in inputs])  # noqa: A001
    version = _require_one("kernel version", inputs, [_kernel_version(each) for each in inputs])
    if sum(len(each.bodies) for each in inputs) > 1:
        for each in inputs:
            each.demote()
    symbols = Symbols(inputs)
    sections = join_sections(inputs)
    types = JoinedTypes(inputs, symbols, sections)
    spec = CollectionSpec(license=license or "", types=types.btf, byte_order=inputs[0].spec.byte_order)
    spec.maps = _maps(inputs, types)
    homes = _place_sections(spec.maps, sections, types)
    _put_externs(spec, symbols, types)
    try:
        join_programs(spec, [CodeMover(each, symbols, types, spec.externs, homes) for each in inputs], version or 0)
    except AsmError as error:
        raise SpecError(str(error)) from error
    bind_programs(spec)
    _put_variables(spec, inputs, symbols, types, homes)
    for name, (source, export) in symbols.definitions.items():
        offset = export.offset + source.shifts[export.section] if export.kind is ExternKind.VARIABLE else 0
        spec.exports[name] = export._replace(offset=offset)
    return spec


def _inputs(sources: Iterable[CollectionSpec | str | PathLike[str] | bytes | bytearray | memoryview]) -> list[Input]:
    if isinstance(sources, (str, bytes, os.PathLike)):
        raise TypeError("link_objects takes a list of objects, not one")
    inputs = []
    for number, source in enumerate(sources, 1):
        label = os.fspath(source) if isinstance(source, (str, os.PathLike)) else f"object {number}"
        spec = source if isinstance(source, CollectionSpec) else read_spec(source)
        inputs.append(Input(number, label, spec))
    if not inputs:
        raise SpecError("there is no object to link")
    return inputs


def _require_one(what: str, inputs: Sequence[Input], values: Sequence[T]) -> T | None:
    """The one value of all objects that have any."""
    found: dict[T, Input] = {}
    for each, value in zip(inputs, values, strict=True):
        if value:
            found.setdefault(value, each)
    if len(found) > 1:
        (first, a), (second, b), *_ = found.items()
        raise SpecError(f"the {what} of {a.label} is {first!r}, that of {b.label} {second!r}")
    return next(iter(found), None)


def _kernel_version(source: Input) -> int:
    return max((program.kernel_version for program in source.programs.values()), default=0)


def _maps(inputs: Sequence[Input], types: JoinedTypes) -> dict[str, MapSpec]:
    """The maps that are no data sections."""
    maps: dict[str, MapSpec] = {}
    for each in inputs:
        for name, spec in each.maps.items():
            if name not in each.lost:
                new = each.names.get(name, name)
                maps[new] = _moved_map(spec, each, types)
                if spec.name == name:
                    maps[new].name = new
    return maps


def _place_sections(maps: dict[str, MapSpec], sections: Mapping[str, Section], types: JoinedTypes) -> dict[str, str]:
    """Put the data sections into *maps*; the name of the map that each lies in."""
    homes: dict[str, str] = {}
    for name, section in sections.items():
        joined = section.map
        joined.value = types.sections.get(name)
        home = name
        if name == ARENA_SECTION:
            arenas = [spec for spec in maps.values() if spec.type == MapType.ARENA]
            if len(arenas) > 1:
                raise SpecError(
                    "there are variables that lie in an arena (__arena), and the objects have several: "
                    + ", ".join(repr(each.name) for each in arenas)
                )
            value = joined.value or DataSection(name, joined.value_size)
            if arenas:
                home = arenas[0].name
                joined = evolve(arenas[0], value=value, contents=joined.contents, alignment=joined.alignment)
            else:  # the arena is another object's still
                joined = evolve(joined, value_size=0, value=value, autocreate=False)
        homes[name] = home
        maps[home] = joined
    return homes


def _moved_map(spec: MapSpec, source: Input, types: JoinedTypes) -> MapSpec:
    names = source.names
    return evolve(
        spec,
        key=None if spec.key is None else types.retarget(source, spec.key),
        value=None if spec.value is None else types.retarget(source, spec.value),
        inner=None if spec.inner is None else _moved_map(spec.inner, source, types),
        contents={
            key: names.get(value, value) if isinstance(value, str) else value for key, value in spec.contents.items()
        },
        members=None if spec.members is None else _moved_members(spec.members, source, types),
    )


def _moved_members(members: StructOpsMembers, source: Input, types: JoinedTypes) -> StructOpsMembers:
    programs = {member: source.names.get(name, name) for member, name in members.programs.items()}
    return evolve(members, type=types.retarget(source, members.type), programs=programs)


def _put_externs(spec: CollectionSpec, symbols: Symbols, types: JoinedTypes) -> None:
    for name, (source, extern) in symbols.externs.items():
        moved = extern if extern.type is None else evolve(extern, type=types.retarget(source, extern.type))
        spec.externs[name] = moved
    placed, kconfig = lay_out_kconfig([each for each in spec.externs.values() if each.kind is ExternKind.KCONFIG])
    spec.externs.update((each.name, each) for each in placed)
    if kconfig is not None:
        spec.maps[kconfig.name] = kconfig


def _put_variables(
    spec: CollectionSpec,
    inputs: Sequence[Input],
    symbols: Symbols,
    types: JoinedTypes,
    homes: Mapping[str, str],
) -> None:
    for each in inputs:
        for name, variable in each.spec.variables.items():
            found = symbols.definitions.get(name)
            if name in each.lost or (found is not None and found.input is each and found.export.is_hidden):
                continue
            if name in spec.variables:
                raise SpecError(f"two variables are named {name!r}, the second one in {each.label}")
            section = spec.maps.get(homes.get(variable.section, variable.section))
            if section is None:
                raise SpecError(f"variable {name!r} of {each.label} lies in {variable.section}, of which it has no map")
            spec.variables[name] = evolve(
                variable,
                offset=variable.offset + each.shifts.get(variable.section, 0),
                type=None if variable.type is None else types.retarget(each, variable.type),
                map=section,
            )
