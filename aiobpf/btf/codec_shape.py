"""What a BTF type is as bytes: shapes, the plan that decoders, encoders, dtypes and JSON are made from.

A shape has everything resolved (sizes, offsets, byte order, Python names) and refers to no BTF, so that a codec does
not keep a kernel's types in memory.

Invariant: any type gives a shape whose parts lie inside its size, or a CodecError, after work in proportion to the
types it consists of: each struct is looked at once however often it is used, nesting ends at 32, and an array costs the
same however many elements it declares. A value has at most some hundred parts that no byte stands for.
"""

from __future__ import annotations

import re
import sys
from keyword import iskeyword
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar, final

from aiobpf.btf.types import (
    Array,
    DataSection,
    Enum,
    Float,
    Int,
    Member,
    Pointer,
    Struct,
    Type,
    Union,
    Variable,
    size_of,
    strip_modifiers,
    strip_qualifiers,
)
from aiobpf.errors import BtfError, CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T", bound=Type)
ByteOrder: TypeAlias = Literal["little", "big", "native"]

_MAX_DEPTH = 32
_MAX_FIELDS = 8192
_MAX_BYTES = 1 << 32
_MAX_EMPTY_PARTS = 256
_MAX_PARTS_A_BYTE = 64
_INT_CODES = {1: "bB", 2: "hH", 4: "iI", 8: "qQ"}
_FLOAT_CODES = {2: "e", 4: "f", 8: "d"}


class Shape:
    """Bytes that hold one value; *size* of them."""

    __slots__ = ("size",)

    size: int

    def __init__(self, size: int) -> None:
        self.size = size


@final
class Number(Shape):
    """An integer, boolean, float or pointer that `struct` has the format *code* for."""

    __slots__ = ("code", "is_pointer")

    def __init__(self, code: str, size: int, is_pointer: bool = False) -> None:
        super().__init__(size)
        self.code = code
        self.is_pointer = is_pointer

    @property
    def is_signed(self) -> bool:
        return self.code in "bhiq"

    @property
    def is_integer(self) -> bool:
        return self.code in "bBhHiIqQ"


@final
class Wide(Shape):
    """An integer of a size that `struct` has no code for, as __int128."""

    __slots__ = ("is_signed",)

    def __init__(self, size: int, is_signed: bool) -> None:
        super().__init__(size)
        self.is_signed = is_signed


@final
class Bits(Shape):
    """A bit-field: *width* bits, *shift* bits from the lowest of the integer that its *size* bytes are.

    *choice* is its enum, where it has one.
    """

    __slots__ = ("choice", "is_boolean", "is_signed", "shift", "width")

    def __init__(
        self,
        size: int,
        shift: int,
        width: int,
        is_signed: bool = False,
        is_boolean: bool = False,
        choice: Choice | None = None,
    ) -> None:
        super().__init__(size)
        self.shift = shift
        self.width = width
        self.is_signed = is_signed
        self.is_boolean = is_boolean
        self.choice = choice


@final
class Text(Shape):
    """char[]: a string up to its NUL. *size* 0 is one that runs to the end of the record."""

    __slots__ = ()


@final
class Blob(Shape):
    """u8[], or something that has no better reading: bytes. *size* 0 runs to the end of the record."""

    __slots__ = ()


@final
class Choice(Shape):
    """An enum: a *number*, and the *values* that have a name."""

    __slots__ = ("_class", "name", "number", "values")

    def __init__(self, name: str, number: Number | Wide, values: dict[str, int]) -> None:
        super().__init__(number.size)
        self.name = name
        self.number = number
        self.values = values
        self._class: type | None = None

    @property
    def python_type(self) -> type:
        """The IntEnum or IntFlag with the enum's names; int for one without any."""
        if self._class is None:
            from aiobpf.btf.codec_class import make_enum

            self._class = make_enum(self.name, self.values)
        return self._class

    @python_type.setter
    def python_type(self, python_type: type) -> None:
        self._class = python_type


@final
class List(Shape):
    """An array: *count* elements. *count* 0 is as many as are left in the record."""

    __slots__ = ("count", "element")

    def __init__(self, element: Shape, count: int) -> None:
        super().__init__(element.size * count)
        self.element = element
        self.count = count


