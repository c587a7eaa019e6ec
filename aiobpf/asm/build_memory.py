"""Builders: loads, stores and 64-bit immediates. Operands stand in the order of the kernel's macros (BPF_STX_MEM)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.asm import opcodes as op
from aiobpf.asm.instruction import Instruction
from aiobpf.asm.opcodes import SIZE_BITS, Pseudo, Size
from aiobpf.errors import AsmError

if TYPE_CHECKING:
    from aiobpf.asm.references import Reference
    from aiobpf.asm.registers import Register


def size_bits(size: int, *allowed: int) -> int:
    """The opcode's bits for an access of *size* bytes; AsmError for another size."""
    if size not in (allowed or SIZE_BITS):
        raise AsmError(f"an access of {size} bytes; it takes " + ", ".join(map(str, allowed or SIZE_BITS)))
    return SIZE_BITS[size]


def ldx(size: Size | int, dst: Register, src: Register, offset: int = 0) -> Instruction:
    """dst = the *size* bytes at src + offset, zero-extended."""
    return Instruction(op.LDX | op.MEM | size_bits(size), dst, src, offset)


def ldxsx(size: Size | int, dst: Register, src: Register, offset: int = 0) -> Instruction:
    """dst = the *size* bytes (1, 2 or 4) at src + offset, sign-extended (v4, Linux 6.6)."""
    return Instruction(op.LDX | op.MEMSX | size_bits(size, 1, 2, 4), dst, src, offset)


def stx(size: Size | int, dst: Register, src: Register, offset: int = 0) -> Instruction:
    """The *size* bytes at dst + offset = src."""
    return Instruction(op.STX | op.MEM | size_bits(size), dst, src, offset)


def st(size: Size | int, dst: Register, offset: int, constant: int) -> Instruction:
    """The *size* bytes at dst + offset = constant, which is signed 32-bit."""
    return Instruction(op.ST | op.MEM | size_bits(size), dst, 0, offset, constant)


def ld_abs(size: Size | int, offset: int) -> Instruction:
    """R0 = the *size* bytes (1, 2 or 4) of the packet at *offset*, in host order; exits if they are not there.

    A classic BPF load: the context must be in R6, and R1 to R5 are lost.
    """
    return Instruction(op.LD | op.ABS | size_bits(size, 1, 2, 4), constant=offset)


def ld_ind(size: Size | int, src: Register, offset: int = 0) -> Instruction:
    """As `ld_abs`, at src + offset."""
    return Instruction(op.LD | op.IND | size_bits(size, 1, 2, 4), 0, src, constant=offset)


def ld_imm64(dst: Register, constant: int) -> Instruction:
    """dst = a 64-bit constant, of either sign; two slots."""
    return Instruction(op.LD_IMM64, dst, Pseudo.NONE, constant=constant)


def load_map_ptr(dst: Register, name: str | Reference, fd: int = 0) -> Instruction:
    """dst = the map *name*; the loader puts in its fd."""
    return Instruction(op.LD_IMM64, dst, Pseudo.MAP_FD, constant=fd & 0xFFFF_FFFF).with_reference(name)


def load_map_value(dst: Register, name: str | Reference, offset: int = 0, fd: int = 0) -> Instruction:
    """dst = the address of byte *offset* in the (only) value of array map *name*; the loader puts in its fd."""
    return Instruction(op.LD_IMM64, dst, Pseudo.MAP_VALUE, constant=_pair(fd, offset)).with_reference(name)


def load_map_index(dst: Register, index: int) -> Instruction:
    """dst = the map whose fd is number *index* of the program's fd_array (Linux 5.14)."""
    return Instruction(op.LD_IMM64, dst, Pseudo.MAP_IDX, constant=index)


def load_map_index_value(dst: Register, index: int, offset: int = 0) -> Instruction:
    """dst = the address of byte *offset* in the value of the map that is number *index* of the fd_array (5.14)."""
    return Instruction(op.LD_IMM64, dst, Pseudo.MAP_IDX_VALUE, constant=_pair(index, offset))


def load_btf_id(dst: Register, type_id: int, btf_fd: int = 0) -> Instruction:
    """dst = the address of the kernel variable of BTF id *type_id*, in a module's BTF if *btf_fd* is not 0 (5.10)."""
    return Instruction(op.LD_IMM64, dst, Pseudo.BTF_ID, constant=_pair(type_id, btf_fd))


def load_function(dst: Register, target: str | int) -> Instruction:
    """dst = the address of a function of the program, for a callback (Linux 5.13): by name, or distance in slots."""
    if isinstance(target, str):
        return Instruction(op.LD_IMM64, dst, Pseudo.FUNC).with_reference(target)
    return Instruction(op.LD_IMM64, dst, Pseudo.FUNC, constant=_pair(target & 0xFFFF_FFFF, 0))


def _pair(low: int, high: int) -> int:
    if not (0 <= low < 1 << 32 and 0 <= high < 1 << 32):
        raise AsmError(f"{low} and {high} do not fit the halves of a 64-bit immediate")
    return low | high << 32
