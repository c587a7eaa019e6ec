"""Programs as text."""

from __future__ import annotations

import pytest
from attrs import frozen

from aiobpf import asm
from aiobpf.asm import COMMENT, Instruction, Instructions, Key, Reference


@frozen
class Line:
    text: str

    def __str__(self) -> str:
        return self.text


LINE: Key[Line] = Key("line", is_source=True)
SILENT: Key[str] = Key("silent")


def program() -> Instructions:
    return Instructions(
        [
            asm.mov(asm.R6, asm.R1).with_symbol("entry").with_metadata(LINE, Line("int entry(void *ctx) {")),
            asm.load_map_value(asm.R1, Reference(".rodata", "min_us"), 8).with_comment("the\nthreshold"),
            asm.jeq(asm.R6, 0, 1).with_metadata(LINE, Line("")),
            asm.call_function("count"),
            asm.ja("out").with_metadata(SILENT, "not shown"),
            asm.call_function(1),
            asm.exit_().with_label("out"),
            asm.mov(asm.R0, 0).with_symbol("count"),
            asm.exit_(),
        ]
    )


def test_a_program_shows_symbols_sources_slots_and_names() -> None:
    assert str(program()) == "\n".join(
        [
            "entry:",
            "      ; int entry(void *ctx) {",
            "   0: r6 = r1",
            "      ; the",
            "      ; threshold",
            "   1: r1 = <min_us@.rodata+8> ll",
            "   3: if r6 == 0 goto +1",
            "   4: call <count>",
            "   5: goto <out>",
            "   6: call <count>",
            "out:",
            "   7: exit",
            "count:",
            "   8: r0 = 0",
            "   9: exit",
        ]
    )


def test_any_key_may_be_shown_as_source() -> None:
    assert "; not shown" not in program().format()
    assert "      ; not shown\n   5: goto <out>" in program().format(source=SILENT)


def test_a_numeric_jump_to_a_label_shows_both() -> None:
    text = str(Instructions([asm.jne(asm.R1, 0, 0), asm.exit_().with_label("out").with_symbol("f")]))
    assert text.splitlines() == ["   0: if r1 != 0 goto +0 <f>", "f:", "out:", "   1: exit"]


def test_slots_line_up_in_long_programs() -> None:
    lines = str(Instructions([asm.exit_()] * 12000)).splitlines()
    assert (lines[0], lines[-1]) == ("     0: exit", " 11999: exit")


@pytest.mark.parametrize(
    ("instruction", "text"),
    [
        (Instruction(0xC2), ".insn 0xc2 dst=0 src=0 off=0 imm=0"),
        (Instruction(0x00), ".insn 0x00 dst=0 src=0 off=0 imm=0"),
        (Instruction(0x20 | 0x18), ".insn 0x38 dst=0 src=0 off=0 imm=0"),
        (Instruction(0x18, src=7), ".insn 0x18 dst=0 src=7 off=0 imm=0"),
        (Instruction(0x85, src=3), ".insn 0x85 dst=0 src=3 off=0 imm=0"),
        (Instruction(0xE4), ".insn 0xe4 dst=0 src=0 off=0 imm=0"),
        (Instruction(0x07, offset=2), ".insn 0x07 dst=0 src=0 off=2 imm=0"),
        (Instruction(0xBC, offset=32), ".insn 0xbc dst=0 src=0 off=32 imm=0"),
        (Instruction(0x8F), ".insn 0x8f dst=0 src=0 off=0 imm=0"),
        (Instruction(0xD7, constant=8), ".insn 0xd7 dst=0 src=0 off=0 imm=8"),
        (Instruction(0xDF, constant=16), ".insn 0xdf dst=0 src=0 off=0 imm=16"),
        (Instruction(0xE5, src=2), ".insn 0xe5 dst=0 src=2 off=0 imm=0"),
        (Instruction(0xF5), ".insn 0xf5 dst=0 src=0 off=0 imm=0"),
        (Instruction(0x99), ".insn 0x99 dst=0 src=0 off=0 imm=0"),
        (Instruction(0x83), ".insn 0x83 dst=0 src=0 off=0 imm=0"),
        (Instruction(0xC3, constant=0x33), ".insn 0xc3 dst=0 src=0 off=0 imm=51"),
        (Instruction(0xCB), ".insn 0xcb dst=0 src=0 off=0 imm=0"),
    ],
)
def test_what_means_nothing_is_shown_by_its_fields(instruction: Instruction, text: str) -> None:
    assert str(instruction) == text


@pytest.mark.parametrize(
    ("instruction", "text"),
    [
        (Instruction(0xBF, 1, 2, -1), "r1 = &(void __percpu *)(r2)"),
        (asm.load_map_ptr(asm.R1, "m", 5).with_reference(None), "r1 = map[fd:5] ll"),
        (asm.load_map_value(asm.R1, "m", 4, 5).with_reference(None), "r1 = map[fd:5][0]+4 ll"),
        (asm.ld_imm64(asm.R1, 0).with_reference("CONFIG_HZ"), "r1 = <CONFIG_HZ> ll"),
        (asm.load_btf_id(asm.R1, 3).with_reference("runqueues"), "r1 = <runqueues> ll"),
        (asm.load_function(asm.R1, "step"), "r1 = <step> ll"),
        (asm.ld_ind(asm.W, asm.R3, -2), "r0 = *(u32 *)skb[r3 - 2]"),
        (asm.call_helper(1).with_reference("weak_kfunc"), "call <weak_kfunc>"),
    ],
)
def test_forms_that_no_compiler_writes(instruction: Instruction, text: str) -> None:
    assert str(instruction) == text


def test_format_instruction_takes_the_name_of_its_target() -> None:
    assert asm.format_instruction(asm.gotol(-4), "loop") == "gotol -4 <loop>"
    assert asm.format_instruction(asm.call_function(2), "f") == "call <f>"
    assert asm.format_instruction(asm.exit_(), "f") == "exit"
    assert COMMENT.is_source
    assert not asm.SYMBOL.is_source
