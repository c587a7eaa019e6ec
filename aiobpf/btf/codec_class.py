"""The Python classes that values become: made from a shape, or the user's own matched to it by field name."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import typing
from typing import Any, NamedTuple

import attrs

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
    python_names,
)
from aiobpf.btf.codec_union import UnionValue
from aiobpf.errors import CodecError

_MAX_NAMED_VALUES = 1 << 13
"""An enum class takes 20 us a member to make; the kernel's largest enums have a few hundred."""
_MAX_DEFAULT_PARTS = 4096


def make_enum(name: str, values: dict[str, int]) -> type:
    """An IntFlag where every value is a bit, else an IntEnum; plain int where nothing is named.

    An enum whose values are 1, 2, 4 ... is a set of flags; 0, 1, 2 is not, nor is a single bit or two.
    """
    if not 0 < len(values) <= _MAX_NAMED_VALUES:
        return int
    bits = [value for value in values.values() if value]
    is_flags = len(bits) > 2 and all(value > 0 and value & (value - 1) == 0 for value in bits)
    base = enum.IntFlag if is_flags else enum.IntEnum
    # "mro" and names with one underscore on both sides are enum's own.
    names = (
        f"{each}_" if each == "mro" or (each.startswith("_") and each.endswith("_")) else each
        for each in python_names(values)
    )
    members = list(zip(names, values.values(), strict=True))
    class_name = next(python_names([name or "anonymous"]))
    made: type = base(class_name, members, module=__name__)  # type: ignore[call-arg, arg-type, assignment]
    return made


def make_class(record: Record) -> type:
    """An attrs class with slots for *record*; every field has a default, zero as in C (None where that is long)."""
    attributes = {field.attribute: _attribute(field) for field in record.fields}
    (name,) = python_names([record.name])
    # A slot "__state" would be mangled to "_task_struct__state", which nobody finds.
    has_slots = not any(attribute.startswith("__") for attribute in attributes)
    made: type = attrs.make_class(name, attributes, slots=has_slots, order=False)
    made.__module__ = __name__
    return made


def _attribute(field: Field) -> Any:
    # attrs would call the argument of "_x" "x".
    return attrs.field(alias=field.attribute, **_default(field))


def _default(field: Field) -> dict[str, Any]:
    shape = field.shape
    if field.is_alternative:
        return {"default": None}
    if not isinstance(shape, (List, Record)):
        return {"default": zero(shape)}
    return {"factory": lambda: zero(shape)} if count_leaves(shape) <= _MAX_DEFAULT_PARTS else {"default": None}


def zero(shape: Shape) -> Any:
    """The value of bytes that are all zero."""
    if isinstance(shape, Number):
        return {"?": False, "e": 0.0, "f": 0.0, "d": 0.0}.get(shape.code, 0)
    if isinstance(shape, (Wide, Choice, Bits)):
        return False if isinstance(shape, Bits) and shape.is_boolean else 0
    if isinstance(shape, Text):
        return ""
    if isinstance(shape, Blob):
        return b""
    if isinstance(shape, List):
        return [zero(shape.element) for _ in range(shape.count)]
    assert isinstance(shape, Record)
    return shape.python_type()


def make_union_class(record: Record, base: type[UnionValue] = UnionValue) -> type:
    """A class that keeps the union's bytes and reads an alternative when it is asked for."""
    (name,) = python_names([record.name if base is UnionValue else base.__name__])
    fields = {field.attribute: field for field in record.fields}
    module = __name__ if base is UnionValue else base.__module__
    namespace = {"__slots__": (), "__module__": module, "_record": record, "_fields": fields, "_decoders": {}}
    return type(name, (base,), namespace)


class Parameter(NamedTuple):
    """A field of a user's class: its *attribute*, the *argument* of the constructor, and what it may be."""

    attribute: str
    argument: str
    is_required: bool
    is_keyword: bool
    annotation: object
    member: str | None = None
    """What the struct calls it, where that is no name for an attribute: ``metadata={"member": "__state"}``."""


def parameters_of(python_type: type) -> list[Parameter]:
    """What *python_type* (attrs, dataclass or NamedTuple) is made with; CodecError for any other class."""
    hints = _hints(python_type)
    if attrs.has(python_type):
        return [
            Parameter(
                each.name,
                each.alias,
                each.default is attrs.NOTHING,
                each.kw_only,
                hints.get(each.name),
                each.metadata.get("member"),
            )
            for each in attrs.fields(python_type)
            if each.init
        ]
    if dataclasses.is_dataclass(python_type):
        missing = dataclasses.MISSING
        return [
            Parameter(
                each.name,
                each.name,
                each.default is missing and each.default_factory is missing,
                bool(each.kw_only),
                hints.get(each.name),
                each.metadata.get("member"),
            )
            for each in dataclasses.fields(python_type)
            if each.init
        ]
    if issubclass(python_type, tuple) and hasattr(python_type, "_fields"):
        defaults: dict[str, object] = getattr(python_type, "_field_defaults", {})
        names: tuple[str, ...] = getattr(python_type, "_fields")  # noqa: B009 - typeshed's tuple has none
        return [Parameter(each, each, each not in defaults, False, hints.get(each)) for each in names]
    raise CodecError(f"{python_type.__qualname__} is no attrs class, dataclass or NamedTuple")


