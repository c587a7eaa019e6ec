"""Whether this kernel knows the newer instructions that a program has (`aiobpf.asm.newer_instructions`).

A kernel that is too old says so in as many ways as it has checks ("BPF_STX uses reserved fields", "unknown opcode e5",
"number of funcs in func_info doesn't match number of subprogs"), none of which names the reason. Looked for only in a
program that was refused, by opcode, and asked of the kernel only where one is found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.asm.newer_instructions import NEWER_INSTRUCTIONS
from aiobpf.errors import NotSupportedError
from aiobpf.kernel import Feature, features

if TYPE_CHECKING:
    from aiobpf.asm import Instructions


def newer_instruction(instructions: Instructions, name: str, token: int | None) -> NotSupportedError | None:
    """What to say of the program *name* if it has an instruction that this kernel does not know; None if it has not."""
    for kind in NEWER_INSTRUCTIONS:
        index = next(kind.find(instructions), None)
        if index is not None and not features.may_support(Feature[kind.feature], token):
            return NotSupportedError(
                f"program {name!r}: {kind.words}, at instruction {instructions.slot_of(index)},",
                kind.since,
                kind.hint,
            )
    return None
