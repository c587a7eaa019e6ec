"""BTF out of types: what a program or map load hands to the kernel."""

from __future__ import annotations

import struct
import sys
from itertools import groupby, islice
from typing import TYPE_CHECKING, cast, final

from aiobpf.btf.composites import DataSection, Function, FunctionPrototype, Struct, Union, Variable
from aiobpf.btf.derived import Array, DeclTag, Pointer, Typedef
from aiobpf.btf.encoder import Encoder
from aiobpf.btf.scalars import Enum, Float, Forward, Int, Unknown, Void
from aiobpf.btf.taken import TakenTypes, can_be_taken
from aiobpf.btf.type_base import Modified
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from aiobpf.btf.btf import Btf
    from aiobpf.btf.features import BtfFeature
    from aiobpf.btf.header import ByteOrder
    from aiobpf.btf.type_base import Type

_HEADER = 24


@final
class BtfBuilder:
    """Collects types and strings, each with everything it refers to, and encodes them.

    A type's id is its own from the moment it is added. Types may come from several BTFs or be made by hand. One that
    is added again, or a number, enum, forward declaration or tag like one that is there, is not added twice.

    Where most types come from one BTF, *source*, these are copied as they are, and its strings whole: no object is made
    of them, and their names and those of source lines stay where they were.
    """

    def __init__(self, byte_order: ByteOrder = "little", source: Btf | None = None) -> None:
        self.byte_order: ByteOrder = byte_order
        self._types: list[Type | int] = []  # an int counts types taken from the source
        self._ids: dict[Type, int] = {}
        self._alike: dict[tuple[object, ...], Type] = {}
        self._strings: dict[str, int] = {"": 0}
        self._strings_before = b"\0"
        self._taken: TakenTypes | None = None
        if source is not None and byte_order == sys.byteorder and can_be_taken(source):
            self._taken = TakenTypes(source)
            self._strings_before = self._taken.strings
        self._strings_length = len(self._strings_before)

    def keeps_strings_of(self, btf: Btf) -> bool:
        """Whether the strings of *btf* are at the same offsets here."""
        return self._taken is not None and self._taken.source is btf

    def __len__(self) -> int:
        """How many ids there are, void's included."""
        return len(self._types) + 1

    def add(self, type: Type) -> int:  # noqa: A002
        """The id of *type*, which is added with all that it leads to and the declaration tags on any of it.

        Raises BtfError, and adds nothing, where a reference leads nowhere or a type cannot be encoded.
        """
        known = self._find(type)
        if known is not None:
            return known
        start = len(self._types)
        taken_before = 0 if self._taken is None else len(self._taken)
        try:
            self._place(type)
            at = start
            while at < len(self._types):  # a list that grows: the depth of the types does not matter
                placed = self._types[at]
                if not isinstance(placed, int):  # one that was taken has brought all it needs
                    for each in _referred(placed):
                        if self._find(each) is None:
                            self._place(each)
                at += 1
        except BtfError:
            for placed in self._types[start:]:
                if not isinstance(placed, int):
                    del self._ids[placed]
                    self._alike.pop(_likeness(placed), None)
            if self._taken is not None:
                self._taken.give_back(taken_before)
            del self._types[start:]
            raise
        return self._id(type)

    def string(self, text: str) -> int:
        """The offset of *text* in the string table, where it is put once. Raises BtfError for a zero byte in it."""
        offset = self._strings.get(text)
        if offset is None:
            if "\0" in text:
                raise BtfError(f"the string {text!r} has a zero byte in it")
            offset = self._strings[text] = self._strings_length
            self._strings_length += len(text.encode(errors="surrogateescape")) + 1
        return offset

    def encode(self, *, without: Collection[BtfFeature] = ()) -> bytes:
        """The .BTF section: header, types, strings.

        What the kernel does not know (*without*) is replaced by something that it does, as libbpf does: ids and sizes
        stay. Raises BtfError for what does not fit the format: a size, offset or number of members too large.
        """
        order = "<" if self.byte_order == "little" else ">"
        encoder = Encoder(order, self._id, self.string, without, len(self))
        types = b"".join(self._encoded(encoder, without)) + encoder.extra
        added = b"".join(text.encode(errors="surrogateescape") + b"\0" for text in islice(self._strings, 1, None))
        strings = self._strings_before + added
        try:
            header = struct.pack(order + "HBBIIIII", 0xEB9F, 1, 0, _HEADER, 0, len(types), len(types), len(strings))
        except struct.error:
            raise BtfError(f"{len(types)} bytes of types do not fit into one BTF") from None
        return header + types + strings

    def _encoded(self, encoder: Encoder, without: Collection[BtfFeature]) -> Iterator[bytes]:
        """The bytes of all types, in order of their ids."""
        taken = self._taken
        is_as_it_was = taken is not None and taken.features.isdisjoint(without)
        for is_taken, run in groupby(self._types, lambda each: isinstance(each, int)):
            if taken is not None and is_taken and is_as_it_was:
                places = cast("list[int]", list(run))
                yield taken.encode(places[0], places[-1] + 1)
                continue
            for each in run:
                yield encoder.encode(self._object(each))

    def _object(self, placed: Type | int) -> Type:
        if not isinstance(placed, int):
            return placed
        assert self._taken is not None
        return self._taken.source.type_by_id(self._taken.source_id(placed))

    def _id(self, type: Type) -> int:  # noqa: A002
        found = self._find(type)
        if found is None:
            raise BtfError(f"{type!r} was not added")
        return found

    def _find(self, type: Type) -> int | None:  # noqa: A002
        if isinstance(type, Void):
            return 0
        if self._taken is not None and type._owner is self._taken.source:
            return self._taken.new_id(type._id) or None
        found = self._ids.get(type)
        if found is None and (likeness := _likeness(type)) and (twin := self._alike.get(likeness)) is not None:
            return self._ids[twin]
        return found

    def _place(self, type: Type) -> None:  # noqa: A002
        if self._taken is not None and type._owner is self._taken.source:
            before = len(self._taken)
            count = self._taken.take(type._id, len(self))
            self._types += range(before, before + count)
            return
        if isinstance(type, Unknown):
            raise BtfError(f"{type!r} is of the unknown kind {type.kind_number} and cannot be encoded")
        likeness = _likeness(type)  # first, as a reference may lead nowhere
        self._types.append(type)
        self._ids[type] = len(self._types)
        if likeness:
            self._alike[likeness] = type


