"""Programs: written by hand or read from an object, run by the kernel, and refused by it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aiobpf import asm
from aiobpf.asm import R0, R1, R10, Instructions
from aiobpf.btf import LINE
from aiobpf.elf import read_spec
from aiobpf.errors import ClosedError, NotSupportedError, SpecError, UnresolvedSymbolError, VerifierError
from aiobpf.runtime import MAP, LoadOptions, LogPolicy, Map, Program
from aiobpf.spec import MapSpec, ProgramSpec
from aiobpf.uapi import MapType, ProgramType

OBJECTS = Path(__file__).parent.parent / "objects"
PACKET = bytes(64)

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


def filter_spec(*instructions: asm.Instruction, name: str = "by_hand") -> ProgramSpec:
    return ProgramSpec(
        name=name, type=ProgramType.SOCKET_FILTER, license="GPL", instructions=Instructions(instructions)
    )


async def test_a_program_written_in_python_runs() -> None:
    async with Program.load(filter_spec(asm.mov(R0, 42), asm.exit_())) as program:
        result = await program.run(PACKET, repeat=3)
        assert result.retval == 42
        info = await program.info()
        assert info.name == "by_hand"
        assert len(info.instructions) == 2
        Program.from_id(info.id).close()


async def test_one_program_of_an_object_brings_its_own_maps() -> None:
    spec = read_spec(OBJECTS / "globals.bpf.o")
    before = spec.copy()
    async with Program.load(spec.programs["count"]) as program:
        await program.run(PACKET)
        assert {m.name for m in program.maps} == {
            ".rodata", ".data", ".bss", ".data.custom", ".rodata.net", ".bss.late"
        }  # fmt: skip
    assert spec == before


@pytest.mark.requires("loops")
async def test_functions_called_across_sections_and_callbacks_run() -> None:
    spec = read_spec(OBJECTS / "subprograms.bpf.o")
    length = len(PACKET) - 14  # a socket filter sees the packet behind its Ethernet header
    async with Program.load(spec.programs["first"]) as first:
        result = await first.run(PACKET)
        n = result.retval
        assert n in {2 * x + x + 1 + 2 * x - 1 for x in (length, len(PACKET))}
        functions = (await first.info()).instructions.functions()
        assert set(functions) == {"first", "middle", "leaf", "global_leaf", "hidden"}
    async with Program.load(spec.programs["loops"]) as loops:
        assert (await loops.run(PACKET)).retval == sum(2 * i for i in range(8))


async def test_a_hidden_function_is_verified_with_what_its_caller_passes() -> None:
    spec = read_spec(OBJECTS / "visibility.bpf.o")
    async with Program.load(spec.programs["with_hidden"]) as program:
        assert (await program.run(PACKET)).retval == 11
    with pytest.raises(VerifierError, match=r"R1|Arg#0"):  # the same code, by its prototype alone
        await Program.load(spec.programs["with_global"])


async def test_source_lines_come_back_from_the_kernel() -> None:
    spec = read_spec(OBJECTS / "subprograms.bpf.o")
    async with Program.load(spec.programs["first"]) as program:
        lines = [line for _, line in (await program.info()).instructions.with_key(LINE)]
    assert any("return x * 2;" in line.text for line in lines)
    assert any(line.file_name.endswith("subprograms.bpf.c") for line in lines)


async def test_two_programs_joined_carry_the_notes_of_both() -> None:
    """Metadata travels: nothing is said about offsets, and the kernel gives both functions' lines back."""
    spec = read_spec(OBJECTS / "subprograms.bpf.o")
    first = spec.programs["first"]
    prologue = Instructions([asm.mov(asm.R9, 7).with_comment("put in front by hand")])
    joined = first.instructions.copy()
    head = joined[0]
    joined[0] = prologue[0].evolve(metadata=head.metadata).with_comment("put in front by hand")
    joined.insert(1, head.evolve(metadata=asm.EMPTY))
    first.instructions = joined
    async with Program.load(first) as program:
        instructions = (await program.info()).instructions
    texts = [line.text for _, line in instructions.with_key(LINE)]
    assert any("put in front by hand" in text for text in texts)
    assert any("return x * 2;" in text for text in texts)
    assert {"first", "leaf", "middle"} <= set(instructions.functions())