def _hints(python_type: type) -> dict[str, object]:
    try:
        return typing.get_type_hints(python_type)
    except Exception:
        return {}


def bind_class(record: Record, python_type: type) -> Record:
    """*record* with values of *python_type*, which takes the fields that it has a name for.

    A field's annotation may ask for another reading: a class for a nested struct, list[class] for an array of them, an
    enum for a number, bytes for char[], str for u8[], int for an enum, a subclass of UnionValue for a union. Raises
    CodecError for a parameter without default that the struct has no field for.
    """
    by_attribute = {field.attribute: field for field in record.fields}
    by_name = {field.name: field for field in record.fields} | by_attribute
    fields: list[Field] = []
    arguments: list[int] = []
    keywords: list[tuple[str, int]] = []
    skipped = False
    for parameter in parameters_of(python_type):
        if parameter.member is not None:
            field = by_attribute.get(parameter.member) or by_name.get(parameter.member)
        else:
            field = by_name.get(parameter.attribute) or by_name.get(parameter.argument)
        if field is None:
            if parameter.is_required:
                raise CodecError(
                    f"{python_type.__qualname__}.{parameter.attribute}: struct {record.name!r} has no such member"
                )
            skipped = True  # what comes after can only be given by name
            continue
        shape = adapt(field.shape, parameter.annotation)
        if parameter.is_keyword or skipped:
            keywords.append((parameter.argument, len(fields)))
        else:
            arguments.append(len(fields))
        fields.append(Field(field.name, parameter.attribute, field.offset, shape, field.is_alternative))
    bound = Record(record.name, record.size, tuple(fields), record.byte_order, record.is_union)
    bound.python_type = python_type
    bound.arguments = tuple(arguments)
    bound.keywords = tuple(keywords)
    return bound


def is_record_class(python_type: object) -> bool:
    """Whether values of a struct can be made of *python_type*."""
    return isinstance(python_type, type) and (
        attrs.has(python_type)
        or dataclasses.is_dataclass(python_type)
        or (issubclass(python_type, tuple) and hasattr(python_type, "_fields"))
    )


def adapt(shape: Shape, annotation: object) -> Shape:
    """*shape* with values as *annotation* asks for them; *shape* itself where it asks for nothing else."""
    wanted = _first_class(annotation)
    if isinstance(shape, Record) and isinstance(wanted, type):
        if is_record_class(wanted):
            return bind_class(shape, wanted)
        return _bind_union(shape, wanted) if shape.is_union and issubclass(wanted, UnionValue) else shape
    if isinstance(shape, List) and not is_open_ended(shape):
        inner = typing.get_args(_first_list(annotation))
        return List(adapt(shape.element, inner[0]), shape.count) if inner else shape
    if isinstance(shape, Text) and wanted is bytes:
        return Blob(shape.size)
    if isinstance(shape, Blob) and wanted is str:
        return Text(shape.size)
    if isinstance(shape, Choice) and wanted is int:
        return shape.number
    if not (isinstance(wanted, type) and issubclass(wanted, enum.Enum)):
        return shape
    if isinstance(shape, Bits):
        if shape.choice is None:
            return shape
        choice = _choice(shape.choice.number, wanted)
        return Bits(shape.size, shape.shift, shape.width, shape.is_signed, choice=choice)
    number = shape.number if isinstance(shape, Choice) else shape
    if isinstance(number, Wide) or (isinstance(number, Number) and number.is_integer):
        return _choice(number, wanted)
    return shape


def _choice(number: Number | Wide, wanted: type[enum.Enum]) -> Choice:
    choice = Choice(wanted.__name__, number, {name: int(each.value) for name, each in wanted.__members__.items()})
    choice.python_type = wanted
    return choice


def _bind_union(record: Record, wanted: type[UnionValue]) -> Record:
    """*record* with values of a class derived from *wanted*, whose annotations may ask for other readings."""
    try:  # its own alone: those of its base are for type checkers
        hints = inspect.get_annotations(wanted, eval_str=True)
    except Exception:
        hints = {}
    fields = tuple(
        Field(field.name, field.attribute, 0, adapt(field.shape, hints.get(field.attribute)), field.is_alternative)
        for field in record.fields
    )
    bound = Record(record.name, record.size, fields, record.byte_order, is_union=True)
    bound.python_type = make_union_class(bound, wanted)
    return bound


def _first_list(annotation: object) -> object:
    """The list in *annotation*: itself, or the one of "list[int] | None"."""
    if typing.get_origin(annotation) in {list, None}:
        return annotation
    return next((each for each in typing.get_args(annotation) if typing.get_origin(each) is list), annotation)


def _first_class(annotation: object) -> object:
    """The class in *annotation*: itself, or the one of "X | None" that is not None."""
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation
    for argument in typing.get_args(annotation):
        if isinstance(argument, type) and argument is not type(None):
            return argument
    return None
