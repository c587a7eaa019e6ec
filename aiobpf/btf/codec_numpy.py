"""Shapes as numpy dtypes: the same bytes as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiobpf.btf.codec_shape import Bits, Blob, Choice, List, Number, Record, Shape, Text, Wide
from aiobpf.errors import CodecError

if TYPE_CHECKING:
    from typing import Literal

    import numpy as np

_CODES = {"b": "i1", "h": "i2", "i": "i4", "q": "i8", "B": "u1", "H": "u2", "I": "u4", "Q": "u8"}
_CODES |= {"e": "f2", "f": "f4", "d": "f8", "?": "?"}


def dtype_of(shape: Shape, byte_order: Literal["little", "big"]) -> np.dtype[Any]:
    """The dtype of *shape*, with its offsets and size.

    Integers, floats, booleans, enums and pointers are scalars; char[n] is "Sn", u8[n] a sub-array of u1, a nested
    struct a structured field, an integer that numpy has none for "Vn". numpy has no bit-fields: the bytes that some
    share are one integer field, "bits_OFFSET" (in bytes), to be shifted and masked; "Vn" where they are no power of
    two. Members of an anonymous union overlap.

    Raises ImportError without numpy, CodecError for a type that is too large for it.
    """
    try:
        import numpy as np
    except ImportError as error:
        raise ImportError("a dtype needs numpy: pip install 'aiobpf[numpy]'") from error
    try:
        made: np.dtype[Any] = np.dtype(_description(shape, "<" if byte_order == "little" else ">"))
    except (ValueError, TypeError, OverflowError) as error:
        raise CodecError(f"there is no dtype of {shape.size} bytes: {error}") from error
    return made


def _description(shape: Shape, order: str) -> Any:
    if isinstance(shape, Choice):
        shape = shape.number
    if isinstance(shape, Number):
        return order + _CODES[shape.code]
    if isinstance(shape, Text):
        return f"S{shape.size}" if shape.size else ("S1", (0,))
    if isinstance(shape, Blob):
        return ("u1", (shape.size,))
    if isinstance(shape, (Wide, Bits)):
        return f"V{shape.size}"
    if isinstance(shape, List):
        return _array(shape, order)
    assert isinstance(shape, Record)
    columns: dict[str, list[Any]] = {"names": [], "formats": [], "offsets": []}
    for field in shape.fields:
        if not isinstance(field.shape, Bits):
            columns["names"].append(field.attribute)
            columns["formats"].append(_description(field.shape, order))
            columns["offsets"].append(field.offset)
    for start, end in _storage(shape):
        columns["names"].append(f"bits_{start}")
        columns["formats"].append(f"{order}u{end - start}" if end - start in {1, 2, 4, 8} else f"V{end - start}")
        columns["offsets"].append(start)
    return {**columns, "itemsize": shape.size}


def _array(shape: List, order: str) -> Any:
    counts = [shape.count]
    element = shape.element
    while isinstance(element, List):
        counts.append(element.count)
        element = element.element
    if isinstance(element, Blob):
        counts.append(element.size)
        return ("u1", tuple(counts))
    return (_description(element, order), tuple(counts))


def _storage(record: Record) -> list[tuple[int, int]]:
    """The stretches of bytes that bit-fields share."""
    found: list[tuple[int, int]] = []
    for field in sorted(record.fields, key=lambda field: field.offset):
        if not isinstance(field.shape, Bits):
            continue
        end = field.offset + field.shape.size
        if found and field.offset < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((field.offset, end))
    return found
