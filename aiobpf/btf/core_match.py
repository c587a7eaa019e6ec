"""When a local type and a target type count as the same, by CO-RE's three rules.

They differ in how much they look at: a field's type must be *compatible* (loosely: a kernel may widen an int), a type
that is asked for by name must be compatible as a type (looser still: any struct of that name), and ``type_matches``
wants every local member found in the target. Rules as in libbpf 1.1 and Linux 6.12, lib/bpf/relo_core.c.

Invariant: types that are nested without end, or that refer to themselves, give an answer or a CoreRelocationError
after bounded work.
"""

from __future__ import annotations

from aiobpf.btf.types import (
    Array,
    Enum,
    Float,
    Forward,
    FunctionPrototype,
    Int,
    Pointer,
    Struct,
    Type,
    Union,
    Void,
    strip_qualifiers,
)
from aiobpf.errors import CoreRelocationError

_MAX_DEPTH = 32
_MAX_COMPARISONS = 200_000


def essential_name(name: str) -> str:
    """*name* without its flavour: "task_struct___o" is a local view of "task_struct".

    The last "___" between two other characters counts; one at the very start is part of the name.
    """
    at = name.rfind("___")
    while at > 0:
        if name[at - 1] != "_" and name[at + 3 : at + 4] not in {"_", ""}:
            return name[:at]
        at = name.rfind("___", 0, at + 2)
    return name


def same_kind(local: Type, target: Type) -> bool:
    """Whether both are of one kind; a 32 and a 64-bit enum are."""
    return type(local) is type(target)


def names_match(local: str, target: str) -> bool:
    """Whether the names are the same without their flavours."""
    return local == target or essential_name(local) == essential_name(target)


def fields_compatible(local: Type, target: Type) -> bool:
    """Whether a field of type *target* may stand for one of type *local*.

    Any struct or union for any other, any integer for any other (bitfield-like old ones aside), any pointer for any
    other; enums and forward declarations by name, unless one is anonymous; arrays by their elements.
    """
    for _ in range(_MAX_DEPTH * 2):
        local, target = strip_qualifiers(local), strip_qualifiers(target)
        if isinstance(local, (Struct, Union)) and isinstance(target, (Struct, Union)):
            return True
        if not same_kind(local, target):
            return False
        if isinstance(local, (Pointer, Float)):
            return True
        if isinstance(local, (Forward, Enum)):
            return not local.name or not target.name or names_match(local.name, target.name)
        if isinstance(local, Int) and isinstance(target, Int):
            return local.bit_offset == 0 and target.bit_offset == 0
        if not (isinstance(local, Array) and isinstance(target, Array)):
            return False
        local, target = local.element, target.element
    raise CoreRelocationError("arrays of arrays are nested too deep")


class _TooDeepError(CoreRelocationError):
    """The types are nested beyond what libbpf and the kernel compare."""


class Budget:
    """Counts comparisons: a function type whose parameters are function types ... doubles the work at each level.

    One serves all relocations of an object: a thousand types of one name and a thousand relocations are a million.
    """

    __slots__ = ("_left", "_limit")

    def __init__(self, limit: int = _MAX_COMPARISONS) -> None:
        self._left = self._limit = limit

    def spend(self, steps: int = 1) -> None:
        """Count *steps*; CoreRelocationError where there have been too many."""
        self._left -= steps
        if self._left < 0:
            raise CoreRelocationError(f"comparing the types takes more than {self._limit} steps")


def types_compatible(local: Type, target: Type, budget: Budget | None = None, *, forwards: bool = False) -> bool:
    """Whether the target's type of the same name may stand for the local one: kinds agree, through pointers and arrays.

    The caller has compared the names. With *forwards* a local forward declaration stands for a whole struct or union,
    which CO-RE does not allow.
    """
    return same_kind(local, target) and _compatible(local, target, _MAX_DEPTH, budget or Budget(), forwards)


def _compatible(local: Type, target: Type, level: int, budget: Budget, forwards: bool) -> bool:
    if level <= 0:
        raise _TooDeepError("the types are nested too deep to compare")
    for _ in range(_MAX_DEPTH):
        budget.spend()
        local, target = strip_qualifiers(local), strip_qualifiers(target)
        if not same_kind(local, target):
            if not forwards or not isinstance(local, Forward):
                return False
            return isinstance(target, Union if local.is_union else Struct)
        if isinstance(local, (Void, Struct, Union, Enum, Forward)):
            return True
        if isinstance(local, Int) and isinstance(target, Int):
            return local.bit_offset == 0 and target.bit_offset == 0
        if isinstance(local, Pointer) and isinstance(target, Pointer):
            local, target = local.target, target.target
        elif isinstance(local, Array) and isinstance(target, Array):
            local, target = local.element, target.element
        elif isinstance(local, FunctionPrototype) and isinstance(target, FunctionPrototype):
            if len(local.parameters) != len(target.parameters):
                return False
            for ours, theirs in zip(local.parameters, target.parameters, strict=True):
                if not _compatible(ours.type, theirs.type, level - 1, budget, forwards):
                    return False
            local, target = local.return_type, target.return_type
        else:
            return False
    raise _TooDeepError("the types are nested too deep to compare")


