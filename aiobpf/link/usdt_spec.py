"""What a program with <bpf/usdt.bpf.h> reads its arguments by: struct __bpf_usdt_spec, one for each kind of place.

The struct has two layouts so far, of libbpf before and since 1.7, which lets an argument be at an indexed address.
Where its fields lie is read from the map's BTF, so that a header of either sort, ours or libbpf's, is served.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, final

from attrs import frozen

from aiobpf.btf import Array, Struct, size_of, strip_qualifiers
from aiobpf.errors import NotSupportedError, SpecError
from aiobpf.link.usdt_arguments import Constant, Memory, Register, SymbolMemory
from aiobpf.link.usdt_registers import REGISTERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiobpf.btf import Type
    from aiobpf.link.usdt_arguments import UsdtArgument
    from aiobpf.runtime.map import Map

SPECS_MAP: Final = "__bpf_usdt_specs"
IP_MAP: Final = "__bpf_usdt_ip_to_spec_id"

_CONST, _REG, _REG_DEREF, _SIB = range(4)  # enum __bpf_usdt_arg_type
_MARK: Final = b"USDT"
_ARGUMENT_FIELDS: Final = ("val_off", "arg_type", "reg_off", "arg_signed", "arg_bitshift")
_INDEX_FIELDS: Final = ("idx_reg_off", "scale_bitshift")


@frozen
class _Bits:
    """Where a number lies in a struct, as BTF counts: in bits from the start."""

    offset: int
    size: int


# Where there is no BTF to read, the size tells: libbpf 0.8 to 1.6, and since 1.7.
_V1: Final = {
    "val_off": _Bits(0, 64),
    "arg_type": _Bits(64, 32),
    "reg_off": _Bits(96, 16),
    "arg_signed": _Bits(112, 8),
    "arg_bitshift": _Bits(120, 8),
}
_V2: Final = {
    "val_off": _Bits(0, 64),
    "arg_type": _Bits(64, 8),
    "idx_reg_off": _Bits(80, 12),
    "scale_bitshift": _Bits(92, 4),
    "reg_off": _Bits(112, 16),
    "arg_signed": _Bits(128, 8),
    "arg_bitshift": _Bits(136, 8),
}
_ROOM: Final = 12


@final
class SpecLayout:
    """Where the fields of a map's struct __bpf_usdt_spec lie."""

    def __init__(
        self, size: int, argument: Mapping[str, _Bits], stride: int, room: int, cookie: _Bits, count: _Bits
    ) -> None:
        self.size = size
        self.room = room
        """How many arguments it has room for."""
        self._argument = argument
        self._stride = stride
        self._cookie = cookie
        self._count = count

    @classmethod
    def of(cls, specs: Map) -> SpecLayout:
        """That of the map `SPECS_MAP`. SpecError where it is no struct of that kind."""
        type_ = None if specs.value_type is None else strip_qualifiers(specs.value_type)
        if isinstance(type_, Struct):
            return cls._from_btf(type_)
        for argument, stride in ((_V1, 16), (_V2, 24)):
            end = 8 * _ROOM * stride
            if specs.value_size == end // 8 + 16:
                return cls(specs.value_size, argument, stride, _ROOM, _Bits(end, 64), _Bits(end + 64, 16))
        raise SpecError(
            f"map {specs.name!r} has values of {specs.value_size} bytes and no BTF that says what is in them"
        )

    @classmethod
    def _from_btf(cls, spec: Struct) -> SpecLayout:
        members = _members(spec)
        arguments = _type_of(spec, "args")
        if not isinstance(arguments, Array) or not {"usdt_cookie", "arg_cnt"} <= members.keys():
            raise SpecError(f"struct {spec.name} is no struct __bpf_usdt_spec as aiobpf knows it")
        element = strip_qualifiers(arguments.element)
        fields = _members(element) if isinstance(element, Struct) else {}
        if missing := [name for name in _ARGUMENT_FIELDS if name not in fields]:
            raise SpecError(f"struct {spec.name} has no {', '.join(missing)} in its arguments")
        if members["args"].offset or max(bits.offset + bits.size for bits in members.values()) > 8 * (spec.size - 4):
            raise SpecError(f"struct {spec.name} is laid out in a way that aiobpf does not know")
        return cls(spec.size, fields, size_of(element), arguments.count, members["usdt_cookie"], members["arg_cnt"])

    def encode(self, arguments: Sequence[UsdtArgument], cookie: int, machine: str) -> bytes:
        """The struct for a place with those *arguments*.

        NotSupportedError where it has no room for them, or (before libbpf 1.7) no fields for an indexed address.
        Its last four bytes, which are padding to C, mark it as taken: see `SpecSlots`.
        """
        if len(arguments) > self.room:
            raise NotSupportedError(
                f"a USDT probe with {len(arguments)} arguments: the program has room for {self.room}"
            )
        value = 0
        for index, argument in enumerate(arguments):
            for name, number in self._numbers(argument, machine).items():
                value |= self._put(self._argument[name], number, 8 * index * self._stride)
        value |= self._put(self._cookie, cookie) | self._put(self._count, len(arguments))
        encoded = value.to_bytes(self.size, sys.byteorder)
        return encoded[:-4] + _MARK

    def _put(self, bits: _Bits, number: int, start: int = 0) -> int:
        offset = bits.offset + start
        if sys.byteorder == "big":  # where bits are counted from the most significant one
            offset = 8 * self.size - offset - bits.size
        return (number & (1 << bits.size) - 1) << offset

    def _numbers(self, argument: UsdtArgument, machine: str) -> dict[str, int]:
        registers = REGISTERS[machine]
        numbers = {"arg_signed": int(argument.is_signed), "arg_bitshift": 64 - 8 * argument.size}
        place = argument.place
        if isinstance(place, Constant):
            return numbers | {"arg_type": _CONST, "val_off": place.value}
        if isinstance(place, Register):
            return numbers | {"arg_type": _REG, "reg_off": registers[place.name]}
        if isinstance(place, SymbolMemory):
            raise SpecError(f"the address of {place.symbol!r} is not known")
        numbers |= {"val_off": place.offset, "reg_off": registers[place.base]}
        if place.index is None:
            return numbers | {"arg_type": _REG_DEREF}
        if not set(_INDEX_FIELDS) <= self._argument.keys():
            raise NotSupportedError(
                f"a USDT argument at an indexed address ({_text(place)})",
                hint="Compile the program with aiobpf's usdt.bpf.h, or that of libbpf 1.7",
            )
        scale = place.scale.bit_length() - 1
        return numbers | {"arg_type": _SIB, "idx_reg_off": registers[place.index], "scale_bitshift": scale}


def is_free(value: bytes) -> bool:
    """Whether an element of the map is nobody's: one that is taken has its mark, and libbpf's is not all zeros."""
    return not any(value)


def _text(place: Memory) -> str:
    return f"{place.base} + {place.scale} * {place.index} + {place.offset}"


def _members(struct: Struct) -> dict[str, _Bits]:
    return {
        member.name: _Bits(member.bit_offset, member.bitfield_size or 8 * size_of(member.type))
        for member in struct.members
    }


def _type_of(struct: Struct, name: str) -> Type | None:
    return next((strip_qualifiers(member.type) for member in struct.members if member.name == name), None)
