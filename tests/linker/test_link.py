"""Joining objects: names, places, types and metadata of the result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

import aiobpf
from aiobpf import asm
from aiobpf.asm import REFERENCE, SYMBOL, Instructions, Reference
from aiobpf.btf import CORE_RELOCATION, FUNCTION_INFO, LINE, Const, DataSection, Function, Int, Linkage, Variable
from aiobpf.errors import ElfError, SpecError
from aiobpf.linker.compatibility import Comparison
from aiobpf.spec import EXTERN, CollectionSpec, Export, Extern, ExternKind, MapSpec, ProgramSpec
from aiobpf.uapi import MapFlags, MapType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Iterator

BOTH = pytest.mark.parametrize("suffix", [".bpf.o", ".eb.bpf.o"], ids=["little", "big"])
FOLDER = Path(__file__).parent.parent / "objects" / "linking"


@pytest.fixture
def linked(together: list[Path]) -> CollectionSpec:
    return aiobpf.link_objects(together)


def functions(spec: CollectionSpec, program: str) -> list[str]:
    return list(spec.programs[program].instructions.functions())


def all_instructions(spec: CollectionSpec) -> Iterator[Instructions]:
    yield from (program.instructions for program in spec.programs.values())
    yield from spec.functions.values()


@BOTH
def test_one_object_says_what_it_lacks_and_what_it_offers(suffix: str) -> None:
    spec = aiobpf.read_spec(FOLDER / f"front{suffix}")
    kinds = {name: extern.kind for name, extern in spec.externs.items()}
    assert kinds == {
        "add_up": ExternKind.FUNCTION, "hidden_add": ExternKind.FUNCTION, "each_round": ExternKind.FUNCTION,
        "shared": ExternKind.MAP, "totals": ExternKind.VARIABLE, "step": ExternKind.VARIABLE,
        "custom": ExternKind.VARIABLE, "concealed": ExternKind.VARIABLE, "LINUX_KERNEL_VERSION": ExternKind.KCONFIG,
        "no_such_symbol": ExternKind.KSYM,
    }  # fmt: skip
    assert spec.externs["custom"].section == ".data.custom"
    assert spec.externs["each_round"].is_hidden
    assert isinstance(spec.externs["add_up"].type, Function)
    assert spec.exports["limit"] == Export("limit", ExternKind.VARIABLE, True, False, ".data", 4, 4)
    assert spec.exports["choose"] == Export("choose", ExternKind.FUNCTION, True, False, ".text")
    back = aiobpf.read_spec(FOLDER / f"back{suffix}")
    assert back.exports["shared"] == Export("shared", ExternKind.MAP, section=".maps")
    assert "front_name" not in spec.exports
    assert list(spec.functions) == ["choose", "same"]
    assert spec.license == "Dual MIT/GPL"


@BOTH
def test_functions_across_objects_strong_before_weak_and_static_ones_apart(suffix: str) -> None:
    spec = aiobpf.link_objects([FOLDER / f"front{suffix}", FOLDER / f"back{suffix}"])
    assert functions(spec, "front") == [
        "front", "each_round", "add_up", "same.2", "choose", "same", "hidden_add"
    ]  # fmt: skip
    choose = spec.functions["choose"]
    assert 300 in [instruction.constant for instruction in choose]
    for program in spec.programs.values():
        program.instructions.encode(spec.byte_order)
    # What is left to find is the kernel's.
    assert all(extern.kind.is_of_kernel for extern in spec.externs.values())
    for instructions in all_instructions(spec):
        assert all(extern == spec.externs[extern.name] for _, extern in instructions.with_key(EXTERN))


def test_the_first_weak_one_counts_where_none_is_strong(spare: Path, compiled_weak: CollectionSpec) -> None:
    first = aiobpf.link_objects([spare, compiled_weak])
    assert len(first.functions["choose"]) == len(aiobpf.read_spec(spare).functions["choose"]) > 2
    second = aiobpf.link_objects([compiled_weak, spare])
    assert len(second.functions["choose"]) == 2
    assert second.exports["choose"].is_weak


@pytest.fixture
def compiled_weak() -> CollectionSpec:
    """A weak function by hand."""
    body = Instructions([asm.mov(asm.R0, -1), asm.exit_()])
    return CollectionSpec(
        functions={"choose": body}, exports={"choose": Export("choose", ExternKind.FUNCTION, is_weak=True)}
    )


@BOTH
def test_variables_move_with_their_sections_and_keep_their_alignment(suffix: str) -> None:
    spec = aiobpf.link_objects([FOLDER / f"front{suffix}", FOLDER / f"back{suffix}"])
    custom = spec.maps[".data.custom"]
    assert (custom.alignment, custom.value_size) == (8, 16)
    assert spec.variables["tag"].offset == 0
    assert spec.variables["custom"].offset == 8
    assert spec.variables["custom"].value == 100
    assert spec.variables["limit"].value == 50
    assert spec.variables["front_level"].value == 3
    assert spec.variables["step"].value == 7
    spec.variables["limit"].value = 51
    assert spec.variables["limit"].value == 51
    assert spec.variables["front_level"].value == 3
    assert not spec.maps[".bss"].contents


def test_instructions_load_the_place_that_a_variable_has_now(linked: CollectionSpec) -> None:
    seen = set()
    for instructions in all_instructions(linked):
        for index, reference in instructions.with_key(REFERENCE):
            variable = linked.exports.get(reference.variable or "")
            if variable is not None:
                seen.add(variable.name)
                assert reference.name == variable.section
                assert instructions.fields(index)[4] >> 32 == variable.offset
    assert {"limit", "totals", "custom", "concealed", "step", "front_level", "spare_level"} <= seen


def test_data_sections_are_described_whole(linked: CollectionSpec) -> None:
    assert linked.types is not None
    for name in (".data", ".data.custom", ".bss", ".rodata"):
        section = linked.maps[name].value
        assert isinstance(section, DataSection)
        assert section.size == linked.maps[name].value_size
        ends = [each.offset + each.size for each in section.variables]
        assert all(end <= each.offset for end, each in zip(ends, section.variables[1:], strict=False))
        assert ends[-1] <= section.size
        assert linked.types.by_name(name, DataSection) is section
        assert all(each.variable.linkage != Linkage.EXTERN for each in section.variables)
    assert [each.variable.name for each in linked.types.by_name(".data", DataSection).variables].count("limit") == 1


def test_all_metadata_is_about_the_joined_types(linked: CollectionSpec) -> None:
    types = linked.types
    assert types is not None
    relocations = 0
    for instructions in all_instructions(linked):
        for _, function in instructions.with_key(FUNCTION_INFO):
            types.id_of(function.type)
        for _, relocation in instructions.with_key(CORE_RELOCATION):
            assert types.type_by_id(relocation.type_id) is relocation.type
            assert relocation.type.name == "task_struct"
            relocations += 1
        assert next(instructions.with_key(LINE), None) is not None
    assert relocations >= 3
    for spec in linked.maps.values():
        if spec.key is not None:
            types.id_of(spec.key)
    shared = linked.maps["shared"].value
    assert shared is not None
    assert shared is types.by_name("totals", type(shared))
    assert linked.variables["totals"].type is shared
    assert len(types.all_by_name("task_struct")) == 1
    assert [each.linkage for each in types.all_by_name("add_up", Function)] == [Linkage.GLOBAL]


def test_hidden_functions_are_linked_and_verified_like_static_ones(linked: CollectionSpec) -> None:
    assert linked.exports["hidden_add"].is_hidden
    for name, linkage in (("hidden_add", Linkage.STATIC), ("each_round", Linkage.STATIC), ("add_up", Linkage.GLOBAL)):
        info = linked.functions[name].get_metadata(0, FUNCTION_INFO)
        assert info is not None
        assert (info.name, info.linkage) == (name, linkage)
    assert "concealed" not in linked.variables
    assert linked.exports["concealed"].is_hidden


def test_what_one_object_declares_hidden_is_hidden(front: Path, back: Path) -> None:
    spec = aiobpf.read_spec(back)
    for name in ("hidden_add", "concealed"):
        spec.exports[name] = spec.exports[name]._replace(is_hidden=False)
    described = spec.functions["hidden_add"].get_metadata(0, FUNCTION_INFO)
    assert described is not None
    spec.functions["hidden_add"].set_metadata(
        0, FUNCTION_INFO, Function(described.name, described.type, Linkage.GLOBAL)
    )
    linked = aiobpf.link_objects([front, spec])
    info = linked.functions["hidden_add"].get_metadata(0, FUNCTION_INFO)
    assert info is not None
    assert info.linkage == Linkage.STATIC
    assert linked.exports["concealed"].is_hidden


def test_kernel_configuration_is_laid_out_anew_and_strong_if_one_needs_it(front: Path, back: Path) -> None:
    assert aiobpf.read_spec(front).externs["LINUX_KERNEL_VERSION"].is_weak
    linked = aiobpf.link_objects([back, front])
    assert not linked.externs["LINUX_KERNEL_VERSION"].is_weak
    assert linked.externs["LINUX_HAS_BPF_COOKIE"].offset == 4
    assert linked.externs["no_such_symbol"].is_weak
    (index, extern), *_ = [
        (index, extern)
        for index, extern in linked.programs["back_kernel"].instructions.with_key(EXTERN)
        if extern.name == "LINUX_HAS_BPF_COOKIE"
    ]
    assert extern.offset == 4
    assert linked.programs["back_kernel"].instructions.fields(index)[4] >> 32 == 4
    section = linked.maps[".kconfig"].value
    assert isinstance(section, DataSection)
    assert section.size == 5


def test_maps_hold_maps_and_programs_of_other_objects(tables: Path, back: Path) -> None:
    alone = aiobpf.read_spec(tables)
    assert (alone.externs["first_inner"].kind, alone.externs["back_tail"].kind) == (
        ExternKind.MAP, ExternKind.FUNCTION,
    )  # fmt: skip
    assert set(alone.maps["jumps"].contents.values()) == {"back_tail"}
    linked = aiobpf.link_objects([tables, back])
    assert linked.maps["outer"].contents == {b"\1\0\0\0": "first_inner"}
    assert "back_tail" in linked.programs


def test_static_maps_of_one_name_are_two(objects: Path) -> None:
    first = aiobpf.read_spec(objects / "local_scope.bpf.o")
    static = [name for name in first.maps if name not in first.exports and first.maps[name].section is None]
    assert static
    second = first.copy()
    for name in list(second.programs):
        second.programs[f"{name}_again"] = second.programs.pop(name)
        second.exports.pop(name)
    second.exports = {}
    linked = aiobpf.link_objects([first, second])
    for name in static:
        assert linked.maps[f"{name}.2"].name == f"{name}.2"
        users = [
            program.name
            for program_name, program in linked.programs.items()
            if program_name.endswith("_again") and f"{name}.2" in program.instructions.references()
        ]
        assert users


@pytest.fixture
def objects() -> Path:
    return FOLDER.parent


def test_the_specs_that_go_in_are_left_as_they_are(together: list[Path]) -> None:
    specs = [aiobpf.read_spec(path) for path in together]
    copies = [spec.copy() for spec in specs]
    linked = aiobpf.link_objects(specs)
    linked.variables["limit"].value = 1
    linked.maps["shared"].max_entries = 5
    assert specs == copies


def test_what_was_changed_beforehand_is_linked_as_it_is(front: Path, back: Path) -> None:
    first, second = aiobpf.read_spec(front), aiobpf.read_spec(back)
    second.variables["custom"].value = 5
    program = second.programs["back"].instructions
    index = program.functions()["choose"].start
    at = next(i for i in range(index, len(program)) if program.fields(i)[4] == 300)
    program.patch(at, constant=301)
    linked = aiobpf.link_objects([first, second])
    assert linked.variables["custom"].value == 5
    copied = linked.programs["back"].instructions
    assert 301 in [copied.fields(i)[4] for i in copied.functions()["choose"]]
    assert 301 not in [instruction.constant for instruction in linked.functions["choose"]]


def test_a_result_can_be_linked_again(front: Path, back: Path, spare: Path) -> None:
    at_once = aiobpf.link_objects([front, back, spare])
    in_steps = aiobpf.link_objects([aiobpf.link_objects([front, back]), spare])
    assert in_steps.programs.keys() == at_once.programs.keys()
    for name, program in at_once.programs.items():
        assert in_steps.programs[name].instructions.encode() == program.instructions.encode()
    assert in_steps.exports == at_once.exports
    assert {name: each.contents for name, each in in_steps.maps.items()} == {
        name: each.contents for name, each in at_once.maps.items()
    }


def test_one_object_alone_stays_what_it_is(objects: Path) -> None:
    for name in ("globals", "subprograms", "map_kinds", "externs", "legacy_maps", "no_btf"):
        spec = aiobpf.read_spec(objects / f"{name}.bpf.o")
        linked = aiobpf.link_objects([spec])
        assert linked.programs.keys() == spec.programs.keys()
        assert linked.functions.keys() == spec.functions.keys()
        assert linked.exports == spec.exports
        assert linked.variables.keys() == spec.variables.keys()
        for program_name, program in spec.programs.items():
            assert linked.programs[program_name].instructions.encode() == program.instructions.encode()
        for map_name, map_spec in spec.maps.items():
            assert attrs.evolve(linked.maps[map_name], key=None, value=None, inner=None) == attrs.evolve(
                map_spec, key=None, value=None, inner=None
            )


def test_a_function_alone_in_its_object_is_no_program_beside_others() -> None:
    alone = Instructions([asm.mov(asm.R0, 1), asm.exit_()])
    alone.set_metadata(0, SYMBOL, "helper")
    library = CollectionSpec(
        programs={"helper": ProgramSpec(name="helper", type=ProgramType.UNSPEC, section=".text", instructions=alone)}
    )
    assert aiobpf.link_objects([library]).programs.keys() == {"helper"}
    user = by_hand("helper")
    linked = aiobpf.link_objects([user, library])
    assert linked.programs.keys() == {"main"}
    assert linked.functions.keys() == {"helper"}
    assert functions(linked, "main") == ["main", "helper"]


def by_hand(callee: str, name: str = "main") -> CollectionSpec:
    """A program that calls a function which its object only declares."""
    program = Instructions([asm.call_function(callee), asm.exit_()])
    program.set_metadata(0, SYMBOL, name)
    extern = Extern(callee, ExternKind.FUNCTION)
    program.set_metadata(0, EXTERN, extern)
    return CollectionSpec(
        programs={name: ProgramSpec(name=name, type=ProgramType.SOCKET_FILTER, instructions=program)},
        externs={callee: extern},
    )


def test_a_body_supplied_by_hand_fills_a_declaration() -> None:
    spec = by_hand("helper")
    spec.functions["helper"] = Instructions([asm.mov(asm.R0, 5), asm.exit_()])
    linked = aiobpf.link_objects([spec])
    assert functions(linked, "main") == ["main", "helper"]
    assert not linked.externs
    linked.programs["main"].instructions.encode()


def test_calls_by_distance_follow_their_function() -> None:
    program = Instructions(
        [asm.call_function(1), asm.exit_(), asm.mov(asm.R0, 1), asm.exit_(), asm.mov(asm.R0, 2), asm.exit_()]
    )
    for index, name in ((0, "main"), (2, "first"), (4, "second")):
        program.set_metadata(index, SYMBOL, name)
    spec = CollectionSpec(
        programs={"main": ProgramSpec(name="main", type=ProgramType.SOCKET_FILTER, instructions=program)}
    )
    linked = aiobpf.link_objects([spec]).programs["main"].instructions
    assert list(linked.functions()) == ["main", "first"]
    linked.encode()
    program.set_metadata(2, SYMBOL, None)
    with pytest.raises(SpecError, match="calls by distance what has no name"):
        aiobpf.link_objects([spec])


# --- what is refused --------------------------------------------------------------------------------------------------


def test_no_object_and_one_that_is_no_list() -> None:
    with pytest.raises(SpecError, match="no object"):
        aiobpf.link_objects([])
    with pytest.raises(TypeError, match="list"):
        aiobpf.link_objects("front.bpf.o")


def test_objects_of_both_byte_orders(front: Path) -> None:
    with pytest.raises(SpecError, match=r"byte order of .*front\.bpf\.o is 'little', that of .*back\.eb\.bpf\.o 'big'"):
        aiobpf.link_objects([front, FOLDER / "back.eb.bpf.o"])


def test_a_broken_file_is_named(front: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.o"
    broken.write_bytes(b"nothing")
    with pytest.raises(ElfError, match=r"broken\.o"):
        aiobpf.link_objects([front, broken])


def test_a_kernel_symbol_that_another_object_defines_as_a_variable(front: Path, spare: Path) -> None:
    spec = aiobpf.read_spec(front)
    extern = spec.externs.pop("no_such_symbol")
    spec.externs["spare_level"] = attrs.evolve(extern, name="spare_level")
    with pytest.raises(SpecError, match=r"ksym 'spare_level' is to be the kernel's in .*object 1"):
        aiobpf.link_objects([spec, spare])


def test_sections_that_differ_in_more_than_contents(front: Path, back: Path) -> None:
    spec = aiobpf.read_spec(back)
    spec.maps[".data"].flags |= MapFlags.MMAPABLE
    with pytest.raises(SpecError, match=r"section '\.data' of object 2 is not like that before it: flags"):
        aiobpf.link_objects([front, spec])


def test_sections_that_are_too_large(front: Path, spare: Path) -> None:
    spec = aiobpf.read_spec(spare)
    spec.maps[".data.custom"].alignment = 1 << 31
    spec.maps[".data.custom"].value_size = 1 << 31
    with pytest.raises(SpecError, match=r"section '\.data\.custom' comes to \d+ bytes"):
        aiobpf.link_objects([front, spec])
    spec.maps[".data.custom"].value_size = 3
    with pytest.raises(SpecError, match=r"section '\.data\.custom' would have \d+ bytes of zeros"):
        aiobpf.link_objects([front, spec])


def test_two_programs_of_one_name_by_hand() -> None:
    with pytest.raises(SpecError, match="function 'main' is defined by both object 1 and object 2"):
        aiobpf.link_objects([by_hand("a"), by_hand("b")])


def test_differences_of_maps_are_listed() -> None:
    inner = MapSpec(name="m.inner", type=MapType.ARRAY, max_entries=1)
    first = MapSpec(name="m", type=MapType.ARRAY_OF_MAPS, key_size=4, max_entries=2, inner=inner)
    map_differences = Comparison().of_maps
    assert map_differences(first, first.copy()) == []
    second = MapSpec(name="m", type=MapType.HASH_OF_MAPS, key_size=4, max_entries=2)
    assert map_differences(first, second) == ["type ARRAY_OF_MAPS and HASH_OF_MAPS", "one of them holds maps"]
    second = attrs.evolve(first, inner=attrs.evolve(inner, max_entries=3))
    assert map_differences(first, second) == ["inner map: max_entries 1 and 3"]


def test_types_that_refer_to_themselves_are_compared(together: list[Path]) -> None:
    first, second = aiobpf.read_spec(together[0]).types, aiobpf.read_spec(together[1]).types
    assert first is not None
    assert second is not None
    type_difference = Comparison().of_types
    assert type_difference(first.by_name("task_struct"), second.by_name("task_struct")) is None
    number = Int("int", 4)
    assert type_difference(Const(number), number) is None
    assert type_difference(number, Int("char", 1)) == "int of 4 bytes and char of 1"
    assert type_difference(number, None) is None


def test_a_variable_of_several_objects_is_referred_to_by_one_name(linked: CollectionSpec) -> None:
    references = {
        reference
        for instructions in all_instructions(linked)
        for _, reference in instructions.with_key(REFERENCE)
        if reference.variable == "limit"
    }
    assert references == {Reference(".data", "limit")}
    assert linked.types is not None
    assert len(linked.types.all_by_name("limit", Variable)) == 1
