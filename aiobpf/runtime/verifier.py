"""Why a program was refused: the verifier's log beside the program's own notes.

`aiobpf.verifier` reads the log; here its slots become source lines and instructions with their names, and what CO-RE or
a missing kernel function left in the code becomes the name of what was missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from aiobpf.asm import EMPTY, Metadata, format_instruction
from aiobpf.btf import CORE_RELOCATION, describe_relocation
from aiobpf.btf.core_fixup import POISON_HELPER
from aiobpf.errors import AsmError, VerifierError
from aiobpf.runtime.program_externs import POISONED_KFUNC
from aiobpf.runtime.source_lines import SourceLines
from aiobpf.spec import EXTERN
from aiobpf.verifier import Diagnosis, Refusal, Report

if TYPE_CHECKING:
    from aiobpf.asm import Instruction, Instructions


def refused(errno: int, program: str, instructions: Instructions, log: str, *, is_cut: bool = False) -> VerifierError:
    """The error for a program that the verifier refused, with a *log* of whatever length, which may be cut."""
    notes = ProgramNotes(instructions)
    refusal = Refusal(log, notes, is_cut=is_cut)
    slot = refusal.verdict.slot
    reason = refusal.verdict.reason
    if not reason and is_cut:
        return VerifierError(
            errno, program, "the verifier's log is too long to hold the reason", log=log, instruction=slot,
            source=None if slot is None else notes.source(slot), refusal=refusal,
            hint="LogPolicy(max_size=...) makes room for it, LogPolicy(level=4) leaves out all but the end",
        )  # fmt: skip
    found = _missing(instructions, slot, reason) or refusal.diagnosis
    explanation: str | None
    hint: str | None
    if found is not None:
        explanation, hint = found.explanation, found.hint
    else:  # in the kernel's own words, where it has some
        report = refusal.verdict.report or Report()
        explanation, hint = report.reason or None, report.suggestion or None
    if found is not None and found.name in _NAMED:
        reason, explanation = found.explanation, None
    return VerifierError(
        errno, program, reason or "the kernel gives no reason", log=log, instruction=slot,
        disassembly=None if slot is None else notes.text(slot), source=None if slot is None else notes.source(slot),
        function=None if slot is None else notes.function(slot),
        cause=None if found is None else found.name, explanation=explanation, hint=hint, refusal=refusal,
    )  # fmt: skip


_NAMED = frozenset({"poison", "missing-kfunc"})
"""Causes whose reason, in the verifier's words, is the number of a helper that nobody has."""


@final
class ProgramNotes:
    """A program's notes for the story of its refusal."""

    def __init__(self, instructions: Instructions) -> None:
        self._instructions = instructions
        self._lines = SourceLines(instructions)

    def source(self, slot: int, /) -> str | None:
        return self._lines.at(slot)

    def function(self, slot: int, /) -> str | None:
        return self._lines.function_at(slot)

    def text(self, slot: int, /) -> str | None:
        return instruction_text(self._instructions, slot)


def instruction_text(instructions: Instructions, slot: int) -> str | None:
    """The instruction at *slot* with the names that it refers to, or None if none begins there."""
    instruction = _instruction_at(instructions, slot)
    return None if instruction is None else format_instruction(instruction)


def _missing(instructions: Instructions, slot: int | None, reason: str) -> Diagnosis | None:
    """What the loader had to leave out at *slot*, by name."""
    metadata = _metadata_at(instructions, slot)
    relocation = metadata.get(CORE_RELOCATION)
    if relocation is not None and f"unknown#{POISON_HELPER}" in reason:
        return Diagnosis(
            "poison",
            f"it reaches what this kernel does not have: {describe_relocation(relocation)}",
            "guard it with bpf_core_field_exists() or bpf_core_type_exists(), or use a flavour of the type that "
            "this kernel has",
        )
    extern = metadata.get(EXTERN)
    if extern is not None and f"unknown#{POISONED_KFUNC}" in reason:
        return Diagnosis(
            "missing-kfunc",
            f"it calls the weak kernel function {extern.name!r}, which this kernel does not have",
            f"guard the call with `if ({extern.name})` or bpf_ksym_exists({extern.name})",
        )
    return None


def _metadata_at(instructions: Instructions, slot: int | None) -> Metadata:
    instruction = None if slot is None else _instruction_at(instructions, slot)
    return EMPTY if instruction is None else instruction.metadata


def _instruction_at(instructions: Instructions, slot: int) -> Instruction | None:
    try:
        return instructions.at_slot(slot)
    except AsmError:  # the log is text: a slot that no instruction begins at is no reason for another error
        return None
