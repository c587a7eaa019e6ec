"""Records of streams as events: objects that hold the record's bytes and decode a member when it is read.

A stream may have millions of records a second, and a program looks at few of their members: making an object of all of
them took ten times as long as all else. The objects are C's (`aiobpf._native.objects`); what is written here is which
member is read how, from the same shapes as decoders are made of, so that an attribute of an event equals that of the
decoded value. Structs within an event are events too: nothing of it can be changed.
"""

from __future__ import annotations

import enum
import sys
from typing import TYPE_CHECKING, Any, final

import attrs

from aiobpf._native._objects import Layout
from aiobpf.btf.codec_compile import Decoder
from aiobpf.btf.codec_emit import names_of
from aiobpf.btf.codec_encode import encode_shape
from aiobpf.btf.codec_shape import (
    Bits,
    Blob,
    Choice,
    List,
    Number,
    Record,
    Shape,
    Text,
    python_names,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobpf._native._objects import Description, Event

REST = -1
_INLINE_BITS = 8
"""Bytes that a bit-field may lie in to be read in C."""


def event_layout(record: Record) -> Layout:
    """What makes events of *record*, a struct in this machine's byte order."""
    return _layout(record, {}, is_nested=False)


def _layout(record: Record, known: dict[Record, Layout], *, is_nested: bool) -> Layout:
    """An open-ended array of a nested struct is empty, as it is when decoded: what follows belongs to the outer one."""
    tail = None if is_nested else record.tail
    members = tuple(
        (field.attribute, _member(field.shape, field.offset, known, is_rest=field is tail)) for field in record.fields
    )
    (name,) = python_names([record.name])
    layout = Layout(f"{__name__}.{name}", record.size, tail is not None, members)
    names = tuple(field.attribute for field in record.fields)
    special = {"__new__": _constructor(record, layout), "__match_args__": names, "__attrs_attrs__": _Members(record)}
    for attribute, value in special.items():
        setattr(layout.type, attribute, value)
    return layout


def _member(shape: Shape, offset: int, known: dict[Record, Layout], *, is_rest: bool = False) -> Description:
    """How the value of *shape* at *offset* is read; `Description` tells what each means."""
    size = REST if is_rest else shape.size
    if isinstance(shape, Number) and shape.is_integer:
        return ("i" if shape.is_signed else "u", offset, size, None)
    if isinstance(shape, Number) and shape.code in "?fd":
        return ("?" if shape.code == "?" else "f", offset, size, None)
    if isinstance(shape, Choice) and isinstance(shape.number, Number):
        return ("i" if shape.number.is_signed else "u", offset, size, _names(shape))
    if isinstance(shape, Bits) and shape.size <= _INLINE_BITS:
        names = None if shape.choice is None else _names(shape.choice)
        is_boolean = shape.is_boolean and shape.choice is None
        return ("x", offset, size, (shape.shift, shape.width, shape.is_signed, is_boolean, names))
    if isinstance(shape, Text):
        return ("s", offset, size, None)
    if isinstance(shape, Blob):
        return ("b", offset, size, None)
    if isinstance(shape, List):
        return ("l", offset, size, (shape.count, _member(shape.element, 0, known)))
    if isinstance(shape, Record) and not shape.is_union:
        if shape not in known:
            known[shape] = _layout(shape, known, is_nested=True)
        return ("r", offset, size, known[shape])
    if isinstance(shape, Record):
        return ("o", offset, size, shape.python_type)
    return ("o", offset, size, Decoder(shape, sys.byteorder).decode_one)


def _names(choice: Choice) -> dict[int, Any] | None:
    return names_of(choice.python_type) if issubclass(choice.python_type, enum.Enum) else None


def _constructor(record: Record, layout: Layout) -> Callable[..., Event]:
    """``event(pid=1, comm="x")``: for tests of what reads events. What is left out is zero."""
    names = tuple(field.attribute for field in record.fields)

    def construct(cls: type[Event], /, *arguments: object, **members: object) -> Event:
        given = dict(zip(names, arguments, strict=False))
        twice = given.keys() & members.keys()
        if len(arguments) > len(names) or twice:
            raise TypeError(f"{cls.__name__}() takes its {len(names)} members, each once")
        return layout.event(encode_shape(record, given | members, record.byte_order, record.name))

    return construct


@final
class _Members:
    """`attrs.fields` of a class of events: those of the class of decoded values, made when they are asked for."""

    __slots__ = ("_record",)

    def __init__(self, record: Record) -> None:
        self._record = record

    def __get__(self, instance: object, owner: object = None) -> Any:
        return attrs.fields(self._record.python_type)
