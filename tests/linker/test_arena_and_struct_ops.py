"""Arenas and struct_ops maps through the linker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aiobpf
from aiobpf.btf import DataSection
from aiobpf.errors import SpecError, UnresolvedSymbolError
from aiobpf.spec import ExternKind

if TYPE_CHECKING:
    from aiobpf.spec import CollectionSpec

OBJECTS = Path(__file__).parent.parent / "objects"
ARENA, USER = OBJECTS / "arena.bpf.o", OBJECTS / "linking" / "arena_user.bpf.o"
PROGRAMS, TABLE = OBJECTS / "struct_ops.bpf.o", OBJECTS / "linking" / "congestion.bpf.o"


@pytest.fixture
def arena() -> CollectionSpec:
    return aiobpf.link_objects([ARENA, USER])


def test_variables_of_several_objects_lie_in_one_arena(arena: CollectionSpec) -> None:
    assert [spec.name for spec in arena.maps.values() if spec.type == aiobpf.MapType.ARENA] == ["arena"]
    one = arena.maps["arena"]
    assert (one.max_entries, one.value_size) == (100, 0)
    assert isinstance(one.value, DataSection)
    assert one.value.size == one.data_size == len(one.contents[bytes(4)])
    assert {"counter", "first", "mine", "secret", "private"} <= {each.variable.name for each in one.value.variables}
    assert (arena.variables["counter"].value, arena.variables["mine"].value) == (7, 30)
    assert arena.variables["mine"].offset % 8 == 0
    assert arena.variables["mine"].map is one
    arena.variables["mine"].value = 31
    assert arena.variables["counter"].value == 7
    references = arena.programs["use"].instructions.references()
    assert references.keys() == {"arena"}


def test_the_order_of_the_objects_does_not_matter_to_an_arena(arena: CollectionSpec) -> None:
    other = aiobpf.link_objects([USER, ARENA])
    assert other.maps["arena"].data_size == arena.maps["arena"].data_size
    assert other.variables["mine"].value == 30
    again = aiobpf.link_objects([other])
    assert again.variables.keys() == other.variables.keys()
    assert again.maps["arena"].contents == other.maps["arena"].contents


def test_variables_of_an_arena_that_is_elsewhere_wait_for_it() -> None:
    alone = aiobpf.read_spec(USER)
    assert alone.externs["arena"].kind is ExternKind.MAP
    assert alone.variables["mine"].value == 30
    alone.variables["mine"].value = 99
    linked = aiobpf.link_objects([aiobpf.link_objects([alone]), ARENA])
    assert linked.variables["mine"].value == 99


def test_variables_that_may_lie_in_several_arenas(arena: CollectionSpec) -> None:
    second = aiobpf.read_spec(ARENA)
    second.maps["other"] = second.maps["arena"].copy()
    second.maps["other"].name = "other"
    second.maps["other"].value = None
    with pytest.raises(SpecError, match=r"the objects have several: 'arena', 'other'"):
        aiobpf.link_objects([second, USER])


@pytest.mark.root
@pytest.mark.everywhere
@pytest.mark.requires("arenas")
async def test_programs_of_two_objects_write_into_one_arena(arena: CollectionSpec) -> None:
    async with aiobpf.load(arena) as coll:
        assert (await coll.programs["use"].run()).retval == 30 + 400 + 107
        assert (coll.variables["counter"].value, coll.variables["mine"].value) == (107, 430)
        assert (await coll.programs["fill"].run()).retval == 0
        assert coll.variables["counter"].value == 108
        assert (await coll.programs["use"].run()).retval == 430 + 401 + 208
    with pytest.raises(UnresolvedSymbolError, match="'use' needs variable 'counter'"):
        async with aiobpf.load(USER):
            pass


def test_a_struct_ops_map_has_programs_of_another_object() -> None:
    alone = aiobpf.read_spec(TABLE)
    assert alone.maps["elsewhere"].members is not None
    assert alone.maps["elsewhere"].members["init"] == "count_init"
    assert not alone.programs
    linked = aiobpf.link_objects([TABLE, PROGRAMS])
    assert not linked.externs
    members = linked.maps["elsewhere"].members
    assert members is not None
    assert (members["name"], members["cong_avoid"]) == ("aiobpf_plain", "other_avoid")
    assert linked.types is not None
    assert linked.types.id_of(members.type)
    assert members.type is linked.maps["elsewhere"].value
    assert linked.programs["other_avoid"].attach_to == "tcp_congestion_ops:cong_avoid"
    assert {"plain", "linked", "successor"} <= linked.maps.keys()
    with pytest.raises(SpecError, match="map 'elsewhere' is defined by both"):
        aiobpf.link_objects([TABLE, TABLE])


@pytest.mark.root
@pytest.mark.everywhere
async def test_a_struct_ops_map_linked_with_its_programs_is_registered() -> None:
    spec = aiobpf.link_objects([TABLE, PROGRAMS])
    for name in ("plain", "linked", "successor"):
        spec.maps[name].autocreate = False
    async with aiobpf.load(spec) as coll, coll.attach() as attached:
        assert list(attached.links) == ["elsewhere"]
        known = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
        assert "aiobpf_plain" in known
    with pytest.raises(SpecError, match=r"member 'init' of struct_ops map 'elsewhere' is 'count_init'"):
        async with aiobpf.load(TABLE):
            pass