@final
class Field:
    """A member of a record: *name* in C, *attribute* in Python, at *offset* bytes.

    *is_alternative*: it shares its bytes with others (of an anonymous union), and may be left out of a value.
    """

    __slots__ = ("attribute", "is_alternative", "name", "offset", "shape")

    def __init__(self, name: str, attribute: str, offset: int, shape: Shape, is_alternative: bool = False) -> None:
        self.name = name
        self.attribute = attribute
        self.offset = offset
        self.shape = shape
        self.is_alternative = is_alternative


@final
class Record(Shape):
    """A struct (or data section) as fields; a *union* has all its fields at the start.

    The members of anonymous structs and unions are fields of the record around them. *build* says how to make the
    Python object: positional and keyword arguments, as field numbers.
    """

    __slots__ = (
        "_class",
        "arguments",
        "byte_order",
        "fields",
        "is_generated",
        "is_union",
        "keywords",
        "leaf_count",
        "name",
    )

    def __init__(
        self,
        name: str,
        size: int,
        fields: tuple[Field, ...],
        byte_order: Literal["little", "big"],
        is_union: bool = False,
    ) -> None:
        super().__init__(size)
        self.name = name
        self.fields = fields
        self.byte_order: Literal["little", "big"] = byte_order
        self.is_union = is_union
        self.leaf_count = 1 + sum(count_leaves(field.shape) for field in fields)
        self._class: type | None = None
        self.is_generated = not is_union
        self.arguments = tuple(range(len(fields)))
        self.keywords: tuple[tuple[str, int], ...] = ()

    @property
    def python_type(self) -> type:
        """The class that values are made of: an attrs class with slots, or the user's."""
        if self._class is None:
            from aiobpf.btf.codec_class import make_class, make_union_class

            self._class = make_union_class(self) if self.is_union else make_class(self)
        return self._class

    @python_type.setter
    def python_type(self, python_type: type) -> None:
        self._class = python_type
        self.is_generated = False

    @property
    def tail(self) -> Field | None:
        """The last field, when it is open-ended. It may begin before the size, in the padding at the end."""
        if not self.fields or self.is_union:
            return None
        last = max(reversed(self.fields), key=lambda field: field.offset + field.shape.size)
        return last if is_open_ended(last.shape) else None


def is_open_ended(shape: Shape) -> bool:
    """Whether *shape* is a flexible array, which takes what the record has beyond its type."""
    return shape.count == 0 if isinstance(shape, List) else shape.size == 0 and isinstance(shape, (Text, Blob))


def count_leaves(shape: Shape) -> int:
    """How many Python objects a value of *shape* is at most."""
    if isinstance(shape, Record):
        return shape.leaf_count
    if isinstance(shape, List):
        return shape.count * count_leaves(shape.element)
    return 1


def explicit_byte_order(byte_order: ByteOrder) -> Literal["little", "big"]:
    """*byte_order* with "native" replaced by this machine's."""
    return sys.byteorder if byte_order == "native" else byte_order


def python_names(names: Iterable[str]) -> Iterator[str]:
    """A Python attribute for each C name, all different: "from" is "from_", "a.b" is "a_b".

    Names of BTF may be any text, and end up in generated code: nothing but letters, digits and "_" passes.
    """
    seen: set[str] = set()
    for name in names:
        attribute = re.sub(r"[^0-9A-Za-z_]", "_", name) or "_"
        if attribute[0].isdigit():
            attribute = f"_{attribute}"
        # "__class__" would be Python's own, and "__x" is mangled inside a class.
        if iskeyword(attribute) or attribute in _TAKEN or (attribute.startswith("__") and attribute.endswith("__")):
            attribute += "_"
        unique, number = attribute, 2
        while unique in seen:
            unique, number = f"{attribute}_{number}", number + 1
        seen.add(unique)
        yield unique


_TAKEN = frozenset({"self", "None", "True", "False"})


