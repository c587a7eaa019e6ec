"""Cutting and joining programs: jumps stay on their instruction, metadata stays with it."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiobpf import asm
from aiobpf.asm import COMMENT, SYMBOL, Instruction, Instructions, Key
from aiobpf.errors import AsmError

NUMBER: Key[int] = Key("number")


def texts(program: Instructions) -> list[str]:
    return [str(instruction) for instruction in program]


def test_inserting_between_a_jump_and_its_target_lengthens_the_jump() -> None:
    program = Instructions([asm.jeq(asm.R1, 0, 1), asm.mov(asm.R0, 1), asm.exit_()])
    program.insert(1, asm.ld_imm64(asm.R2, 5))
    assert texts(program) == ["if r1 == 0 goto +3", "r2 = 0x5 ll", "r0 = 1", "exit"]
    del program[1]
    assert texts(program) == ["if r1 == 0 goto +1", "r0 = 1", "exit"]


def test_a_backward_jump_skips_what_is_inserted_before_its_target() -> None:
    program = Instructions([asm.mov(asm.R0, 1), asm.add(asm.R0, 1), asm.jlt(asm.R0, 9, -2), asm.exit_()])
    program.insert(1, asm.mov(asm.R3, 0))
    assert program.target_of(3) == 2
    program.insert(0, asm.mov(asm.R4, 0))
    assert program.target_of(4) == 3


@pytest.mark.parametrize(
    "pointing",
    [asm.ja(2), asm.gotol(2), asm.may_goto(2), asm.call_function(2), asm.jsle32(asm.R1, asm.R2, 2)],
    ids=str,
)
def test_every_relative_form_follows(pointing: Instruction) -> None:
    program = Instructions([pointing, asm.mov(asm.R0, 1), asm.mov(asm.R0, 2), asm.exit_()])
    assert program.target_of(0) == 3
    program[1:2] = [asm.ld_imm64(asm.R0, 1), asm.mov(asm.R0, 3)]
    assert program.target_of(0) == 4
    program[1:4] = []
    assert program.target_of(0) == 1


def test_a_function_address_follows_and_keeps_its_high_half() -> None:
    program = Instructions([asm.mov(asm.R0, 0), asm.exit_(), asm.load_function(asm.R1, -3), asm.exit_()])
    assert program.target_of(2) == 0
    program.insert(1, asm.mov(asm.R0, 1))
    assert program.target_of(3) == 0
    assert program[3].constant == 0xFFFF_FFFC


def test_a_jump_to_what_is_replaced_goes_to_what_takes_its_place() -> None:
    program = Instructions([asm.ja(1), asm.mov(asm.R0, 1), asm.mov(asm.R0, 2), asm.mov(asm.R0, 3), asm.exit_()])
    program[1:3] = [asm.ld_imm64(asm.R0, 10), asm.ld_imm64(asm.R0, 20)]
    assert program.target_of(0) == 2
    program[1:3] = [asm.mov(asm.R0, 30)]
    assert program.target_of(0) == 1
    del program[1]
    assert program.target_of(0) == 1
    assert str(program[1]) == "r0 = 3"


def test_a_jump_with_a_label_is_left_to_its_label() -> None:
    program = Instructions([asm.ja("out"), asm.mov(asm.R0, 1), asm.exit_().with_label("out")])
    assert program.target_of(0) is None
    program.insert(1, asm.mov(asm.R0, 2))
    assert program[0].offset == 0
    assert Instructions.decode(program.encode()).target_of(0) == 3


def test_appending_leaves_jumps_beyond_the_end_as_they_were_written() -> None:
    program = Instructions([asm.jeq(asm.R1, 0, 1)])
    program.append(asm.mov(asm.R0, 1))
    program.extend(Instructions([asm.exit_()]))
    program += [asm.exit_()]
    assert program.target_of(0) == 2


def test_a_jump_that_would_grow_too_long_is_refused_and_nothing_changes() -> None:
    program = Instructions([asm.ja(0x7FFF), *[asm.mov(asm.R0, 1)] * 0x7FFF, asm.exit_()])
    before = program.copy()
    with pytest.raises(AsmError, match=r"slot 0: its jump would span 32768 slots"):
        program.insert(1, asm.mov(asm.R0, 2).with_comment("too much"))
    assert program == before


def test_a_jump_into_the_middle_of_an_instruction_is_no_reason_to_fail() -> None:
    program = Instructions([asm.ja(1), asm.ld_imm64(asm.R0, 1), asm.exit_()])
    with pytest.raises(AsmError, match="second half"):
        program.target_of(0)
    program[1:2] = [asm.mov(asm.R0, 1), asm.mov(asm.R0, 2), asm.mov(asm.R0, 3)]
    assert program.target_of(0) == 1


def test_replacing_an_operation_keeps_its_metadata_whatever_the_widths() -> None:
    program = Instructions(
        [
            asm.jeq(asm.R1, 0, 3),
            asm.load_map_ptr(asm.R1, "events").with_symbol("f").with_comment("why"),
            asm.mov(asm.R0, 1).with_comment("next"),
            asm.exit_().with_comment("end"),
        ]
    )
    metadata = program.metadata(1)
    program.replace_operation(1, asm.call_helper(0xBAD2310).with_comment("not taken over"))
    assert program.metadata(1) == metadata
    assert program[1].is_helper_call
    assert program.target_of(0) == 3
    assert list(program.with_key(COMMENT)) == [(1, "why"), (2, "next"), (3, "end")]
    program.replace_operation(1, asm.ld_imm64(asm.R9, 1 << 40))
    assert program.metadata(1) == metadata
    assert program[1].constant == 1 << 40
    assert program.target_of(0) == 3
    program.replace_operation(1, asm.ld_imm64(asm.R9, 2))
    assert program.metadata(1) == metadata


def test_a_poisoned_first_instruction_of_a_called_function_is_still_its_first() -> None:
    program = Instructions(
        [
            asm.call_function("guarded").with_symbol("entry"),
            asm.exit_(),
            asm.ldx(asm.W, asm.R0, asm.R1, 4).with_symbol("guarded"),
            asm.exit_(),
        ]
    )
    program.replace_operation(2, asm.call_helper(0xBAD2310))
    assert program.functions() == {"entry": range(2), "guarded": range(2, 4)}
    assert Instructions.decode(program.encode()).target_of(0) == 2


@st.composite
def edits(draw: st.DrawFn) -> list[tuple[int, int, list[bool]]]:
    """(from, to, the new instructions: wide or not), as parts per 100 of the length at that time."""
    return draw(
        st.lists(
            st.tuples(st.integers(0, 100), st.integers(0, 100), st.lists(st.booleans(), max_size=4)),
            min_size=1,
            max_size=8,
        )
    )


class Model:
    """The program as a list of tokens, and where each jump goes as a token (-1: the end)."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.targets: dict[int, int] = {}

    def replace(self, start: int, stop: int, new: list[int]) -> None:
        gone = self.tokens[start:stop]
        is_append = start == len(self.tokens)
        following = self.tokens[stop] if stop < len(self.tokens) else -1
        heirs = {token: new[i] if i < len(new) else new[0] if new else following for i, token in enumerate(gone)}
        self.tokens[start:stop] = new
        for token in gone:
            self.targets.pop(token, None)
        for token, target in self.targets.items():
            if target in heirs:
                self.targets[token] = heirs[target]
            elif target == -1 and is_append and new:
                self.targets[token] = new[0]


