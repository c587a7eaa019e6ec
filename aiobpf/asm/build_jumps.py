"""Builders: jumps.

A target is a label or function name, or a distance in slots from the next slot: 0 goes to the next instruction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from aiobpf.asm import opcodes as op
from aiobpf.asm.instruction import Instruction
from aiobpf.asm.registers import Register

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobpf.asm.build_alu import Operand

Target: TypeAlias = int | str


def _jump(class_: int, operation: int, dst: Register, operand: Operand, target: Target) -> Instruction:
    offset = 0 if isinstance(target, str) else target
    if isinstance(operand, Register):
        jump = Instruction(class_ | operation | op.X, dst, operand, offset)
    else:
        jump = Instruction(class_ | operation | op.K, dst, 0, offset, operand)
    return jump.with_reference(target) if isinstance(target, str) else jump


def _conditional(
    name: str, class_: int, operation: int, meaning: str
) -> Callable[[Register, Operand, Target], Instruction]:
    def build(dst: Register, operand: Operand, target: Target) -> Instruction:
        return _jump(class_, operation, dst, operand, target)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = meaning
    return build


jeq = _conditional("jeq", op.JMP, op.JEQ, "Jump if dst == operand.")
jne = _conditional("jne", op.JMP, op.JNE, "Jump if dst != operand.")
jset = _conditional("jset", op.JMP, op.JSET, "Jump if dst & operand is not 0.")
jgt = _conditional("jgt", op.JMP, op.JGT, "Jump if dst > operand, unsigned.")
jge = _conditional("jge", op.JMP, op.JGE, "Jump if dst >= operand, unsigned.")
jlt = _conditional("jlt", op.JMP, op.JLT, "Jump if dst < operand, unsigned (v2).")
jle = _conditional("jle", op.JMP, op.JLE, "Jump if dst <= operand, unsigned (v2).")
jsgt = _conditional("jsgt", op.JMP, op.JSGT, "Jump if dst > operand, signed.")
jsge = _conditional("jsge", op.JMP, op.JSGE, "Jump if dst >= operand, signed.")
jslt = _conditional("jslt", op.JMP, op.JSLT, "Jump if dst < operand, signed (v2).")
jsle = _conditional("jsle", op.JMP, op.JSLE, "Jump if dst <= operand, signed (v2).")

jeq32 = _conditional("jeq32", op.JMP32, op.JEQ, "Jump if the low halves are equal (v3, as all 32-bit jumps).")
jne32 = _conditional("jne32", op.JMP32, op.JNE, "Jump if the low halves differ.")
jset32 = _conditional("jset32", op.JMP32, op.JSET, "Jump if 32-bit dst & operand is not 0.")
jgt32 = _conditional("jgt32", op.JMP32, op.JGT, "Jump if 32-bit dst > operand, unsigned.")
jge32 = _conditional("jge32", op.JMP32, op.JGE, "Jump if 32-bit dst >= operand, unsigned.")
jlt32 = _conditional("jlt32", op.JMP32, op.JLT, "Jump if 32-bit dst < operand, unsigned.")
jle32 = _conditional("jle32", op.JMP32, op.JLE, "Jump if 32-bit dst <= operand, unsigned.")
jsgt32 = _conditional("jsgt32", op.JMP32, op.JSGT, "Jump if 32-bit dst > operand, signed.")
jsge32 = _conditional("jsge32", op.JMP32, op.JSGE, "Jump if 32-bit dst >= operand, signed.")
jslt32 = _conditional("jslt32", op.JMP32, op.JSLT, "Jump if 32-bit dst < operand, signed.")
jsle32 = _conditional("jsle32", op.JMP32, op.JSLE, "Jump if 32-bit dst <= operand, signed.")


def ja(target: Target) -> Instruction:
    """Jump always, up to 32767 slots."""
    if isinstance(target, str):
        return Instruction(op.JA_OP).with_reference(target)
    return Instruction(op.JA_OP, offset=target)


def gotol(target: Target) -> Instruction:
    """Jump always, 32-bit distance (v4, Linux 6.6)."""
    if isinstance(target, str):
        return Instruction(op.GOTOL_OP).with_reference(target)
    return Instruction(op.GOTOL_OP, constant=target)


def gotox(dst: Register) -> Instruction:
    """Jump to the address in dst, which came from an instruction-array map (v4, Linux 6.19)."""
    return Instruction(op.GOTOX_OP, dst)


def may_goto(target: Target) -> Instruction:
    """Go on, or jump once the kernel's loop budget is used up (Linux 6.9)."""
    if isinstance(target, str):
        return Instruction(op.MAY_GOTO_OP).with_reference(target)
    return Instruction(op.MAY_GOTO_OP, offset=target)


def exit_() -> Instruction:
    """Return R0."""
    return Instruction(op.EXIT_OP)
