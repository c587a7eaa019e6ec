"""Python values as bytes.

There are two ways, with one result. The walk below looks at each part of a value, takes dicts and tuples for structs
and names for enumerators, and says precisely what does not fit. For the usual value, an object of the codec's own
class, code is generated that hands its attributes to one `struct.pack`; whatever goes wrong there is walked again to
find out what.
"""

from __future__ import annotations

import enum
import operator
import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiobpf.btf.codec_compile import open_end
from aiobpf.btf.codec_shape import (
    Bits,
    Blob,
    Choice,
    Field,
    List,
    Number,
    Record,
    Shape,
    Text,
    Wide,
    count_leaves,
    is_open_ended,
)
from aiobpf.btf.codec_union import UnionValue
from aiobpf.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

_MAX_BYTES = 1 << 28
_MAX_PACKED_ITEMS = 256

# What a bool may be given as: any other value has a truth in Python too, but "false" means something else.
_TRUTH = {False: False, True: True}


def encode_shape(shape: Shape, value: object, byte_order: Literal["little", "big"], name: str) -> bytes:
    """*value* as the bytes of *shape*, padding zero; an open-ended array adds its elements at the end.

    Raises CodecError that names the part: "event.addr.port: 70000 does not fit u16".
    """
    if shape.size > _MAX_BYTES:
        raise CodecError(f"{name}: values of {shape.size} bytes are too large to encode")
    writer = _Writer(bytearray(shape.size), byte_order, open_end(shape)[0])
    writer.write(shape, value, 0, name)
    # An open-ended array may begin in the padding, and be shorter than that.
    return bytes(writer.buffer).ljust(shape.size, b"\0")


class _Writer:
    __slots__ = ("_byte_order", "_order", "_tail", "buffer")

    def __init__(self, buffer: bytearray, byte_order: Literal["little", "big"], tail: Shape | None) -> None:
        self.buffer = buffer
        self._tail = tail  # the open end of the whole; one anywhere else has no room
        self._byte_order: Literal["little", "big"] = byte_order
        self._order = "<" if byte_order == "little" else ">"

    def write(self, shape: Shape, value: object, offset: int, path: str) -> None:
        if value is None and not isinstance(shape, (Number, Wide, Bits, Choice)):
            return  # the zeros that are there
        if isinstance(shape, Number):
            self._number(shape, value, offset, path)
        elif isinstance(shape, Wide):
            self._put(offset, _integer(value, shape.size * 8, shape.is_signed, path), shape.size)
        elif isinstance(shape, Bits):
            self._bits(shape, value, offset, path)
        elif isinstance(shape, Choice):
            self.write(shape.number, _choice(shape, value, path), offset, path)
        elif isinstance(shape, (Text, Blob)):
            raw = _raw(value, path)
            if shape is self._tail:
                del self.buffer[offset:]
            elif len(raw) > shape.size:
                raise CodecError(f"{path}: {len(raw)} bytes do not fit {shape.size}")
            self.buffer[offset : offset + len(raw)] = raw
        elif isinstance(shape, List):
            self._list(shape, value, offset, path)
        else:
            assert isinstance(shape, Record)
            self._record(shape, value, offset, path)

    def _put(self, offset: int, number: int, size: int) -> None:
        self.buffer[offset : offset + size] = (number & ((1 << size * 8) - 1)).to_bytes(size, self._byte_order)

    def _number(self, shape: Number, value: object, offset: int, path: str) -> None:
        if shape.is_integer:
            self._put(offset, _integer(value, shape.size * 8, shape.is_signed, path), shape.size)
            return
        if shape.code == "?":
            try:
                self.buffer[offset] = _TRUTH[value]  # type: ignore[index]
            except (KeyError, TypeError) as error:
                raise CodecError(f"{path}: {value!r} is no bool: it takes True or False") from error
            return
        try:
            struct.pack_into(f"{self._order}{shape.code}", self.buffer, offset, value)
        except (struct.error, OverflowError, TypeError) as error:
            raise CodecError(f"{path}: {value!r} does not fit a float of {shape.size} bytes") from error

    def _bits(self, shape: Bits, value: object, offset: int, path: str) -> None:
        if shape.choice is not None:
            value = _choice(shape.choice, value, path)
        number = _integer(value, shape.width, shape.is_signed, path)
        mask = (1 << shape.width) - 1
        there = int.from_bytes(self.buffer[offset : offset + shape.size], self._byte_order)
        self._put(offset, there & ~(mask << shape.shift) | (number & mask) << shape.shift, shape.size)

    def _list(self, shape: List, value: object, offset: int, path: str) -> None:
        to_list = getattr(value, "tolist", None)
        if to_list is not None and not isinstance(value, Sequence):
            value = to_list()  # a numpy array, without importing numpy
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise CodecError(f"{path}: {value!r} is no sequence")
        element = shape.element
        if shape is self._tail:
            del self.buffer[offset:]
            self.buffer.extend(bytes(element.size * len(value)))
        elif len(value) != shape.count:
            raise CodecError(f"{path}: {len(value)} elements for an array of {shape.count}")
        for index, each in enumerate(value):
            self.write(element, each, offset + index * element.size, f"{path}[{index}]")

    def _record(self, shape: Record, value: object, offset: int, path: str) -> None:
        if shape.is_union:
            self._union(shape, value, offset, path)
            return
        given = dict(_fields_of(shape, value, path))
        alternatives = []
        for field in shape.fields:
            if field.attribute not in given:
                continue
            part = given[field.attribute]
            if not field.is_alternative:
                self.write(field.shape, part, offset + field.offset, f"{path}.{field.name}")
            elif part is not None:
                alternatives.append((field, part))
        self._alternatives(alternatives, offset, path)

    def _alternatives(self, alternatives: list[tuple[Field, object]], offset: int, path: str) -> None:
        """Write members of anonymous unions, of which those that share bytes must agree on them."""
        for field, part in alternatives:
            self.write(field.shape, part, offset + field.offset, f"{path}.{field.name}")
        for field, part in alternatives:
            start = offset + field.offset
            before = bytes(self.buffer[start : start + field.shape.size])
            self.write(field.shape, part, start, f"{path}.{field.name}")
            if bytes(self.buffer[start : start + field.shape.size]) != before:
                raise CodecError(
                    f"{path}.{field.name}: it shares its bytes with other members, which say something else; "
                    f"set those to None"
                )

    def _union(self, shape: Record, value: object, offset: int, path: str) -> None:
        if isinstance(value, UnionValue):
            value = value._content
        if isinstance(value, (bytes, bytearray, memoryview)):
            if len(value) > shape.size:
                raise CodecError(f"{path}: {len(value)} bytes for a union of {shape.size}")
            self.buffer[offset : offset + len(value)] = value
            return
        given = [(name, part) for name, part in _fields_of(shape, value, path) if part is not None]
        if len(given) > 1:
            raise CodecError(f"{path}: a union takes one alternative, not {len(given)}")
        for name, part in given:
            field = next(field for field in shape.fields if field.attribute == name)
            self.write(field.shape, part, offset + field.offset, f"{path}.{field.name}")


