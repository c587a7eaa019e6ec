"""Codecs: from a BTF type to Python values, and back."""

from __future__ import annotations

import struct
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any, final, get_origin
from weakref import WeakKeyDictionary

from aiobpf.btf.codec_class import adapt
from aiobpf.btf.codec_compile import DecodeOne, Decoder, open_end
from aiobpf.btf.codec_encode import compile_encoder
from aiobpf.btf.codec_shape import (
    Blob,
    ByteOrder,
    Choice,
    List,
    Number,
    Record,
    Shape,
    ShapeReader,
    Text,
    count_leaves,
    explicit_byte_order,
)
from aiobpf.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Literal

    import numpy as np
    from typing_extensions import Buffer

    from aiobpf._native._objects import Layout
    from aiobpf.btf.types import Type

_MAX_PADDED = 1 << 20
"""Bytes that a record cut short is filled up to."""
_MAX_PADDED_PARTS = 1 << 14
"""Objects of such a record: a few bytes must not become millions."""
_MAX_EMPTY = 1 << 20


@final
class Codec:
    """Decodes and encodes values of one BTF type; made by `codec`, once for each type.

    *size* is the bytes of a value, *name* the type's in C. An array at the end makes two sizes: a record may stop
    anywhere from *minimum_size* on (a program that sends only what it filled in), and what is missing is zero; an
    open-ended one ("char data[]") takes what the record has beyond *size*.

    The code is generated when a method is first used.
    """

    def __init__(self, shape: Shape, name: str, byte_order: Literal["little", "big"]) -> None:
        self.size = shape.size
        self.name = name
        self.byte_order: Literal["little", "big"] = byte_order
        self._shape = shape
        self.minimum_size = _minimum_size(shape)

    def __repr__(self) -> str:
        return f"<Codec {self.name}, {self.size} bytes, {self.byte_order}-endian>"

    @property
    def python_type(self) -> type:
        """The class of decoded values: a generated attrs class, an enum, or int, bool, float, str, bytes or list."""
        shape = self._shape
        if isinstance(shape, (Record, Choice)):
            return shape.python_type
        if isinstance(shape, Number) and not shape.is_integer:
            return bool if shape.code == "?" else float
        return {Text: str, Blob: bytes, List: list}.get(type(shape), int)

    @cached_property
    def _decoder(self) -> Decoder:
        return Decoder(self._shape, self.byte_order, self._decode_short)

    # --- decoding -----------------------------------------------------------------------------------------------------

    @cached_property
    def decode(self) -> DecodeOne:
        """``decode(buffer, offset=0)``: the value at *offset*, which is not negative; CodecError when it is cut short.

        An array at the end that is cut short is filled with zeros; an open-ended one takes the rest of *buffer*.
        """
        return self._decoder.decode_one

    def _decode_short(self, buffer: Buffer, offset: int) -> Any:
        rest = memoryview(buffer).cast("B")[max(offset, 0) :]
        if rest.nbytes < self.minimum_size or rest.nbytes >= self.size:
            raise CodecError(f"{self.name} takes {self.size} bytes, there are {rest.nbytes}")
        if self.size > _MAX_PADDED or count_leaves(self._shape) > _MAX_PADDED_PARTS:
            raise CodecError(f"{self.name} takes {self.size} bytes, too many to fill up a record of {rest.nbytes}")
        return self._decoder.decode_one(bytes(rest).ljust(self.size, b"\0"), 0)

    def decode_all(self, buffer: Buffer, count: int | None = None, stride: int | None = None) -> list[Any]:
        """*count* values of *buffer* (None: as many as it has), *stride* bytes apart (None: the size).

        The fastest way to many objects. A *stride* below the size, and an open-ended array, are decoded value by value
        within their stride. Raises CodecError when *buffer* is too short.
        """
        view = memoryview(buffer).cast("B")
        step = self.size if stride is None else stride
        if step <= 0:
            return self._decode_empty(count, step)
        if count is None:
            count = len(view) // step
        if count <= 0:
            return []
        if step < self.size or (self._decoder.tail is not None and step > self.size):
            needed = (count - 1) * step + min(step, self.size)
            if len(view) < needed:
                raise CodecError(f"{count} records of {step} bytes do not fit the {len(view)} there are")
            return [self.decode(view[start : start + step]) for start in range(0, count * step, step)]
        if len(view) < count * step:
            # The last one may come without the bytes up to the next.
            if len(view) < (count - 1) * step + self.size:
                raise CodecError(f"{count} values of {self.name}, {step} bytes each, do not fit {len(view)} bytes")
            last = self.decode(view, (count - 1) * step)
            return [*self._decoder.decode_all(view[: (count - 1) * step], step), last]
        return self._decoder.decode_all(view[: count * step], step)

    def _decode_empty(self, count: int | None, step: int) -> list[Any]:
        if step < 0 or count is None or self.size:
            raise CodecError(f"{self.name}: a count and a stride are needed to decode values of {self.size} bytes")
        if count > _MAX_EMPTY:
            raise CodecError(f"{self.name}: {count} values of no bytes")
        return [self._decoder.decode_one(b"", 0) for _ in range(count)]

    def decode_records(self, buffer: Buffer, offsets: Sequence[int], lengths: Sequence[int]) -> list[Any]:
        """One value of each record of *buffer*: *lengths* bytes from *offsets* on, as the ring drain gives them.

        A longer record has padding at its end, or an open-ended array; a shorter one is as for `decode`.
        """
        view = memoryview(buffer).cast("B")
        if len(lengths) and min(lengths) >= self.size and self._decoder.tail is None:
            try:
                return self._decoder.decode_places(view, offsets, len(offsets))
            except struct.error:
                pass  # one is not inside the buffer
        return [self.decode(view[offset : offset + length]) for offset, length in zip(offsets, lengths, strict=True)]

    @cached_property
    def event_layout(self) -> Layout | None:
        """What makes events: a struct's values that are decoded when they are read. See `aiobpf.btf.codec_event`.

        None for values that are of no struct, of a class of the user's, in the other byte order, or too large to fill
        up one that is cut short.
        """
        shape = self._shape
        if not isinstance(shape, Record) or not shape.is_generated or self.byte_order != sys.byteorder:
            return None
        if self.size > _MAX_PADDED:
            return None
        from aiobpf.btf.codec_event import event_layout

        return event_layout(shape)

    # --- encoding -----------------------------------------------------------------------------------------------------

    @cached_property
    def encode(self) -> Callable[[Any], bytes]:
        """``encode(value)``: the bytes of *value*, padding zero.

        A struct is an object with its members as attributes, a dict (what is left out is zero) or a tuple of all; a
        union is bytes, or one alternative; an enum is a number, a member or a name; char[] a str or bytes. CodecError
        names the part that does not fit: "event.addr.port: 70000 does not fit u16".
        """
        return compile_encoder(self._shape, self.byte_order, self.name)

    # --- other forms --------------------------------------------------------------------------------------------------

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The numpy dtype of the same bytes. See `aiobpf.btf.codec_numpy.dtype_of`."""
        from aiobpf.btf.codec_numpy import dtype_of

        return dtype_of(self._shape, self.byte_order)

    def jsonable(self, value: Any) -> Any:
        """*value* as dicts, lists, strings and numbers. See `aiobpf.btf.codec_json.jsonable`."""
        from aiobpf.btf.codec_json import jsonable

        return jsonable(self._shape, value)

    @property
    def field_names(self) -> tuple[str, ...]:
        """The attributes of a struct's values, in the order of the struct; empty for other types."""
        return tuple(field.attribute for field in self._shape.fields) if isinstance(self._shape, Record) else ()


