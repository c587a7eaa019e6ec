"""Classes for the structs, unions and enums that an object's maps, variables and events consist of.

Their values are those of `aiobpf.btf.codec`: the same shapes are read, and written down instead of made.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, final

from aiobpf.btf import Struct, Typedef, Union
from aiobpf.btf.codec_shape import (
    Bits,
    Blob,
    Choice,
    Field,
    List,
    Number,
    Record,
    Shape,
    ShapeReader,
    Text,
    is_open_ended,
)
from aiobpf.btf.codec_union import UnionValue
from aiobpf.codegen.names import MODULE_NAMES, WORDS, attribute_names, class_name, shown, text
from aiobpf.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.btf import Btf, Type
    from aiobpf.spec import CollectionSpec

_OF_ENUM = frozenset({*dir(enum.IntFlag), *dir(enum.IntEnum)})
_OF_UNION = frozenset({*dir(UnionValue), "self"})


@final
class Classes:
    """The classes that types need, in the order in which they are to be defined, and the annotations with them.

    All annotations are asked for before `source` is: fields may not be called as the classes are.
    """

    __slots__ = ("_names", "_numbers", "_reader", "_shapes", "_types", "taken")

    def __init__(self, spec: CollectionSpec, taken: set[str]) -> None:
        self._reader = ShapeReader(spec.byte_order)
        self._types = spec.types
        self._names: dict[Shape, str] = {}
        self._numbers: dict[str, int] = {}
        self._shapes: list[Record | Choice] = []
        self.taken = {*MODULE_NAMES, *taken}

    def annotation(self, type: Type | None) -> str:  # noqa: A002 - the field's own word
        """What values of *type* are; bytes where it has none."""
        if type is None:
            return "bytes"
        try:
            shape = self._reader.read(type)
        except CodecError:  # a forward declaration: its bytes are still there
            return "bytes"
        return self._annotation(shape)

    def _annotation(self, shape: Shape) -> str:
        if isinstance(shape, Number):
            return "bool" if shape.code == "?" else "int" if shape.is_integer else "float"
        if isinstance(shape, Text):
            return "str"
        if isinstance(shape, Blob):
            return "bytes"
        if isinstance(shape, List):
            return f"list[{self._annotation(shape.element)}]"
        if isinstance(shape, Bits):
            if shape.choice is not None:
                return self._annotation(shape.choice)
            return "bool" if shape.is_boolean else "int"
        if isinstance(shape, Choice):
            # A number without a name stays a number.
            return f"{self._class(shape)} | int" if issubclass(shape.python_type, enum.Enum) else "int"
        return self._class(shape) if isinstance(shape, Record) else "int"

    def _class(self, shape: Record | Choice) -> str:
        name = self._names.get(shape)
        if name is None:
            if isinstance(shape, Record):
                for field in shape.fields:
                    self._annotation(field.shape)
            name = self._names[shape] = class_name(shape.name, self.taken, self._numbers)
            self.taken.add(name)
            self._shapes.append(shape)
        return name

    @property
    def has_unions(self) -> bool:
        return any(isinstance(shape, Record) and shape.is_union for shape in self._shapes)

    @property
    def has_enums(self) -> bool:
        return any(isinstance(shape, Choice) for shape in self._shapes)

    def source(self) -> Iterator[str]:
        """The definitions, those first that others use."""
        for shape in self._shapes:
            if isinstance(shape, Choice):
                yield self._enum(shape)
            else:
                yield self._union(shape) if shape.is_union else self._struct(shape)

    # --- one class ----------------------------------------------------------------------------------------------------

    def _enum(self, shape: Choice) -> str:
        python_type = shape.python_type
        base = "IntFlag" if issubclass(python_type, enum.IntFlag) else "IntEnum"
        members: dict[str, int] = {name: int(each) for name, each in python_type.__members__.items()}  # type: ignore[attr-defined]
        names = attribute_names(members, _OF_ENUM, WORDS, self.taken)
        lines = [f"class {self._names[shape]}(enum.{base}):", f'    """enum {shown(shape.name)}."""', ""]
        lines += [f"    {name} = {value}" for name, value in zip(names, members.values(), strict=True)]
        return "\n".join(lines)

    def _struct(self, shape: Record) -> str:
        names = attribute_names((field.attribute for field in shape.fields), WORDS, self.taken)
        lines = [
            "@dataclasses.dataclass(slots=True)",
            f"class {self._names[shape]}:",
            f'    """{self._described(shape)}"""',
            *self._type_name(shape),
        ]
        fields = [self._field(field, name) for field, name in zip(shape.fields, names, strict=True)]
        return "\n".join([*lines, *([""] if fields else []), *fields])

    def _field(self, field: Field, name: str) -> str:
        annotation = self._annotation(field.shape)
        default = _zero(field.shape, self._names)
        arguments = [f"default={default}"]
        if field.is_alternative:
            annotation = annotation if annotation.endswith("| None") else f"{annotation} | None"
            default, arguments = "None", ["default=None"]
        elif default.startswith("["):
            arguments = [f"default_factory=lambda: {default}" if default != "[]" else "default_factory=list"]
        elif isinstance(field.shape, Record):
            is_union = field.shape.is_union
            arguments = [f"default_factory={f'lambda: {default}' if is_union else self._names[field.shape]}"]
        if name != field.attribute:
            arguments.append(f'metadata={{"member": {text(field.attribute)}}}')
        if len(arguments) > 1 or arguments[0].startswith("default_factory"):
            default = f"dataclasses.field({', '.join(arguments)})"
        return f"    {name}: {annotation} = {default}"

    def _union(self, shape: Record) -> str:
        # Members of other names are there all the same, at run time.
        names = attribute_names((field.attribute for field in shape.fields), WORDS, self.taken, _OF_UNION)
        fields = [
            (name, self._annotation(field.shape))
            for name, field in zip(names, shape.fields, strict=True)
            if name == field.attribute
        ]
        lines = [
            f"class {self._names[shape]}(UnionValue):",
            f'    """{self._described(shape)}"""',
            "",
            "    __slots__ = ()",
            *self._type_name(shape)[1:],
            *(f"    {name}: {annotation}" for name, annotation in fields),
        ]
        if fields:
            arguments = "".join(f", {name}: {annotation} = ..." for name, annotation in fields)
            init = f"def __init__(self, raw: bytes | None = None, *{arguments}) -> None: ..."
            lines += ["", "    if typing.TYPE_CHECKING:", "", f"        {init}"]
        return "\n".join(lines)

    def _described(self, shape: Record) -> str:
        return f"{'union' if shape.is_union else 'struct'} {shown(shape.name)}, {shape.size} bytes."

    def _type_name(self, shape: Record) -> list[str]:
        name = None if self._types is None else _name_in(self._types, shape)
        return [] if name is None else ["", f"    __btf_type__: typing.ClassVar[str] = {text(name)}"]


def _name_in(types: Btf, shape: Record) -> str | None:
    """By what a stream finds the type in its object's BTF; None where it has no name, or shares it."""
    kind: type[Type] = Union if shape.is_union else Struct
    if not shape.name.isidentifier() or not shape.name.isascii():
        return None
    if len(types.all_by_name(shape.name, kind)) == 1:
        return f"{'union' if shape.is_union else 'struct'} {shape.name}"
    found = types.all_by_name(shape.name)
    return shape.name if len(found) == 1 and isinstance(found[0], Typedef) else None


def _zero(shape: Shape, names: dict[Shape, str]) -> str:
    """The value of bytes that are all zero, as an expression."""
    if isinstance(shape, Number):
        return "False" if shape.code == "?" else "0" if shape.is_integer else "0.0"
    if isinstance(shape, Bits) and shape.is_boolean:
        return "False"
    if isinstance(shape, (Text, Blob)):
        return '""' if isinstance(shape, Text) else 'b""'
    if isinstance(shape, List):
        if is_open_ended(shape) or not shape.count:
            return "[]"
        element = _zero(shape.element, names)
        if isinstance(shape.element, (List, Record)):
            return f"[{element} for _ in range({shape.count})]"
        return f"[{element}] * {shape.count}"
    if isinstance(shape, Record):
        return f"{names[shape]}(bytes({shape.size}))" if shape.is_union else f"{names[shape]}()"
    return "0"
