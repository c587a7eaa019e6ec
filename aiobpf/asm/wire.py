"""Instruction slots as bytes: eight each, canonically little-endian, whatever the program's byte order."""

from __future__ import annotations

from array import array
from functools import reduce
from itertools import accumulate
from operator import or_
from struct import Struct
from typing import TYPE_CHECKING, Literal

from aiobpf.asm.opcodes import LD_IMM64
from aiobpf.errors import AsmError

if TYPE_CHECKING:
    from typing import Final

ByteOrder = Literal["little", "big"]

SLOT: Final = Struct("<BBhi")
"""opcode, registers (dst in the low four bits, src in the high), offset, immediate."""
OFFSET: Final = Struct("<h")
IMMEDIATE: Final = Struct("<i")
WIDE: Final = Struct("<BBhIII")
"""The two slots of a 64-bit immediate load: the second is zeros, then the high half of the immediate."""
_IS_WIDE = bytes(opcode == LD_IMM64 for opcode in range(256))
_IS_NONZERO = bytes(byte != 0 for byte in range(256))
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


def wide_indices(code: bytearray) -> array[int]:
    """The index of each 64-bit immediate load, in order; AsmError where one has no proper second half.

    No Python loop over slots: strided slices, and the slots between two loads counted by splitting at them.
    """
    is_wide = code[::8].translate(_IS_WIDE)
    between = is_wide.split(b"\1")
    del between[-1]
    if not between:
        return array("I")
    if is_wide[-1]:
        raise AsmError(f"slot {len(is_wide) - 1}: the second half of the 64-bit immediate load is missing")
    # Were a load found in the second half of another, that other would have no second half of zeros.
    used = reduce(or_, (int.from_bytes(code[byte::8].translate(_IS_NONZERO), "little") for byte in range(4)))
    wrong = used & int.from_bytes(is_wide, "little") << 8
    if wrong:
        slot = ((wrong & -wrong).bit_length() - 1) // 8
        raise AsmError(f"slot {slot}: not the second half of the 64-bit immediate load before it")
    return array("I", accumulate(map(len, between)))


def pack(opcode: int, dst: int, src: int, offset: int, constant: int) -> bytes:
    """The slot, or two, of an instruction whose fields are canonical."""
    if opcode == LD_IMM64:
        return WIDE.pack(opcode, dst | src << 4, offset, constant & 0xFFFF_FFFF, 0, constant >> 32)
    return SLOT.pack(opcode, dst | src << 4, offset, constant)