@final
class ShapeReader:
    """Makes shapes of types in one byte order, each type once."""

    __slots__ = ("_byte_order", "_known", "_open", "_visits")

    def __init__(self, byte_order: Literal["little", "big"]) -> None:
        self._byte_order: Literal["little", "big"] = byte_order
        self._known: dict[tuple[Type, str], Shape] = {}
        self._open: list[Type] = []
        self._visits = 0

    def read(self, type: Type) -> Shape:  # noqa: A002
        """The shape of *type*, or CodecError."""
        try:
            # Nowhere else: an element or member that is a variable could be one of the type that it is in.
            return self._read(type.type if isinstance(type, Variable) else type)
        except BtfError as error:
            raise CodecError(str(error)) from error

    def _read(self, type: Type) -> Shape:  # noqa: A002
        name = strip_modifiers(type).name  # a typedef names the anonymous struct or enum below it
        stripped = strip_qualifiers(type)
        if isinstance(stripped, Int):
            if 0 < stripped.bits < stripped.size * 8:
                return self._narrow(stripped)
            return _integer(stripped.size, stripped.is_signed, stripped.is_bool)
        if isinstance(stripped, Pointer):
            return Number("Q", 8, is_pointer=True)
        if isinstance(stripped, Float):
            code = _FLOAT_CODES.get(stripped.size)
            return Number(code, stripped.size) if code else Blob(stripped.size)
        if isinstance(stripped, Enum):
            return self._remember(stripped, stripped.name or name, self._enum)
        if isinstance(stripped, Array):
            return self._array(stripped)
        if isinstance(stripped, (Struct, Union, DataSection)):
            return self._remember(stripped, stripped.name or name, self._record)
        raise CodecError(f"{stripped!r} has no values")

    def _narrow(self, number: Int) -> Shape:
        """An integer with fewer bits than its bytes have, as compilers wrote bit-fields before 5.0 (kind_flag)."""
        end = number.bit_offset + number.bits
        shift = number.bit_offset if self._byte_order == "little" else number.size * 8 - end
        return Bits(number.size, shift, number.bits, number.is_signed, number.is_bool)

    def _remember(self, type: T, name: str, make: Callable[[T, str], Shape]) -> Shape:  # noqa: A002
        key = (type, name)
        shape = self._known.get(key)
        if shape is None:
            if type in self._open or len(self._open) >= _MAX_DEPTH:
                raise CodecError(f"{type!r} contains itself, or is nested in more than {_MAX_DEPTH} others")
            self._open.append(type)
            try:
                shape = self._known[key] = make(type, name)
            finally:
                self._open.pop()
        return shape

    def _enum(self, enum: Enum, name: str) -> Shape:
        number = _integer(enum.size, enum.is_signed, False)
        assert isinstance(number, (Number, Wide))
        return Choice(name, number, {each.name: each.value for each in enum.enumerators})

    def _array(self, array: Array) -> Shape:
        counts = [array.count]
        element = array.element
        for _ in range(_MAX_DEPTH):
            inner = strip_qualifiers(element)
            if not isinstance(inner, Array):
                break
            counts.append(inner.count)
            element = inner.element
        else:
            raise CodecError(f"an array has more than {_MAX_DEPTH} dimensions")
        shape: Shape
        innermost = strip_qualifiers(element)
        if isinstance(innermost, Int) and innermost.size == 1 and not innermost.is_bool:
            # clang and pahole give "char" no encoding of its own: its name tells it from __u8 and s8.
            if innermost.is_char or innermost.name == "char":
                shape = Text(counts.pop())
            elif not innermost.is_signed:
                shape = Blob(counts.pop())
            else:
                shape = Number("b", 1)
        else:
            shape = self._read(element)
        for count in reversed(counts):
            if count * max(shape.size, 1) > _MAX_BYTES:
                raise CodecError(f"an array of {count} elements of {shape.size} bytes is over 4 GiB")
            if shape.size == 0 and count * count_leaves(shape) > _MAX_EMPTY_PARTS:
                raise CodecError(f"an array of {count} elements without size")
            shape = List(shape, count)
        return shape

    def _record(self, type: Struct | Union | DataSection, name: str) -> Shape:  # noqa: A002
        found: list[tuple[str, int, Shape, bool]] = []
        if isinstance(type, DataSection):
            found += (
                (entry.variable.name, entry.offset, self._read(entry.variable.type), False)
                for entry in type.variables
                if isinstance(entry.variable, Variable)  # .ksyms has functions too
            )
        else:
            self._visits = 0
            self._collect(type, 0, False, found, 0)
        size = type.size
        for member, offset, shape, _ in found:
            if offset + shape.size > size:
                raise CodecError(f"{type!r}: {member!r} ends at byte {offset + shape.size} of {size}")
        if sum(count_leaves(shape) for _, _, shape, _ in found if not shape.size) > _MAX_EMPTY_PARTS:
            raise CodecError(f"{type!r} consists of too many empty parts")
        attributes = python_names(member for member, _, _, _ in found)
        fields = tuple(
            Field(member, attribute, offset, shape, is_alternative)
            for attribute, (member, offset, shape, is_alternative) in zip(attributes, found, strict=True)
        )
        record = Record(name or "anonymous", size, fields, self._byte_order, isinstance(type, Union))
        if record.leaf_count > size * _MAX_PARTS_A_BYTE + _MAX_EMPTY_PARTS:
            # Members on top of each other, at every level: a few bytes would become millions of objects.
            raise CodecError(f"the members of {type!r} overlap too much: {record.leaf_count} in {size} bytes")
        return record

    def _collect(
        self,
        type: Struct | Union,  # noqa: A002
        base: int,
        is_alternative: bool,
        found: list[tuple[str, int, Shape, bool]],
        depth: int,
    ) -> None:
        """Add the members of *type*, which starts at bit *base*, and those of its anonymous members."""
        if depth > _MAX_DEPTH:
            raise CodecError(f"{type!r} is nested in more than {_MAX_DEPTH} anonymous members, or contains itself")
        for member in type.members:
            inner = strip_qualifiers(member.type)
            bit_offset = base + member.bit_offset
            if not member.name and isinstance(inner, (Struct, Union)):
                alternative = is_alternative or isinstance(inner, Union)
                self._collect(inner, bit_offset, alternative, found, depth + 1)
            elif member.name:  # an anonymous bit-field is padding
                offset, shape = self._member(member, inner, bit_offset)
                found.append((member.name, offset, shape, is_alternative))
            self._visits += 1  # not len(found): anonymous members may hold nothing but more of them, doubling each time
            if self._visits > _MAX_FIELDS:
                raise CodecError(f"{type!r} has more than {_MAX_FIELDS} members")

    def _member(self, member: Member, inner: Type, bit_offset: int) -> tuple[int, Shape]:
        width = member.bitfield_size
        if not width and isinstance(inner, Int) and inner.bits and inner.bits < inner.size * 8:
            width = inner.bits  # how bit-fields were before kind_flag (5.0): a narrow integer type
            bit_offset += inner.bit_offset
        if not width and bit_offset % 8:
            width = size_of(inner) * 8
        if not width:
            return bit_offset // 8, self._read(member.type)
        if not isinstance(inner, (Int, Enum)) or width > 128:
            raise CodecError(f"member {member.name!r} is no bit-field that could be read: {width} bits of {inner!r}")
        first, last = bit_offset // 8, (bit_offset + width + 7) // 8
        size = last - first
        into = bit_offset - first * 8
        shift = into if self._byte_order == "little" else size * 8 - into - width
        if isinstance(inner, Enum):
            choice = self._read(member.type)
            assert isinstance(choice, Choice)
            return first, Bits(size, shift, width, inner.is_signed, choice=choice)
        return first, Bits(size, shift, width, inner.is_signed, inner.is_bool)


def _integer(size: int, is_signed: bool, is_boolean: bool) -> Number | Wide:
    if is_boolean and size == 1:
        return Number("?", 1)
    codes = _INT_CODES.get(size)
    if codes is None:
        if not 1 <= size <= 64:
            raise CodecError(f"there is no integer of {size} bytes")
        return Wide(size, is_signed)
    return Number(codes[0] if is_signed else codes[1], size)