def _minimum_size(shape: Shape) -> int:
    """Where the array at the end of *shape* starts; its size when there is none."""
    if isinstance(shape, Record) and shape.fields and not shape.is_union:
        if open_end(shape)[0] is not None:
            return shape.size
        last = max(shape.fields, key=lambda field: field.offset)
        if isinstance(last.shape, (Text, Blob, List)) and not last.is_alternative:
            return last.offset
    return 0 if isinstance(shape, (Text, Blob, List)) else shape.size


_CODECS: WeakKeyDictionary[Type, dict[tuple[str, object], Codec]] = WeakKeyDictionary()


def codec(type: Type, *, byte_order: ByteOrder = "native", python_type: object = None) -> Codec:  # noqa: A002
    """The codec of *type*, for values in *byte_order*; the same one each time.

    With *python_type* (an attrs class, dataclass or NamedTuple; or an enum, int, str or bytes for what can be read so;
    ``list[...]`` of them) values are of that class: its fields are matched with the members by name, or by that in
    their metadata (``{"member": "__state"}``), and members that it has no field for are skipped. Raises CodecError for
    a type without values (a function, void) and for one that no program could mean.
    """
    order = explicit_byte_order(byte_order)
    made = _CODECS.get(type)
    if made is None:
        made = _CODECS[type] = {}
    key = (order, python_type)
    found = made.get(key)
    if found is None:
        if python_type is None:
            shape = ShapeReader(order).read(type)
        else:
            shape = _bound(codec(type, byte_order=order)._shape, python_type, type)
        found = made[key] = Codec(shape, _name(type, shape), order)
    return found


def _bound(shape: Shape, python_type: object, type: Type) -> Shape:  # noqa: A002
    if isinstance(shape, (Text, Blob)) and python_type in {str, bytes}:
        return Text(shape.size) if python_type is str else Blob(shape.size)
    adapted = adapt(shape, python_type)
    own = Codec(shape, "", "little").python_type
    if adapted is not shape or (get_origin(python_type) or python_type) is own:
        return adapted
    raise CodecError(f"{type!r} cannot be read as {getattr(python_type, '__qualname__', python_type)}")


def _name(type: Type, shape: Shape) -> str:  # noqa: A002
    return (shape.name if isinstance(shape, (Record, Choice)) else type.name) or "value"
