"""What a register holds, as far as the verifier reckons with constants: the domain of the walk, and its arithmetic."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from aiobpf.asm import opcodes as op

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Unknown(Enum):
    """A value that is no constant here."""

    ANY = "any"
    """Decided when the program runs: the verifier takes both sides of a branch on it."""
    NONZERO = "nonzero"
    """A pointer that the verifier knows not to be NULL, or the address of a kernel symbol."""
    UNDECIDED = "undecided"
    """A constant to the verifier, which is not known here: a configuration value, without the configuration."""


class Place(NamedTuple):
    """A pointer: *offset* bytes into *memory*, a map's value by its name; None is the stack of this function.

    No *offset*: somewhere in there.
    """

    memory: str | None
    offset: int | None


Value: TypeAlias = int | Place | Unknown
"""A 64-bit constant (unsigned), a pointer, or neither."""

ANY: Final = Unknown.ANY
NONZERO: Final = Unknown.NONZERO
UNDECIDED: Final = Unknown.UNDECIDED
SOMEWHERE_ON_STACK: Final = Place(None, None)
_64: Final = 0xFFFF_FFFF_FFFF_FFFF
_32: Final = 0xFFFF_FFFF


def join(a: Value, b: Value, mixed: Unknown) -> Value:
    """What holds for both; *mixed* where two constants differ."""
    if a == b:
        return a
    if a is ANY or b is ANY:
        return ANY
    if isinstance(a, Place) and isinstance(b, Place) and a.memory is None and b.memory is None:
        return SOMEWHERE_ON_STACK
    if a is UNDECIDED or b is UNDECIDED:
        return UNDECIDED
    if mixed is ANY and a != 0 and b != 0:
        return NONZERO
    return mixed


def signed(value: int, bits: int) -> int:
    """The low *bits* of *value* as a signed number."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value


def narrowed(value: Value, bits: int) -> Value:
    """The low *bits* of *value*, zero-extended."""
    if isinstance(value, int):
        return value & (1 << bits) - 1
    return UNDECIDED if value is UNDECIDED else ANY


_BINARY: Mapping[int, Callable[[int, int, int], int]] = {
    op.ADD: lambda a, b, _: a + b,
    op.SUB: lambda a, b, _: a - b,
    op.MUL: lambda a, b, _: a * b,
    op.OR: lambda a, b, _: a | b,
    op.AND: lambda a, b, _: a & b,
    op.XOR: lambda a, b, _: a ^ b,
    op.LSH: lambda a, b, bits: a << (b & bits - 1),
    op.RSH: lambda a, b, bits: a >> (b & bits - 1),
    op.ARSH: lambda a, b, bits: signed(a, bits) >> (b & bits - 1),
}
"""What the verifier folds; division and byte order it does not (scalar_min_max_* in kernel/bpf/verifier.c)."""


def compute(opcode: int, dst: Value, operand: Value, offset: int) -> Value:
    """What an ALU instruction leaves in its destination; *operand* is a register's value or the immediate."""
    is_wide = opcode & 0x07 == op.ALU64
    bits = 64 if is_wide else 32
    operation = opcode & 0xF0
    if operation == op.MOV:
        return _moved(operand, bits, offset)
    if operation == op.NEG:
        return -dst & (1 << bits) - 1 if isinstance(dst, int) else narrowed(dst, bits)
    if operation == op.END:
        return UNDECIDED if dst is UNDECIDED else ANY
    if isinstance(dst, Place):
        return _displaced(dst, operand, operation) if is_wide else ANY
    if isinstance(operand, Place):
        # Adding a pointer to a number gives a pointer.
        return _displaced(operand, dst, operation) if is_wide and operation == op.ADD else ANY
    if operation == op.AND and (dst == 0 or operand == 0):
        return 0
    if isinstance(dst, int) and isinstance(operand, int):
        fold = _BINARY.get(operation)
        mask = (1 << bits) - 1
        return ANY if fold is None else fold(dst & mask, operand & mask, bits) & mask
    return UNDECIDED if ANY not in {dst, operand} and UNDECIDED in {dst, operand} else ANY


def _moved(value: Value, bits: int, offset: int) -> Value:
    if offset in {8, 16, 32}:  # sign extension
        return signed(value, offset) & (1 << bits) - 1 if isinstance(value, int) else narrowed(value, bits)
    if offset:
        return ANY  # into another address space
    return value if bits == 64 else narrowed(value, 32)


def _displaced(place: Place, by: Value, operation: int) -> Value:
    if operation in {op.ADD, op.SUB} and isinstance(by, int) and place.offset is not None:
        distance = signed(by, 64)
        return Place(place.memory, place.offset + (distance if operation == op.ADD else -distance))
    if place.memory is None:
        return SOMEWHERE_ON_STACK
    return UNDECIDED if by is UNDECIDED else ANY


_COMPARE: Mapping[int, Callable[[int, int, int], bool]] = {
    op.JEQ: lambda a, b, _: a == b,
    op.JNE: lambda a, b, _: a != b,
    op.JGT: lambda a, b, _: a > b,
    op.JGE: lambda a, b, _: a >= b,
    op.JLT: lambda a, b, _: a < b,
    op.JLE: lambda a, b, _: a <= b,
    op.JSET: lambda a, b, _: a & b != 0,
    op.JSGT: lambda a, b, bits: signed(a, bits) > signed(b, bits),
    op.JSGE: lambda a, b, bits: signed(a, bits) >= signed(b, bits),
    op.JSLT: lambda a, b, bits: signed(a, bits) < signed(b, bits),
    op.JSLE: lambda a, b, bits: signed(a, bits) <= signed(b, bits),
}


def compare(opcode: int, left: Value, right: Value) -> bool | Unknown:
    """Whether a conditional jump is taken; ANY where the verifier takes both ways, UNDECIDED where it takes one."""
    bits = 64 if opcode & 0x07 == op.JMP else 32
    if bits == 64 and right == 0 and (left is NONZERO or isinstance(left, Place)):
        if opcode & 0xF0 == op.JEQ:
            return False
        if opcode & 0xF0 == op.JNE:
            return True
    holds = _COMPARE.get(opcode & 0xF0)
    if holds is None:
        return ANY
    if isinstance(left, int) and isinstance(right, int):
        mask = (1 << bits) - 1
        return holds(left & mask, right & mask, bits)
    return UNDECIDED if ANY not in {left, right} and UNDECIDED in {left, right} else ANY
