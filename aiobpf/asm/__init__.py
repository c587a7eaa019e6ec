"""Instructions: the whole BPF instruction set as values, and programs as sequences of them. Bytes in, objects out."""

from __future__ import annotations

from aiobpf.asm.instruction import Instruction
from aiobpf.asm.instructions import Instructions
from aiobpf.asm.metadata import EMPTY, Key, Metadata
from aiobpf.asm.opcodes import CallKind, Pseudo, Size
from aiobpf.asm.references import COMMENT, LABEL, REFERENCE, SYMBOL, Reference
from aiobpf.asm.registers import R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, Register

__all__ = [
    "COMMENT",
    "EMPTY",
    "LABEL",
    "R0",
    "R1",
    "R2",
    "R3",
    "R4",
    "R5",
    "R6",
    "R7",
    "R8",
    "R9",
    "R10",
    "REFERENCE",
    "SYMBOL",
    "CallKind",
    "Instruction",
    "Instructions",
    "Key",
    "Metadata",
    "Pseudo",
    "Reference",
    "Register",
    "Size",
]
