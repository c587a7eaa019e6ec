"""A whole object file as data: editable until it is loaded, never changed by loading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
from attrs import define, field

if TYPE_CHECKING:
    from aiobpf.asm import Instructions
    from aiobpf.btf import Btf
    from aiobpf.spec.externs import Export, Extern
    from aiobpf.spec.map import MapSpec
    from aiobpf.spec.program import ProgramSpec
    from aiobpf.spec.variable import VariableSpec

ByteOrder = Literal["little", "big"]


@define(kw_only=True)
class CollectionSpec:
    """Maps, programs and variables by name, and the types and externs that they use.

    The same bytes give the same spec on any machine, as any user. Data sections (".rodata", ".data", ".bss" and those
    named after them) are maps, by the section's name; each global variable in them is in `variables` too.

    *functions* are those that are no program, each alone and as it stands in the object: programs have copies of the
    ones that they call. *exports* are the symbols that other objects may refer to, *externs* what this one lacks: what
    the kernel has is found when it is loaded, what another object has must be joined first (`aiobpf.link_objects`).
    """

    maps: dict[str, MapSpec] = field(factory=dict)
    programs: dict[str, ProgramSpec] = field(factory=dict)
    variables: dict[str, VariableSpec] = field(factory=dict)
    externs: dict[str, Extern] = field(factory=dict)
    exports: dict[str, Export] = field(factory=dict)
    functions: dict[str, Instructions] = field(factory=dict)
    license: str = ""
    types: Btf | None = None
    byte_order: ByteOrder = "little"

    def copy(self) -> CollectionSpec:
        """A spec that shares nothing editable with this one. Types are immutable and shared."""
        maps = {name: spec.copy() for name, spec in self.maps.items()}
        return CollectionSpec(
            maps=maps,
            programs={name: attrs.evolve(spec.copy(), maps=maps) for name, spec in self.programs.items()},
            variables={name: spec.on_map(maps[spec.map.name]) for name, spec in self.variables.items()},
            externs=dict(self.externs),
            exports=dict(self.exports),
            functions={name: instructions.copy() for name, instructions in self.functions.items()},
            license=self.license,
            types=self.types,
            byte_order=self.byte_order,
        )
