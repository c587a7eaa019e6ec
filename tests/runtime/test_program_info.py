"""What the kernel tells of a loaded program: its instructions with names, its machine code, its numbers; ids."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import aiobpf
from aiobpf import asm, kernel
from aiobpf.asm import R0, REFERENCE, CallKind, Helper, Instructions
from aiobpf.asm.opcodes import LD_IMM64
from aiobpf.btf import LINE
from aiobpf.runtime import Map, Program
from aiobpf.spec import ProgramSpec
from aiobpf.uapi import ProgramType

if TYPE_CHECKING:
    from collections.abc import Iterator

OBJECTS = Path(__file__).parent.parent / "objects"
PACKET = bytes(64)
TRACED = ProgramSpec(
    name="traced",
    type=ProgramType.RAW_TRACEPOINT,
    license="GPL",
    instructions=Instructions([asm.mov(R0, 0), asm.exit_()]),
)

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


def called(instructions: Instructions) -> set[str]:
    """The names of what a program calls: helpers by their number, all others by reference."""
    names = set()
    for index in instructions.find(0x85):
        _, _, kind, _, constant = instructions.fields(index)
        reference = instructions.get_metadata(index, REFERENCE)
        if reference is not None:
            names.add(reference.name)
        elif kind == CallKind.HELPER:
            names.add(Helper(constant).name)
    return names


@pytest.mark.requires("timers")
async def test_a_program_read_back_names_its_functions_helpers_and_maps() -> None:
    async with aiobpf.load(OBJECTS / "kernel_values.bpf.o", programs=["set_alarm"]) as coll:
        info = await coll.programs["set_alarm"].info(names=True)
    code = info.instructions
    assert set(code.functions()) == {"set_alarm", "ring"}
    assert {"TIMER_INIT", "TIMER_SET_CALLBACK", "TIMER_START"} <= called(code)
    loads = {
        reference.name: index for index, reference in code.with_key(REFERENCE) if code.fields(index)[0] == LD_IMM64
    }
    assert {"alarms", "ring"} <= loads.keys()
    assert code.fields(loads["ring"])[2] == asm.Pseudo.FUNC
    text = str(code)
    assert "call bpf_timer_init#169" in text
    assert "= <alarms> ll" in text
    assert "; \tif (!alarm)" in text or "; if (!alarm)" in text


async def test_the_address_of_a_variable_is_named_by_the_variable() -> None:
    async with aiobpf.load(OBJECTS / "globals.bpf.o", programs=["count"]) as coll:
        code = (await coll.programs["count"].info()).instructions
    named = {(reference.name, reference.variable) for _, reference in code.with_key(REFERENCE)}
    assert {(".data", "limits"), (".bss", "counters"), (".data.custom", "custom")} <= named
    assert "<custom@.data.custom+0> ll" in str(code)


async def test_calls_between_functions_lead_where_they_led_before() -> None:
    """The kernel leaves a number of the function in their place; encoded again, they are distances."""
    spec = aiobpf.read_spec(OBJECTS / "subprograms.bpf.o").programs["first"]
    async with Program.load(spec) as program:
        code = (await program.info()).instructions
    assert called(code) == {"middle", "hidden", "leaf", "global_leaf"}
    encoded = Instructions.decode(code.encode())
    for index in code.find(0x85, CallKind.FUNCTION):
        reference = code.get_metadata(index, REFERENCE)
        assert reference is not None
        assert encoded.target_of(index) == code.functions()[reference.name].start


@pytest.mark.requires("task kfuncs")
async def test_kernel_functions_that_a_program_calls_are_named() -> None:
    spec = aiobpf.read_spec(OBJECTS / "kfuncs.bpf.o").programs["flavours"]
    async with Program.load(spec) as program:
        code = (await program.info(names=True)).instructions
        assert {"bpf_task_from_pid", "bpf_task_release"} <= called(code)
        assert called((await program.info()).instructions) == set(), "not without being asked: it takes time"


async def test_machine_code_is_told_by_function_with_the_addresses_that_kallsyms_has() -> None:
    spec = aiobpf.read_spec(OBJECTS / "subprograms.bpf.o").programs["first"]
    async with Program.load(spec) as program:
        info = await program.info()
        symbols = kernel.Kallsyms.read()
    assert [function.name for function in info.functions] == list(info.instructions.functions())
    assert b"".join(function.code for function in info.functions) == info.kernel.jited
    tags = [info.kernel.tag, *info.kernel.function_tags[1:]]  # the entry stands there under the whole program's
    for function, tag in zip(info.functions, tags, strict=True):
        found = symbols.at(function.address)
        assert found is not None
        assert (found[0].name, found[1]) == (f"bpf_prog_{tag.hex()}_{function.name}", 0)


async def test_the_source_line_of_a_machine_address_is_known() -> None:
    spec = aiobpf.read_spec(OBJECTS / "subprograms.bpf.o").programs["first"]
    async with Program.load(spec) as program:
        info = await program.info()
    leaf = next(function for function in info.functions if function.name == "leaf")
    assert [offset for offset, _ in leaf.lines] == sorted(offset for offset, _ in leaf.lines)
    last = leaf.line_at(leaf.address + len(leaf.code) - 1)
    assert last is not None
    assert last.text.strip() == "return x * 2;"
    assert leaf.line_at(leaf.address - 1) is None
    assert sum(len(function.lines) for function in info.functions) == sum(1 for _ in info.instructions.with_key(LINE))


async def test_numbers_agree_with_bpftool() -> None:
    bpftool = shutil.which("bpftool")
    if bpftool is None:
        pytest.skip("no bpftool")
    async with aiobpf.load(OBJECTS / "globals.bpf.o", programs=["count"]) as coll:
        info = await coll.programs["count"].info()
        output = subprocess.run(
            [bpftool, "-j", "prog", "show", "id", str(info.id)], check=True, capture_output=True, text=True
        ).stdout
    told: dict[str, Any] = json.loads(output)
    assert info.tag == told["tag"]
    assert info.uid == told["uid"] == os.getuid()
    assert info.memlock == told["bytes_memlock"]
    assert sorted(info.map_ids) == sorted(told["map_ids"])
    assert info.kernel.btf_id == told["btf_id"]
    assert (info.kernel.xlated_size, info.kernel.jited_size) == (told["bytes_xlated"], told["bytes_jited"])
    assert abs(time.clock_gettime_ns(time.CLOCK_BOOTTIME) - info.load_time_ns) < 60e9
    if kernel.kernel_release() >= (5, 16):
        assert info.verified_instructions >= info.kernel.xlated_size // 16


async def test_programs_and_maps_are_among_those_that_the_kernel_lists() -> None:
    async with aiobpf.load(OBJECTS / "globals.bpf.o", programs=["count"]) as coll:
        number = (await coll.programs["count"].info()).id
        maps = {map_.info().id for map_ in coll.maps.values()}
        programs = list(Program.ids())
        assert programs == sorted(programs)
        assert number in programs
        assert maps <= set(Map.ids())
        async with Program.from_id(number) as again:
            assert again.name == "count"


async def test_a_link_is_among_those_that_the_kernel_lists() -> None:
    async with (
        Program.load(TRACED) as program,
        program.attach(aiobpf.link.RawTracepoint("sys_enter")) as link,
    ):
        assert (await link.info()).id in set(kernel.all_ids(kernel.ObjectKind.LINK))


async def test_the_types_of_a_program_are_read_by_it_and_by_id() -> None:
    async with aiobpf.load(OBJECTS / "globals.bpf.o", programs=["count"]) as coll:
        program = coll.programs["count"]
        types = await program.types()
        assert types is not None
        assert types.by_name("count", aiobpf.btf.Function).name == "count"
        number = (await program.info()).kernel.btf_id
        listed = {each.id: each for each in kernel.btf_objects()}
        assert not listed[number].is_kernel
        again = await aiobpf.kernel_btf(id=number)
        assert again.raw == types.raw
    with pytest.raises(FileNotFoundError):
        await aiobpf.kernel_btf(id=number + 1_000_000)
    with pytest.raises(ValueError, match="not both"):
        await aiobpf.kernel_btf("veth", id=1)


async def test_a_program_without_types_has_none() -> None:
    spec = aiobpf.read_spec(OBJECTS / "no_btf.bpf.o").programs["advance"]
    async with Program.load(spec) as program:
        assert await program.types() is None
        info = await program.info()
        assert [function.name for function in info.functions] == ["", ""]


async def test_the_kernels_own_types_have_an_id_too() -> None:
    named = {each.name: each.id for each in kernel.btf_objects() if each.is_kernel}
    if "vmlinux" not in named:
        pytest.skip("the kernel's own types are no objects before 5.11")
    assert await aiobpf.kernel_btf(id=named["vmlinux"]) is await aiobpf.kernel_btf()


def loadable() -> Iterator[tuple[str, str]]:
    for name in ("globals", "subprograms", "kernel_values", "no_btf", "externs"):
        for program in ("count", "sum", "first", "second", "count_twice", "take_addresses", "advance", "configuration"):
            if program in aiobpf.read_spec(OBJECTS / f"{name}.bpf.o").programs:
                yield name, program


@pytest.mark.parametrize(("name", "program"), list(loadable()))
async def test_a_program_is_known_for_what_it_was_made_from(name: str, program: str) -> None:
    """By the kernel's own tag: maps, whatever they are, and kernel addresses count as they are here."""
    spec = aiobpf.read_spec(OBJECTS / f"{name}.bpf.o")
    async with aiobpf.load(spec, programs=[program]) as coll:
        loaded = coll.programs[program]
        assert await loaded.is_made_from(spec.programs[program])
        changed = spec.programs[program].copy()
        changed.instructions.insert(0, asm.mov(R0, 0))
        assert not await loaded.is_made_from(changed)
        changed = spec.programs[program].copy()
        changed.type = ProgramType.SCHED_ACT
        assert not await loaded.is_made_from(changed)


async def test_a_program_of_another_process_is_read_as_well() -> None:
    code = Instructions([asm.mov(R0, 5), asm.exit_()])
    spec = ProgramSpec(name="theirs", type=ProgramType.SOCKET_FILTER, license="GPL", instructions=code)
    async with Program.load(spec) as program:
        number = (await program.info()).id
        async with Program.from_id(number) as again:
            assert (await again.info()).instructions == (await program.info()).instructions
            assert await again.is_made_from(spec)
