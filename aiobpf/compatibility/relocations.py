"""CO-RE for a kernel that does not run: each relocation's answer, where a load would stop at the first without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf.asm.opcodes import CALL_OP
from aiobpf.btf import CORE_RELOCATION, CoreRelocationKind, describe_relocation
from aiobpf.btf.core_fixup import POISON_HELPER
from aiobpf.errors import AsmError, CoreRelocationError

if TYPE_CHECKING:
    from aiobpf.asm import Instructions
    from aiobpf.btf import CoreRelocation, CoreRelocator, Fixup

_K = CoreRelocationKind
_QUESTIONS = {
    _K.FIELD_BYTE_OFFSET: "offset",
    _K.FIELD_BYTE_SIZE: "size",
    _K.FIELD_EXISTS: "existence",
    _K.FIELD_SIGNED: "signedness",
    _K.FIELD_LSHIFT_U64: "left shift",
    _K.FIELD_RSHIFT_U64: "right shift",
    _K.TYPE_ID_LOCAL: "id in the object",
    _K.TYPE_ID_TARGET: "id",
    _K.TYPE_EXISTS: "existence",
    _K.TYPE_SIZE: "size",
    _K.ENUMVAL_EXISTS: "existence",
    _K.ENUMVAL_VALUE: "value",
    _K.TYPE_MATCHES: "match",
}
_ABSENT_IS_AN_ANSWER = frozenset(
    {_K.FIELD_EXISTS, _K.TYPE_EXISTS, _K.TYPE_MATCHES, _K.ENUMVAL_EXISTS, _K.TYPE_SIZE, _K.TYPE_ID_TARGET}
)


@frozen
class Relocated:
    """One relocation: the *fixup*, or the *error* that ends a load. *is_poisoned*: its instruction became one that the
    verifier refuses when it gets there."""

    slot: int
    relocation: CoreRelocation
    fixup: Fixup | None
    is_poisoned: bool = False
    error: str = ""

    @property
    def subject(self) -> str:
        return describe_relocation(self.relocation)

    @property
    def question(self) -> str:
        return _QUESTIONS[self.relocation.kind]

    @property
    def is_absent(self) -> bool:
        """Whether the kernel lacks what was asked for, and the program was told so."""
        return self.fixup is not None and not self.fixup.target and self.relocation.kind in _ABSENT_IS_AN_ANSWER

    @property
    def answer(self) -> str:
        if self.fixup is None or self.is_poisoned:
            return ""
        return str(self.fixup.target)


def relocate_each(instructions: Instructions, relocator: CoreRelocator) -> list[Relocated]:
    """Resolve and apply every CO-RE relocation of *instructions*, which are changed; one that fails stays as it is."""
    asked = list(instructions.with_key(CORE_RELOCATION))
    slots = [slot for slot, _ in instructions.with_key_by_slot(CORE_RELOCATION)]
    resolved: list[Fixup | str] = []
    for _, relocation in asked:
        try:
            resolved.append(relocator.resolve(relocation))
        except CoreRelocationError as error:
            resolved.append(str(error))
    results = []
    # From the end: a poisoned wide load becomes two instructions.
    for (index, relocation), slot, fixup in zip(reversed(asked), reversed(slots), reversed(resolved), strict=True):
        if isinstance(fixup, str):
            results.append(Relocated(slot, relocation, None, error=fixup))
            continue
        try:
            fixup.apply(instructions, index)
        except (AsmError, CoreRelocationError) as error:
            results.append(Relocated(slot, relocation, fixup, error=str(error)))
            continue
        opcode, _, src, _, constant = instructions.fields(index)
        is_poisoned = (opcode, src, constant) == (CALL_OP, 0, POISON_HELPER)
        results.append(Relocated(slot, relocation, fixup, is_poisoned))
    return results[::-1]
