"""Data sections of one name become one: the contents behind each other, each where its alignment lets it be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from attrs import define, evolve, field

from aiobpf.btf import DataSection
from aiobpf.errors import SpecError
from aiobpf.linker.compatibility import Comparison

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiobpf.btf import Function, Variable
    from aiobpf.linker.inputs import Input
    from aiobpf.spec import MapSpec

KEY: Final = b"\0\0\0\0"
_MAX_SIZE: Final = 0xFFFF_FFFF
"""value_size of bpf(2) is 32 bits."""
_MAX_ZEROS: Final = 64 << 20
"""Of zeros that become bytes because another object has contents in their section: a .bss is a number only."""


class Placed(NamedTuple):
    """A variable of *input*, as its BTF has it, and its new place in bytes."""

    input: Input
    variable: Variable | Function
    offset: int
    size: int


@define
class Section:
    """One section of the result; *map* has its size, contents and alignment, and no value type yet."""

    map: MapSpec
    variables: list[Placed] = field(factory=list)


def join_sections(inputs: Sequence[Input]) -> dict[str, Section]:
    """All data sections by name, in the order in which they come; `Input.shifts` says where each part went.

    Raises SpecError naming section and object, for maps that differ in more than their contents and for a result that
    is too large.
    """
    joined: dict[str, Section] = {}
    for each in inputs:
        lost = {(each.exports[name].section, name, each.exports[name].offset) for name in each.lost}
        for name, spec in each.sections.items():
            section = joined.get(name)
            if section is None:
                each.shifts[name] = 0
                section = joined[name] = Section(evolve(spec, contents=dict(spec.contents), value=None))
            else:
                _append(section.map, each, name, spec)
            section.variables += _variables(each, name, spec, lost)
    for section in joined.values():
        section.variables.sort(key=lambda placed: placed.offset)
    return joined


def _append(joined: MapSpec, input: Input, name: str, spec: MapSpec) -> None:  # noqa: A002
    plain = evolve(joined, value_size=0, value=None)
    differences = Comparison().of_maps(plain, evolve(spec, value_size=0, value=None))
    if differences:
        raise SpecError(f"section {name!r} of {input.label} is not like that before it: {'; '.join(differences)}")
    alignment = max(joined.alignment, spec.alignment)
    start = -(-joined.value_size // alignment) * alignment
    end = start + spec.value_size
    if end > _MAX_SIZE:
        raise SpecError(f"section {name!r} comes to {end} bytes with {input.label}, which is too large for a map")
    before, behind = joined.contents.get(KEY), spec.contents.get(KEY)
    if isinstance(before, bytes) or isinstance(behind, bytes):
        known = (len(before) if isinstance(before, bytes) else 0) + (len(behind) if isinstance(behind, bytes) else 0)
        if end - known > _MAX_ZEROS:
            raise SpecError(f"section {name!r} would have {end - known} bytes of zeros among {known} of contents")
        first = before if isinstance(before, bytes) else bytes(joined.value_size)
        second = behind if isinstance(behind, bytes) else bytes(spec.value_size)
        joined.contents[KEY] = first.ljust(start, b"\0") + second.ljust(spec.value_size, b"\0")
    joined.value_size = end
    joined.alignment = alignment
    input.shifts[name] = start


def _variables(input: Input, name: str, spec: MapSpec, lost: set[tuple[str, str, int]]) -> list[Placed]:  # noqa: A002
    """Those that BTF describes, without those that another object's come before."""
    if not isinstance(spec.value, DataSection):
        return []
    shift = input.shifts[name]
    return [
        Placed(input, each.variable, each.offset + shift, each.size)
        for each in spec.value.variables
        if (name, each.variable.name, each.offset) not in lost
    ]
