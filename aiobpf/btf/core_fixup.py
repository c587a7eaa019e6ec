"""The answer to a CO-RE relocation, and how it changes an instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from aiobpf.asm.instruction import Instruction
from aiobpf.asm.opcodes import (
    ALU,
    ALU64,
    CALL_OP,
    LD,
    LD_IMM64,
    LDX,
    SIZE_B,
    SIZE_DW,
    SIZE_H,
    SIZE_W,
    ST,
    STX,
    X,
)
from aiobpf.errors import CoreRelocationError

if TYPE_CHECKING:
    from aiobpf.asm.instructions import Instructions
    from aiobpf.btf.core_relocation import CoreRelocation

POISON_HELPER = 0xBAD2310
"""The number of no helper: "bad relo". A verifier that gets there says "invalid func unknown#195896080"."""

_POISON = Instruction(CALL_OP, constant=POISON_HELPER)
_SIZE_BITS = {1: SIZE_B, 2: SIZE_H, 4: SIZE_W, 8: SIZE_DW}
_SIZES = {bits: size for size, bits in _SIZE_BITS.items()}
_CLASS_BITS = 0x07
_SIZE_MASK = 0x18
_LOW_32 = 0xFFFF_FFFF
_LOW_64 = 0xFFFF_FFFF_FFFF_FFFF


@final
class Fixup:
    """What becomes of the instruction that carries *relocation*.

    *local* is the number that the compiler put there (checked unless *validate* is False), *target* the one that
    belongs there; *local_size* and *target_size* are the bytes of the field that a load or store accesses, and
    *is_resizable* says whether it may become one of the other size. With *poison* the target has no answer, and the
    instruction becomes one that the verifier refuses, which is right wherever a check has made it unreachable.
    """

    __slots__ = ("is_resizable", "local", "local_size", "poison", "relocation", "target", "target_size", "validate")

    def __init__(
        self,
        relocation: CoreRelocation,
        local: int,
        target: int,
        *,
        poison: bool = False,
        validate: bool = True,
        local_size: int = 0,
        target_size: int = 0,
        is_resizable: bool = True,
    ) -> None:
        self.relocation = relocation
        self.local = local
        self.target = target
        self.poison = poison
        self.validate = validate
        self.local_size = local_size
        self.target_size = target_size
        self.is_resizable = is_resizable

    def __repr__(self) -> str:
        change = "poison" if self.poison else f"{self.local} -> {self.target}"
        return f"<Fixup {self.relocation.kind.label} {self.relocation.access!r}: {change}>"

    def apply(self, instructions: Instructions, index: int) -> int:
        """Change the instruction at *index*; how many instructions stand in its place (2 for a poisoned wide load).

        All metadata stays on the instruction. Raises CoreRelocationError when the instruction is not the one that the
        relocation was made for: its number is another one, or its form has no place for a number.
        """
        instruction = instructions[index]
        if self.poison:
            return _poison(instructions, index, instruction)
        kind = instruction.opcode & _CLASS_BITS
        if kind in {ALU, ALU64}:
            self._apply_immediate(instructions, index, instruction)
        elif kind in {LDX, ST, STX}:
            return self._apply_access(instructions, index, instruction)
        elif kind == LD:
            self._apply_wide(instructions, index, instruction)
        else:
            raise self._error(index, instruction, "takes no relocated number")
        return 1

    def _apply_immediate(self, instructions: Instructions, index: int, instruction: Instruction) -> None:
        if instruction.opcode & X:
            raise self._error(index, instruction, "takes no immediate")
        self._check(index, instruction, instruction.constant, _LOW_32)
        if not -(1 << 31) <= self.target <= _LOW_32:
            raise self._error(index, instruction, f"has no room for {self.target:#x} in its immediate")
        instructions.patch(index, constant=self.target)

    def _apply_access(self, instructions: Instructions, index: int, instruction: Instruction) -> int:
        self._check(index, instruction, instruction.offset, _LOW_64)
        if self.target > 0x7FFF:
            raise self._error(index, instruction, f"cannot reach offset {self.target}, at most {0x7FFF}")
        if not self.is_resizable:
            # Loading a signed or composite field at another size would give a wrong number, silently.
            return _poison(instructions, index, instruction)
        if self.local_size == self.target_size:
            instructions.patch(index, offset=self.target)
            return 1
        size = _SIZES[instruction.opcode & _SIZE_MASK]
        if size != self.local_size:
            raise self._error(index, instruction, f"accesses {size} bytes of a field of {self.local_size}")
        bits = _SIZE_BITS.get(self.target_size)
        if bits is None:
            raise self._error(index, instruction, f"cannot access {self.target_size} bytes")
        instructions.patch(index, opcode=instruction.opcode & ~_SIZE_MASK | bits, offset=self.target)
        return 1

    def _apply_wide(self, instructions: Instructions, index: int, instruction: Instruction) -> None:
        if instruction.opcode != LD_IMM64 or instruction.src or instruction.offset:
            raise self._error(index, instruction, "is no plain 64-bit immediate load")
        target = self.target
        found = instruction.constant
        if self.relocation.kind.is_enum_based and self.local < 0 and found == self.local & _LOW_32:
            # A value from 2**31 up that the compiler took for unsigned; libbpf refuses it for not being negative.
            target &= _LOW_32
        else:
            self._check(index, instruction, found, _LOW_64)
        instructions.patch(index, constant=target & _LOW_64)

    def _check(self, index: int, instruction: Instruction, found: int, mask: int) -> None:
        if self.validate and found & mask != self.local & mask:
            raise self._error(index, instruction, f"has {found}, the object's own types say {self.local}")

    def _error(self, index: int, instruction: Instruction, reason: str) -> CoreRelocationError:
        relocation = self.relocation
        return CoreRelocationError(
            f"{relocation.kind.label} relocation {relocation.access!r} of {relocation.type.name!r} "
            f"at instruction {index} (opcode {instruction.opcode:#04x}): the instruction {reason}"
        )


def _poison(instructions: Instructions, index: int, instruction: Instruction) -> int:
    poisoned = instruction.replace_operation(_POISON)
    if instruction.width == 1:
        instructions[index] = poisoned
        return 1
    # Both slots, so that jumps over it keep their distance and the verifier does not stumble over half a load.
    instructions[index : index + 1] = [poisoned, _POISON]
    return 2
