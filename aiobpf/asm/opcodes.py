"""The numbers that an opcode is made of, and tables over all 256 opcodes.

Source: RFC 9669 (BPF ISA) and the kernel's Documentation/bpf/standardization/instruction-set.rst; what a version added
after v1 is marked at its line.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

# Instruction classes: the low three bits.
LD: Final = 0x00
LDX: Final = 0x01
ST: Final = 0x02
STX: Final = 0x03
ALU: Final = 0x04
JMP: Final = 0x05
JMP32: Final = 0x06  # v3
ALU64: Final = 0x07

# The second operand of ALU and JMP: an immediate or a register.
K: Final = 0x00
X: Final = 0x08

# ALU operations.
ADD: Final = 0x00
SUB: Final = 0x10
MUL: Final = 0x20
DIV: Final = 0x30  # offset 1: signed (v4)
OR: Final = 0x40
AND: Final = 0x50
LSH: Final = 0x60
RSH: Final = 0x70
NEG: Final = 0x80
MOD: Final = 0x90  # offset 1: signed (v4)
XOR: Final = 0xA0
MOV: Final = 0xB0  # offset 8, 16, 32: sign extension (v4); 1: addr_space_cast (6.9); -1: per-CPU address (kernel only)
ARSH: Final = 0xC0
END: Final = 0xD0  # ALU: to little (K) or big (X) endian; ALU64|K: swap always (v4)

# Jumps.
JA: Final = 0x00  # JMP32|JA is gotol, 32-bit displacement in the immediate (v4); JMP|JA|X is gotox (6.19)
JEQ: Final = 0x10
JGT: Final = 0x20
JGE: Final = 0x30
JSET: Final = 0x40
JNE: Final = 0x50
JSGT: Final = 0x60
JSGE: Final = 0x70
CALL: Final = 0x80
EXIT: Final = 0x90
JLT: Final = 0xA0  # v2, as the next three
JLE: Final = 0xB0
JSLT: Final = 0xC0
JSLE: Final = 0xD0
JCOND: Final = 0xE0  # may_goto (6.9)

# Sizes of memory access.
SIZE_W: Final = 0x00
SIZE_H: Final = 0x08
SIZE_B: Final = 0x10
SIZE_DW: Final = 0x18

# Modes of memory access.
IMM: Final = 0x00
ABS: Final = 0x20
IND: Final = 0x40
MEM: Final = 0x60
MEMSX: Final = 0x80  # v4
ATOMIC: Final = 0xC0

# What an atomic does: its immediate.
FETCH: Final = 0x01  # since 5.12 (v3), with XCHG and CMPXCHG
ATOMIC_ADD: Final = 0x00
ATOMIC_OR: Final = 0x40
ATOMIC_AND: Final = 0x50
ATOMIC_XOR: Final = 0xA0
XCHG: Final = 0xE1
CMPXCHG: Final = 0xF1
LOAD_ACQUIRE: Final = 0x100  # since 6.15 (v4)
STORE_RELEASE: Final = 0x110

# Whole opcodes that have a meaning of their own.
LD_IMM64: Final = LD | IMM | SIZE_DW
"""The one instruction that takes two slots."""
CALL_OP: Final = JMP | CALL
CALLX_OP: Final = JMP | CALL | X
EXIT_OP: Final = JMP | EXIT
JA_OP: Final = JMP | JA
GOTOL_OP: Final = JMP32 | JA
GOTOX_OP: Final = JMP | JA | X
MAY_GOTO_OP: Final = JMP | JCOND


class Size(IntEnum):
    """The width of a memory access, in bytes."""

    B = 1
    H = 2
    W = 4
    DW = 8


class Pseudo(IntEnum):
    """What the source register of a 64-bit immediate load says about its immediate (BPF_PSEUDO_* in UAPI bpf.h)."""

    NONE = 0
    MAP_FD = 1
    MAP_VALUE = 2
    BTF_ID = 3
    FUNC = 4
    MAP_IDX = 5
    MAP_IDX_VALUE = 6


class CallKind(IntEnum):
    """What the source register of a call says about its immediate."""

    HELPER = 0
    FUNCTION = 1
    KFUNC = 2


SIZE_BITS: Final = {1: SIZE_B, 2: SIZE_H, 4: SIZE_W, 8: SIZE_DW}
"""Bytes of an access to the bits of the opcode."""


def _is_offset_jump(opcode: int) -> bool:
    operation = opcode & 0xF0
    if opcode & 0x07 == JMP:
        return operation not in {CALL, EXIT} and operation <= JCOND and opcode != GOTOX_OP
    return opcode & 0x07 == JMP32 and operation not in {JA, CALL, EXIT} and operation < JCOND


OFFSET_JUMPS: Final = frozenset(opcode for opcode in range(256) if _is_offset_jump(opcode))
"""Opcodes whose 16-bit offset says where to go."""

RELATIVE: Final = bytes(opcode in OFFSET_JUMPS or opcode in {GOTOL_OP, CALL_OP, LD_IMM64} for opcode in range(256))
"""For bytes.translate: 1 for an opcode that may name another slot by its distance."""
