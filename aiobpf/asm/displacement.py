"""Where instructions point by distance, and how those distances change when a program is cut."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, NamedTuple

from aiobpf.asm.opcodes import CALL_OP, GOTOL_OP, LD_IMM64, OFFSET_JUMPS, RELATIVE, CallKind, Pseudo
from aiobpf.asm.wire import IMMEDIATE, OFFSET, SLOT
from aiobpf.errors import AsmError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiobpf.asm.columns import Column
    from aiobpf.asm.references import Reference


class Pointer(NamedTuple):
    """Slot *slot* goes to, calls or loads the address of slot *target*; *is_short* where 16 bits hold the distance."""

    slot: int
    target: int
    is_short: bool


def pointer_at(code: bytearray, slot: int) -> Pointer | None:
    """The distance that the instruction at *slot* holds, if it holds one."""
    opcode, registers, offset, constant = SLOT.unpack_from(code, slot * 8)
    if opcode in OFFSET_JUMPS:
        return Pointer(slot, slot + 1 + offset, True)
    if (
        opcode == GOTOL_OP
        or (opcode == CALL_OP and registers >> 4 == CallKind.FUNCTION)
        or (opcode == LD_IMM64 and registers >> 4 == Pseudo.FUNC)
    ):
        # A function's address counts from the first slot of the load too (kernel/bpf/verifier.c, add_subprog).
        return Pointer(slot, slot + 1 + constant, False)
    return None


def pointers(code: bytearray) -> Iterator[Pointer]:
    """Every distance in *code*, in order."""
    for slot in compress(range(len(code) // 8), code[::8].translate(RELATIVE)):
        pointer = pointer_at(code, slot)
        if pointer is not None:
            yield pointer


def set_target(code: bytearray, pointer: Pointer, at: int, target: int) -> None:
    """Make the instruction at slot *at*, of *pointer*'s form, point to slot *target*."""
    distance = target - at - 1
    if pointer.is_short:
        if not -0x8000 <= distance <= 0x7FFF:
            raise AsmError(f"slot {at}: a jump over {distance} slots does not fit 16 bits (use gotol)")
        OFFSET.pack_into(code, at * 8 + 2, distance)
    else:
        IMMEDIATE.pack_into(code, at * 8 + 4, distance)


class Retargeting:
    """What has to change in *code* when slots *lo* to *hi* give way to *count* new ones.

    Whatever stays keeps pointing to the instruction it pointed to. What pointed into the part that goes is sent to the
    instruction that takes its place (*replacement* gives it, as a slot among the new ones), or if there is none to the
    first one after. An instruction with a reference is left alone: its name decides when it is encoded.

    All distances are checked before anything is changed: an AsmError leaves the program as it was.
    """

    def __init__(
        self,
        code: bytearray,
        references: Column[Reference] | None,
        lo: int,
        hi: int,
        count: int,
        replacement: Callable[[int], int] | None = None,
    ) -> None:
        self._changes: list[tuple[Pointer, int]] = []
        delta = count - (hi - lo)
        if lo * 8 == len(code):
            return  # appending: a jump beyond the end was written for what is coming
        for pointer in pointers(code):
            slot, target, is_short = pointer
            if lo <= slot < hi:
                continue
            if target >= hi:
                new = target + delta
            elif target <= lo:
                new = target
            else:
                new = lo + (0 if replacement is None else replacement(target))
            at = slot if slot < lo else slot + delta
            distance = new - at - 1
            if distance == target - slot - 1 or (references is not None and references.get(slot) is not None):
                continue
            if is_short and not -0x8000 <= distance <= 0x7FFF:
                raise AsmError(f"slot {slot}: its jump would span {distance} slots, which do not fit 16 bits")
            self._changes.append((pointer, distance))

    def apply(self, code: bytearray) -> None:
        """Change *code*, which still has the slots that go."""
        for pointer, distance in self._changes:
            if pointer.is_short:
                OFFSET.pack_into(code, pointer.slot * 8 + 2, distance)
            else:
                IMMEDIATE.pack_into(code, pointer.slot * 8 + 4, distance)
