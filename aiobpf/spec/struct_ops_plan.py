"""Which struct_ops maps a load makes, and what that says of its programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs import frozen

from aiobpf.errors import SpecError
from aiobpf.uapi import ProgramType

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from aiobpf.spec import CollectionSpec, MapSpec, ProgramSpec


@frozen
class StructOpsPlan:
    """*maps* are those to make; *members* says for each program in them what it is ("tcp_congestion_ops:init")."""

    maps: tuple[str, ...]
    members: dict[str, str]

    @classmethod
    def of(cls, spec: CollectionSpec, chosen: AbstractSet[str] | None) -> StructOpsPlan:
        """The plan for the programs named *chosen*, or for a load that names none.

        A map of which no program was chosen is left out. One of which some were, and others not, is a SpecError that
        names one of these, and so is a program that cannot be in it.
        """
        maps: list[str] = []
        members: dict[str, str] = {}
        for name, each in spec.maps.items():
            if each.members is None or not each.autocreate:
                continue
            wanted = each.members.programs
            if chosen is not None and not chosen & set(wanted.values()):
                continue
            maps.append(name)
            for member, program in wanted.items():
                _require(spec, each, member, program)
                if chosen is not None and program not in chosen:
                    raise SpecError(
                        f"member {member!r} of struct_ops map {name!r} is program {program!r}, which was not chosen: "
                        f"load it too, or leave the member out (spec.maps[{name!r}].members[{member!r}] = None)"
                    )
                place = f"{each.members.struct_name}:{member}"
                if members.setdefault(program, place) != place:
                    raise SpecError(
                        f"program {program!r} is both {members[program]} and {place} (struct_ops map {name!r}): the "
                        "kernel verifies it for one member of one struct"
                    )
        return cls(tuple(maps), members)

    def makes(self, each: MapSpec) -> bool:
        """Whether the load makes this map, of struct_ops or not."""
        return each.autocreate and (each.members is None or each.name in self.maps)

    def loads(self, program: ProgramSpec) -> bool:
        """Whether a load that names no programs loads this one.

        As libbpf: a struct_ops program that a map refers to is loaded if the map is, whatever its section's "?" says.
        One that no map refers to (any more) is not: there is nothing to verify it for.
        """
        if program.type != ProgramType.STRUCT_OPS:
            return program.autoload
        return program.name in self.members

    def placed(self, program: ProgramSpec) -> ProgramSpec:
        """*program* with the member that it is in for its `attach_to`."""
        place = self.members.get(program.name)
        return program if place in {None, program.attach_to} else attrs.evolve(program, attach_to=place)


def _require(spec: CollectionSpec, each: MapSpec, member: str, program: str) -> None:
    found = spec.programs.get(program)
    if found is None:
        raise SpecError(
            f"member {member!r} of struct_ops map {each.name!r} is {program!r}, and there is no such program"
        )
    if found.type != ProgramType.STRUCT_OPS:
        raise SpecError(
            f"member {member!r} of struct_ops map {each.name!r} is program {program!r} (section {found.section!r}), "
            f"which is of type {found.type.name}, not STRUCT_OPS"
        )
