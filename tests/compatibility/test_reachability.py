"""What the verifier gets to, with the constants that it knows."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiobpf import asm
from aiobpf.asm import R0, R1, R2, R3, R6, R10, Instructions
from aiobpf.btf import FUNCTION_INFO, Function, FunctionPrototype, Linkage, Void
from aiobpf.compatibility.reachability import Constants, Memory, Reach, Refused, reach
from aiobpf.compatibility.values import NONZERO, UNDECIDED, Place, Value

POISON = 12345


def poison() -> asm.Instruction:
    return asm.call_helper(POISON)


def answers(
    *code: asm.Instruction,
    loads: dict[str, Value] | None = None,
    memories: dict[str, Memory] | None = None,
    is_lazy: bool | None = True,
    functions: dict[str, Linkage] | None = None,
) -> list[Reach]:
    """Of each poison in *code*; *loads* are by the comment on the wide load."""
    instructions = Instructions(code)
    for index, name in list(instructions.with_key(asm.SYMBOL)):
        linkage = (functions or {}).get(name)
        if linkage is not None:
            instructions.set_metadata(index, FUNCTION_INFO, Function(name, FunctionPrototype(Void(), ()), linkage))
    slots = [
        instructions.slot_of(index) for index in instructions.find(0x85, 0) if instructions.fields(index)[4] == POISON
    ]
    by_slot = {slot: (loads or {})[name] for slot, name in instructions.with_key_by_slot(asm.COMMENT)}
    constants = Constants(by_slot, memories or {}, dict.fromkeys(slots, Refused()), is_lazy=is_lazy)
    found = reach(instructions, constants)
    return [found[slot] for slot in slots]


def load(dst: asm.Register, name: str) -> asm.Instruction:
    """A load whose value the test gives."""
    return asm.ld_imm64(dst, 0).with_comment(name)


EXIT = (asm.mov(R0, 0), asm.exit_())


def test_a_branch_on_a_constant_is_taken_one_way() -> None:
    for value, expected in ((0, Reach.NEVER), (1, Reach.CERTAIN)):
        code = [asm.mov(R1, value), asm.jeq(R1, 0, "out"), poison(), EXIT[0].with_label("out"), EXIT[1]]
        assert answers(*code) == [expected]


def test_a_branch_on_what_a_call_returns_is_taken_both_ways() -> None:
    code = [asm.call_helper(14), asm.jeq(R0, 0, "out"), poison(), EXIT[0].with_label("out"), EXIT[1]]
    assert answers(*code) == [Reach.CERTAIN]


def test_behind_a_refused_instruction_the_walk_goes_on() -> None:
    code = [asm.mov(R6, 0), poison(), asm.jeq(R6, 0, "out"), poison(), poison().with_label("out"), *EXIT]
    assert answers(*code) == [Reach.CERTAIN, Reach.NEVER, Reach.CERTAIN]


@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        ([asm.mov(R1, 5), asm.add(R1, -5)], 0),
        ([asm.mov(R1, -1), asm.rsh(R1, 32), asm.sub(R1, 0xFFFFFFF), asm.and_(R1, 1)], 0),
        ([asm.mov32(R1, -1), asm.rsh(R1, 32)], 0),
        ([asm.mov(R1, 3), asm.lsh(R1, 2), asm.xor(R1, 12)], 0),
        ([asm.mov(R1, -8), asm.arsh(R1, 2), asm.neg(R1), asm.mov(R2, 2), asm.sub(R1, R2)], 0),
        ([asm.mov(R1, 0x180), asm.movsx(R1, R1, 8), asm.add(R1, 128)], 0),
        ([asm.call_helper(7), asm.mov(R1, R0), asm.and_(R1, 0)], 0),
        ([asm.mov(R1, 0), asm.or_(R1, 4)], 4),
    ],
)
def test_arithmetic_on_constants_is_folded(compute: list[asm.Instruction], expected: int) -> None:
    code = [*compute, asm.jne(R1, expected, "poison"), *EXIT, poison().with_label("poison"), *EXIT]
    assert answers(*code) == [Reach.NEVER]


@pytest.mark.parametrize(
    ("jump", "is_taken"),
    [
        (asm.jgt(R1, -4, "x"), False),
        (asm.jsgt(R1, -5, "x"), True),
        (asm.jslt(R1, 0, "x"), True),
        (asm.jlt(R1, 0, "x"), False),
        (asm.jset(R1, 1, "x"), False),
        (asm.jge32(R1, -4, "x"), True),
        (asm.jsle32(R1, -4, "x"), True),
        (asm.jle(R1, -4, "x"), True),
        (asm.jsge(R1, 0, "x"), False),
    ],
)
def test_every_comparison_is_decided(jump: asm.Instruction, is_taken: bool) -> None:
    taken, not_taken = answers(asm.mov(R1, -4), jump, poison(), *EXIT, poison().with_label("x"), *EXIT)[::-1]
    assert [taken, not_taken] == ([Reach.CERTAIN, Reach.NEVER] if is_taken else [Reach.NEVER, Reach.CERTAIN])


def test_a_constant_survives_on_the_stack_and_a_call_changes_only_what_it_is_given() -> None:
    def code(at: int, size: int) -> list[asm.Instruction]:
        return [
            asm.mov(R1, 0), asm.stx(8, R10, R1, -40),
            asm.mov(R1, R10), asm.add(R1, at), asm.mov(R2, size), asm.call_helper(16),
            asm.ldx(8, R1, R10, -40), asm.jeq(R1, 0, "out"), poison(), EXIT[0].with_label("out"), EXIT[1],
        ]  # fmt: skip

    assert answers(*code(-16, 16)) == [Reach.NEVER]
    assert answers(*code(-48, 8)) == [Reach.NEVER]
    assert answers(*code(-48, 16)) == [Reach.CERTAIN]
    assert answers(*code(-48, 0)) == [Reach.CERTAIN]


def test_a_pointer_to_the_stack_that_was_stored_lets_every_call_change_it() -> None:
    code = [
        asm.st(8, R10, 0, -8), asm.mov(R2, R10), asm.add(R2, -8), asm.stx(8, R10, R2, -16),
        asm.mov(R1, 1), asm.mov(R2, 0), asm.call_helper(14),
        asm.ldx(8, R1, R10, -8), asm.jeq(R1, 0, "out"), poison(), EXIT[0].with_label("out"), EXIT[1],
    ]  # fmt: skip
    assert answers(*code) == [Reach.CERTAIN]


def test_frozen_memory_is_constant_and_other_memory_is_not() -> None:
    code = [
        load(R1, "data"),
        asm.ldx(4, R2, R1, 4),
        asm.jeq(R2, 7, "out"),
        poison(),
        EXIT[0].with_label("out"),
        EXIT[1],
    ]
    data = struct.pack("<II", 1, 7)
    loads: dict[str, Value] = {"data": Place(".rodata", 0)}
    assert answers(*code, loads=loads, memories={".rodata": Memory(data)}) == [Reach.NEVER]
    assert answers(*code, loads=loads, memories={".rodata": Memory(bytes(8))}) == [Reach.CERTAIN]
    assert answers(*code, loads=loads, memories={".rodata": Memory(data[:4])}) == [Reach.CERTAIN]
    assert answers(*code, loads=loads) == [Reach.CERTAIN]
    assert answers(*code, loads=loads, memories={".rodata": Memory(data, b"\1" * 8)}) == [Reach.NEVER]
    assert answers(*code, loads=loads, memories={".rodata": Memory(data, b"\1" * 7 + b"\0")}) == [Reach.UNDECIDED]


def test_the_address_of_a_symbol_that_is_there_is_not_null() -> None:
    code = [load(R1, "symbol"), asm.jne(R1, 0, "out"), poison(), EXIT[0].with_label("out"), EXIT[1]]
    assert answers(*code, loads={"symbol": NONZERO}) == [Reach.NEVER]
    assert answers(*code, loads={"symbol": 0}) == [Reach.CERTAIN]
    assert answers(*code, loads={"symbol": UNDECIDED}) == [Reach.UNDECIDED]


def test_what_follows_both_sides_of_an_undecided_branch_is_certain() -> None:
    code = [
        load(R1, "x"), asm.mov(R2, 0), asm.jeq(R1, 0, "join"), asm.mov(R2, 1),
        poison().with_label("join"), *EXIT,
    ]  # fmt: skip
    assert answers(*code, loads={"x": UNDECIDED}) == [Reach.CERTAIN]
    # What differs between the sides is as little decided as they are.
    code[4:] = [asm.jeq(R2, 0, "out").with_label("join"), poison(), EXIT[0].with_label("out"), EXIT[1]]
    assert answers(*code, loads={"x": UNDECIDED}) == [Reach.UNDECIDED]


def test_a_branch_at_run_time_inside_an_undecided_one_stays_undecided() -> None:
    code = [
        load(R6, "x"), asm.call_helper(7), asm.jeq(R0, 0, "out"), asm.jeq(R6, 5, "out"), poison(),
        EXIT[0].with_label("out"), EXIT[1],
    ]  # fmt: skip
    assert answers(*code, loads={"x": UNDECIDED}) == [Reach.UNDECIDED]


def test_a_branch_shows_what_a_register_holds() -> None:
    code = [
        asm.call_helper(7), asm.jne(R0, 3, "out"), asm.jeq(R0, 3, "out"), poison(),
        EXIT[0].with_label("out"), EXIT[1],
    ]  # fmt: skip
    assert answers(*code) == [Reach.NEVER]


def test_arguments_and_results_of_static_functions_are_followed() -> None:
    code = [
        asm.mov(R1, 0), asm.call_function("same"), asm.jeq(R0, 0, "out"), poison(), EXIT[0].with_label("out"), EXIT[1],
        asm.mov(R0, R1).with_symbol("same"), asm.exit_(),
    ]  # fmt: skip
    assert answers(*code, functions={"same": Linkage.STATIC}) == [Reach.NEVER]
    # A global function is verified for any argument, and what it returns may be anything.
    assert answers(*code, functions={"same": Linkage.GLOBAL}, is_lazy=False) == [Reach.CERTAIN]


def test_two_calls_with_different_arguments_are_one_function() -> None:
    code = [
        asm.mov(R1, 0), asm.call_function("f"), asm.mov(R1, 1), asm.call_function("f"), *EXIT,
        asm.jeq(R1, 0, "out").with_symbol("f"), poison(), EXIT[0].with_label("out"), EXIT[1],
    ]  # fmt: skip
    assert answers(*code) == [Reach.CERTAIN]


def test_global_functions_that_nobody_calls_are_verified_before_6_8() -> None:
    code = [
        asm.mov(R1, 0), asm.jeq(R1, 0, "out"), asm.call_function("f"), EXIT[0].with_label("out"), EXIT[1],
        poison().with_symbol("f"), *EXIT,
    ]  # fmt: skip
    expected = {True: Reach.NEVER, False: Reach.CERTAIN, None: Reach.UNDECIDED}
    for is_lazy, answer in expected.items():
        assert answers(*code, functions={"f": Linkage.GLOBAL}, is_lazy=is_lazy) == [answer]
        assert answers(*code, functions={"f": Linkage.STATIC}, is_lazy=is_lazy) == [Reach.NEVER]


def test_a_callback_is_called_with_anything() -> None:
    code = [
        asm.mov(R1, 4), asm.load_function(R2, "f"), asm.mov(R3, 0), asm.call_helper(181), *EXIT,
        asm.jeq(R1, 0, "out").with_symbol("f"), poison(), EXIT[0].with_label("out"), EXIT[1],
    ]  # fmt: skip
    assert answers(*code) == [Reach.CERTAIN]


def test_loops_end() -> None:
    code = [
        asm.mov(R6, 0), asm.add(R6, 1).with_label("again"), asm.jlt(R6, 1 << 30, "again"),
        asm.jeq(R6, 0, "out"), poison(), EXIT[0].with_label("out"), EXIT[1],
    ]  # fmt: skip
    assert answers(*code) == [Reach.CERTAIN]


def test_what_is_too_large_is_undecided() -> None:
    code = [*([asm.mov(R1, 1)] * 600_000), poison(), *EXIT]
    assert answers(*code) == [Reach.UNDECIDED]
    assert answers(asm.gotox(R1), poison(), *EXIT) == [Reach.UNDECIDED]


@settings(max_examples=400)
@given(st.binary(min_size=8, max_size=256), st.sets(st.integers(0, 31)), st.sampled_from([True, False, None]))
def test_any_bytes_give_an_answer(data: bytes, refused: set[int], is_lazy: bool | None) -> None:
    plain = bytearray(data[: len(data) // 8 * 8])
    for slot in range(len(plain) // 8):
        if plain[slot * 8] == 0x18:
            plain[slot * 8] = 0x85
    instructions = Instructions.decode(plain)
    found = reach(
        instructions, Constants(refused={slot: Refused(slot % 11, 1 + slot % 2) for slot in refused}, is_lazy=is_lazy)
    )
    assert found.keys() == refused