def encode(
    types: Iterable[Type], *, byte_order: ByteOrder = sys.byteorder, without: Collection[BtfFeature] = ()
) -> bytes:
    """The BTF of *types* and of all that they refer to, as a .BTF section or BPF_BTF_LOAD takes it.

    *without* is what the reader does not know: something of the same size stands for it (`BtfBuilder.encode`). Raises
    BtfError where a reference leads nowhere, or a type cannot be encoded.
    """
    builder = BtfBuilder(byte_order)
    for type_ in types:
        builder.add(type_)
    return builder.encode(without=without)


def _likeness(type: Type) -> tuple[object, ...]:  # noqa: A002
    """What two types have in common of which one can stand for both; () for a type that is only like itself."""
    if isinstance(type, Int):
        return Int, type.name, type.size, type.bits, type.encoding, type.bit_offset
    if isinstance(type, Float):
        return Float, type.name, type.size
    if isinstance(type, Forward):
        return Forward, type.name, type.is_union
    if isinstance(type, Enum):
        return Enum, type.name, type.size, type.is_signed, type.enumerators
    if isinstance(type, DeclTag):
        return DeclTag, type.name, type.type, type.component_index, type.is_attribute
    return ()


def _referred(type: Type) -> Iterator[Type]:  # noqa: A002
    """The types that *type* needs beside it."""
    if isinstance(type, Pointer):
        yield type.target
    elif isinstance(type, Array):
        yield type.element
        yield type.index
    elif isinstance(type, Modified | Typedef | Variable | Function):
        yield type.type
    elif isinstance(type, Struct | Union):
        for member in type.members:
            yield member.type
    elif isinstance(type, FunctionPrototype):
        yield type.return_type
        for parameter in type.parameters:
            yield parameter.type
    elif isinstance(type, DataSection):
        for each in type.variables:
            yield each.variable
    yield from _tags_on(type)


def _tags_on(type: Type) -> Iterator[DeclTag]:  # noqa: A002
    if isinstance(type, Struct | Union | Function | Typedef | Variable):
        for tag in type.tags:
            yield DeclTag(tag, type)
    if isinstance(type, Struct | Union):
        for i, member in enumerate(type.members):
            for tag in member.tags:
                yield DeclTag(tag, type, i)
    if isinstance(type, Function):
        for i, tags in enumerate(type.parameter_tags):
            for tag in tags:
                yield DeclTag(tag, type, i)
