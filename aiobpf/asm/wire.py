"""Instruction slots as bytes: eight each, canonically little-endian, whatever the program's byte order."""

from __future__ import annotations

from array import array
from itertools import compress
from struct import Struct
from typing import TYPE_CHECKING, Literal

from aiobpf.asm.opcodes import LD_IMM64
from aiobpf.errors import AsmError

if TYPE_CHECKING:
    from typing import Final

    from aiobpf.asm.instruction import Instruction

ByteOrder = Literal["little", "big"]

SLOT: Final = Struct("<BBhi")
"""opcode, registers (dst in the low four bits, src in the high), offset, immediate."""
OFFSET: Final = Struct("<h")
IMMEDIATE: Final = Struct("<i")

_WIDE = Struct("<BBhIII")  # the second slot: zeros, then the high half of the immediate
_IS_WIDE = bytes(opcode == LD_IMM64 for opcode in range(256))
_SWAP_NIBBLES = bytes((byte >> 4) | (byte & 0x0F) << 4 for byte in range(256))


def swapped(code: bytes | bytearray) -> bytearray:
    """*code* in the other byte order; its own inverse.

    The two registers change places as well: they are C bit-fields, which begin at the other end (UAPI struct bpf_insn).
    """
    out = bytearray(len(code))
    out[0::8] = code[0::8]
    out[1::8] = code[1::8].translate(_SWAP_NIBBLES)
    out[2::8], out[3::8] = code[3::8], code[2::8]
    out[4::8], out[5::8], out[6::8], out[7::8] = code[7::8], code[6::8], code[5::8], code[4::8]
    return out


def canonical(data: bytes | bytearray | memoryview, byte_order: ByteOrder) -> bytearray:
    """A canonical copy of *data*."""
    code = bytearray(data)
    if len(code) % 8:
        raise AsmError(f"instructions are 8 bytes each, {len(code)} bytes are not a multiple")
    if byte_order == "little":
        return code
    if byte_order == "big":
        return swapped(code)
    raise ValueError(f"byte order {byte_order!r} is neither 'little' nor 'big'")


def wide_slots(code: bytearray) -> array[int]:
    """Where 64-bit immediate loads begin; AsmError where one has no proper second half."""
    found = array("I", compress(range(len(code) // 8), code[::8].translate(_IS_WIDE)))
    if not found:
        return found
    if found[-1] * 8 + 8 == len(code):
        raise AsmError(f"slot {found[-1]}: the second half of the 64-bit immediate load is missing")
    # Each is a beginning: were one the second half of another, that other would have no second half of zeros.
    with memoryview(code) as view, view.cast("I") as words:
        if any(map(words.__getitem__, [slot * 2 + 2 for slot in found])):
            bad = next(slot for slot in found if words[slot * 2 + 2])
            raise AsmError(f"slot {bad + 1}: not the second half of the 64-bit immediate load before it")
    return found


def pack(instruction: Instruction) -> bytes:
    """The slot, or two, of *instruction*."""
    opcode, constant = instruction.opcode, instruction.constant
    registers = instruction.dst | instruction.src << 4
    if opcode == LD_IMM64:
        return _WIDE.pack(opcode, registers, instruction.offset, constant & 0xFFFF_FFFF, 0, constant >> 32)
    return SLOT.pack(opcode, registers, instruction.offset, constant)
