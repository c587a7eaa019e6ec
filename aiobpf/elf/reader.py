"""A BPF object file to a `CollectionSpec`."""

from __future__ import annotations

from os import fspath
from typing import TYPE_CHECKING

from aiobpf.btf import load_btf_and_ext_infos
from aiobpf.elf.contents import read_contents
from aiobpf.elf.data import read_arena, read_data_section
from aiobpf.elf.exports import read_exports
from aiobpf.elf.externs import read_externs
from aiobpf.elf.file import SHT_NOBITS, ElfFile
from aiobpf.elf.functions import FunctionTable
from aiobpf.elf.layout import kernel_version_of, lay_out, license_of
from aiobpf.elf.maps_btf import read_declaration, read_map_definitions
from aiobpf.elf.maps_legacy import read_legacy_maps
from aiobpf.elf.programs import read_code, read_programs
from aiobpf.elf.relocation_table import read_relocations, tables_by_target
from aiobpf.elf.relocations import Places
from aiobpf.elf.symbols import SymbolTable
from aiobpf.errors import BtfError, ElfError
from aiobpf.spec.collection import CollectionSpec
from aiobpf.spec.externs import ExternKind
from aiobpf.spec.map import MapSpec
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    from os import PathLike

    from aiobpf.btf import Btf, ExtInfos
    from aiobpf.elf.file import Section
    from aiobpf.elf.layout import Layout
    from aiobpf.spec.externs import Extern
    from aiobpf.spec.variable import VariableSpec


def read_spec(source: str | PathLike[str] | bytes | bytearray | memoryview) -> CollectionSpec:
    """The programs, maps and variables of an object file: a path, or the file's bytes.

    The same bytes give the same spec on any machine, as any user; objects of the other byte order are read whole, and
    only loading refuses them. Raises ElfError or BtfError for bytes that are no BPF object (the path is named), OSError
    for a file that cannot be read.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return _read(ElfFile(source))
    with open(fspath(source), "rb") as file:  # not a descriptor of somebody's, which would be closed
        data = file.read()
    try:
        return _read(ElfFile(data))
    except (ElfError, BtfError) as error:
        raise type(error)(f"{fspath(source)}: {error}") from error


def _read(file: ElfFile) -> CollectionSpec:
    layout = lay_out(file)
    symbols = SymbolTable.of(file)
    tables = tables_by_target(file)
    types, infos = _read_types(file)
    _check_infos(infos, layout)
    externs, kconfig = read_externs(symbols, types)
    places = Places(file, symbols, FunctionTable(layout.code, symbols), externs=externs)
    spec = CollectionSpec(externs=externs, license=license_of(file), types=types, byte_order=file.byte_order)

    for section in layout.legacy_maps:
        places.map_sections.add(section.index)
        for offset, legacy in read_legacy_maps(file, section, symbols):
            _put_map(spec, legacy)
            places.maps[section.index, offset] = legacy.name
    if layout.maps is not None:
        section = layout.maps
        places.map_sections.add(section.index)
        definitions = read_map_definitions(file, section, symbols, types)
        for definition in definitions:
            _put_map(spec, definition.spec)
            places.maps[section.index, definition.offset] = definition.spec.name
        if section.index in tables:
            read_contents(definitions, read_relocations(file, tables[section.index], symbols), places)
    for section in layout.data:
        data, variables = read_data_section(file, section, symbols, types)
        _put_map(spec, data)
        places.data[section.index] = data.name
        for variable in variables:
            _put_variable(spec, variable)
    if layout.arena is not None:
        arena = _arena_of(spec, layout.arena)
        places.data[layout.arena.index] = arena.name
        for variable in read_arena(file, layout.arena, symbols, types, arena):
            _put_variable(spec, variable)
    if kconfig is not None:
        _put_map(spec, kconfig)
    for section in layout.struct_ops:
        from aiobpf.elf.struct_ops import read_struct_ops

        table = tables.get(section.index)
        places.struct_ops_sections.add(section.index)
        for added in read_struct_ops(file, section, table, places, types):
            _put_map(spec, added)

    for section in layout.code:
        read_code(file, section, tables.get(section.index), places, infos)
    spec.exports = read_exports(places)
    spec.programs, spec.functions = read_programs(
        file,
        places,
        license=spec.license,
        kernel_version=kernel_version_of(file),
        types=types,
        maps=spec.maps,
    )
    if layout.struct_ops:
        from aiobpf.elf.struct_ops import bind_programs

        bind_programs(spec)
    return spec


def _is_arena(extern: Extern) -> bool:
    if extern.kind is not ExternKind.MAP or extern.type is None:
        return False
    return read_declaration(extern.name, extern.type).type == MapType.ARENA


def _arena_of(spec: CollectionSpec, place: Section) -> MapSpec:
    """The one arena of the object, for its variables to lie in.

    Where the arena is another object's (extern), they wait in a map of their section's name until they are linked.
    """
    section = place.name
    arenas = [each for each in spec.maps.values() if each.type == MapType.ARENA]
    if not arenas and any(_is_arena(extern) for extern in spec.externs.values()):
        waiting = MapSpec(name=section, type=MapType.ARENA, section=section, autocreate=False)
        _put_map(spec, waiting)
        return waiting
    if not arenas:
        raise ElfError(
            f"section {section!r} has variables that lie in an arena (__arena), and the object has none: define a map "
            "of type BPF_MAP_TYPE_ARENA"
        )
    if len(arenas) > 1:
        raise ElfError(
            f"section {section!r} has variables that lie in an arena (__arena), and the object has several: "
            + ", ".join(repr(each.name) for each in arenas)
        )
    return arenas[0]


def _read_types(file: ElfFile) -> tuple[Btf | None, ExtInfos | None]:
    section, ext = file.find(".BTF"), file.find(".BTF.ext")
    if section is None:
        return None, None  # .BTF.ext alone refers to types and strings that are not there
    for each in (section, ext):
        if each is not None and each.type == SHT_NOBITS:
            raise ElfError(f"section {each.name!r} has no bytes in the file (SHT_NOBITS)")
    return load_btf_and_ext_infos(bytes(file.data(section)), None if ext is None else bytes(file.data(ext)))


def _check_infos(infos: ExtInfos | None, layout: Layout) -> None:
    """Records that belong to no code would be lost in silence."""
    if infos is None:
        return
    known = {section.name for section in layout.code}
    for name in infos.sections:
        if name not in known:
            raise ElfError(f".BTF.ext describes section {name!r}, which holds no code")


def _put_map(spec: CollectionSpec, added: MapSpec) -> None:
    if added.name in spec.maps:
        raise ElfError(f"two maps are named {added.name!r}")
    spec.maps[added.name] = added


def _put_variable(spec: CollectionSpec, added: VariableSpec) -> None:
    if added.name in spec.variables:
        raise ElfError(f"two variables are named {added.name!r}")
    spec.variables[added.name] = added
