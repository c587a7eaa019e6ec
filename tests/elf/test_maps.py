"""Map definitions: BTF ones with every field, legacy ones, and what maps hold at first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aiobpf.btf import Int, Struct, strip_qualifiers
from aiobpf.elf import read_spec
from aiobpf.spec import MapSpec, Pinning
from aiobpf.uapi import MapFlags, MapType

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["map_kinds.bpf.o", "map_kinds.eb.bpf.o"])
def maps(request: pytest.FixtureRequest, objects: Path) -> dict[str, MapSpec]:
    return read_spec(objects / request.param).maps


@pytest.mark.parametrize(
    ("name", "map_type", "key_size", "value_size", "max_entries", "flags"),
    [
        ("hash", MapType.HASH, 4, 16, 128, 0),
        ("array", MapType.ARRAY, 4, 8, 16, MapFlags.MMAPABLE),
        ("lru", MapType.LRU_HASH, 8, 8, 64, 0),
        ("lpm", MapType.LPM_TRIE, 8, 4, 32, MapFlags.NO_PREALLOC),
        ("percpu_array", MapType.PERCPU_ARRAY, 4, 16, 4, 0),
        ("percpu_hash", MapType.PERCPU_HASH, 4, 8, 4, 0),
        ("lru_percpu_hash", MapType.LRU_PERCPU_HASH, 4, 8, 256, 0),
        ("queue", MapType.QUEUE, 0, 4, 8, 0),
        ("bloom", MapType.BLOOM_FILTER, 0, 4, 1000, 0),
        ("sized", MapType.HASH, 12, 20, 1, MapFlags.NUMA_NODE),
        ("outer_array", MapType.ARRAY_OF_MAPS, 4, 4, 4, 0),
        ("outer_hash", MapType.HASH_OF_MAPS, 4, 4, 4, 0),
        ("programs", MapType.PROG_ARRAY, 4, 4, 4, 0),
    ],
)
def test_a_map_has_what_its_definition_says(
    maps: dict[str, MapSpec], name: str, map_type: MapType, key_size: int, value_size: int, max_entries: int, flags: int
) -> None:
    spec = maps[name]
    assert (spec.name, spec.type, spec.key_size, spec.value_size, spec.max_entries, spec.flags) == (
        name, map_type, key_size, value_size, max_entries, flags,
    )  # fmt: skip


def test_types_of_keys_and_values(maps: dict[str, MapSpec]) -> None:
    key, value = maps["hash"].key, maps["hash"].value
    assert key is not None
    assert isinstance(strip_qualifiers(key), Int)
    assert isinstance(value, Struct)
    assert [member.name for member in value.members] == ["packets", "flags"]
    assert maps["sized"].key is None
    assert maps["sized"].value is None


def test_the_rarer_fields(maps: dict[str, MapSpec]) -> None:
    assert maps["bloom"].map_extra == 3
    assert maps["sized"].numa_node == 0
    assert maps["hash"].numa_node is None
    assert maps["pinned"].pinning is Pinning.BY_NAME
    assert maps["hash"].pinning is Pinning.NONE
    assert maps["tagged"].tags == ("aiobpf:first", "aiobpf:second")


def test_maps_of_maps_have_an_inner_map_and_the_names_of_the_first_ones(maps: dict[str, MapSpec]) -> None:
    for name in ("outer_array", "outer_hash"):
        inner = maps[name].inner
        assert inner is not None
        assert (inner.name, inner.type, inner.max_entries, inner.inner) == (f"{name}.inner", MapType.ARRAY, 4, None)
    assert list(maps["outer_array"].contents.values()) == ["inner_0", "inner_2"]
    assert maps["outer_hash"].contents == {}


def test_keys_of_initial_values_are_in_the_objects_byte_order(objects: Path) -> None:
    little = read_spec(objects / "map_kinds.bpf.o").maps
    big = read_spec(objects / "map_kinds.eb.bpf.o").maps
    assert little["programs"].contents == {b"\1\0\0\0": "tail_one", b"\3\0\0\0": "tail_two"}
    assert big["programs"].contents == {b"\0\0\0\1": "tail_one", b"\0\0\0\3": "tail_two"}


def test_a_number_of_64_bits_and_a_static_map(objects: Path) -> None:
    maps = read_spec(objects / "local_scope.bpf.o").maps
    assert maps["arena"].map_extra == 1 << 44
    assert maps["arena"].type is MapType.ARENA
    assert maps["local"].type is MapType.ARRAY


@pytest.mark.parametrize("file", ["legacy_maps.bpf.o", "legacy_maps.eb.bpf.o"])
def test_maps_from_before_btf(objects: Path, file: str) -> None:
    maps = read_spec(objects / file).maps
    counts, names = maps["counts"], maps["names"]
    assert (counts.type, counts.key_size, counts.value_size, counts.max_entries, counts.flags) == (
        MapType.ARRAY, 4, 8, 2, 0,
    )  # fmt: skip
    assert (names.type, names.key_size, names.value_size, names.max_entries, names.flags) == (
        MapType.HASH, 16, 4, 100, MapFlags.NO_PREALLOC,
    )  # fmt: skip


def test_ring_buffers_may_name_the_type_of_their_records(objects: Path) -> None:
    maps = read_spec(objects / "ring_events.bpf.o").maps
    assert isinstance(maps["events"].value, Struct)
    assert maps["events"].value.name == "event"
    assert maps["untyped"].value is None
    assert read_spec(objects / "perf_events.bpf.o").maps["samples"].value is None
