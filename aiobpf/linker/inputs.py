"""One of the objects that are joined: what it offers and lacks, and what becomes of its names and places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import define, field

from aiobpf.asm import REFERENCE, SYMBOL, CallKind, Pseudo, Reference
from aiobpf.asm.opcodes import CALL_OP, LD_IMM64
from aiobpf.btf import DataSection
from aiobpf.elf.layout import ARENA_SECTION
from aiobpf.errors import AsmError, SpecError
from aiobpf.spec import Export, ExternKind, MapSpec
from aiobpf.spec.kconfig import KCONFIG
from aiobpf.uapi import MapType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiobpf.asm import Instructions
    from aiobpf.btf import SectionVariable
    from aiobpf.spec import CollectionSpec, Extern, ProgramSpec

_LIBRARY: Final = ".text"


@define(eq=False)
class Input:
    """Object *number* (from 1 on) with *label* for messages; its spec is only read.

    Raises SpecError for a call by distance that goes to no named function.
    """

    number: int
    label: str
    spec: CollectionSpec
    exports: dict[str, Export] = field(init=False)
    """Those of the spec whose function, map or section is still there, and what was put into it by hand."""
    programs: dict[str, ProgramSpec] = field(init=False)
    code: dict[str, Instructions] = field(init=False)
    """The whole of each program, all calls in it by name."""
    bodies: dict[str, Instructions] = field(init=False)
    """Every function alone, the programs' entries included."""
    lost: set[str] = field(factory=set)
    """Exports that another object's come before."""
    names: dict[str, str] = field(factory=dict)
    """New names of static functions and maps, where theirs are taken."""
    sections: dict[str, MapSpec] = field(init=False)
    """The contents of data sections by the section's name, those of an arena too."""
    homes: dict[str, str] = field(factory=dict)
    """The section of each map that holds one: its own name, but for an arena."""
    shifts: dict[str, int] = field(factory=dict)
    """By how many bytes the contents of each data section move."""
    _described: dict[tuple[str, str], dict[int, SectionVariable]] | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        spec = self.spec
        self.sections = {}
        for name, each in spec.maps.items():
            section = _section_of(each)
            if section is not None:
                self.sections[section.name] = section
                self.homes[name] = section.name
        self.programs = dict(spec.programs)
        self.code = {name: _named(program.instructions, self.label) for name, program in self.programs.items()}
        self.bodies = {**spec.functions, **{name: entry_of(whole) for name, whole in self.code.items()}}
        self.exports = {name: export for name, export in spec.exports.items() if self._has(export)}
        for name, program in self.programs.items():
            self._export(name, ExternKind.FUNCTION, program.section)
        for name in spec.externs:
            if name in spec.functions:
                self._export(name, ExternKind.FUNCTION, _LIBRARY)
            elif name in spec.maps:
                self._export(name, ExternKind.MAP, "")

    def _export(self, name: str, kind: ExternKind, section: str) -> None:
        if name not in self.exports:
            self.exports[name] = Export(name, kind, section=section)

    def _has(self, export: Export) -> bool:
        if export.kind is ExternKind.FUNCTION:
            return export.name in self.bodies
        if export.kind is ExternKind.MAP:
            return export.name in self.spec.maps
        return export.section in self.sections

    @property
    def externs(self) -> list[Extern]:
        """What it lacks."""
        return [extern for name, extern in self.spec.externs.items() if name not in self.exports]

    @property
    def maps(self) -> dict[str, MapSpec]:
        """The maps that are no data section, but for the one of configuration values."""
        return {name: spec for name, spec in self.spec.maps.items() if name not in self.sections and name != KCONFIG}

    def described(self) -> Mapping[tuple[str, str], Mapping[int, SectionVariable]]:
        """What BTF says of the variables of data sections: by section and name, by offset.

        Static ones of several files may have one name, in an object that was linked.
        """
        if self._described is None:
            self._described = {}
            for name, section in self.sections.items():
                for each in section.value.variables if isinstance(section.value, DataSection) else ():
                    self._described.setdefault((name, each.variable.name), {})[each.offset] = each
        return self._described

    def lost_variable(self, name: str | None, section: str, place: int) -> Export | None:
        """The export *name* that is meant by byte *place* of a section, if another object's comes before it."""
        if name is None or name not in self.lost:
            return None
        export = self.exports[name]
        if export.kind is not ExternKind.VARIABLE or export.section != section:
            return None
        for start, each in self.described().get((section, name), {}).items():
            if start != export.offset and start <= place < start + each.size:
                return None  # a static one
        return export

    def demote(self) -> None:
        """Make what was taken for a program for want of other functions (`read_spec`) a function."""
        self.programs = {name: program for name, program in self.programs.items() if not is_library(program)}


def _section_of(spec: MapSpec) -> MapSpec | None:
    """The section whose variables lie in a map, as a map of its own."""
    if spec.type == MapType.ARENA and isinstance(spec.value, DataSection):
        return MapSpec(
            name=ARENA_SECTION,
            type=MapType.ARENA,
            value_size=spec.data_size,
            value=spec.value,
            contents=spec.contents,
            section=ARENA_SECTION,
            alignment=spec.alignment,
        )
    if spec.section is not None and spec.section != KCONFIG and spec.type == MapType.ARRAY:
        return spec
    return None


def is_library(program: ProgramSpec) -> bool:
    """Whether it lies where functions do that are no programs."""
    return program.section == _LIBRARY and program.type == ProgramType.UNSPEC


def entry_of(instructions: Instructions) -> Instructions:
    """The first function of a program."""
    second = next((index for index, _ in instructions.with_key(SYMBOL) if index), None)
    return instructions if second is None else instructions[:second]


def _named(instructions: Instructions, label: str) -> Instructions:
    """*instructions* with a name for what a call goes to by distance, as someone may have written it.

    Functions are put in another order now. SpecError where it goes to no named function.
    """
    calls = [*instructions.find(CALL_OP, CallKind.FUNCTION), *instructions.find(LD_IMM64, Pseudo.FUNC)]
    targets = {}
    for index in calls:
        try:
            target = instructions.target_of(index)  # None where it is by name
        except AsmError as error:
            raise SpecError(f"{label}: {error}") from error
        if target is not None:
            targets[index] = target
    if not targets:
        return instructions
    named = instructions.copy()
    for index, target in targets.items():
        name = named.get_metadata(target, SYMBOL)
        if name is None:
            raise SpecError(f"{label}: instruction {index} calls by distance what has no name (SYMBOL)")
        named.set_metadata(index, REFERENCE, Reference(name))
    return named
