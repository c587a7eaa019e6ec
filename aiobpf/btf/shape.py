"""How large types are, how they are aligned, and what is under their qualifiers.

Each of these is bounded: types of a hostile BTF may refer to each other in circles, or in chains of any length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiobpf.btf.composites import DataSection, Struct, Union, Variable
from aiobpf.btf.derived import Array, Const, Pointer, Restrict, Typedef, TypeTag, Volatile
from aiobpf.btf.scalars import Enum, Float, Int
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from aiobpf.btf.parts import Member
    from aiobpf.btf.type_base import Type

MAX_DEPTH: Final = 64
"""The longest chain of types that is followed; the kernel stops at 32 (MAX_RESOLVE_DEPTH in kernel/bpf/btf.c)."""

_POINTER_SIZE: Final = 8


def strip_qualifiers(type: Type) -> Type:  # noqa: A002
    """What *type* is without typedefs, const, volatile, restrict and type tags.

    Raises BtfError where 64 of them do not end.
    """
    found = type
    for _ in range(MAX_DEPTH):
        if not isinstance(found, Typedef | Const | Volatile | Restrict | TypeTag):
            return found
        found = found.type
    raise _too_deep(type)


def strip_modifiers(type: Type) -> Type:  # noqa: A002
    """What *type* is without const, volatile, restrict and type tags; a typedef stays."""
    found = type
    for _ in range(MAX_DEPTH):
        if not isinstance(found, Const | Volatile | Restrict | TypeTag):
            return found
        found = found.type
    raise _too_deep(type)


def size_of(type: Type) -> int:  # noqa: A002
    """Bytes that a value of *type* takes; pointers have 8, as everywhere in BPF.

    Raises BtfError for a type without size (void, a function, a forward declaration) and for one without end.
    """
    found = type
    count = 1
    for _ in range(MAX_DEPTH):
        if isinstance(found, Int | Float | Struct | Union | Enum | DataSection):
            return count * found.size
        if isinstance(found, Pointer):
            return count * _POINTER_SIZE
        if isinstance(found, Array):
            count *= found.count
            found = found.element
        elif isinstance(found, Typedef | Const | Volatile | Restrict | TypeTag | Variable):
            found = found.type
        else:
            raise BtfError(f"{found!r} has no size")
    raise _too_deep(type)


def alignment_of(type: Type) -> int:  # noqa: A002
    """The alignment of *type* in bytes, as a compiler for 64 bits lays it out; 1 for a packed struct.

    BTF says nothing about alignment: a struct is taken for packed where its members or its size do not fit their own.
    Raises BtfError for a type without size and for one without end.
    """
    return _alignment(type, {}, 0)


def _alignment(type: Type, known: dict[Struct | Union, int], depth: int) -> int:  # noqa: A002
    if depth > MAX_DEPTH:
        raise _too_deep(type)
    found = strip_qualifiers(type)
    if isinstance(found, Int | Float | Enum):
        # The x86-64 and arm64 ABIs align __int128 and long double to 16, others to 8; nothing in BTF tells them apart.
        return min(found.size, _POINTER_SIZE) or 1
    if isinstance(found, Pointer):
        return _POINTER_SIZE
    if isinstance(found, Array):
        return _alignment(found.element, known, depth + 1)
    if isinstance(found, Struct | Union):
        # Each struct is computed once, so that members which repeat it at every level do not cost 2**depth.
        if found not in known:
            known[found] = 0
            known[found] = _composite_alignment(found, known, depth)
        if known[found] == 0:
            raise BtfError(f"{found!r} contains itself")
        return known[found]
    raise BtfError(f"{found!r} has no alignment")


def _composite_alignment(type: Struct | Union, known: dict[Struct | Union, int], depth: int) -> int:  # noqa: A002
    widest = 1
    for member in type.members:
        alignment = _alignment(member.type, known, depth + 1)
        widest = max(widest, alignment)
        if not member.bitfield_size and member.bit_offset % (8 * alignment):
            return 1
    return 1 if type.size % widest else widest


def member_bits(member: Member) -> tuple[int, int]:
    """The first bit of *member* in its struct, and its width in bits if it is a bit-field, else 0.

    Before 5.0 and pahole 1.13 a bit-field was of an integer type with fewer bits than it has room for, whose own offset
    adds to the member's. Where several share a unit of memory, each is placed at its first bit already.
    """
    if member.bitfield_size:
        return member.bit_offset, member.bitfield_size
    found = member.type
    if isinstance(found, Typedef | Const | Volatile | Restrict | TypeTag):
        found = strip_qualifiers(found)
    if isinstance(found, Int) and (found.bit_offset or found.bits != found.size * 8 or member.bit_offset % 8):
        return member.bit_offset + found.bit_offset, found.bits
    return member.bit_offset, 0


def _too_deep(type: Type) -> BtfError:  # noqa: A002
    return BtfError(f"{type.__class__.__name__} {type.name!r} leads through more than {MAX_DEPTH} types")