@settings(max_examples=150, deadline=None)  # two cores, shared
@given(st.lists(st.tuples(st.sampled_from(["jump", "gotol", "call", "plain", "wide"]), st.integers(0, 100))), edits())
def test_jumps_and_metadata_stay_through_any_edits(
    shape: list[tuple[str, int]], changes: list[tuple[int, int, list[bool]]]
) -> None:
    fresh = count()
    model = Model()
    program = Instructions()
    for kind, _ in shape:
        token = next(fresh)
        model.tokens.append(token)
        instruction = {
            "jump": asm.jne(asm.R1, 0, 0),
            "gotol": asm.gotol(0),
            "call": asm.call_function(0),
            "plain": asm.mov(asm.R0, 0),
            "wide": asm.ld_imm64(asm.R0, token),
        }[kind]
        program.append(instruction.with_metadata(NUMBER, token))
    for index, (kind, where) in enumerate(shape):
        if kind in {"plain", "wide"}:
            continue
        target = where * len(shape) // 100
        model.targets[index] = target if target < len(shape) else -1
        distance = program.slot_of(target) - program.slot_of(index) - 1
        if kind == "jump":
            program.patch(index, offset=distance)
        else:
            program.patch(index, constant=distance)

    for low, high, new in changes:
        start, stop = sorted((low * len(program) // 100, high * len(program) // 100))
        tokens = [next(fresh) for _ in new]
        model.replace(start, stop, tokens)
        program[start:stop] = [
            (asm.ld_imm64(asm.R0, token) if is_wide else asm.mov(asm.R0, token)).with_metadata(NUMBER, token)
            for token, is_wide in zip(tokens, new, strict=True)
        ]

        assert [token for _, token in program.with_key(NUMBER)] == model.tokens
        assert [index for index, _ in program.with_key(NUMBER)] == list(range(len(program)))
        places = {token: program.slot_of(index) for index, token in enumerate(model.tokens)} | {-1: program.slot_count}
        for token, target in model.targets.items():
            instruction = program.at_slot(places[token])
            distance = instruction.offset if instruction.offset else instruction.constant
            assert places[token] + 1 + distance == places[target]
        assert Instructions.decode(program.encode()).encode() == program.encode()


@settings(deadline=None)
@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6), st.integers(0, 6))
def test_cutting_and_joining_is_what_lists_do(a: int, b: int, c: int, d: int) -> None:
    items = [
        asm.load_map_ptr(asm.R1, "events").with_symbol("f"),
        asm.mov(asm.R0, 1).with_comment("one"),
        asm.ld_imm64(asm.R2, 3),
        asm.mov(asm.R0, 2),
        asm.exit_().with_comment("end"),
    ]
    program = Instructions(items)
    assert list(program[a:b]) == items[a:b]
    assert list(program[a:b] + program[c:d]) == items[a:b] + items[c:d]
    assert program == Instructions(items)
    items[a:b] = items[c:d]
    program[a:b] = program[c:d]
    assert list(program) == items
    program += program
    assert list(program) == items + items
    assert list(program.with_key(SYMBOL)) == [(i, "f") for i, x in enumerate(items * 2) if x.symbol]
