"""Builders: arithmetic, moves and byte order.

The last operand of most is a `Register` or an int; only a Register names a register there, an int is an immediate.
A name without a number works on 64 bits, with 32 on the low half (and zeroes the high one).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from aiobpf.asm import opcodes as op
from aiobpf.asm.instruction import Instruction
from aiobpf.asm.registers import Register
from aiobpf.errors import AsmError

if TYPE_CHECKING:
    from collections.abc import Callable

Operand: TypeAlias = Register | int


def _alu(class_: int, operation: int, dst: Register, operand: Operand, offset: int = 0) -> Instruction:
    if isinstance(operand, Register):
        return Instruction(class_ | operation | op.X, dst, operand, offset)
    return Instruction(class_ | operation | op.K, dst, 0, offset, operand)


def _binary(
    name: str, class_: int, operation: int, meaning: str, offset: int = 0
) -> Callable[[Register, Operand], Instruction]:
    def build(dst: Register, operand: Operand) -> Instruction:
        return _alu(class_, operation, dst, operand, offset)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = meaning
    return build


mov = _binary("mov", op.ALU64, op.MOV, "dst = operand; an immediate is sign-extended.")
add = _binary("add", op.ALU64, op.ADD, "dst += operand.")
sub = _binary("sub", op.ALU64, op.SUB, "dst -= operand.")
mul = _binary("mul", op.ALU64, op.MUL, "dst *= operand.")
div = _binary("div", op.ALU64, op.DIV, "dst /= operand, unsigned; 0 where the operand is 0.")
mod = _binary("mod", op.ALU64, op.MOD, "dst %= operand, unsigned; dst stays where the operand is 0.")
sdiv = _binary("sdiv", op.ALU64, op.DIV, "dst /= operand, signed, towards zero (v4, Linux 6.6).", 1)
smod = _binary("smod", op.ALU64, op.MOD, "dst %= operand, signed (v4, Linux 6.6).", 1)
or_ = _binary("or_", op.ALU64, op.OR, "dst |= operand.")
and_ = _binary("and_", op.ALU64, op.AND, "dst &= operand.")
xor = _binary("xor", op.ALU64, op.XOR, "dst ^= operand.")
lsh = _binary("lsh", op.ALU64, op.LSH, "dst <<= operand.")
rsh = _binary("rsh", op.ALU64, op.RSH, "dst >>= operand, zeros from the left.")
arsh = _binary("arsh", op.ALU64, op.ARSH, "dst >>= operand, the sign from the left.")

mov32 = _binary("mov32", op.ALU, op.MOV, "dst = the low 32 bits of operand.")
add32 = _binary("add32", op.ALU, op.ADD, "32-bit dst += operand.")
sub32 = _binary("sub32", op.ALU, op.SUB, "32-bit dst -= operand.")
mul32 = _binary("mul32", op.ALU, op.MUL, "32-bit dst *= operand.")
div32 = _binary("div32", op.ALU, op.DIV, "32-bit dst /= operand, unsigned.")
mod32 = _binary("mod32", op.ALU, op.MOD, "32-bit dst %= operand, unsigned.")
sdiv32 = _binary("sdiv32", op.ALU, op.DIV, "32-bit dst /= operand, signed (v4).", 1)
smod32 = _binary("smod32", op.ALU, op.MOD, "32-bit dst %= operand, signed (v4).", 1)
or32 = _binary("or32", op.ALU, op.OR, "32-bit dst |= operand.")
and32 = _binary("and32", op.ALU, op.AND, "32-bit dst &= operand.")
xor32 = _binary("xor32", op.ALU, op.XOR, "32-bit dst ^= operand.")
lsh32 = _binary("lsh32", op.ALU, op.LSH, "32-bit dst <<= operand.")
rsh32 = _binary("rsh32", op.ALU, op.RSH, "32-bit dst >>= operand, zeros from the left.")
arsh32 = _binary("arsh32", op.ALU, op.ARSH, "32-bit dst >>= operand, the sign from the left.")


def movsx(dst: Register, src: Register, bits: int) -> Instruction:
    """dst = the low *bits* (8, 16 or 32) of src, sign-extended to 64 bits (v4, Linux 6.6)."""
    return Instruction(op.ALU64 | op.MOV | op.X, dst, src, _one_of(bits, 8, 16, 32))


def movsx32(dst: Register, src: Register, bits: int) -> Instruction:
    """dst = the low *bits* (8 or 16) of src, sign-extended to 32 bits (v4, Linux 6.6)."""
    return Instruction(op.ALU | op.MOV | op.X, dst, src, _one_of(bits, 8, 16))


def neg(dst: Register) -> Instruction:
    """dst = -dst."""
    return Instruction(op.ALU64 | op.NEG, dst)


def neg32(dst: Register) -> Instruction:
    """32-bit dst = -dst."""
    return Instruction(op.ALU | op.NEG, dst)


def to_le(dst: Register, bits: int) -> Instruction:
    """The low *bits* (16, 32 or 64) of dst from the machine's order to little-endian, the rest zeroed."""
    return Instruction(op.ALU | op.END | op.K, dst, constant=_one_of(bits, 16, 32, 64))


def to_be(dst: Register, bits: int) -> Instruction:
    """The low *bits* (16, 32 or 64) of dst from the machine's order to big-endian, the rest zeroed."""
    return Instruction(op.ALU | op.END | op.X, dst, constant=_one_of(bits, 16, 32, 64))


def bswap(dst: Register, bits: int) -> Instruction:
    """The low *bits* (16, 32 or 64) of dst in the other order, the rest zeroed (v4, Linux 6.6)."""
    return Instruction(op.ALU64 | op.END | op.K, dst, constant=_one_of(bits, 16, 32, 64))


def addr_space_cast(dst: Register, src: Register, to_space: int, from_space: int) -> Instruction:
    """dst = src moved between address spaces: 1 is the arena as the program sees it, 0 as user space does (6.9)."""
    return Instruction(op.ALU64 | op.MOV | op.X, dst, src, 1, to_space << 16 | from_space)


def _one_of(bits: int, *allowed: int) -> int:
    if bits not in allowed:
        raise AsmError(f"{bits} bits; it takes " + ", ".join(map(str, allowed)))
    return bits
