"""The target's side of CO-RE: which of its types may be meant, and where a path of names leads in one.

What is found out about a target (a kernel's BTF, used again and again) is kept as long as the target is: the members of
a struct with those of its anonymous ones, by name, and the candidates of a name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, final

from aiobpf.btf.core_access import MAX_STEPS, Path, Step, byte_size, is_flexible
from aiobpf.btf.core_match import Budget, essential_name, fields_compatible, types_compatible, types_match
from aiobpf.btf.core_relocation import CoreRelocationKind
from aiobpf.btf.types import Array, Enum, Int, Struct, Type, Union, strip_qualifiers
from aiobpf.errors import CoreRelocationError

if TYPE_CHECKING:
    from aiobpf.btf.btf import Btf

_MAX_MEMBERS = 1 << 16


class _Place(NamedTuple):
    """A member by name: *number* of *owner*, *bit_offset* bits from the start of the outermost struct."""

    owner: Struct | Union
    number: int
    bit_offset: int


@final
class Target:
    """One BTF that relocations are resolved against, and what is known of it already."""

    __slots__ = ("_btf", "_candidates", "_members", "_pointer_size")

    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        self._candidates: dict[tuple[str, type[Type]], tuple[Type, ...]] = {}
        self._members: dict[Type, dict[str, _Place]] = {}
        self._pointer_size = 0

    @property
    def pointer_size(self) -> int:
        """The bytes of a pointer there: those of "long", as BTF does not say (libbpf's determine_ptr_size)."""
        if not self._pointer_size:
            self._pointer_size = 8
            for name in ("long int", "long unsigned int", "long", "unsigned long"):
                sizes = {found.size for found in self._btf.all_by_name(name, Int)}
                if sizes:
                    self._pointer_size = 4 if sizes == {4} else 8
                    break
        return self._pointer_size

    def candidates(self, local: Type) -> tuple[Type, ...]:
        """The types here that *local* may mean: of its kind, and of its name without flavours."""
        name = essential_name(local.name)
        key = (name, type(local))
        found = self._candidates.get(key)
        if found is None:
            found = tuple(self._btf.candidates(name, type(local)))
            self._candidates[key] = found
        return found

    def id_of(self, type: Type) -> int:  # noqa: A002
        """The id of *type* in the target's BTF."""
        return self._btf.id_of(type)

    def has_member(self, composite: Struct | Union, name: str) -> bool:
        """Whether *composite*, or an anonymous member of it, has a member of that name."""
        return name in self._members_of(composite)

    def match(self, local: Path, candidate: Type, kind: CoreRelocationKind, budget: Budget) -> Path | None:
        """The path in *candidate* that *local* stands for, or None when it has none; *budget* pays for the search."""
        budget.spend()
        if kind.is_type_based:
            rule = types_match if kind is CoreRelocationKind.TYPE_MATCHES else types_compatible
            return Path(candidate, (), 0) if rule(local.root, candidate, budget) else None
        if kind.is_enum_based:
            return _match_enumerator(local, candidate, budget)
        return self._match_field(local, candidate)

    def _match_field(self, local: Path, candidate: Type) -> Path | None:
        current = candidate
        bit_offset = 0
        steps: list[Step] = []
        for position, step in enumerate(local.steps):
            here = strip_qualifiers(current)
            if step.name is not None:
                if not isinstance(here, (Struct, Union)):
                    return None
                place = self._members_of(here).get(step.name)
                if place is None:
                    return None
                member = place.owner.members[place.number]
                if not fields_compatible(step.member().type, member.type):
                    return None
                bit_offset += place.bit_offset
                steps.append(Step(place.owner, place.number, step.name))
                current = member.type
                continue
            if position:  # the first step is over an array of the root type itself, which has no type of its own
                if not isinstance(here, Array):
                    return None
                if step.number >= here.count and not is_flexible(steps[-1], here):
                    return None
                here = strip_qualifiers(here.element)
            bit_offset += step.number * byte_size(here, self.pointer_size) * 8
            steps.append(Step(here, step.number, None))
            current = here
        return Path(candidate, tuple(steps), bit_offset)

    def _members_of(self, composite: Struct | Union, depth: int = 0) -> dict[str, _Place]:
        """Every member by name, those of anonymous structs and unions inside included; the first of a name counts.

        Work is bounded for anonymous ones that hold themselves (the depth) and that hold each other twice at every
        level (each composite is done once, and its members are counted).
        """
        known = self._members.get(composite)
        if known is not None:
            return known
        if depth >= MAX_STEPS:
            raise CoreRelocationError(f"anonymous members of {composite.name!r} are nested too deep")
        places: dict[str, _Place] = {}
        for index, member in enumerate(composite.members):
            if member.name:
                places.setdefault(member.name, _Place(composite, index, member.bit_offset))
                continue
            inner = strip_qualifiers(member.type)
            if not isinstance(inner, (Struct, Union)):
                continue
            for name, place in self._members_of(inner, depth + 1).items():
                if name not in places:
                    places[name] = _Place(place.owner, place.number, member.bit_offset + place.bit_offset)
            if len(places) > _MAX_MEMBERS:
                raise CoreRelocationError(f"{composite.name!r} has more than {_MAX_MEMBERS} members")
        self._members[composite] = places
        return places


def _match_enumerator(local: Path, candidate: Type, budget: Budget) -> Path | None:
    enum = strip_qualifiers(candidate)
    if not isinstance(enum, Enum):
        return None
    budget.spend(len(enum.enumerators))
    wanted = essential_name(local.steps[0].name or "")
    for index, enumerator in enumerate(enum.enumerators):
        if essential_name(enumerator.name) == wanted:
            return Path(candidate, (Step(enum, index, enumerator.name),), 0)
    return None


def target_of(btf: Btf) -> Target:
    """The Target of *btf*, the same one as long as *btf* lives."""
    found = btf._core_target
    if found is None:
        found = btf._core_target = Target(btf)
    return found