async def test_a_function_by_hand_keeps_the_types_of_compiled_ones() -> None:
    spec = read_spec(OBJECTS / "subprograms.bpf.o")
    compiled = spec.programs["first"]
    compiled.instructions.insert(1, asm.call_function("7th helper"))
    compiled.instructions.extend([asm.mov(R0, 0).with_symbol("7th helper"), asm.exit_()])
    async with Program.load(compiled) as program:
        instructions = (await program.info()).instructions
    assert {"first", "leaf", "_7th_helper"} <= set(instructions.functions())
    assert any("return x * 2;" in line.text for _, line in instructions.with_key(LINE))

    leaf = spec.programs["first"].instructions
    where = leaf.functions()["leaf"]
    by_hand = Instructions([asm.mov(R1, 21), asm.call_function("leaf"), asm.exit_(), *leaf[where.start : where.stop]])
    async with Program.load(
        ProgramSpec(name="by_hand", type=ProgramType.SOCKET_FILTER, license="GPL", instructions=by_hand)
    ) as program:
        assert (await program.run(PACKET)).retval == 42
        assert "leaf" in (await program.info()).instructions.functions()


async def test_a_refused_program_says_where_and_why() -> None:
    spec = read_spec(OBJECTS / "rejected.bpf.o")
    with pytest.raises(VerifierError) as caught:
        await Program.load(spec.programs["unchecked"])
    error = caught.value
    assert error.program == "unchecked"
    assert error.instruction is not None
    assert "map_value_or_null" in error.reason
    assert error.source is not None
    assert "rejected.bpf.c:18" in error.source
    assert "NULL" in str(error)
    assert "processed" in error.log
    assert isinstance(error, OSError)


async def test_a_comment_is_found_in_the_verifier_log() -> None:
    spec = filter_spec(asm.mov(R0, 0).with_comment("the author's own remark"), asm.ldx(8, R0, R1, 4096), asm.exit_())
    with pytest.raises(VerifierError, match="invalid bpf_context access") as caught:
        await Program.load(spec)
    assert "; the author's own remark" in caught.value.log


async def test_the_log_grows_until_it_fits() -> None:
    instructions = [asm.mov(R0, i) for i in range(2000)]
    spec = filter_spec(*instructions, asm.ldx(8, R0, R1, 4096), asm.exit_())
    with pytest.raises(VerifierError) as caught:
        await Program.load(spec, LoadOptions(log=LogPolicy(level=2, size=64)))
    assert caught.value.instruction == 2000
    assert len(caught.value.log) > 10_000


async def test_the_log_of_a_program_that_loads_is_kept_on_request() -> None:
    spec = filter_spec(asm.mov(R0, 0), asm.exit_())
    async with Program.load(spec, LoadOptions(log=LogPolicy(level=2, always=True))) as program:
        assert "processed 2 insns" in program.log
    async with Program.load(spec) as program:
        assert program.log == ""


async def test_a_map_on_an_instruction_is_the_one_that_is_used() -> None:
    spec = MapSpec(name="counter", type=MapType.ARRAY, key_size=4, value_size=8, max_entries=1)
    async with Map.create(spec) as counter:
        program = filter_spec(
            asm.st(4, R10, -4, 0),
            asm.mov(asm.R2, R10),
            asm.add(asm.R2, -4),
            asm.load_map_ptr(R1, "unknown to anyone").with_metadata(MAP, counter),
            asm.call_helper("map_lookup_elem"),
            asm.jeq(R0, 0, "out"),
            asm.mov(R1, 1),
            asm.atomic_add(8, R0, R1),
            asm.mov(R0, 0).with_label("out"),
            asm.exit_(),
        )
        async with Program.load(program) as loaded:
            await loaded.run(PACKET, repeat=5)
        assert int.from_bytes(counter[0], "little") == 5


async def test_a_map_that_nobody_has_is_named() -> None:
    spec = filter_spec(asm.load_map_ptr(R1, "absent"), asm.mov(R0, 0), asm.exit_())
    with pytest.raises(UnresolvedSymbolError, match="'absent'") as caught:
        await Program.load(spec)
    assert caught.value.symbol == "absent"


async def test_a_program_for_the_other_byte_order_is_refused_before_the_kernel() -> None:
    spec = read_spec(OBJECTS / "globals.eb.bpf.o")
    with pytest.raises(NotSupportedError, match="big-endian"):
        await Program.load(spec.programs["count"])


async def test_a_section_without_meaning_is_named() -> None:
    spec = read_spec(OBJECTS / "sections.bpf.o")
    unknown = next(p for p in spec.programs.values() if p.section == "my_own/section")
    with pytest.raises(SpecError, match="my_own/section"):
        await Program.load(unknown)


