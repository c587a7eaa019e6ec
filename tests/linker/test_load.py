"""Linked objects in the kernel, and objects that were not linked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import aiobpf
from aiobpf import asm
from aiobpf.asm import SYMBOL, Instructions
from aiobpf.btf import FUNCTION_INFO, Function, Linkage
from aiobpf.errors import UnresolvedSymbolError
from aiobpf.kernel.release import kernel_version_code
from aiobpf.spec import EXTERN, Extern, ExternKind

if TYPE_CHECKING:
    from pathlib import Path

PACKET = bytes(64)

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


@pytest.mark.requires("bounded loops")
async def test_a_program_calls_writes_and_fills_what_another_object_has(together: list[Path]) -> None:
    async with aiobpf.load(aiobpf.link_objects(together)) as coll:
        result = await coll.programs["front"].run(PACKET)
        add_up = (1 + 20) + 3 + 1  # back's static function, front's variable, a type that every kernel has
        assert result.retval == add_up + (1 + 300) + (1 + 1) + (1 + 4000)
        totals = coll.variables["totals"].value
        assert (totals.count, totals.bytes, totals.by_kind) == (7, 0 + 1 + 2 + 3, [0, 0, 50, 0])
        assert coll.variables["custom"].value == 101
        assert (coll.variables["front_rounds"].value, coll.variables["back_rounds"].value) == (1, 1)
        assert coll.maps["shared"][ord("f")].count == 3

        result = await coll.programs["back"].run(PACKET)
        assert result.retval == (2 + 20) + 3 + 1 + (2 + 20) + (2 + 300)
        own = coll.maps["shared"][ord("b")]
        assert (own.count, own.bytes) == (50, 40 + 2)


@pytest.mark.requires("bounded loops")
async def test_a_callback_of_another_object_must_be_hidden(together: list[Path]) -> None:
    linked = aiobpf.link_objects(together)
    instructions = linked.programs["front"].instructions
    start = instructions.functions()["each_round"].start
    hidden = instructions.get_metadata(start, FUNCTION_INFO)
    assert hidden is not None
    shown = Function(hidden.name, hidden.type, Linkage.GLOBAL)
    instructions.set_metadata(start, FUNCTION_INFO, shown)
    with pytest.raises(aiobpf.VerifierError, match="program 'front' was rejected"):  # the words differ by kernel
        async with aiobpf.load(linked):
            pass


@pytest.mark.requires("bounded loops")
async def test_kernel_values_and_relocations_of_both_objects_are_answered(front: Path, back: Path) -> None:
    async with aiobpf.load(aiobpf.link_objects([back, front])) as coll:
        version = kernel_version_code()
        assert (await coll.programs["front_kernel"].run(PACKET)).retval == version
        assert (await coll.programs["back_kernel"].run(PACKET)).retval == version
        kernel = await aiobpf.kernel_btf()
        task = kernel.by_name("task_struct", aiobpf.btf.Struct)
        offset = next(member.offset for member in task.members if member.name == "tgid")
        assert (await coll.programs["front_offset"].run(PACKET)).retval == offset


async def test_a_tail_call_goes_to_the_other_objects_program(tables: Path, back: Path) -> None:
    async with aiobpf.load(aiobpf.link_objects([tables, back]), programs=["jump", "back_tail"]) as coll:
        assert (await coll.programs["jump"].run(PACKET)).retval == 77
        async with coll.maps["outer"][1] as inner:
            assert inner.max_entries == 1


async def test_an_object_that_was_not_linked_names_what_is_missing(front: Path) -> None:
    spec = aiobpf.read_spec(front)
    with pytest.raises(UnresolvedSymbolError, match=r"program 'front' needs .* 'custom'.*link_objects") as caught:
        async with aiobpf.load(spec, programs=["front"]):
            pass
    assert caught.value.symbol == "custom"
    with pytest.raises(UnresolvedSymbolError, match=r"program 'front' needs variable 'custom'"):
        await aiobpf.Program.load(spec.programs["front"])
    async with aiobpf.load(spec, programs=["front_offset"]) as coll:  # which needs nothing of others
        assert (await coll.programs["front_offset"].run(PACKET)).retval > 0


async def test_a_map_that_is_to_hold_what_is_missing(tables: Path) -> None:
    with pytest.raises(
        UnresolvedSymbolError, match=r"map 'jumps' is to hold function 'back_tail', which its object only"
    ):
        async with aiobpf.load(tables):
            pass


async def test_a_body_appended_by_hand_serves_a_call_of_what_was_only_declared(back: Path) -> None:
    spec = aiobpf.read_spec(back)
    program = Instructions([asm.mov(asm.R1, 1), asm.call_function("helper"), asm.exit_()])
    program.set_metadata(0, SYMBOL, "caller")
    extern = Extern("helper", ExternKind.FUNCTION)
    program.set_metadata(1, EXTERN, extern)
    made = aiobpf.ProgramSpec(
        name="caller", type=aiobpf.ProgramType.SOCKET_FILTER, instructions=program, license="GPL", maps=spec.maps
    )
    with pytest.raises(
        UnresolvedSymbolError, match=r"program 'caller' needs function 'helper'.*append its instructions"
    ):
        await aiobpf.Program.load(made)
    body = Instructions([asm.mov(asm.R0, 9), asm.add(asm.R0, asm.R1), asm.exit_()])
    body.set_metadata(0, SYMBOL, "helper")
    made.instructions.extend(body)
    async with aiobpf.Program.load(made) as loaded:
        assert (await loaded.run(PACKET)).retval == 10


async def test_surplus_bytes_of_an_old_definition_are_kept_for_the_caller(front: Path) -> None:
    spec = aiobpf.read_spec(front.parent.parent / "legacy_extra.bpf.o")
    assert spec.maps["pinned"].extra == (7).to_bytes(4, "little") + (2).to_bytes(4, "little")
    assert spec.maps["plain"].extra == b""
    with pytest.raises(aiobpf.SpecError, match=r"map 'pinned': its definition has 8 bytes"):
        async with aiobpf.load(spec):
            pass
    spec.maps["pinned"].extra = b""
    async with aiobpf.load(spec) as coll:
        await coll.programs["store"].run(PACKET)
        assert coll.maps["pinned"][0] == (6).to_bytes(8, "little")


async def test_a_map_with_surplus_bytes_is_made_once_its_caller_has_taken_them() -> None:
    spec = aiobpf.MapSpec(
        name="old", type=aiobpf.MapType.ARRAY, key_size=4, value_size=4, max_entries=1, extra=b"\1\0\0\0"
    )
    with pytest.raises(aiobpf.SpecError, match=r"map 'old': its definition has 4 bytes .*\.extra = b''"):
        await aiobpf.Map.create(spec)
    spec.extra = b""
    async with aiobpf.Map.create(spec) as made:
        assert made[0] == bytes(4)
