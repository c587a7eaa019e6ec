"""A program's count of the events that it could not submit, as ``stream.stats.lost`` reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.asm.build_alu import add, mov
from aiobpf.asm.build_atomics import atomic_add
from aiobpf.asm.build_calls import call_helper
from aiobpf.asm.build_jumps import jeq
from aiobpf.asm.build_memory import load_map_ptr, st
from aiobpf.asm.opcodes import Size
from aiobpf.asm.registers import R0, R1, R2, R10

if TYPE_CHECKING:
    from aiobpf.asm.instruction import Instruction

_MAP_LOOKUP_ELEM = 1


def count_lost(map_name: str, *, fd: int = 0, stack: int = -8) -> list[Instruction]:
    """Add 1 to the counter *map_name*: element 0, a u64, of an array or per-CPU array ("events_lost" for "events").

    What a program does where bpf_ringbuf_reserve or bpf_ringbuf_output fails; ``bpf/lost_events.h`` is the same for C.
    It uses R0 to R5, as a helper call does, and the 4 bytes of stack at *stack* from R10. *fd* is a map's descriptor,
    for a program that is loaded from instructions alone.
    """
    return [
        st(Size.W, R10, stack, 0),
        mov(R2, R10),
        add(R2, stack),
        load_map_ptr(R1, map_name, fd),
        call_helper(_MAP_LOOKUP_ELEM),
        jeq(R0, 0, 2),
        mov(R1, 1),
        atomic_add(Size.DW, R0, R1, 0),
    ]
