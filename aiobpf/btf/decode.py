"""One type from its bytes.

Every type is checked for what its own bytes can say; what it refers to is checked when it is followed.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from aiobpf.btf.composites import (
    DataSection,
    Function,
    FunctionPrototype,
    SectionVariable,
    Struct,
    Union,
    Variable,
)
from aiobpf.btf.derived import Array, Const, DeclTag, Pointer, Restrict, Typedef, TypeTag, Volatile
from aiobpf.btf.kinds import IntEncoding, Kind, Linkage
from aiobpf.btf.parts import Enumerator, Member, Parameter
from aiobpf.btf.scalars import Enum, Float, Forward, Int, Unknown
from aiobpf.btf.type_base import Owner, set_slot
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from collections.abc import Callable
    from mmap import mmap

    from aiobpf.btf.header import Header
    from aiobpf.btf.type_base import Type

T = TypeVar("T", bound="Type")
_ENUM_SIZES = frozenset({1, 2, 4, 8})
_MAX_PARAMETERS = 1024
"""The kernel's functions have a dozen at most; a file may have as many functions of one prototype as it likes."""
_FLOAT_SIZES = frozenset({2, 4, 8, 12, 16})


class Source(Owner, Protocol):
    """What types are decoded from, and will belong to: a Btf."""

    def name_at(self, offset: int, /) -> str: ...


class Decoder:
    """Makes types of one BTF's bytes; each call gets the type's id for errors and its offset in the file."""

    __slots__ = ("_data", "_type", "_word", "_words")

    def __init__(self, data: bytes | mmap, header: Header) -> None:
        order = "<" if header.byte_order == "little" else ">"
        self._data = data
        self._type = struct.Struct(order + "III")
        self._word = struct.Struct(order + "I")
        self._words = {size: struct.Struct(order + "I" * size) for size in (2, 3)}

    def raw_kind(self, offset: int) -> int:
        """The kind of the type at *offset*, as a number."""
        info: int = self._type.unpack_from(self._data, offset)[1]
        return info >> 24 & 0x7F

    def name_offset(self, offset: int) -> int:
        """Where the name of the type at *offset* is in the strings."""
        found: int = self._word.unpack_from(self._data, offset)[0]
        return found

    def type_at(self, source: Source, id: int, offset: int) -> Type:  # noqa: A002
        """The type at *offset*, owned by *source*. Raises BtfError."""
        name_offset, info, size_or_type = self._type.unpack_from(self._data, offset)
        name = source.name_at(name_offset) if name_offset else ""
        make = _MAKERS.get(info >> 24 & 0x7F)
        try:
            if make is None:
                made: Type = Unknown(name, info >> 24 & 0x7F)
            else:
                made = make(self, source, name, info, size_or_type, offset + self._type.size)
        except ValueError as error:  # an enum's, a linkage's or our own BtfError
            raise BtfError(f"type [{id}] {name!r}: {error}") from None
        made._adopt(source, id)
        return made

    def members_at(self, source: Source, id: int, offset: int) -> tuple[Member, ...]:  # noqa: A002
        """The members of the struct or union at *offset*."""
        _, info, _ = self._type.unpack_from(self._data, offset)
        has_bitfields = info >> 31
        members = []
        for number, (name, type_id, place) in enumerate(self._records(3, info, offset + self._type.size)):
            bit_offset, bits = (place & 0xFFFFFF, place >> 24) if has_bitfields else (place, 0)
            member = Member(source.name_at(name), _by_id(type_id), bit_offset, bits)
            set_slot(member, "_owner", source)
            set_slot(member, "_tags", id << 24 | number)
            members.append(member)
        return tuple(members)

    def decl_tag_at(self, offset: int) -> tuple[int, int, int] | None:
        """Target id, component and name offset of the tag at *offset*; None for one that is an attribute."""
        name, info, target = self._type.unpack_from(self._data, offset)
        if info >> 31:
            return None
        component = self._word.unpack_from(self._data, offset + self._type.size)[0]
        return target, _signed(component), name

    def _records(self, size: int, info: int, start: int) -> Any:
        """The vlen records of *size* words that follow; the index has checked that they are there."""
        record = self._words[size]
        return record.iter_unpack(self._data[start : start + (info & 0xFFFFFF) * record.size])

    def _int(self, _source: Source, name: str, _info: int, size: int, start: int) -> Int:
        (word,) = self._word.unpack_from(self._data, start)
        bits, bit_offset = word & 0xFF, word >> 16 & 0xFF
        if not 0 < size <= 16 or bits + bit_offset > size * 8:
            raise BtfError(f"an integer of {bits} bits at bit {bit_offset} does not fit in {size} bytes")
        return Int(name, size, bits, IntEncoding(word >> 24 & 0xF), bit_offset)

    def _float(self, _source: Source, name: str, _info: int, size: int, _start: int) -> Float:
        if size not in _FLOAT_SIZES:
            raise BtfError(f"a floating-point number cannot have {size} bytes")
        return Float(name, size)

    def _pointer(self, _source: Source, _name: str, _info: int, target: int, _start: int) -> Pointer:
        return Pointer(_by_id(target))

    def _array(self, _source: Source, _name: str, _info: int, _size: int, start: int) -> Array:
        element, index, count = self._words[3].unpack_from(self._data, start)
        return Array(_by_id(element), _by_id(index), count)

    def _struct(self, _source: Source, name: str, _info: int, size: int, _start: int) -> Struct:
        return _with_late(Struct(name, size), "_tags", "_members")

    def _union(self, _source: Source, name: str, _info: int, size: int, _start: int) -> Union:
        return _with_late(Union(name, size), "_tags", "_members")

    def _enum(self, source: Source, name: str, info: int, size: int, start: int) -> Enum:
        if size not in _ENUM_SIZES:
            raise BtfError(f"an enum cannot have {size} bytes")
        is_signed = bool(info >> 31)
        records = self._records(2, info, start)
        enumerators = [Enumerator(source.name_at(at), _signed(value) if is_signed else value) for at, value in records]
        return Enum(name, size, is_signed, enumerators)

    def _enum64(self, source: Source, name: str, info: int, size: int, start: int) -> Enum:
        if size not in _ENUM_SIZES:
            raise BtfError(f"an enum cannot have {size} bytes")
        is_signed = bool(info >> 31)
        records = self._records(3, info, start)
        enumerators = [
            Enumerator(source.name_at(at), (_signed(high) if is_signed else high) << 32 | low)
            for at, low, high in records
        ]
        return Enum(name, size, is_signed, enumerators)

    def _forward(self, _source: Source, name: str, info: int, _size: int, _start: int) -> Forward:
        return Forward(name, bool(info >> 31))

    def _typedef(self, _source: Source, name: str, _info: int, target: int, _start: int) -> Typedef:
        return _with_late(Typedef(name, _by_id(target)), "_tags")

    def _volatile(self, _source: Source, _name: str, _info: int, target: int, _start: int) -> Volatile:
        return Volatile(_by_id(target))

    def _const(self, _source: Source, _name: str, _info: int, target: int, _start: int) -> Const:
        return Const(_by_id(target))

    def _restrict(self, _source: Source, _name: str, _info: int, target: int, _start: int) -> Restrict:
        return Restrict(_by_id(target))

    def _type_tag(self, _source: Source, name: str, info: int, target: int, _start: int) -> TypeTag:
        return TypeTag(name, _by_id(target), bool(info >> 31))

    def _decl_tag(self, _source: Source, name: str, info: int, target: int, start: int) -> DeclTag:
        (component,) = self._word.unpack_from(self._data, start)
        return DeclTag(name, _by_id(target), _signed(component), bool(info >> 31))

    def _function(self, _source: Source, name: str, info: int, target: int, _start: int) -> Function:
        # The linkage is in vlen, since 5.6 (51c39bb1); before, it is always 0.
        prototype = cast("FunctionPrototype", _by_id(target))
        return _with_late(Function(name, prototype, Linkage(info & 0xFFFFFF)), "_tags", "_parameter_tags")

    def _prototype(self, source: Source, _name: str, info: int, target: int, start: int) -> FunctionPrototype:
        count = info & 0xFFFFFF
        if count > _MAX_PARAMETERS:
            raise BtfError(f"a function of {count} parameters")
        parameters = []
        for name, type_id in self._records(2, info, start):
            parameter = Parameter(source.name_at(name), _by_id(type_id))
            set_slot(parameter, "_owner", source)
            parameters.append(parameter)
        return FunctionPrototype(_by_id(target), parameters)

    def _variable(self, _source: Source, name: str, _info: int, target: int, start: int) -> Variable:
        (linkage,) = self._word.unpack_from(self._data, start)
        return _with_late(Variable(name, _by_id(target), Linkage(linkage)), "_tags")

    def _section(self, source: Source, name: str, info: int, size: int, start: int) -> DataSection:
        variables = []
        for type_id, offset, length in self._records(3, info, start):
            variable = SectionVariable(cast("Variable", _by_id(type_id)), offset, length)
            set_slot(variable, "_owner", source)
            variables.append(variable)
        return DataSection(name, size, variables)


