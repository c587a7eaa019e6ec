"""The members of a struct as C code names them, and their bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from aiobpf.btf.composites import FunctionPrototype, Struct, Union
from aiobpf.btf.derived import Pointer
from aiobpf.btf.shape import MAX_DEPTH, size_of, strip_qualifiers
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from typing import Literal

    from aiobpf.btf.type_base import Type

_MAX_MEMBERS: Final = 1 << 16


@frozen
class MemberPlace:
    """Where a member lies, counted from the start of the struct that names it.

    *index* counts the struct's own members; a member of an anonymous one in it has that one's. *bitfield_size* is 0 but
    for a bit-field.
    """

    name: str
    type: Type
    bit_offset: int
    bitfield_size: int
    index: int

    @property
    def offset(self) -> int:
        """Bytes from the start."""
        return self.bit_offset // 8

    @property
    def bits(self) -> int:
        """How many bits it has; BtfError for a type without size."""
        return self.bitfield_size or size_of(self.type) * 8

    @property
    def is_function_pointer(self) -> bool:
        target = strip_qualifiers(self.type)
        return isinstance(target, Pointer) and isinstance(strip_qualifiers(target.target), FunctionPrototype)


def member_places(type: Struct | Union) -> dict[str, MemberPlace]:  # noqa: A002
    """The named members of *type*, those of its anonymous structs and unions among them, in order.

    BtfError where a struct holds itself, or more members than any has: anonymous structs that hold several of the next
    would double at every level.
    """
    found: dict[str, MemberPlace] = {}
    pending = [(member, member.bit_offset, i, 1) for i, member in enumerate(type.members)][::-1]
    visited = 0
    while pending:
        member, bit_offset, index, depth = pending.pop()
        visited += 1
        if visited > _MAX_MEMBERS or depth > MAX_DEPTH:
            raise BtfError(f"{type!r} has more than {_MAX_MEMBERS} members, or is nested deeper than {MAX_DEPTH}")
        if member.name:
            found.setdefault(
                member.name, MemberPlace(member.name, member.type, bit_offset, member.bitfield_size, index)
            )
            continue
        inner = strip_qualifiers(member.type)
        if isinstance(inner, Struct | Union):
            pending += [(each, bit_offset + each.bit_offset, index, depth + 1) for each in reversed(inner.members)]
    return found


def read_bits(data: bytes | bytearray, offset: int, count: int, byte_order: Literal["little", "big"]) -> int:
    """The unsigned number in *count* bits from bit *offset*, which counts from the end that *byte_order* begins with.

    BtfError where *data* ends before.
    """
    first, last = _covered(data, offset, count)
    number = int.from_bytes(data[first:last], byte_order)
    return number >> _shift(offset, count, first, last, byte_order) & (1 << count) - 1


def write_bits(data: bytearray, offset: int, count: int, value: int, byte_order: Literal["little", "big"]) -> None:
    """Set those bits to *value*, which fits them, as `read_bits` finds them."""
    first, last = _covered(data, offset, count)
    shift = _shift(offset, count, first, last, byte_order)
    number = int.from_bytes(data[first:last], byte_order)
    number = number & ~((1 << count) - 1 << shift) | value << shift
    data[first:last] = number.to_bytes(last - first, byte_order)


def _covered(data: bytes | bytearray, offset: int, count: int) -> tuple[int, int]:
    first, last = offset // 8, -(-(offset + count) // 8)
    if offset < 0 or count < 0 or last > len(data):
        raise BtfError(f"bits {offset} to {offset + count} are outside of {len(data)} bytes")
    return first, last


def _shift(offset: int, count: int, first: int, last: int, byte_order: Literal["little", "big"]) -> int:
    return offset - first * 8 if byte_order == "little" else last * 8 - offset - count
