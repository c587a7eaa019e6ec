"""Values as what JSON can hold."""

from __future__ import annotations

import enum
import math
from typing import Any

from aiobpf.btf.codec_shape import Bits, Blob, Choice, List, Number, Record, Shape, Text
from aiobpf.btf.codec_union import UnionValue


def jsonable(shape: Shape, value: Any) -> Any:
    """*value* as dicts, lists, strings and numbers.

    A struct is a dict by the names in C; an enumerator is its name (flags joined by "|"), an unknown one its number;
    bytes are hexadecimal digits; a pointer is "0x..." (JSON readers lose what is above 2**53); an infinite or undefined
    float is null. A named union is a dict of all its alternatives.
    """
    if isinstance(shape, Record):
        return _record(shape, value)
    if isinstance(shape, List):
        return None if value is None else [jsonable(shape.element, each) for each in value]
    if isinstance(shape, (Choice, Bits)):
        return _choice(value)
    if isinstance(shape, Blob):
        return value.hex() if isinstance(value, (bytes, bytearray, memoryview)) else value
    if isinstance(shape, Text):
        return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
    if isinstance(shape, Number):
        if shape.is_pointer and isinstance(value, int):
            return f"{value:#x}"
        return None if isinstance(value, float) and not math.isfinite(value) else value
    return value


def _record(shape: Record, value: Any) -> Any:
    if value is None:
        return None
    if shape.is_union and not isinstance(value, UnionValue):
        return value.hex() if isinstance(value, bytes) else value
    return {
        field.name: jsonable(field.shape, part)
        for field in shape.fields
        if (part := getattr(value, field.attribute)) is not None
    }


def _choice(value: Any) -> Any:
    if not isinstance(value, enum.Enum):
        return value
    name: str | None = value.name  # None: a combination of no flags
    return value.value if name is None else name
