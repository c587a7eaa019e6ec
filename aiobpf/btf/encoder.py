"""One type to its bytes, or to the nearest thing that an older kernel takes.

The replacements are libbpf's (bpf_object__sanitize_btf), so that kernels see from us what they see from it.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, final

from aiobpf.btf.composites import DataSection, Function, FunctionPrototype, Struct, Union, Variable
from aiobpf.btf.derived import Array, DeclTag, Pointer, Typedef, TypeTag
from aiobpf.btf.features import BtfFeature
from aiobpf.btf.kinds import Kind
from aiobpf.btf.scalars import Enum, Float, Forward, Int
from aiobpf.btf.type_base import Modified
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from aiobpf.btf.type_base import Type

_OLD_VLEN = 0xFFFF
_VLEN = 0xFFFFFF
_BYTE = 8  # an Int's word: 8 bits at bit 0, no encoding


@final
class Encoder:
    """Encodes types one by one; `extra` is types that replacements need, behind all others."""

    def __init__(
        self,
        order: str,
        id_of: Callable[[Type], int],
        string: Callable[[str], int],
        without: Collection[BtfFeature],
        next_id: int,
    ) -> None:
        self._order = order
        self._id_of = id_of
        self._string = string
        self._without = frozenset(without)
        self._placeholder_id = next_id
        self.extra = b""

    def encode(self, type: Type) -> bytes:  # noqa: A002
        """The bytes of *type*. Raises BtfError for what the format has no room for."""
        try:
            return self._encode(type)
        except struct.error:
            raise BtfError(f"{type!r} has a number that does not fit into 32 bits") from None

    def _encode(self, type: Type) -> bytes:  # noqa: A002
        if isinstance(type, Int):
            word = type.encoding << 24 | type.bit_offset << 16 | type.bits
            return self._type(type.name, Kind.INT, type.size, [word])
        if isinstance(type, Struct | Union):
            return self._composite(type)
        if isinstance(type, Enum):
            return self._enum(type)
        if isinstance(type, Pointer):
            return self._type("", Kind.PTR, self._id_of(type.target))
        if isinstance(type, Array):
            return self._type("", Kind.ARRAY, 0, [self._id_of(type.element), self._id_of(type.index), type.count])
        if isinstance(type, Forward):
            return self._type(type.name, Kind.FWD, 0, flag=type.is_union)
        if isinstance(type, Float):
            return self._float(type)
        if isinstance(type, Typedef):
            return self._type(type.name, Kind.TYPEDEF, self._id_of(type.type))
        if isinstance(type, FunctionPrototype):
            return self._prototype(type)
        if isinstance(type, Function):
            return self._function(type)
        if isinstance(type, Variable):
            return self._variable(type)
        if isinstance(type, DataSection):
            return self._section(type)
        if isinstance(type, TypeTag):
            return self._type_tag(type)
        if isinstance(type, DeclTag):
            return self._decl_tag(type)
        if isinstance(type, Modified):  # const, volatile, restrict
            return self._type("", type.kind, self._id_of(type.type))
        raise BtfError(f"{type!r} cannot be encoded")

    def _type(
        self,
        name: str,
        kind: Kind,
        size_or_type: int,
        words: list[int] | None = None,
        vlen: int = 0,
        flag: bool = False,
    ) -> bytes:
        if vlen > _VLEN or (vlen > _OLD_VLEN and BtfFeature.WIDE_VLEN in self._without):
            raise BtfError(f"{kind.name} {name!r} has {vlen} parts, more than BTF has room for")
        rest = words or []
        return struct.pack(
            f"{self._order}{3 + len(rest)}I", self._string(name), flag << 31 | kind << 24 | vlen, size_or_type, *rest
        )

    def _composite(self, type: Struct | Union) -> bytes:  # noqa: A002
        members = type.members
        has_bitfields = any(member.bitfield_size for member in members)
        if has_bitfields and BtfFeature.KIND_FLAG in self._without:
            # Before 9d5f9f70 (5.0) a bit-field was an integer type of that size, which no compiler emits now.
            members = tuple(member for member in members if not member.bitfield_size)
            has_bitfields = False
        words: list[int] = []
        for member in members:
            place = member.bit_offset
            if has_bitfields:
                if place > 0xFFFFFF or member.bitfield_size > 0xFF:
                    raise BtfError(f"member {member.name!r} of {type!r} is too far behind for a struct with bit-fields")
                place |= member.bitfield_size << 24
            words += self._string(member.name), self._id_of(member.type), place
        return self._type(type.name, type.kind, type.size, words, len(members), has_bitfields)

    def _enum(self, type: Enum) -> bytes:  # noqa: A002
        words: list[int] = []
        count = len(type.enumerators)
        bits = 64 if type.size == 8 else 32  # whatever its size: old compilers write -1 of one byte as 0xffffffff
        for each in type.enumerators:
            if not -1 << (bits - 1) <= each.value < 1 << bits:
                raise BtfError(f"enumerator {each.name} = {each.value} of {type!r} does not fit in {bits} bits")
        if type.size < 8:
            for each in type.enumerators:
                words += self._string(each.name), each.value & 0xFFFFFFFF
            is_signed = type.is_signed and BtfFeature.ENUM64 not in self._without  # the flag came with it, 6089fb32
            return self._type(type.name, Kind.ENUM, type.size, words, count, is_signed)
        if BtfFeature.ENUM64 in self._without:
            for each in type.enumerators:
                words += self._string(each.name), self._placeholder(), 0
            return self._type(type.name, Kind.UNION, type.size, words, count)
        for each in type.enumerators:
            words += self._string(each.name), each.value & 0xFFFFFFFF, each.value >> 32 & 0xFFFFFFFF
        return self._type(type.name, Kind.ENUM64, type.size, words, count, type.is_signed)

    def _placeholder(self) -> int:
        """The id of a one-byte integer, for members that stand for something else."""
        if not self.extra:
            self.extra = self._type("enum64_placeholder", Kind.INT, 1, [_BYTE])
        return self._placeholder_id

    def _float(self, type: Float) -> bytes:  # noqa: A002
        if BtfFeature.FLOAT in self._without:
            return self._type("", Kind.STRUCT, type.size)  # no name: "float" is none for a struct
        return self._type(type.name, Kind.FLOAT, type.size)

    def _prototype(self, type: FunctionPrototype) -> bytes:  # noqa: A002
        words: list[int] = []
        if BtfFeature.FUNC in self._without:
            for i, each in enumerate(type.parameters):
                words += self._string(each.name or f"_{i}"), 0  # an enumerator must have a name
            return self._type("", Kind.ENUM, 4, words, len(type.parameters))
        for each in type.parameters:
            words += self._string(each.name), self._id_of(each.type)
        return self._type("", Kind.FUNC_PROTO, self._id_of(type.return_type), words, len(type.parameters))

    def _function(self, type: Function) -> bytes:  # noqa: A002
        if BtfFeature.FUNC in self._without:
            return self._type(type.name, Kind.TYPEDEF, self._id_of(type.type))
        linkage = 0 if BtfFeature.FUNC_LINKAGE in self._without else type.linkage
        return self._type(type.name, Kind.FUNC, self._id_of(type.type), vlen=linkage)

    def _variable(self, type: Variable) -> bytes:  # noqa: A002
        if BtfFeature.DATASEC in self._without:
            return self._type(type.name, Kind.INT, 1, [_BYTE])  # of 1 byte: the section has room for it surely
        return self._type(type.name, Kind.VAR, self._id_of(type.type), [type.linkage])

    def _section(self, type: DataSection) -> bytes:  # noqa: A002
        words: list[int] = []
        count = len(type.variables)
        if BtfFeature.DATASEC in self._without:
            for each in type.variables:
                words += self._string(each.variable.name), self._id_of(each.variable), each.offset * 8
            return self._type(re.sub(r"\W", "_", type.name), Kind.STRUCT, type.size, words, count)
        for each in type.variables:
            words += self._id_of(each.variable), each.offset, each.size
        return self._type(type.name, Kind.DATASEC, type.size, words, count)

    def _type_tag(self, type: TypeTag) -> bytes:  # noqa: A002
        if self._lacks(BtfFeature.TYPE_TAG, type.is_attribute):
            return self._type("", Kind.CONST, self._id_of(type.type))
        return self._type(type.name, Kind.TYPE_TAG, self._id_of(type.type), flag=type.is_attribute)

    def _decl_tag(self, type: DeclTag) -> bytes:  # noqa: A002
        if self._lacks(BtfFeature.DECL_TAG, type.is_attribute):
            return self._type("decl_tag", Kind.INT, 1, [_BYTE])  # its own text may be no name
        component = type.component_index & 0xFFFFFFFF
        return self._type(type.name, Kind.DECL_TAG, self._id_of(type.type), [component], flag=type.is_attribute)

    def _lacks(self, feature: BtfFeature, is_attribute: bool) -> bool:
        return feature in self._without or (is_attribute and BtfFeature.ATTRIBUTE_TAG in self._without)
