"""Builders: atomic read-modify-write, and ordered loads and stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.asm import opcodes as op
from aiobpf.asm.build_memory import size_bits
from aiobpf.asm.instruction import Instruction

if TYPE_CHECKING:
    from aiobpf.asm.opcodes import Size
    from aiobpf.asm.registers import Register


def _atomic(size: int, operation: int, dst: Register, src: Register, offset: int, *sizes: int) -> Instruction:
    return Instruction(op.STX | op.ATOMIC | size_bits(size, *sizes), dst, src, offset, operation)


def atomic_add(size: Size | int, dst: Register, src: Register, offset: int = 0, *, fetch: bool = False) -> Instruction:
    """*(dst + offset) += src, on 4 or 8 bytes; with *fetch*, src becomes the old value (v3, Linux 5.12)."""
    return _atomic(size, op.ATOMIC_ADD | (op.FETCH if fetch else 0), dst, src, offset, 4, 8)


def atomic_or(size: Size | int, dst: Register, src: Register, offset: int = 0, *, fetch: bool = False) -> Instruction:
    """*(dst + offset) |= src (v3, Linux 5.12); see `atomic_add`."""
    return _atomic(size, op.ATOMIC_OR | (op.FETCH if fetch else 0), dst, src, offset, 4, 8)


def atomic_and(size: Size | int, dst: Register, src: Register, offset: int = 0, *, fetch: bool = False) -> Instruction:
    """*(dst + offset) &= src (v3, Linux 5.12); see `atomic_add`."""
    return _atomic(size, op.ATOMIC_AND | (op.FETCH if fetch else 0), dst, src, offset, 4, 8)


def atomic_xor(size: Size | int, dst: Register, src: Register, offset: int = 0, *, fetch: bool = False) -> Instruction:
    """*(dst + offset) ^= src (v3, Linux 5.12); see `atomic_add`."""
    return _atomic(size, op.ATOMIC_XOR | (op.FETCH if fetch else 0), dst, src, offset, 4, 8)


def xchg(size: Size | int, dst: Register, src: Register, offset: int = 0) -> Instruction:
    """Exchange src and the 4 or 8 bytes at dst + offset (v3, Linux 5.12)."""
    return _atomic(size, op.XCHG, dst, src, offset, 4, 8)


def cmpxchg(size: Size | int, dst: Register, src: Register, offset: int = 0) -> Instruction:
    """*(dst + offset) = src if it was R0; R0 becomes what it was (v3, Linux 5.12)."""
    return _atomic(size, op.CMPXCHG, dst, src, offset, 4, 8)


def load_acquire(size: Size | int, dst: Register, src: Register, offset: int = 0) -> Instruction:
    """dst = the *size* bytes at src + offset, before any later access (v4, Linux 6.15)."""
    return _atomic(size, op.LOAD_ACQUIRE, dst, src, offset)


def store_release(size: Size | int, dst: Register, src: Register, offset: int = 0) -> Instruction:
    """The *size* bytes at dst + offset = src, after any earlier access (v4, Linux 6.15)."""
    return _atomic(size, op.STORE_RELEASE, dst, src, offset)
