"""Bytes to instructions and back."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiobpf import asm
from aiobpf.asm import Instruction, Instructions
from aiobpf.errors import AsmError

ByteOrder = Literal["little", "big"]
BYTE_ORDERS = st.sampled_from(["little", "big"])


@st.composite
def instructions(draw: st.DrawFn) -> Instruction:
    opcode = draw(st.one_of(st.integers(0, 255), st.just(0x18)))
    bits = 64 if opcode == 0x18 else 32
    return Instruction(
        opcode,
        draw(st.integers(0, 15)),
        draw(st.integers(0, 15)),
        draw(st.integers(-0x8000, 0x7FFF)),
        draw(st.integers(-(1 << (bits - 1)), (1 << bits) - 1)),
    )


@settings(deadline=None)  # two cores, shared
@given(st.lists(instructions()), BYTE_ORDERS)
def test_instructions_survive_the_way_to_bytes_and_back(program: list[Instruction], byte_order: ByteOrder) -> None:
    packed = Instructions(program)
    code = packed.encode(byte_order)
    decoded = Instructions.decode(code, byte_order)
    assert decoded == packed
    assert list(decoded) == program
    assert [decoded[i] for i in range(len(decoded))] == program
    assert [decoded.fields(i) for i in range(len(decoded))] == [instruction.fields for instruction in program]
    assert len(decoded) == len(program)
    assert decoded.slot_count == len(code) // 8 == sum(instruction.width for instruction in program)
    slot = 0
    for index, instruction in enumerate(program):
        assert decoded.slot_of(index) == slot
        assert decoded.index_of_slot(slot) == index
        assert decoded.at_slot(slot) == instruction
        if instruction.width == 2:
            with pytest.raises(AsmError, match="second half"):
                decoded.at_slot(slot + 1)
        slot += instruction.width
    assert decoded.slot_of(len(decoded)) == slot


@settings(deadline=None)  # two cores, shared
@given(st.binary(max_size=256), BYTE_ORDERS)
def test_any_bytes_are_a_program_or_an_asm_error(data: bytes, byte_order: ByteOrder) -> None:
    try:
        program = Instructions.decode(data, byte_order)
    except AsmError:
        return
    assert program.encode(byte_order) == data
    assert len(str(program).splitlines()) == len(program)


@settings(deadline=None)  # two cores, shared
@given(st.lists(st.sampled_from([b"\x18" + bytes(7), bytes(8), b"\xb7" + bytes(7)]), max_size=12))
def test_a_wide_load_needs_its_second_half(slots: list[bytes]) -> None:
    at, is_good = 0, True
    while at < len(slots):
        if slots[at][0] == 0x18:
            is_good = is_good and at + 1 < len(slots) and not any(slots[at + 1])
            at += 1
        at += 1
    if is_good:
        assert Instructions.decode(b"".join(slots)).encode() == b"".join(slots)
    else:
        with pytest.raises(AsmError, match=r"slot \d+: .*second half"):
            Instructions.decode(b"".join(slots))


def test_the_wrong_slot_is_named() -> None:
    with pytest.raises(AsmError, match="slot 3: not the second half"):
        Instructions.decode(bytes(16) + b"\x18" + bytes(7) + b"\x95" + bytes(7))
    with pytest.raises(AsmError, match=r"slot 2: the second half .* is missing"):
        Instructions.decode(bytes(16) + b"\x18" + bytes(7))
    with pytest.raises(AsmError, match="9 bytes are not a multiple"):
        Instructions.decode(bytes(9))


def test_a_byte_order_has_two_values() -> None:
    with pytest.raises(ValueError, match="'native' is neither"):
        Instructions.decode(bytes(8), "native")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'native' is neither"):
        Instructions.decode(bytes(8)).encode("native")  # type: ignore[arg-type]


def test_any_buffer_is_decoded_and_not_kept() -> None:
    data = bytearray(asm.Instructions([asm.mov(asm.R0, 1), asm.exit_()]).encode())
    for buffer in (bytes(data), data, memoryview(data)):
        assert Instructions.decode(buffer)[0] == asm.mov(asm.R0, 1)
    program = Instructions.decode(data)
    data[4] = 9
    assert program[0].constant == 1


def test_empty() -> None:
    program = Instructions.decode(b"")
    assert len(program) == program.slot_count == 0
    assert program.encode() == b""
    assert list(program) == []
    assert str(program) == ""
