"""Global variables and the maps that hold them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from aiobpf.btf import DataSection
from aiobpf.elf import read_spec
from aiobpf.errors import SpecError
from aiobpf.uapi import MapFlags, MapType

if TYPE_CHECKING:
    from pathlib import Path

    from aiobpf.spec import CollectionSpec


@pytest.fixture(params=["globals.bpf.o", "globals.eb.bpf.o"])
def spec(request: pytest.FixtureRequest, objects: Path) -> CollectionSpec:
    return read_spec(objects / request.param)


def test_each_data_section_is_an_array_of_one(spec: CollectionSpec) -> None:
    assert spec.maps.keys() == {".rodata", ".rodata.net", ".data", ".data.custom", ".bss", ".bss.late"}
    for name, data in spec.maps.items():
        assert (data.type, data.key_size, data.max_entries, data.section) == (MapType.ARRAY, 4, 1, name)
        assert data.is_frozen == name.startswith(".rodata")
        assert data.flags == (MapFlags.RDONLY_PROG if data.is_frozen else 0)


def test_bss_has_no_contents_and_the_others_theirs(spec: CollectionSpec) -> None:
    assert spec.maps[".bss"].contents == {}
    assert spec.maps[".data.custom"].contents == {b"\0\0\0\0": (-5).to_bytes(8, spec.byte_order, signed=True)}


def test_btf_of_a_section_has_the_places_that_the_compiler_left_out(spec: CollectionSpec) -> None:
    for data in spec.maps.values():
        section = data.value
        assert isinstance(section, DataSection)
        assert section.size == data.value_size
        places = [(each.offset, each.offset + each.size) for each in section.variables]
        assert places == sorted(places)
        assert all(end <= start for (_, end), (start, _) in pairwise(places))
        for each in section.variables:
            variable = spec.variables.get(each.variable.name)
            assert variable is None or (variable.offset, variable.size) == (each.offset, each.size)


def test_variables_have_their_values(spec: CollectionSpec) -> None:
    values = {name: variable.value for name, variable in spec.variables.items()}
    limits = values.pop("limits")
    assert (limits.low, limits.high) == (1, 0x1000)
    assert values == {
        "min_duration_ns": 1000, "target": "init", "mode": 1, "enabled": True, "counters": [0, 0, 0, 0], "zero": 0,
        "custom": -5, "port": 8080, "late": 0,
    }  # fmt: skip


def test_static_and_hidden_variables_are_the_programs_own(spec: CollectionSpec) -> None:
    assert not {"secret", "hits", "calls", "count.calls"} & spec.variables.keys()


def test_setting_a_variable_changes_the_contents_of_its_map(spec: CollectionSpec) -> None:
    spec.variables["port"].value = 443
    assert spec.maps[".rodata.net"].contents == {b"\0\0\0\0": (443).to_bytes(2, spec.byte_order)}
    spec.variables["zero"].value = 7
    assert spec.variables["zero"].value == 7
    with pytest.raises(SpecError):
        spec.variables["zero"].raw = b"123"


def test_a_copy_shares_nothing_editable(spec: CollectionSpec) -> None:
    copied = spec.copy()
    copied.variables["port"].value = 1
    assert spec.variables["port"].value == 8080
    assert copied.variables["port"].map is copied.maps[".rodata.net"]


def test_without_btf_variables_are_bytes(objects: Path) -> None:
    spec = read_spec(objects / "no_btf.bpf.o")
    assert spec.types is None
    assert spec.variables["step"].type is None
    assert spec.variables["step"].value == b"\2\0\0\0"
    assert spec.maps[".rodata"].value is None
