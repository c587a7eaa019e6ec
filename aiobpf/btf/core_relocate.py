"""CO-RE: what the numbers of a program compiled against one kernel's types are in another's.

The rules are those of libbpf and the kernel (tools/lib/bpf/relo_core.c, kernel/bpf/btf.c), decision by decision:
relocations are resolved in order, each against all candidates of its type; those that match must agree, and only
they are candidates of that type from then on.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, final

from aiobpf.btf.core_access import format_path, parse_access
from aiobpf.btf.core_fixup import Fixup
from aiobpf.btf.core_match import Budget
from aiobpf.btf.core_relocation import CORE_RELOCATION, CoreRelocation, CoreRelocationKind
from aiobpf.btf.core_target import target_of
from aiobpf.btf.core_value import enumerator_value, field_value, may_resize, type_value
from aiobpf.errors import BtfError, CoreRelocationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Literal

    from aiobpf.asm.instructions import Instructions
    from aiobpf.btf.btf import Btf
    from aiobpf.btf.core_access import Path
    from aiobpf.btf.core_target import Target
    from aiobpf.btf.core_value import Value
    from aiobpf.btf.types import Type

    ByteOrder = Literal["little", "big"]

_K = CoreRelocationKind
_MAX_COMPARISONS = 250_000
"""Less than a second. All objects of libbpf-tools together take some thousands."""


@final
class CoreRelocator:
    """Resolves the relocations of one object against *targets*.

    *targets* is the kernel's BTF, or one BTF from a file; those of modules may follow, and are looked into for a type
    that the first lacks (as libbpf does). *more_targets* gives further ones, and is called once, when a type is met
    that *targets* lack: most objects need no module, and a module's BTF costs as much as theirs.
    *byte_order* is the program's. *local_type_id* gives the id that a type will have in the BTF which the program is
    loaded with; without it, a relocation that asks for that gets the id in the object.

    *on_match* is told each path that a relocation found in a candidate.

    One relocator serves all programs of an object, in the order of the object: what one relocation found out about
    its type narrows the candidates of the next, as in libbpf.
    """

    __slots__ = (
        "_budget",
        "_byte_order",
        "_candidates",
        "_known",
        "_local_type_id",
        "_more_targets",
        "_on_match",
        "_targets",
    )

    def __init__(
        self,
        targets: Sequence[Btf],
        *,
        more_targets: Callable[[], Sequence[Btf]] | None = None,
        byte_order: ByteOrder = "little",
        local_type_id: Callable[[Type], int] | None = None,
        on_match: Callable[[Path, CoreRelocationKind], None] | None = None,
    ) -> None:
        self._targets = [target_of(target) for target in targets]
        self._more_targets: Callable[[], Sequence[Target]] | None = None
        if more_targets is not None:
            self._more_targets = cache(lambda: [target_of(target) for target in more_targets()])
        self._byte_order: ByteOrder = byte_order
        self._local_type_id = local_type_id
        self._on_match = on_match
        self._budget = Budget(_MAX_COMPARISONS)
        self._candidates: dict[Type, list[tuple[Target, Type]]] = {}
        # Narrowing never changes an answer that was given: the candidates left are those that agreed on it.
        self._known: dict[tuple[Type, str, CoreRelocationKind], Fixup] = {}

    def resolve(self, relocation: CoreRelocation) -> Fixup:
        """The answer to *relocation*; CoreRelocationError when it is malformed, or when candidates disagree."""
        try:
            local = relocation.type
        except BtfError as error:
            raise CoreRelocationError(f"{relocation!r}: {error}") from error
        if relocation.kind is _K.TYPE_ID_LOCAL:
            parse_access(relocation)
            type_id = relocation.type_id if self._local_type_id is None else self._local_type_id(local)
            return Fixup(relocation, relocation.type_id, type_id, validate=False)
        key = (local, relocation.access, relocation.kind)
        fixup = self._known.get(key)
        if fixup is None:
            fixup = self._known[key] = self._resolve(relocation, local)
        return fixup

    def _resolve(self, relocation: CoreRelocation, local: Type) -> Fixup:
        path = parse_access(relocation)
        try:
            if not local.name:
                raise CoreRelocationError("an anonymous type cannot be found in a kernel")
            candidates = self._candidates.get(local)
            if candidates is None:
                candidates = self._candidates[local] = self._find_candidates(local)
            return self._choose(relocation, path, candidates)
        except (BtfError, CoreRelocationError) as error:
            raise CoreRelocationError(
                f"{relocation.kind.label} relocation of {format_path(path, relocation.kind)}: {error}"
            ) from error

    def _find_candidates(self, local: Type) -> list[tuple[Target, Type]]:
        found = _candidates(local, self._targets[:1]) or _candidates(local, self._targets[1:])
        if not found and self._more_targets is not None:
            found = _candidates(local, self._more_targets())
        return found

    def _choose(self, relocation: CoreRelocation, path: Path, candidates: list[tuple[Target, Type]]) -> Fixup:
        kind = relocation.kind
        chosen: Fixup | None = None
        chosen_path: Path | None = None
        matching: list[tuple[Target, Type]] = []
        for target, candidate in candidates:
            found = target.match(path, candidate, kind, self._budget)
            if found is None:
                continue
            fixup = self._fixup(relocation, path, found, target)
            if chosen is None or chosen_path is None:
                chosen, chosen_path = fixup, found
            elif found.bit_offset != chosen_path.bit_offset:
                raise _ambiguous(
                    matching[0], (target, candidate), f"bit offset {chosen_path.bit_offset}", f"{found.bit_offset}"
                )
            elif fixup.target != chosen.target or fixup.poison != chosen.poison:
                raise _ambiguous(matching[0], (target, candidate), f"{chosen.target}", f"{fixup.target}")
            matching.append((target, candidate))
            if self._on_match is not None:
                self._on_match(found, kind)
        if chosen is None:
            return self._fixup(relocation, path, None, None)
        candidates[:] = matching
        return chosen

    def _fixup(self, relocation: CoreRelocation, local: Path, found: Path | None, target: Target | None) -> Fixup:
        kind = relocation.kind
        ours: Value | None
        theirs: Value | None
        pointer_size = 8 if target is None else target.pointer_size
        if kind.is_field_based:
            ours = field_value(local, kind, 8, self._byte_order)
            theirs = field_value(found, kind, pointer_size, self._byte_order)
        elif kind.is_enum_based:
            ours = enumerator_value(local, kind)
            theirs = enumerator_value(found, kind)
        else:
            type_id = target.id_of(found.root) if kind is _K.TYPE_ID_TARGET and found and target else 0
            ours = type_value(local, kind, relocation.type_id, 8)
            theirs = type_value(found, kind, type_id, pointer_size)
        assert ours is not None  # the local path exists
        if theirs is None:
            return Fixup(relocation, ours.number, 0, poison=True, validate=ours.is_certain)
        return Fixup(
            relocation,
            ours.number,
            theirs.number,
            validate=ours.is_certain,
            local_size=ours.size,
            target_size=theirs.size,
            is_resizable=not kind.is_field_based or may_resize(ours, theirs),
        )


def _candidates(local: Type, targets: Sequence[Target]) -> list[tuple[Target, Type]]:
    return [(target, found) for target in targets for found in target.candidates(local)]


def _ambiguous(
    first: tuple[Target, Type], second: tuple[Target, Type], first_answer: str, second_answer: str
) -> CoreRelocationError:
    def named(candidate: tuple[Target, Type]) -> str:
        target, found = candidate
        return f"[{target.id_of(found)}] {found}"

    return CoreRelocationError(
        f"the target has several such types, and they disagree: {named(first)} gives {first_answer}, "
        f"{named(second)} gives {second_answer}"
    )


def relocate(
    relocations: Sequence[CoreRelocation],
    targets: Sequence[Btf],
    *,
    byte_order: ByteOrder = "little",
    local_type_id: Callable[[Type], int] | None = None,
) -> list[Fixup]:
    """The fixups of *relocations*, in the same order; the caller remembers which instruction asked.

    The arguments, and the errors, are those of CoreRelocator.
    """
    relocator = CoreRelocator(targets, byte_order=byte_order, local_type_id=local_type_id)
    return [relocator.resolve(relocation) for relocation in relocations]


def relocate_instructions(instructions: Instructions, relocator: CoreRelocator) -> list[Fixup]:
    """Resolve and apply the CO-RE relocation of every instruction that carries one; the fixups, in program order.

    The relocations stay on the instructions, poisoned ones included: an error of the verifier can name them. So this
    is for instructions that were not relocated before; a fixup checks that it finds the compiler's number.

    Raises CoreRelocationError, with *instructions* changed in part.
    """
    asked = list(instructions.with_key(CORE_RELOCATION))
    fixups = [relocator.resolve(relocation) for _, relocation in asked]
    # From the end: a poisoned wide load becomes two instructions.
    for (index, _), fixup in zip(reversed(asked), reversed(fixups), strict=True):
        fixup.apply(instructions, index)
    return fixups
