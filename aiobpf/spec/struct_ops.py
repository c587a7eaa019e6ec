"""What a struct_ops map is to hold: the members of a struct, some of which are programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, final

import attrs
from attrs import define, field

from aiobpf.btf import (
    Enum,
    Int,
    MemberPlace,
    Pointer,
    codec,
    essential_name,
    member_places,
    read_bits,
    strip_qualifiers,
    write_bits,
)
from aiobpf.errors import CodecError, SpecError

if TYPE_CHECKING:
    from aiobpf.btf import Struct


class UnknownMemberError(SpecError, KeyError):
    """The struct has no member of that name."""

    def __str__(self) -> str:
        return str(self.args[0])


@final
@define
class StructOpsMembers(Mapping[str, Any]):
    """The members of a struct_ops map's value by name, as the object declares them.

    A member that is a function pointer holds the name of a program of the same collection, or None; set another name to
    put another program in, None to leave it out. Any other is typed by BTF: a number, text, an object with the members
    of a nested struct. A pointer to anything else is a number, and the kernel takes none but 0.

    The loader puts each where the kernel's struct has the member of that name::

        members = spec.maps["ops"].members
        members["cong_avoid"] = "my_cong_avoid"
        members["flags"] = 2
        members["release"] = None
    """

    type: Struct
    raw: bytes
    """The struct's bytes, as many as its type has; pointers to programs are 0 in it."""
    programs: dict[str, str] = field(factory=dict)
    """Program names by member, of the members that have one."""
    byte_order: Literal["little", "big"] = "little"
    _places: dict[str, MemberPlace] = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if len(self.raw) != self.type.size:
            raise SpecError(f"{self.type!r} has {self.type.size} bytes, not {len(self.raw)}")
        self._places = member_places(self.type)
        for name in self.programs:
            if not self.place(name).is_function_pointer:
                raise SpecError(f"member {name!r} of {self.struct_name} is no function pointer")

    @property
    def struct_name(self) -> str:
        """The kernel's name of the struct: the object's without its flavour ("___mine")."""
        return essential_name(self.type.name)

    def place(self, name: str) -> MemberPlace:
        """Where the member lies in `raw`; UnknownMemberError if there is none."""
        found = self._places.get(name)
        if found is None:
            from difflib import get_close_matches

            close = get_close_matches(name, self._places)
            hint = f"did you mean {close[0]!r}?" if close else f"it has: {', '.join(self._places) or 'none'}"
            raise UnknownMemberError(f"struct {self.type.name} has no member {name!r}; {hint}")
        return found

    def __getitem__(self, name: str) -> Any:
        place = self.place(name)
        if place.is_function_pointer:
            return self.programs.get(name)
        if _is_number(place):
            value = read_bits(self.raw, place.bit_offset, place.bits, self.byte_order)
            return _from_bits(place, value)
        return codec(place.type, byte_order=self.byte_order).decode(self.raw, place.offset)

    def __setitem__(self, name: str, value: Any) -> None:
        """Raises UnknownMemberError, SpecError (a program for what is no function pointer), CodecError."""
        place = self.place(name)
        what = f"member {name!r} of struct {self.type.name}"
        if place.is_function_pointer:
            if value is None:
                self.programs.pop(name, None)
            elif isinstance(value, str):
                self.programs[name] = value
            else:
                raise SpecError(f"{what} takes the name of a program, or None, not {type(value).__name__}")
            return
        raw = bytearray(self.raw)
        if _is_number(place):
            try:
                write_bits(raw, place.bit_offset, place.bits, _to_bits(place, value), self.byte_order)
            except CodecError as error:
                raise CodecError(f"{what}: {error}") from None
        else:
            try:
                encoded = codec(place.type, byte_order=self.byte_order).encode(value)
            except CodecError as error:
                raise CodecError(f"{what}: {error}") from error
            raw[place.offset : place.offset + len(encoded)] = encoded
        self.raw = bytes(raw)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def places(self) -> Mapping[str, MemberPlace]:
        """Where each member lies, in order."""
        return self._places

    def copy(self) -> StructOpsMembers:
        return attrs.evolve(self, programs=dict(self.programs))


def _is_number(place: MemberPlace) -> bool:
    """Bit-fields, of which no codec of their own type knows, and pointers, of which Python needs only the number."""
    return bool(place.bitfield_size) or isinstance(strip_qualifiers(place.type), Pointer)


def _is_signed(place: MemberPlace) -> bool:
    type_ = strip_qualifiers(place.type)
    return isinstance(type_, Int | Enum) and type_.is_signed


def _from_bits(place: MemberPlace, value: int) -> int:
    bits = place.bits
    return value - (1 << bits) if _is_signed(place) and value >> bits - 1 & 1 else value


def _to_bits(place: MemberPlace, value: object) -> int:
    bits = place.bits
    lowest = -(1 << bits - 1) if _is_signed(place) else 0
    if not isinstance(value, int) or not lowest <= value < lowest + (1 << bits):
        raise CodecError(f"{value!r} is no number from {lowest} to {lowest + (1 << bits) - 1}")
    return value & (1 << bits) - 1