def _fields_of(shape: Record, value: object, path: str) -> list[tuple[str, object]]:
    """The parts of *value* by attribute: of an object by attribute, of a dict by either name, of a tuple in order."""
    if isinstance(value, Mapping):
        names = {field.name: field.attribute for field in shape.fields}
        names |= {field.attribute: field.attribute for field in shape.fields}
        for key in value:
            if key not in names:
                raise CodecError(f"{path}: there is no member {key!r}")
        return [(names[key], part) for key, part in value.items()]
    if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
        if len(value) != len(shape.fields):
            raise CodecError(f"{path}: {len(value)} values for {len(shape.fields)} members")
        return [(field.attribute, part) for field, part in zip(shape.fields, value, strict=True)]
    if isinstance(value, (str, bytes, int, float)):
        raise CodecError(f"{path}: {value!r} is no struct")
    try:
        return [(field.attribute, getattr(value, field.attribute)) for field in shape.fields]
    except AttributeError as error:
        renamed = _renamed(type(value))
        if not renamed:
            raise CodecError(f"{path}: {error}") from error
    try:
        return [(each.attribute, getattr(value, renamed.get(each.attribute, each.attribute))) for each in shape.fields]
    except AttributeError as error:
        raise CodecError(f"{path}: {error}") from error


def _renamed(python_type: type) -> dict[str, str]:
    """The attributes of a class whose metadata say which member they are, by that."""
    from aiobpf.btf.codec_class import is_record_class, parameters_of

    if not is_record_class(python_type):
        return {}
    return {each.member: each.attribute for each in parameters_of(python_type) if each.member is not None}


def _integer(value: object, bits: int, is_signed: bool, path: str) -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise CodecError(f"{path}: {value!r} is no integer") from error
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)
    if not low <= number <= high:
        raise CodecError(f"{path}: {number} does not fit {'s' if is_signed else 'u'}{bits}")
    return number


