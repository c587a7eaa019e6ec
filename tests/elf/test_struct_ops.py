"""struct_ops maps of an object: structs whose members are programs and plain data, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aiobpf.elf import read_spec
from aiobpf.errors import CodecError, ElfError, SpecError
from aiobpf.spec import UnknownMemberError
from aiobpf.uapi import MapFlags, MapType, ProgramType
from tests.hostile.patch import Patch

if TYPE_CHECKING:
    from pathlib import Path

    from aiobpf.spec import CollectionSpec, StructOpsMembers

COMMON = {
    "init": "count_init",
    "undo_cwnd": "undo",
    "ssthresh": "threshold",
    "flags": 0,
    "no_such_member": None,
    "no_such_number": 0,
}


@pytest.fixture(params=["struct_ops.bpf.o", "struct_ops.eb.bpf.o"])
def spec(request: pytest.FixtureRequest, objects: Path) -> CollectionSpec:
    return read_spec(objects / request.param)


def members_of(spec: CollectionSpec, name: str) -> StructOpsMembers:
    members = spec.maps[name].members
    assert members is not None
    return members


def test_each_struct_is_a_map_with_its_members_by_name(spec: CollectionSpec) -> None:
    found = {name: each for name, each in spec.maps.items() if each.type == MapType.STRUCT_OPS}
    assert list(found) == ["plain", "linked", "successor"]
    assert dict(members_of(spec, "plain")) == COMMON | {
        "name": "aiobpf_plain", "release": None, "cong_avoid": "count_avoid",
    }  # fmt: skip
    assert dict(members_of(spec, "linked")) == COMMON | {
        "name": "aiobpf_linked", "release": "count_release", "cong_avoid": "count_avoid",
    }  # fmt: skip
    assert dict(members_of(spec, "successor")) == COMMON | {
        "name": "aiobpf_linked", "release": None, "cong_avoid": "other_avoid",
    }  # fmt: skip
    for each in found.values():
        assert (each.key_size, each.value_size, each.max_entries) == (4, 80, 1)
        assert members_of(spec, each.name).struct_name == "tcp_congestion_ops", "without its flavour"


def test_the_section_says_whether_a_link_registers_it_and_whether_it_is_made(spec: CollectionSpec) -> None:
    assert {name: (each.flags, each.autocreate, each.section) for name, each in spec.maps.items() if each.members} == {
        "plain": (0, True, ".struct_ops"),
        "linked": (MapFlags.LINK, True, ".struct_ops.link"),
        "successor": (MapFlags.LINK, False, ".struct_ops.link"),
    }


def test_a_program_knows_the_member_that_it_is_in(spec: CollectionSpec) -> None:
    programs = {p.name: p.attach_to for p in spec.programs.values() if p.type == ProgramType.STRUCT_OPS}
    assert programs == {
        "count_init": "tcp_congestion_ops:init",
        "count_release": "tcp_congestion_ops:release",
        "count_avoid": "tcp_congestion_ops:cong_avoid",
        "undo": "tcp_congestion_ops:undo_cwnd",
        "threshold": "tcp_congestion_ops:ssthresh",
        "other_avoid": "tcp_congestion_ops:cong_avoid",
    }


def test_members_are_set_by_name_and_typed_by_btf(spec: CollectionSpec) -> None:
    before = spec.copy()
    members = members_of(spec, "plain")
    members["name"] = "mine"
    members["flags"] = 0xFFFF_FFFF
    members["release"] = "count_release"
    members["init"] = None
    assert (members["name"], members["flags"], members["release"], members["init"]) == (
        "mine", 0xFFFF_FFFF, "count_release", None,
    )  # fmt: skip
    assert members["cong_avoid"] == "count_avoid", "the others as they were"
    assert members_of(before, "plain")["name"] == "aiobpf_plain", "a copy shares nothing editable"


def test_what_a_member_cannot_be_is_named(spec: CollectionSpec) -> None:
    members = members_of(spec, "plain")
    with pytest.raises(UnknownMemberError, match="has no member 'relaese'; did you mean 'release'"):
        members["relaese"] = None
    with pytest.raises(KeyError, match="has no member 'xyzzy'; it has: name, init"):
        members["xyzzy"]
    with pytest.raises(SpecError, match=r"'init' of struct .* takes the name of a program, or None, not int"):
        members["init"] = 1
    with pytest.raises(CodecError, match="'name'"):
        members["name"] = "far too long for it"
    with pytest.raises(CodecError, match="'flags'"):
        members["flags"] = 1 << 32


@pytest.mark.parametrize(
    ("section", "fields", "message"),
    [
        (".rel.struct_ops", {"offset": 0}, "map 'plain': no member of .* at byte 0 is a function pointer"),
        (".rel.struct_ops", {"offset": 0x18 + 4}, "no member of .* at byte 28 is a function pointer"),
        (".rel.struct_ops", {"offset": 80}, "no struct is there"),
        (".rel.struct_ops", {"type": 10}, "type 10 is not known"),
    ],
)
def test_a_relocation_that_fits_no_member_is_named(
    objects: Path, section: str, fields: dict[str, int], message: str
) -> None:
    patch = Patch((objects / "struct_ops.bpf.o").read_bytes()).set_relocation(section, 0, **fields)
    with pytest.raises(ElfError, match=message):
        read_spec(patch.data)


def test_a_member_that_is_no_program_of_struct_ops_is_named(objects: Path) -> None:
    patch = Patch((objects / "struct_ops.bpf.o").read_bytes())
    symtab = patch.file.sections[patch.section(".symtab")].offset
    bystander, data = ((patch.symbol(name) - symtab) // 24 for name in ("bystander", "inits"))
    patch.set_relocation(".rel.struct_ops", 0, symbol=bystander)
    with pytest.raises(ElfError, match=r"member 'init' of struct_ops map 'plain' is 'bystander' .section 'socket'"):
        read_spec(patch.data)
    patch.set_relocation(".rel.struct_ops", 0, symbol=data)
    with pytest.raises(ElfError, match="symbol 'inits' in struct_ops map 'plain': it is no program"):
        read_spec(patch.data)


def test_a_struct_past_the_end_of_its_section_is_named(objects: Path) -> None:
    patch = Patch((objects / "struct_ops.bpf.o").read_bytes()).set_symbol("plain", value=8)
    with pytest.raises(ElfError, match=r"struct_ops map 'plain' .80 bytes at 8. is past the end of '.struct_ops'"):
        read_spec(patch.data)