@pytest.mark.slow
async def test_a_tracepoint_that_is_not_there_is_named() -> None:
    spec = read_spec(OBJECTS / "sections.bpf.o")
    program = next(p for p in spec.programs.values() if p.section == "tp_btf/sched_process_exec")
    program.attach_to = "sched_process_exek"
    with pytest.raises(UnresolvedSymbolError, match="did you mean 'sched_process_exec'"):
        await Program.load(program)


async def test_core_answers_come_from_the_running_kernel() -> None:
    """Every kind of relocation, asked by a raw tracepoint that this test makes fire."""
    import aiobpf
    from aiobpf.link import RawTracepoint

    async with aiobpf.load(OBJECTS / "core.bpf.o") as coll:
        async with coll.programs["ask"].attach(RawTracepoint("sys_enter")):
            for _ in range(50):
                os.getppid()
            answer = coll.variables["answer"].value
        vmlinux = await aiobpf.kernel_btf()
    task = vmlinux.by_name("task_struct", aiobpf.btf.Struct)
    offsets = {member.name: member.offset for member in task.members}
    assert answer.numbers[0] == task.size
    assert answer.numbers[1] == offsets["real_parent"]
    assert answer.numbers[2] == 16
    assert answer.numbers[3] == 27
    assert answer.numbers[5] == vmlinux.id_of(task)
    assert answer.numbers[6] == 0
    assert (
        answer.flags == 0b101
    )  # mm_struct is there, and the enumerator; the kernel's mm_struct wraps its fields, so nothing matches


async def test_a_poisoned_relocation_is_named_with_its_field() -> None:
    spec = read_spec(OBJECTS / "core.bpf.o")
    guarded = spec.programs["guarded"]
    # The guard is cut away: what it guarded is reached, and the verifier stumbles over the poison.
    for index in range(len(guarded.instructions)):
        if guarded.instructions[index].is_jump and not guarded.instructions[index].is_function_call:
            guarded.instructions.replace_operation(index, asm.mov(asm.R3, 0))
            break
    try:
        await (await Program.load(guarded)).aclose()
    except VerifierError as error:
        assert "no_such_struct.field" in str(error)
        assert "bpf_core_field_exists" in str(error)
    else:
        pytest.fail("the poisoned program was accepted")


async def test_a_closed_program_says_so() -> None:
    program = await Program.load(filter_spec(asm.mov(R0, 0), asm.exit_()))
    await program.aclose()
    await program.aclose()
    with pytest.raises(ClosedError, match="'by_hand'"):
        program.fileno()
    with pytest.raises(ClosedError):
        await program.run(PACKET)


async def test_an_alone_program_is_told_where_to_attach() -> None:
    async with Program.load(filter_spec(asm.mov(R0, 0), asm.exit_())) as program:
        with pytest.raises(SpecError, match="'by_hand'"):
            program.attach()


async def test_stats_count_while_they_are_enabled() -> None:
    from aiobpf.kernel import enable_stats

    async with Program.load(filter_spec(asm.mov(R0, 0), asm.exit_())) as program:
        with enable_stats():
            await program.run(PACKET, repeat=10)
        assert program.stats().run_count >= 10


async def test_a_program_alone_is_told_where_to_attach() -> None:
    code = Instructions([asm.mov(R0, 0), asm.exit_()])
    spec = ProgramSpec(
        name="alone", type=ProgramType.RAW_TRACEPOINT, license="GPL", instructions=code, section="raw_tp/sys_enter",
        attach_to="sys_enter",
    )  # fmt: skip
    async with Program.load(spec) as program:
        with pytest.raises(SpecError, match=r"program 'alone' was loaded by itself.*kind_of\(spec\)"):
            program.attach()


async def test_comments_of_a_program_by_hand_are_its_source_lines() -> None:
    spec = filter_spec(asm.mov(R0, 5).with_comment("the answer"), asm.exit_())
    async with Program.load(spec) as program:
        info = await program.info()
        assert [(index, line.text) for index, line in info.instructions.with_key(LINE)] == [(0, "the answer")]
        assert "; the answer" in str(info.instructions)
    spec.instructions.insert(1, asm.mov(R0, asm.R3).with_comment("never set"))
    with pytest.raises(VerifierError, match="never set") as caught:
        await Program.load(spec)
    assert caught.value.source == "never set"
    assert "; never set" in caught.value.log
