"""Global variables that lie in an arena."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from aiobpf.asm import REFERENCE, Pseudo, Reference
from aiobpf.btf import DataSection
from aiobpf.elf import read_spec
from aiobpf.errors import ElfError
from aiobpf.uapi import MapType
from tests.hostile.patch import Patch

if TYPE_CHECKING:
    from pathlib import Path

    from aiobpf.spec import CollectionSpec


@pytest.fixture(params=["arena.bpf.o", "arena.eb.bpf.o"])
def spec(request: pytest.FixtureRequest, objects: Path) -> CollectionSpec:
    return read_spec(objects / request.param)


def test_variables_of_an_arena_lie_in_its_map(spec: CollectionSpec) -> None:
    arena = spec.maps["arena"]
    assert ".addr_space.1" not in spec.maps
    assert isinstance(arena.value, DataSection)
    assert arena.data_size == arena.value.size > 8192
    assert (arena.type, arena.value_size, arena.max_entries) == (MapType.ARENA, 0, 100)
    inside = {name: each for name, each in spec.variables.items() if each.section == ".addr_space.1"}
    assert inside.keys() == {"counter", "first", "list_in_arena", "far_away"}, "a static one is the program's own"
    assert all(each.map is arena for each in inside.values())
    assert inside["counter"].value == 7
    assert (inside["first"].value.value, inside["first"].value.next) == (11, 0)


def test_setting_one_changes_what_the_arena_begins_with(spec: CollectionSpec) -> None:
    copy = spec.copy()
    copy.variables["counter"].value = 1 << 20
    copy.variables["first"].value = {"value": 5, "next": 0}
    assert copy.variables["counter"].value == 1 << 20
    assert int.from_bytes(copy.variables["first"].raw[:8], copy.byte_order) == 5
    assert spec.variables["counter"].value == 7, "a copy shares nothing editable"
    assert copy.maps["arena"].contents != spec.maps["arena"].contents


def test_instructions_refer_to_the_arena_and_name_the_variable(spec: CollectionSpec) -> None:
    instructions = spec.programs["fill"].instructions
    found = {
        reference: instructions.fields(index)[4] >> 32
        for index, reference in instructions.with_key(REFERENCE)
        if reference.name == "arena" and instructions.fields(index)[2] == Pseudo.MAP_VALUE
    }
    offsets = {Reference("arena", name): spec.variables[name].offset for name in ("counter", "first", "far_away")}
    assert offsets.items() <= found.items()


def map_types(data: bytes, before: int, after: int) -> bytes:
    """*data* with the type of the map that is of type *before* changed: the length of an array in the BTF."""
    patch = Patch(data)
    section = patch.file.sections[patch.section(".BTF")]
    raw = bytes(patch.file.data(section))
    at = next(
        at
        for at in range(24, len(raw) - 24, 4)
        if struct.unpack_from("<3I", raw, at) == (0, 3 << 24, 0) and struct.unpack_from("<I", raw, at + 20) == (before,)
    )
    return bytes(patch.set_bytes(".BTF", at + 20, after.to_bytes(4, "little")).data)


def test_variables_without_an_arena_are_an_error_that_says_so(objects: Path) -> None:
    data = map_types((objects / "arena.bpf.o").read_bytes(), MapType.ARENA, MapType.HASH)
    with pytest.raises(ElfError, match=r"section '.addr_space.1' has variables.*and the object has none: define a map"):
        read_spec(data)


def test_variables_with_two_arenas_are_an_error_that_names_both(objects: Path) -> None:
    data = map_types((objects / "arena.bpf.o").read_bytes(), MapType.ARRAY, MapType.ARENA)
    with pytest.raises(ElfError, match=r"section '.addr_space.1' .*and the object has several: '\w+', '\w+'"):
        read_spec(data)


def test_a_promise_of_zeros_takes_no_memory(objects: Path) -> None:
    patch = Patch((objects / "arena.bpf.o").read_bytes())
    patch.set_section(".addr_space.1", type=8, size=1 << 31)
    spec = read_spec(patch.data)
    assert spec.maps["arena"].contents == {}
    assert spec.maps["arena"].data_size == 1 << 31
    assert spec.variables["counter"].value == 0
    patch.set_section(".addr_space.1", type=8, size=1 << 60)
    with pytest.raises(ElfError, match="too large for a map"):
        read_spec(patch.data)
