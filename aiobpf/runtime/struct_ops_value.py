"""From the struct of an object to the struct of the kernel: its members copied by name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, final

from aiobpf.btf import (
    Array,
    Enum,
    Float,
    Int,
    Struct,
    Union,
    member_places,
    read_bits,
    size_of,
    strip_qualifiers,
    write_bits,
)
from aiobpf.errors import BtfError, NotSupportedError, SpecError

if TYPE_CHECKING:
    from aiobpf.btf import MemberPlace, Type
    from aiobpf.spec import StructOpsMembers

_BYTE_ORDER = sys.byteorder


@final
class KernelValue:
    """The bytes of *kernel*, and where in them programs go.

    NotSupportedError or SpecError name a member that does not fit.

    Members are matched by name, so the object's struct may have them in another order, leave some out, and have some
    that this kernel lacks, as long as these are 0. Numbers may be of another width as long as the value fits; nested
    structs are matched in the same way; text and other arrays must fit.
    """

    def __init__(self, name: str, members: StructOpsMembers, kernel: Struct) -> None:
        self.data = bytearray(kernel.size)
        self.programs: dict[int, tuple[str, str]] = {}
        """Member and program, by the offset of the pointer."""
        self._name = name
        self._source = members.raw
        try:
            theirs = member_places(kernel)
            for place in members.places().values():
                program = members.programs.get(place.name)
                target = theirs.get(place.name)
                if program is None:
                    self._copy_member(place.name, place, 0, target, 0)
                elif target is None:
                    raise self._missing(place.name, f"Leave it out: members[{place.name!r}] = None")
                elif not target.is_function_pointer:
                    raise self._unfit(place.name, "it is no function pointer in the kernel")
                else:
                    self.programs[target.offset] = place.name, program
        except BtfError as error:
            raise SpecError(f"struct_ops map {name!r}: {error}") from error

    def _copy_member(self, path: str, place: MemberPlace, base: int, target: MemberPlace | None, to: int) -> None:
        bits = place.bits
        if not read_bits(self._source, base + place.bit_offset, bits, _BYTE_ORDER):
            return  # zero is what it is where nobody says anything
        if target is None:
            raise self._missing(path, "Set it to 0")
        at, to = base + place.bit_offset, to + target.bit_offset
        ours, theirs = strip_qualifiers(place.type), strip_qualifiers(target.type)
        if isinstance(ours, Int | Enum) and isinstance(theirs, Int | Enum):
            self._copy_number(path, ours, at, bits, theirs, to, target.bits)
        else:
            self._copy(path, ours, at, theirs, to)

    def _copy(self, path: str, ours: Type, at: int, theirs: Type, to: int) -> None:
        """Copy what is not zero from bit *at* of the object's struct to bit *to* of the kernel's."""
        if isinstance(ours, Int | Enum) and isinstance(theirs, Int | Enum):
            self._copy_number(path, ours, at, ours.size * 8, theirs, to, theirs.size * 8)
        elif isinstance(ours, Struct) and isinstance(theirs, Struct):
            known = member_places(theirs)
            for place in member_places(ours).values():
                self._copy_member(f"{path}.{place.name}", place, at, known.get(place.name), to)
        elif isinstance(ours, Array) and isinstance(theirs, Array):
            self._copy_array(path, ours, at, theirs, to)
        elif isinstance(ours, Float | Union) and type(ours) is type(theirs):
            size = size_of(ours)
            if size != size_of(theirs):
                raise self._unfit(path, f"it has {size} bytes, and {size_of(theirs)} in the kernel")
            self.data[to // 8 : to // 8 + size] = self._source[at // 8 : at // 8 + size]
        elif ours.kind == theirs.kind:
            raise self._unfit(path, "it is a pointer to data, and the kernel takes none from user space")
        else:
            raise self._unfit(path, f"it is {ours!r}, and {theirs!r} in the kernel")

    def _copy_number(
        self, path: str, ours: Int | Enum, at: int, bits: int, theirs: Int | Enum, to: int, room: int
    ) -> None:
        value = read_bits(self._source, at, bits, _BYTE_ORDER)
        if bits != room:
            if ours.is_signed and value >> bits - 1:
                value -= 1 << bits
            lowest = -(1 << room - 1) if theirs.is_signed else 0
            if not lowest <= value < lowest + (1 << room):
                raise self._unfit(path, f"{value} does not fit the {room} bits that it has in the kernel")
        write_bits(self.data, to, room, value & (1 << room) - 1, _BYTE_ORDER)

    def _copy_array(self, path: str, ours: Array, at: int, theirs: Array, to: int) -> None:
        element, known = strip_qualifiers(ours.element), strip_qualifiers(theirs.element)
        step, stride = size_of(element) * 8, size_of(known) * 8
        for i in range(ours.count if step else 0):
            if not read_bits(self._source, at + i * step, step, _BYTE_ORDER):
                continue
            if i >= theirs.count:
                raise self._unfit(path, f"it has more than the {theirs.count} elements that it has in the kernel")
            self._copy(f"{path}[{i}]", element, at + i * step, known, to + i * stride)

    def _missing(self, path: str, way_out: str) -> NotSupportedError:
        return NotSupportedError(
            f"member {path!r} of struct_ops map {self._name!r}, which this kernel's struct has not", hint=way_out
        )

    def _unfit(self, path: str, why: str) -> SpecError:
        return SpecError(f"member {path!r} of struct_ops map {self._name!r} does not fit the kernel's struct: {why}")
