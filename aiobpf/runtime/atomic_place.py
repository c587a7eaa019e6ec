"""Where in memory an integer of a BTF type lies, for atomic access to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.btf import Array, Enum, Int, Pointer, Struct, Union, size_of, strip_qualifiers
from aiobpf.btf.struct_members import member_places
from aiobpf.errors import CodecError
from aiobpf.kernel.atomic import AtomicInteger

if TYPE_CHECKING:
    from aiobpf._native._lib import View
    from aiobpf.btf import Type


def atomic_integer(
    memory: View,
    offset: int,
    type: Type | None,  # noqa: A002 - the field's own word
    path: tuple[str | int, ...],
    what: str,
    size: int,
) -> AtomicInteger:
    """The integer at *path* (members by name, elements of an array by index) in what lies at *offset* as *type*.

    Without a type it is an unsigned one of *size* bytes. CodecError where *path* leads to no integer.
    """
    if type is None:
        if path:
            raise CodecError(f"{what} has no BTF type: it has no members")
        return AtomicInteger(memory, offset, size, is_signed=False, what=what)
    for step in path:
        stripped = strip_qualifiers(type)
        if isinstance(step, str) and isinstance(stripped, (Struct, Union)):
            place = member_places(stripped).get(step)
            if place is None:
                raise CodecError(f"{what} has no member {step!r}: it is {stripped}")
            if place.bitfield_size:
                raise CodecError(f"{what}.{step} is a bit-field: nothing changes one at once")
            offset, type = offset + place.offset, place.type  # noqa: A001
            what = f"{what}.{step}"
        elif isinstance(step, int) and isinstance(stripped, Array):
            if not 0 <= step < stripped.count:
                raise IndexError(f"{what} has {stripped.count} elements, not one of index {step}")
            offset, type = offset + step * size_of(stripped.element), stripped.element  # noqa: A001
            what = f"{what}[{step}]"
        else:
            raise CodecError(f"{what} is {stripped}, which has no {step!r}")
    found = strip_qualifiers(type)
    if isinstance(found, Pointer):
        return AtomicInteger(memory, offset, 8, is_signed=False, what=what)
    if isinstance(found, Int) and found.bits == found.size * 8:
        return AtomicInteger(memory, offset, found.size, is_signed=found.is_signed, what=what)
    if isinstance(found, Enum):
        return AtomicInteger(memory, offset, found.size, is_signed=found.is_signed, what=what)
    raise CodecError(f"{what} is {found}, no integer: name a member")
