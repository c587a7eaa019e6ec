"""Builders: calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.asm import opcodes as op
from aiobpf.asm.instruction import Instruction
from aiobpf.asm.opcodes import CallKind

if TYPE_CHECKING:
    from aiobpf.asm.registers import Register


def call_helper(helper: int | str) -> Instruction:
    """Call a kernel helper, by number (a `Helper`) or name ("map_lookup_elem", "bpf_map_lookup_elem")."""
    if isinstance(helper, str):
        from aiobpf.asm.helper_functions import helper_number

        helper = helper_number(helper)
    return Instruction(op.CALL_OP, src=CallKind.HELPER, constant=int(helper))


def call_function(target: int | str) -> Instruction:
    """Call a function of the program, by name or by distance in slots from the next slot."""
    if isinstance(target, str):
        return Instruction(op.CALL_OP, src=CallKind.FUNCTION).with_reference(target)
    return Instruction(op.CALL_OP, src=CallKind.FUNCTION, constant=target)


def call_kfunc(target: int | str, fd_index: int = 0) -> Instruction:
    """Call a kernel function, by name (the loader finds it) or BTF id; *fd_index* says whose BTF (0: vmlinux's)."""
    if isinstance(target, str):
        return Instruction(op.CALL_OP, src=CallKind.KFUNC, offset=fd_index).with_reference(target)
    return Instruction(op.CALL_OP, src=CallKind.KFUNC, offset=fd_index, constant=target)


def callx(dst: Register) -> Instruction:
    """Call the address in dst. A compiler may write it; no kernel takes it yet."""
    return Instruction(op.CALLX_OP, dst)
