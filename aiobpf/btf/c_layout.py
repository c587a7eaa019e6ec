"""How a struct must be written so that a C compiler lays it out as BTF says.

BTF has offsets and sizes; C has alignments, "packed", "aligned" and unnamed bit-fields. The compiler's rules (those of
the System V ABI, which clang has for BPF) are followed here, and what they would not give is written out: the struct is
packed where a member or its size does not fit the alignment, and gaps are filled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, final

from aiobpf.btf.c_numbers import number_alignment
from aiobpf.btf.composites import Struct, Union
from aiobpf.btf.derived import Array, Const, Pointer, Restrict, Typedef, TypeTag, Volatile
from aiobpf.btf.scalars import Enum, Float, Int
from aiobpf.btf.shape import MAX_DEPTH, member_bits
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from aiobpf.btf.parts import Member
    from aiobpf.btf.type_base import Type

_UNIT: Final = 64
_MAX_PADDING: Final = 32 * _UNIT
"""Bits of unnamed bit-fields in one gap, at one line for each 64; a longer one is an array with a name."""
_MAX_ALIGNMENT: Final = 4096


class Measured(NamedTuple):
    """What `sizeof` and `_Alignof` give for a type as it is written, in bytes."""

    size: int
    alignment: int


class Line(NamedTuple):
    """One line of a struct: a *member*, of *bits* if it is a bit-field; or a gap of so many *bits*.

    *alignment* above 0 is an attribute of the member.
    """

    member: Member | None
    bits: int = 0
    alignment: int = 0


class Layout(NamedTuple):
    """How a struct or union is written; without *lines* but with a size it is one that C cannot say."""

    measured: Measured
    lines: tuple[Line, ...]
    is_packed: bool = False
    alignment: int = 0
    """An attribute of the whole, if not 0."""
    is_opaque: bool = False


class _Place(NamedTuple):
    member: Member
    start: int
    bits: int
    measured: Measured

    @property
    def end(self) -> int:
        return self.start + (self.bits or self.measured.size * 8)

    @property
    def fits_alignment(self) -> bool:
        """Whether the compiler puts it there in a struct that is not packed."""
        unit = self.measured.alignment * 8
        if self.bits:
            return self.start % unit + self.bits <= self.measured.size * 8
        return self.start % unit == 0


@final
class Layouts:
    """The layouts of structs and unions, each worked out once."""

    def __init__(self) -> None:
        self._known: dict[Struct | Union, Layout | None] = {}

    def of(self, type: Struct | Union, depth: int = 0) -> Layout:  # noqa: A002
        """How *type* is written. Raises BtfError for one that contains itself."""
        if type in self._known:
            found = self._known[type]
            if found is None:
                raise BtfError(f"{type.kind.name.lower()} {type.name!r} contains itself")
            return found
        self._known[type] = None
        made = self._known[type] = self._lay_out(type, depth)
        return made

    def measure(self, type: Type, depth: int = 0) -> Measured:  # noqa: A002
        """The size and alignment that the compiler finds. Raises BtfError for a type without size."""
        found = type
        count = 1
        for _ in range(MAX_DEPTH):
            if isinstance(found, Typedef | Const | Volatile | Restrict | TypeTag):
                found = found.type
            elif isinstance(found, Array):
                count *= found.count
                found = found.element
            else:
                size, alignment = self._measure(found, depth)
                return Measured(size * count, alignment)
        raise BtfError(f"{type.kind.name} {type.name!r} leads through more than {MAX_DEPTH} types")

    def _measure(self, type: Type, depth: int) -> Measured:  # noqa: A002
        if isinstance(type, Int | Float):
            return Measured(type.size, number_alignment(type))
        if isinstance(type, Pointer):
            return Measured(8, 8)
        if isinstance(type, Enum):
            return Measured(type.size, type.size)
        if isinstance(type, Struct | Union):
            if depth > MAX_DEPTH:
                raise BtfError(f"{type.kind.name.lower()} {type.name!r} is nested in more than {MAX_DEPTH} others")
            return self.of(type, depth + 1).measured
        raise BtfError(f"a member is of the {type.kind.name} {type.name!r}, which has no size")

    def _lay_out(self, type: Struct | Union, depth: int) -> Layout:  # noqa: A002
        places = []
        for member in type.members:
            start, bits = member_bits(member)
            measured = self.measure(member.type, depth)
            if not member.name and not isinstance(_bare(member.type), Struct | Union):
                continue  # an unnamed bit-field: a gap
            places.append(_Place(member, start, bits, measured))
        return _union(type, places) if isinstance(type, Union) else _struct(type, places)


def _bare(type: Type) -> Type:  # noqa: A002
    found = type
    for _ in range(MAX_DEPTH):
        if not isinstance(found, Const | Volatile | Restrict | TypeTag | Typedef):
            break
        found = found.type
    return found


def _opaque(size: int) -> Layout:
    return Layout(Measured(size, 1), (), is_opaque=True)


def _is_packed(size: int, widest: int, places: list[_Place]) -> bool:
    return bool(size % widest) or not all(place.fits_alignment for place in places)


def _struct(type: Struct, places: list[_Place]) -> Layout:  # noqa: A002
    # Compilers that reorder members (Rust's) leave them in the order of the source.
    places.sort(key=lambda place: place.start)
    widest = max((place.measured.alignment for place in places), default=1)
    is_packed = _is_packed(type.size, widest, places)
    alignment = 1 if is_packed else widest
    lines: list[Line] = []
    end = 0
    for place in places:
        if place.start < end or (place.bits and place.bits > place.measured.size * 8):
            return _opaque(type.size)  # members on top of each other: an enum of Rust's
        attribute = 0
        if place.start != _next(place, end, is_packed):
            # Behind an anonymous struct the attribute would be the struct's, and make it larger.
            may_align = not is_packed and not place.bits and place.member.name
            wanted = _aligning(end, place.start, place.measured.alignment) if may_align else 0
            if place.start - end >= _UNIT and wanted and type.size % wanted == 0:
                attribute = wanted
                alignment = max(alignment, wanted)
            else:
                lines += _gap(end, place.start)
        lines.append(Line(place.member, place.bits, attribute))
        end = place.end
    return _closed(type, lines, end, is_packed, alignment)


def _next(place: _Place, end: int, is_packed: bool) -> int:
    """Where the compiler puts *place* behind bit *end*."""
    if is_packed:
        return end if place.bits else -(-end // 8) * 8
    unit = place.measured.alignment * 8
    if place.bits and end % unit + place.bits <= place.measured.size * 8:
        return end
    return -(-end // unit) * unit


def _union(type: Union, places: list[_Place]) -> Layout:  # noqa: A002
    widest = max((place.measured.alignment for place in places), default=1)
    is_packed = _is_packed(type.size, widest, places)
    if any(place.start or place.bits > place.measured.size * 8 for place in places):
        return _opaque(type.size)
    end = max((place.end for place in places), default=0)
    lines = [Line(place.member, place.bits) for place in places]
    return _closed(type, lines, end, is_packed, 1 if is_packed else widest)


def _closed(type: Struct | Union, lines: list[Line], end: int, is_packed: bool, alignment: int) -> Layout:  # noqa: A002
    """The layout of *lines* that end at bit *end*, made as large as *type* is."""
    size = -(-end // 8)
    if size > type.size:
        return _opaque(type.size)
    attribute = 0
    if -(-size // alignment) * alignment != type.size:
        attribute = _aligning(size * 8, type.size * 8, alignment) if lines else 0
        if attribute:
            alignment = max(alignment, attribute)
        elif isinstance(type, Struct):
            lines += _gap(end, type.size * 8)
        else:
            lines.append(Line(None, type.size * 8))
    return Layout(Measured(type.size, alignment), tuple(lines), is_packed, attribute)


def _aligning(end: int, start: int, natural: int) -> int:
    """The alignment in bytes that leads from bit *end* to bit *start*, or 0."""
    alignment = natural
    while alignment < _MAX_ALIGNMENT:
        alignment *= 2
        if -(-end // (alignment * 8)) * alignment * 8 == start:
            return alignment
    return 0


def _gap(start: int, end: int) -> list[Line]:
    """Bits that nothing uses, none of them across a border of 64, where the compiler would move it."""
    if end - start > _MAX_PADDING:
        first, last = -(-start // 8) * 8, end // 8 * 8
        return [*_gap(start, first), Line(None, last - first), *_gap(last, end)]
    lines = []
    while start < end:
        bits = min(end, start // _UNIT * _UNIT + _UNIT) - start
        lines.append(Line(None, bits))
        start += bits
    return lines