def types_match(local: Type, target: Type, budget: Budget | None = None) -> bool:
    """Whether *target* has everything that *local* says: ``bpf_core_type_matches``.

    Each local member and enumerator must be in the target by name, and match in turn; behind a pointer a struct counts
    by name and kind alone, and may be a forward declaration. Integers match in size and signedness, arrays in length.
    """
    return _Matcher(budget or Budget()).match(local, target, behind_pointer=False, level=_MAX_DEPTH)


class _Matcher:
    __slots__ = ("_budget", "_known")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._known: dict[tuple[int, int], tuple[bool, Type, Type]] = {}

    def match(self, local: Type, target: Type, *, behind_pointer: bool, level: int) -> bool:
        if level <= 0:
            raise _TooDeepError("the types are nested too deep to match")
        for _ in range(_MAX_DEPTH):
            self._budget.spend()
            local, target = strip_qualifiers(local), strip_qualifiers(target)
            if not names_match(local.name, target.name):
                return False
            if isinstance(local, Pointer) and isinstance(target, Pointer):
                behind_pointer = True
                local, target = local.target, target.target
            elif isinstance(local, Array) and isinstance(target, Array):
                if local.count != target.count:
                    return False
                local, target = local.element, target.element
            elif isinstance(local, FunctionPrototype) and isinstance(target, FunctionPrototype):
                if len(local.parameters) != len(target.parameters):
                    return False
                for ours, theirs in zip(local.parameters, target.parameters, strict=True):
                    if not self.match(ours.type, theirs.type, behind_pointer=behind_pointer, level=level - 1):
                        return False
                local, target = local.return_type, target.return_type
            else:
                return self._match_leaf(local, target, behind_pointer, level)
        raise _TooDeepError("the types are nested too deep to match")

    def _match_leaf(self, local: Type, target: Type, behind_pointer: bool, level: int) -> bool:
        if isinstance(local, (Struct, Union)):
            if behind_pointer:
                if isinstance(target, Forward):
                    return target.is_union == isinstance(local, Union)
                return same_kind(local, target)
            if not (isinstance(target, (Struct, Union)) and same_kind(local, target)):
                return False
            return self._match_members(local, target, level)
        if isinstance(local, Forward):
            if isinstance(target, Forward):
                return local.is_union == target.is_union
            return behind_pointer and isinstance(target, Union if local.is_union else Struct)
        if isinstance(local, Enum):
            return isinstance(target, Enum) and self._match_enumerators(local, target)
        if isinstance(local, Int):
            return isinstance(target, Int) and (local.size, local.is_signed) == (target.size, target.is_signed)
        return isinstance(local, Void) and isinstance(target, Void)

    def _match_members(self, local: Struct | Union, target: Struct | Union, level: int) -> bool:
        key = (id(local), id(target))
        known = self._known.get(key)
        if known is not None:
            return known[0]
        found = len(local.members) <= len(target.members) and all(
            self._has_member(member.name, member.type, target, level) for member in local.members
        )
        self._known[key] = (found, local, target)  # the types are held so that their id() stays theirs
        return found

    def _has_member(self, name: str, local: Type, target: Struct | Union, level: int) -> bool:
        for member in target.members:
            self._budget.spend()
            if names_match(name, member.name) and self._try(local, member.type, level - 1):
                return True
        return False

    def _try(self, local: Type, target: Type, level: int) -> bool:
        try:
            return self.match(local, target, behind_pointer=False, level=level)
        except _TooDeepError:
            # libbpf takes "nested too deep" inside a member for "this member does not match", not for a broken object.
            return False

    def _match_enumerators(self, local: Enum, target: Enum) -> bool:
        if len(local.enumerators) > len(target.enumerators):
            return False
        self._budget.spend(len(target.enumerators))
        theirs = {essential_name(enumerator.name) for enumerator in target.enumerators}
        return all(essential_name(enumerator.name) in theirs for enumerator in local.enumerators)