def _choice(shape: Choice, value: object, path: str) -> object:
    if not isinstance(value, str):
        return value.value if isinstance(value, enum.Enum) else value
    if value not in shape.values:
        raise CodecError(f"{path}: enum {shape.name!r} has no {value!r}")
    return shape.values[value]


def _raw(value: object, path: str) -> bytes | bytearray | memoryview:
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    if isinstance(raw, (list, tuple)):
        try:
            raw = bytes(raw)
        except (TypeError, ValueError) as error:
            raise CodecError(f"{path}: {error}") from error
    if not isinstance(raw, (bytes, bytearray, memoryview)):
        raise CodecError(f"{path}: {value!r} is neither bytes nor a string")
    return raw


# --- generated code ---------------------------------------------------------------------------------------------------


def compile_encoder(shape: Shape, byte_order: Literal["little", "big"], name: str) -> Callable[[Any], bytes]:
    """A function from values to bytes, as fast as the shape allows."""

    def walk(value: object) -> bytes:
        return encode_shape(shape, value, byte_order, name)

    if shape.size > _MAX_BYTES or count_leaves(shape) > _MAX_PACKED_ITEMS:
        return walk
    packer = _Packer("<" if byte_order == "little" else ">")
    if not packer.add(shape, "value", 0):
        return walk
    packer.namespace |= {
        "pack": struct.Struct(packer.code(shape.size)).pack,
        "walk": walk,
        "failures": (struct.error, AttributeError, LookupError, TypeError, ValueError, OverflowError),
    }
    source = (
        "def encode(value):\n"
        "    try:\n"
        f"        return pack({', '.join(packer.arguments)})\n"
        "    except failures:\n"
        "        return walk(value)\n"
    )
    exec(compile(source, f"<encoder of {shape.size} bytes>", "exec"), packer.namespace)
    encode: Callable[[Any], bytes] = packer.namespace["encode"]
    return encode


class _Packer:
    """Writes the arguments of one `struct.pack`; refuses a shape that needs more."""

    __slots__ = ("_order", "_parts", "_position", "arguments", "namespace")

    def __init__(self, order: str) -> None:
        self._order = order
        self._parts = [order]
        self._position = 0
        self.arguments: list[str] = []
        self.namespace: dict[str, Any] = {"text": _packed_text, "blob": _packed_blob, "truth": _TRUTH}

    def add(self, shape: Shape, expression: str, offset: int) -> bool:
        """Whether *shape* at *offset*, whose value *expression* gives, could be added."""
        if isinstance(shape, Choice) and isinstance(shape.number, Number):
            shape = shape.number  # an IntEnum is an int; what is not is left to the walk
        if isinstance(shape, Number):
            value = f"truth[{expression}]" if shape.code == "?" else expression
            return self._item(shape.code, shape.size, value, offset)
        if isinstance(shape, (Text, Blob)) and not is_open_ended(shape):
            convert = "text" if isinstance(shape, Text) else "blob"
            return self._item(f"{shape.size}s", shape.size, f"{convert}({expression}, {shape.size})", offset)
        if isinstance(shape, List) and isinstance(shape.element, Number) and shape.element.code != "?" and shape.count:
            # Through bytes, so that a list that is too long cannot borrow from one that is too short.
            name = f"k{len(self.namespace)}"
            self.namespace[name] = struct.Struct(f"{self._order}{shape.count}{shape.element.code}").pack
            return self._item(f"{shape.size}s", shape.size, f"{name}(*{expression})", offset)
        if isinstance(shape, Record) and not shape.is_union and shape.tail is None:
            return all(
                not field.is_alternative
                and self.add(field.shape, f"{expression}.{field.attribute}", offset + field.offset)
                for field in sorted(shape.fields, key=lambda field: field.offset)
            )
        return False

    def _item(self, code: str, size: int, expression: str, offset: int) -> bool:
        if offset < self._position:
            return False
        self._parts.append(f"{offset - self._position}x{code}")
        self._position = offset + size
        self.arguments.append(expression)
        return True

    def code(self, size: int) -> str:
        return "".join([*self._parts, f"{size - self._position}x"])


def _packed_text(value: str, size: int) -> bytes:
    raw = value.encode("utf-8", "surrogateescape")
    if len(raw) > size:
        raise ValueError
    return raw


def _packed_blob(value: bytes, size: int) -> bytes:
    if len(value) > size or not isinstance(value, bytes):
        raise ValueError
    return value