_MAKERS: dict[int, Callable[[Decoder, Source, str, int, int, int], Type]] = {
    Kind.INT: Decoder._int,
    Kind.PTR: Decoder._pointer,
    Kind.ARRAY: Decoder._array,
    Kind.STRUCT: Decoder._struct,
    Kind.UNION: Decoder._union,
    Kind.ENUM: Decoder._enum,
    Kind.FWD: Decoder._forward,
    Kind.TYPEDEF: Decoder._typedef,
    Kind.VOLATILE: Decoder._volatile,
    Kind.CONST: Decoder._const,
    Kind.RESTRICT: Decoder._restrict,
    Kind.FUNC: Decoder._function,
    Kind.FUNC_PROTO: Decoder._prototype,
    Kind.VAR: Decoder._variable,
    Kind.DATASEC: Decoder._section,
    Kind.FLOAT: Decoder._float,
    Kind.DECL_TAG: Decoder._decl_tag,
    Kind.TYPE_TAG: Decoder._type_tag,
    Kind.ENUM64: Decoder._enum64,
}


def _by_id(id: int) -> Type:  # noqa: A002
    """An id in the place of a type: `Reference` follows it when it is asked for."""
    return cast("Type", id)


def _with_late(made: T, *slots: str) -> T:
    """*made*, with *slots* that it asks its owner for."""
    for slot in slots:
        set_slot(made, slot, None)
    return made


def _signed(word: int) -> int:
    return word - (1 << 32) if word >> 31 else word
