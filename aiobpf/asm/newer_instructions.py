"""Instructions that kernels learnt since 5.10, and how to tell them from older ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from aiobpf.asm import opcodes as op
from aiobpf.asm.opcodes import Pseudo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiobpf.asm.instructions import Instructions


@frozen
class NewerInstruction:
    """One kind of instruction: the opcodes that it may have, and what else tells it from older ones.

    *feature* is the name of `aiobpf.kernel.Feature` for it, *since* the first kernel that takes it. One that
    *is_seen_anywhere* is refused by an older kernel wherever it stands, others only where the verifier gets to.
    """

    feature: str
    since: str
    words: str
    opcodes: tuple[int, ...]
    is_it: Callable[[int, int, int], bool] = lambda _source, _offset, _constant: True
    hint: str | None = None
    is_seen_anywhere: bool = True

    def find(self, instructions: Instructions) -> Iterator[int]:
        """The indices of the instructions that are of this kind, by opcode."""
        for opcode in self.opcodes:
            for index in instructions.find(opcode):
                _, _, source, offset, constant = instructions.fields(index)
                if self.is_it(source, offset, constant):
                    yield index


_ATOMICS = (op.STX | op.ATOMIC | op.SIZE_W, op.STX | op.ATOMIC | op.SIZE_DW)
_SMALL_ATOMICS = (op.STX | op.ATOMIC | op.SIZE_B, op.STX | op.ATOMIC | op.SIZE_H)
_DIVISIONS = tuple(
    kind | operation | x for kind in (op.ALU, op.ALU64) for operation in (op.DIV, op.MOD) for x in (0, 8)
)
_MOVES = (op.ALU | op.MOV | op.X, op.ALU64 | op.MOV | op.X)
_V3 = "clang -mcpu=v3 makes none"

NEWER_INSTRUCTIONS: Final = (
    NewerInstruction(
        "ATOMICS",
        "5.12",
        "an atomic operation other than adding without a result",
        _ATOMICS,
        lambda _source, _offset, constant: constant != op.ATOMIC_ADD and constant < op.LOAD_ACQUIRE,
        "__sync_fetch_and_add() whose result is not used is an older one",
    ),
    NewerInstruction(
        "FUNCTION_POINTERS",
        "5.13",
        "a function's address (a callback)",
        (op.LD_IMM64,),
        lambda source, _offset, _constant: source == Pseudo.FUNC,
    ),
    NewerInstruction(
        "ISA_V4",
        "6.6",
        "a signed division",
        _DIVISIONS,
        lambda _source, offset, _constant: offset == 1,
        _V3,
        is_seen_anywhere=False,
    ),
    NewerInstruction(
        "ISA_V4",
        "6.6",
        "a sign-extending move",
        _MOVES,
        lambda _source, offset, _constant: offset in {8, 16, 32},
        _V3,
        is_seen_anywhere=False,
    ),
    NewerInstruction(
        "ISA_V4",
        "6.6",
        "a sign-extending load",
        tuple(op.LDX | op.MEMSX | size for size in (op.SIZE_B, op.SIZE_H, op.SIZE_W)),
        hint=_V3,
    ),
    NewerInstruction("ISA_V4", "6.6", "a byte swap whatever the byte order", (op.ALU64 | op.END,), hint=_V3),
    NewerInstruction("ISA_V4", "6.6", "a jump of 32 bits (gotol)", (op.GOTOL_OP,), hint=_V3),
    NewerInstruction("MAY_GOTO", "6.9", "may_goto (cond_break, can_loop)", (op.MAY_GOTO_OP,)),
    NewerInstruction(
        "LOAD_ACQUIRE",
        "6.15",
        "a load-acquire or store-release",
        _ATOMICS + _SMALL_ATOMICS,
        lambda _source, _offset, constant: constant in {op.LOAD_ACQUIRE, op.STORE_RELEASE},
        is_seen_anywhere=False,
    ),
)
