"""Sections to functions to programs: what is linked, and what every instruction still knows afterwards."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

from aiobpf.asm import REFERENCE, SYMBOL, Reference
from aiobpf.btf import CORE_RELOCATION, FUNCTION_INFO, LINE, Btf, CoreRelocationKind, Linkage
from aiobpf.elf import read_spec
from aiobpf.uapi import AttachType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aiobpf.spec import CollectionSpec

BOTH = pytest.mark.parametrize("suffix", ["", ".eb"], ids=["little", "big"])


def read(objects: Path, name: str, suffix: str = "") -> CollectionSpec:
    return read_spec(objects / f"{name}{suffix}.bpf.o")


def functions(spec: CollectionSpec, program: str) -> list[str]:
    return list(spec.programs[program].instructions.functions())


@BOTH
def test_a_program_is_its_entry_and_every_function_it_reaches_once(objects: Path, suffix: str) -> None:
    spec = read(objects, "subprograms", suffix)
    assert spec.programs.keys() == {"first", "second", "loops", "alone"}
    assert functions(spec, "first") == ["first", "middle", "leaf", "global_leaf", "hidden"]
    assert functions(spec, "second") == ["second", "middle", "leaf", "global_leaf"]
    assert functions(spec, "alone") == ["alone"]


@BOTH
def test_callbacks_are_linked_and_referred_to_by_name(objects: Path, suffix: str) -> None:
    program = read(objects, "subprograms", suffix).programs["loops"]
    assert list(program.instructions.functions()) == ["loops", "add_entry", "add_round", "leaf"]
    by_name = program.instructions.references()
    for name in ("add_entry", "add_round"):
        (index,) = by_name[name]
        opcode, _, src, _, constant = program.instructions.fields(index)
        assert (opcode, src, constant) == (0x18, 4, 0)


@BOTH
def test_calls_encode_to_the_functions_they_name(objects: Path, suffix: str) -> None:
    spec = read(objects, "subprograms", suffix)
    for program in spec.programs.values():
        instructions = program.instructions
        starts = {name: instructions.slot_of(where.start) for name, where in instructions.functions().items()}
        decoded = type(instructions).decode(instructions.encode(spec.byte_order), spec.byte_order)
        for index, reference in instructions.with_key(REFERENCE):
            if reference.name in starts:
                target = decoded.target_of(index)
                assert target is not None
                assert decoded.slot_of(target) == starts[reference.name]


@BOTH
def test_metadata_travels_with_functions(objects: Path, suffix: str) -> None:
    program = read(objects, "subprograms", suffix).programs["first"]
    instructions = program.instructions
    names = {instructions.get_metadata(i, SYMBOL): info.name for i, info in instructions.with_key(FUNCTION_INFO)}
    assert names == {name: name for name in instructions.functions()}
    lines = {i: str(line) for i, line in instructions.with_key(LINE)}
    for where in instructions.functions().values():
        assert where.start in lines
        assert where.stop - 1 in lines or any(i in lines for i in where)
    leaf = instructions.functions()["leaf"]
    assert "return x * 2;" in [lines[i] for i in leaf if i in lines]


@BOTH
def test_functions_that_are_no_programs_are_kept_alone(objects: Path, suffix: str) -> None:
    spec = read(objects, "subprograms", suffix)
    for name, instructions in spec.functions.items():
        assert list(instructions.functions()) == [name]
        assert next(instructions.with_key(LINE), None) is not None
    middle = spec.functions["middle"]
    assert middle.references().keys() == {"leaf", "global_leaf"}
    before = spec.programs["first"].instructions.copy()
    middle.clear()
    assert spec.programs["first"].instructions == before
    assert list(read(objects, "subprograms", suffix).functions["middle"].functions()) == ["middle"]


@BOTH
def test_hidden_functions_are_static_to_the_verifier(objects: Path, suffix: str) -> None:
    spec = read(objects, "subprograms", suffix)
    linkages = {info.name: info.linkage for _, info in spec.programs["first"].instructions.with_key(FUNCTION_INFO)}
    assert linkages == {
        "first": Linkage.GLOBAL, "middle": Linkage.STATIC, "leaf": Linkage.STATIC, "global_leaf": Linkage.GLOBAL,
        "hidden": Linkage.STATIC,
    }  # fmt: skip
    assert spec.exports["hidden"].is_hidden
    assert spec.functions.keys() == {"leaf", "middle", "global_leaf", "hidden", "add_entry", "add_round"}


def test_one_function_in_two_programs_is_two_copies(objects: Path) -> None:
    spec = read(objects, "subprograms")
    first, second = spec.programs["first"].instructions, spec.programs["second"].instructions
    at = first.functions()["leaf"].start
    before = second[second.functions()["leaf"].start]
    first.patch(at, constant=0)
    first.set_metadata(at, LINE, None)
    assert second[second.functions()["leaf"].start] == before


def test_a_static_function_in_a_programs_section_is_no_program(objects: Path) -> None:
    spec = read(objects, "local_scope")
    assert spec.programs.keys() == {"entry"}
    assert functions(spec, "entry") == ["entry", "beside"]


@BOTH
def test_data_references_name_the_variable_and_carry_its_offset(objects: Path, suffix: str) -> None:
    spec = read(objects, "globals", suffix)
    seen = set()
    for program in spec.programs.values():
        for index, reference in program.instructions.with_key(REFERENCE):
            opcode, _, src, _, constant = program.instructions.fields(index)
            assert (opcode, src) == (0x18, 2)
            assert constant & 0xFFFF_FFFF == 0
            assert reference.variable is not None
            variable = spec.variables.get(reference.variable)
            if variable is not None:
                assert variable.section == reference.name
                assert variable.offset <= constant >> 32 < variable.offset + variable.size
            seen.add(reference)
    assert Reference(".rodata.net", "port") in seen
    assert Reference(".data.custom", "custom") in seen
    assert Reference(".data", "secret") in seen


@BOTH
def test_map_references_name_the_map(objects: Path, suffix: str) -> None:
    program = read(objects, "map_kinds", suffix).programs["use"]
    for index, reference in program.instructions.with_key(REFERENCE):
        assert program.instructions.fields(index)[2] == 1
        assert reference.name in program.maps
    assert program.instructions.references().keys() == {
        "percpu_array", "lru", "lpm", "tagged", "outer_array", "programs",
    }  # fmt: skip


@BOTH
def test_core_relocations_are_on_their_instructions(objects: Path, suffix: str) -> None:
    program = read(objects, "core", suffix).programs["ask"]
    kinds = {relocation.kind for _, relocation in program.instructions.with_key(CORE_RELOCATION)}
    assert kinds == set(CoreRelocationKind)
    relocation = next(relocation for _, relocation in program.instructions.with_key(CORE_RELOCATION))
    assert relocation.type.name == "task_struct"


def test_programs_of_each_kind(objects: Path) -> None:
    spec = read(objects, "sections")
    found = {
        name: (program.section, program.type, program.attach_type, program.attach_to)
        for name, program in spec.programs.items()
    }
    assert found["on_xdp"] == ("xdp", ProgramType.XDP, AttachType.XDP, "")
    assert found["on_exec"] == (
        "tp_btf/sched_process_exec", ProgramType.TRACING, AttachType.TRACE_RAW_TP, "sched_process_exec",
    )  # fmt: skip
    assert found["on_main"] == ("uprobe//proc/self/exe:main+0x4", ProgramType.KPROBE, None, "/proc/self/exe:main+0x4")
    assert found["on_getpid"][3] == "syscalls/sys_enter_getpid"
    assert found["untyped"] == ("my_own/section", ProgramType.UNSPEC, None, "")
    assert [name for name, program in spec.programs.items() if not program.autoload] == ["optional", "untyped"]
    assert found["optional"][0] == "raw_tp/sys_enter"
    assert spec.programs["on_xdp"].license == "Dual MIT/GPL"
    assert spec.programs["on_xdp"].kernel_version == (5 << 16) + (10 << 8) + 1


def test_programs_share_the_collections_maps_and_types(objects: Path) -> None:
    spec = read(objects, "ring_events")
    for program in spec.programs.values():
        assert program.maps is spec.maps
        assert program.types is spec.types


@BOTH
def test_an_object_without_btf(objects: Path, suffix: str) -> None:
    spec = read(objects, "no_btf", suffix)
    assert spec.types is None
    instructions = spec.programs["advance"].instructions
    assert list(instructions.functions()) == ["advance", "twice"]
    assert set(instructions.metadata_keys()) == {SYMBOL, REFERENCE}
    assert instructions.encode(spec.byte_order)


def test_both_byte_orders_give_the_same_code(objects: Path) -> None:
    for name in ("core", "externs", "globals", "map_kinds", "no_btf", "ring_events", "subprograms"):
        little, big = read(objects, name), read(objects, name, ".eb")
        assert (little.byte_order, big.byte_order) == ("little", "big")
        assert little.programs.keys() == big.programs.keys()
        assert little.maps.keys() == big.maps.keys()
        assert little.variables.keys() == big.variables.keys()
        assert little.externs.keys() == big.externs.keys()


def test_the_same_bytes_give_the_same_spec(own_object: Path) -> None:
    first, second = read_spec(own_object), read_spec(own_object.read_bytes())
    assert list(first.programs) == list(second.programs)
    assert list(first.maps) == list(second.maps)
    for name, program in first.programs.items():
        code = second.programs[name].instructions.encode(first.byte_order)
        assert program.instructions.encode(first.byte_order) == code


def test_reading_by_path_and_by_any_buffer(objects: Path) -> None:
    path = objects / "globals.bpf.o"
    data = path.read_bytes()
    for source in (path, str(path), data, bytearray(data), memoryview(data)):
        assert read_spec(source).programs.keys() == {"count", "sum"}


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_spec(tmp_path / "none.o")


def test_a_descriptor_is_no_path_and_stays_open(objects: Path) -> None:
    with (objects / "globals.bpf.o").open("rb") as file:
        for read_it in (read_spec, Btf.from_file):
            with pytest.raises(TypeError):
                read_it(file.fileno())  # type: ignore[arg-type]
        assert file.read(4) == b"\x7fELF"


def test_a_real_object_takes_at_most_64_bytes_an_instruction(embedded: Callable[[str], bytes]) -> None:
    data = embedded("execsnoop")
    read_spec(data)  # imports and caches
    tracemalloc.start()
    spec = read_spec(data)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert taken / sum(len(program.instructions) for program in spec.programs.values()) < 64
