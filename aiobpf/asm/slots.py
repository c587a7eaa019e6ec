"""The operations of a program: packed slots, and which of them are 64-bit immediate loads."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from operator import add, sub
from typing import TYPE_CHECKING, final

from aiobpf.asm.opcodes import LD_IMM64
from aiobpf.asm.wire import SLOT, canonical, wide_indices
from aiobpf.errors import AsmError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.asm.wire import ByteOrder


@final
class Slots:
    """Canonical slots in *code*; an index counts instructions, a slot eight bytes.

    Between two 64-bit immediate loads indices and slots differ by a constant, so the loads' places, eight bytes each,
    are all that it takes to go from one to the other.
    """

    __slots__ = ("code", "wide_indices", "wide_slots")

    def __init__(self) -> None:
        self.code = bytearray()
        self.wide_slots: array[int] = array("I")
        self.wide_indices: array[int] = array("I")

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview, byte_order: ByteOrder) -> Slots:
        self = cls()
        self.code = canonical(data, byte_order)
        self.wide_indices = wide_indices(self.code)
        self.wide_slots = array("I", map(add, self.wide_indices, range(len(self.wide_indices))))
        return self

    def copy(self) -> Slots:
        other = Slots()
        other.code = self.code[:]
        other.wide_slots = self.wide_slots[:]
        other.wide_indices = self.wide_indices[:]
        return other

    # --- indices and slots --------------------------------------------------------------------------------------------

    @property
    def slot_count(self) -> int:
        return len(self.code) // 8

    @property
    def count(self) -> int:
        """Instructions."""
        return len(self.code) // 8 - len(self.wide_slots)

    def slot_of(self, index: int) -> int:
        """The slot of instruction *index*, which is in range, or the end for the index after the last."""
        return index + bisect_left(self.wide_indices, index)

    def index_of(self, slot: int) -> int:
        """The index of the instruction at *slot*; AsmError if none begins there."""
        if not 0 <= slot < len(self.code) // 8:
            raise AsmError(f"slot {slot} is outside of the program's {self.slot_count}")
        before = bisect_left(self.wide_slots, slot)
        if before and self.wide_slots[before - 1] == slot - 1:
            raise AsmError(f"slot {slot} is the second half of a 64-bit immediate load")
        return slot - before

    def width_at(self, slot: int) -> int:
        return 2 if self.code[slot * 8] == LD_IMM64 else 1

    # --- reading ------------------------------------------------------------------------------------------------------

    def fields(self, slot: int) -> tuple[int, int, int, int, int]:
        """(opcode, dst, src, offset, constant) of the instruction at *slot*."""
        opcode, registers, offset, constant = SLOT.unpack_from(self.code, slot * 8)
        if opcode == LD_IMM64:
            at = slot * 8
            constant = int.from_bytes(self.code[at + 4 : at + 8] + self.code[at + 12 : at + 16], "little")
        return opcode, registers & 15, registers >> 4, offset, constant

    def all_fields(self) -> Iterator[tuple[int, int, int, int, int, int]]:
        """(slot, opcode, dst, src, offset, constant) of every instruction, as the program is now."""
        slots = enumerate(SLOT.iter_unpack(bytes(self.code)))
        for slot, (opcode, registers, offset, constant) in slots:
            if opcode == LD_IMM64:
                constant = constant & 0xFFFF_FFFF | (next(slots)[1][3] & 0xFFFF_FFFF) << 32
            yield slot, opcode, registers & 15, registers >> 4, offset, constant

    def find(self, opcode: int, src: int | None) -> Iterator[int]:
        """The indices of the instructions of that opcode, and source register if one is given."""
        code, wide = self.code, self.wide_slots[:]
        opcodes = bytes(code[::8])
        passed = 0
        slot = opcodes.find(opcode)
        while slot >= 0:
            while passed < len(wide) and wide[passed] < slot:
                passed += 1
            # The second half of a 64-bit load has opcode 0.
            is_whole = not passed or wide[passed - 1] != slot - 1
            if is_whole and (src is None or code[slot * 8 + 1] >> 4 == src):
                yield slot - passed
            slot = opcodes.find(opcode, slot + 1)

    def cut(self, lo: int, hi: int) -> Slots:
        """Slots *lo* to *hi*, whole instructions, on their own."""
        part = Slots()
        part.code = self.code[lo * 8 : hi * 8]
        first, behind = bisect_left(self.wide_slots, lo), bisect_left(self.wide_slots, hi)
        part.wide_slots = array("I", [slot - lo for slot in self.wide_slots[first:behind]])
        part.wide_indices = array("I", map(sub, part.wide_slots, range(len(part.wide_slots))))
        return part

    # --- changing -----------------------------------------------------------------------------------------------------

    def append(self, packed: bytes) -> int:
        """Put one packed instruction at the end, and say at which slot it is."""
        slot = len(self.code) // 8
        self.code += packed
        if packed[0] == LD_IMM64:
            self.wide_indices.append(slot - len(self.wide_slots))
            self.wide_slots.append(slot)
        return slot

    def overwrite(self, slot: int, packed: bytes) -> None:
        """Put a packed instruction in the place of one of the same width."""
        self.code[slot * 8 : slot * 8 + len(packed)] = packed

    def replace(self, lo: int, hi: int, new: Slots) -> None:
        """Put *new* in the place of slots *lo* to *hi*, whole instructions; distances stay as they are."""
        delta = new.slot_count - (hi - lo)
        self.code[lo * 8 : hi * 8] = new.code
        first, behind = bisect_left(self.wide_slots, lo), bisect_left(self.wide_slots, hi)
        wide = [slot + lo for slot in new.wide_slots]
        wide += [slot + delta for slot in self.wide_slots[behind:]]
        self.wide_slots[first:] = array("I", wide)
        self.wide_indices[first:] = array("I", map(sub, wide, range(first, first + len(wide))))

    def heir(self, lo: int, target: int, new: Slots) -> int:
        """The slot in *new*, which is to replace what begins at *lo*, that stands for the instruction at *target*.

        One for one as far as they go, else the first.
        """
        before = bisect_left(self.wide_slots, target)
        if before and self.wide_slots[before - 1] == target - 1:
            return 0  # a jump into the middle of an instruction; the verifier will say so
        number = target - before - self.index_of(lo)
        return new.slot_of(number) if number < new.count else 0
