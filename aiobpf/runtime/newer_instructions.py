"""Instructions that kernels learnt since 5.10, and whether this one knows those that a program has.

A kernel that is too old says so in as many ways as it has checks ("BPF_STX uses reserved fields", "unknown opcode e5",
"number of funcs in func_info doesn't match number of subprogs"), none of which names the reason. Looked for only in a
program that was refused, by opcode, and asked of the kernel only where one is found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf import asm
from aiobpf.asm import opcodes as op
from aiobpf.errors import NotSupportedError
from aiobpf.kernel import Feature, features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiobpf.asm import Instructions


@frozen
class _Newer:
    """One kind of instruction: the opcodes that it may have, and what else tells it from older ones."""

    feature: Feature
    words: str
    opcodes: tuple[int, ...]
    is_it: Callable[[int, int, int], bool] = lambda _source, _offset, _constant: True
    hint: str | None = None


_ATOMICS = (op.STX | op.ATOMIC | op.SIZE_W, op.STX | op.ATOMIC | op.SIZE_DW)
_SMALL_ATOMICS = (op.STX | op.ATOMIC | op.SIZE_B, op.STX | op.ATOMIC | op.SIZE_H)
_DIVISIONS = tuple(
    kind | operation | x for kind in (op.ALU, op.ALU64) for operation in (op.DIV, op.MOD) for x in (0, 8)
)
_MOVES = (op.ALU | op.MOV | op.X, op.ALU64 | op.MOV | op.X)
_V3 = "clang -mcpu=v3 makes none"

_KINDS = (
    _Newer(
        Feature.ATOMICS,
        "an atomic operation other than adding without a result",
        _ATOMICS,
        lambda _source, _offset, constant: constant != op.ATOMIC_ADD and constant < op.LOAD_ACQUIRE,
        "__sync_fetch_and_add() whose result is not used is an older one",
    ),
    _Newer(
        Feature.FUNCTION_POINTERS,
        "a function's address (a callback)",
        (op.LD_IMM64,),
        lambda source, _offset, _constant: source == asm.Pseudo.FUNC,
    ),
    _Newer(
        Feature.ISA_V4,
        "a signed division",
        _DIVISIONS,
        lambda _source, offset, _constant: offset == 1,
        _V3,
    ),
    _Newer(
        Feature.ISA_V4,
        "a sign-extending move",
        _MOVES,
        lambda _source, offset, _constant: offset in {8, 16, 32},
        _V3,
    ),
    _Newer(
        Feature.ISA_V4,
        "a sign-extending load",
        tuple(op.LDX | op.MEMSX | size for size in (op.SIZE_B, op.SIZE_H, op.SIZE_W)),
        hint=_V3,
    ),
    _Newer(Feature.ISA_V4, "a byte swap whatever the byte order", (op.ALU64 | op.END,), hint=_V3),
    _Newer(Feature.ISA_V4, "a jump of 32 bits (gotol)", (op.GOTOL_OP,), hint=_V3),
    _Newer(Feature.MAY_GOTO, "may_goto (cond_break, can_loop)", (op.MAY_GOTO_OP,)),
    _Newer(
        Feature.LOAD_ACQUIRE,
        "a load-acquire or store-release",
        _ATOMICS + _SMALL_ATOMICS,
        lambda _source, _offset, constant: constant in {op.LOAD_ACQUIRE, op.STORE_RELEASE},
    ),
)


def newer_instruction(instructions: Instructions, name: str, token: int | None) -> NotSupportedError | None:
    """What to say of the program *name* if it has an instruction that this kernel does not know; None if it has not."""
    for kind in _KINDS:
        index = next(_found(instructions, kind), None)
        if index is not None and not features.may_support(kind.feature, token):
            return NotSupportedError(
                f"program {name!r}: {kind.words}, at instruction {instructions.slot_of(index)},",
                kind.feature.since,
                kind.hint,
            )
    return None


def _found(instructions: Instructions, kind: _Newer) -> Iterator[int]:
    for opcode in kind.opcodes:
        for index in instructions.find(opcode):
            _, _, source, offset, constant = instructions.fields(index)
            if kind.is_it(source, offset, constant):
                yield index
