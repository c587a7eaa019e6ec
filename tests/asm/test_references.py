"""Names become distances when a program is encoded."""

from __future__ import annotations

import pytest

from aiobpf import asm
from aiobpf.asm import Instructions
from aiobpf.errors import AsmError

CALLER = Instructions([asm.call_function("callee").with_symbol("caller"), asm.exit_()])
CALLEE = Instructions(
    [
        asm.ld_imm64(asm.R0, 1).with_symbol("callee"),
        asm.jeq(asm.R1, 0, "out"),
        asm.mov(asm.R0, 2),
        asm.exit_().with_label("out"),
    ]
)


def targets(program: Instructions) -> dict[int, int]:
    encoded = Instructions.decode(program.encode())
    found = {index: encoded.target_of(index) for index in range(len(encoded))}
    return {index: target for index, target in found.items() if target is not None}


def test_functions_are_found_wherever_they_stand() -> None:
    assert targets(CALLER + CALLEE) == {0: 2, 3: 5}
    assert targets(CALLEE + CALLER) == {1: 3, 4: 0}


def test_encoding_changes_nothing() -> None:
    program = CALLER + CALLEE
    before = program.copy()
    assert program.encode() == program.encode()
    assert program.encode("big") == program.encode("big")
    assert program == before


def test_a_function_missing_or_twice_is_named() -> None:
    with pytest.raises(AsmError, match="slot 0 refers to function 'callee', which the program does not have"):
        CALLER.encode()
    with pytest.raises(AsmError, match=r"function 'callee', which the program has more than once \(slots 2, 7\)"):
        (CALLER + CALLEE + CALLEE).encode()


def test_labels_belong_to_their_function() -> None:
    other = CALLEE.copy()
    other.set_metadata(0, asm.SYMBOL, "other")
    assert targets(CALLER + CALLEE + other) == {0: 2, 3: 5, 7: 9}


def test_a_label_of_another_function_is_not_found() -> None:
    program = Instructions(
        [asm.ja("there").with_symbol("a"), asm.exit_(), asm.exit_().with_symbol("b").with_label("there")]
    )
    with pytest.raises(AsmError, match="slot 0 refers to label 'there', which the program does not have"):
        program.encode()


def test_a_label_twice_in_a_function_is_refused() -> None:
    program = Instructions([asm.ja("x"), asm.exit_().with_label("x"), asm.exit_().with_label("x")])
    with pytest.raises(AsmError, match=r"label 'x', which the program has more than once \(slots 1, 2\)"):
        program.encode()


def test_a_jump_may_name_a_symbol() -> None:
    program = Instructions(
        [asm.jeq(asm.R1, 0, "end"), asm.gotol("end"), asm.may_goto("end"), asm.exit_().with_symbol("end")]
    )
    assert targets(program) == {0: 3, 1: 3, 2: 3}


def test_a_callback_is_found_by_name() -> None:
    program = Instructions([asm.load_function(asm.R2, "callee"), asm.exit_()]) + CALLEE
    assert targets(program) == {0: 2, 3: 5}
    backwards = CALLEE + Instructions([asm.load_function(asm.R2, "callee"), asm.exit_()])
    assert Instructions.decode(backwards.encode())[4].constant == 0x1_0000_0000 - 6


def test_a_label_too_far_for_a_jump_is_refused_with_the_way_out() -> None:
    far = [asm.mov(asm.R0, 0)] * 0x8000
    with pytest.raises(AsmError, match=r"slot 0: a jump over 32768 slots does not fit 16 bits \(use gotol\)"):
        Instructions([asm.ja("end"), *far, asm.exit_().with_label("end")]).encode()
    assert targets(Instructions([asm.gotol("end"), *far, asm.exit_().with_label("end")])) == {0: 0x8001}


def test_references_of_others_are_encoded_as_they_stand() -> None:
    program = Instructions(
        [asm.load_map_ptr(asm.R1, "events"), asm.call_kfunc("bpf_task_release"), asm.call_helper(1).with_reference("x")]
    )
    stripped = Instructions(instruction.with_reference(None) for instruction in program)
    assert program.encode() == stripped.encode()


def test_functions_and_references_are_listed() -> None:
    program = CALLER + CALLEE
    assert program.functions() == {"caller": range(2), "callee": range(2, 6)}
    assert program.references() == {"callee": [0], "out": [3]}
    assert Instructions([asm.exit_()]).functions() == {}
    with pytest.raises(AsmError, match="function 'callee' is there twice, at instructions 0 and 4"):
        (CALLEE + CALLEE).functions()


def test_a_distance_out_of_the_program_leads_nowhere() -> None:
    with pytest.raises(AsmError, match="slot 9 is outside of the program's 2"):
        Instructions([asm.ja(8), asm.exit_()]).target_of(0)
    assert Instructions([asm.mov(asm.R0, 1)]).target_of(0) is None
    assert Instructions([asm.call_helper(1)]).target_of(0) is None
