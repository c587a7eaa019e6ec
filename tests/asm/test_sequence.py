"""A program is a mutable sequence like a list."""

from __future__ import annotations

import copy

import pytest

from aiobpf import asm
from aiobpf.asm import Instruction, Instructions
from aiobpf.errors import AsmError

ITEMS = [
    asm.mov(asm.R0, 0).with_symbol("f"),
    asm.ld_imm64(asm.R1, 1).with_comment("one"),
    asm.mov(asm.R0, 2),
    asm.ld_imm64(asm.R1, 3),
    asm.exit_().with_comment("end"),
]


@pytest.fixture
def program() -> Instructions:
    return Instructions(ITEMS)


def test_reading(program: Instructions) -> None:
    assert len(program) == 5
    assert program.slot_count == 7
    assert program[-1] == ITEMS[-1]
    assert program[1:-1] == Instructions(ITEMS[1:-1])
    assert list(program[::-2]) == ITEMS[::-2]
    assert list(program[3:1]) == []
    assert list(reversed(program)) == ITEMS[::-1]
    assert ITEMS[1] in program
    assert program.index(ITEMS[3]) == 3
    assert repr(program) == "<Instructions: 5 in 7 slots>"
    for index in (5, -6):
        with pytest.raises(IndexError, match=f"instruction {index} of 5"):
            program[index]
    with pytest.raises(IndexError):
        program.slot_of(6)


def test_editing_is_what_a_list_does(program: Instructions) -> None:
    items = ITEMS[:]
    for sequence in (program, items):
        assert isinstance(sequence, (Instructions, list))
        sequence.insert(1, asm.mov(asm.R5, 5))
        sequence.insert(-100, asm.mov(asm.R6, 6))
        sequence.insert(100, asm.mov(asm.R7, 7))
        sequence[2] = asm.ld_imm64(asm.R8, 8)
        sequence[-1] = asm.mov(asm.R8, 9)
        sequence[1:3] = [asm.mov(asm.R3, 3)]
        sequence[5:2] = [asm.mov(asm.R4, 4)]
        sequence[::3] = [asm.mov(asm.R9, 1), asm.ld_imm64(asm.R9, 2), asm.mov(asm.R9, 3)]
        del sequence[0]
        del sequence[-1]
        del sequence[1::2]
        sequence.extend(ITEMS[:2])
        sequence += [asm.exit_()]
        assert sequence.pop(0) is not None
        sequence.remove(asm.exit_())
    assert list(program) == items
    program.clear()
    assert program == Instructions()


def test_adding_makes_a_new_program(program: Instructions) -> None:
    both = program + [asm.exit_()]  # noqa: RUF005 - the operator is what is tested
    assert list(both) == [*ITEMS, asm.exit_()]
    assert list(program) == ITEMS
    with pytest.raises(TypeError):
        program + 1  # type: ignore[operator]


def test_a_program_may_be_put_into_itself(program: Instructions) -> None:
    program.extend(program)
    program[1:1] = program
    assert list(program) == [ITEMS[0], *ITEMS, *ITEMS, *ITEMS[1:], *ITEMS]


def test_equality_counts_metadata(program: Instructions) -> None:
    assert program == Instructions(ITEMS)
    assert program != ITEMS
    other = program.copy()
    other.set_metadata(2, asm.COMMENT, "new")
    assert other != program
    other = program.copy()
    other.set_metadata(2, asm.LABEL, "new")
    assert other != program
    for copied in (copy.copy(program), copy.deepcopy(program)):
        assert copied == program
        assert copied is not program


def test_what_is_no_instruction_is_refused(program: Instructions) -> None:
    with pytest.raises(TypeError, match="not str"):
        program[0] = "exit"  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="several"):
        program[0:1] = asm.exit_()  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="1 instructions for an extended slice of 3"):
        program[::2] = [asm.exit_()]
    assert program == Instructions(ITEMS)


def test_patching_changes_fields_and_keeps_metadata(program: Instructions) -> None:
    program.patch(0, dst=3, constant=0xFFFF_FFFE)
    program.patch(1, src=asm.Pseudo.MAP_VALUE, constant=7 | 8 << 32)
    program.patch(2, opcode=asm.mov(asm.R0, asm.R1).opcode, src=4)
    program.patch(-1, offset=-5)
    assert list(program) == [
        asm.mov(asm.R3, -2).with_symbol("f"),
        asm.load_map_value(asm.R1, "", 8, 7).with_reference(None).with_comment("one"),
        asm.mov(asm.R0, asm.R4).evolve(constant=2),
        ITEMS[3],
        asm.exit_().evolve(offset=-5).with_comment("end"),
    ]


def test_a_patch_that_does_not_fit_changes_nothing(program: Instructions) -> None:
    with pytest.raises(AsmError, match="does not fit 32 bits"):
        program.patch(0, dst=2, constant=1 << 32)
    with pytest.raises(AsmError, match="offset 40000"):
        program.patch(0, offset=40000)
    with pytest.raises(AsmError, match="cannot change the width"):
        program.patch(0, opcode=0x18)
    with pytest.raises(AsmError, match="cannot change the width"):
        program.patch(1, opcode=0xB7)
    with pytest.raises(IndexError):
        program.patch(5, constant=1)
    assert program == Instructions(ITEMS)


def test_finding_by_opcode_counts_no_second_half(program: Instructions) -> None:
    assert list(program.find(0x18)) == [1, 3]
    assert list(program.find(0x18, src=1)) == []
    assert list(program.find(0x95)) == [4]
    assert list(program.find(0x00)) == []
    program.append(Instruction(0, 0, 2))
    assert list(program.find(0x00, src=2)) == [5]
