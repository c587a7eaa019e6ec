"""Filling a user's typed class from a collection, by the names and types of its annotations."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, ClassVar, get_origin

from aiobpf.errors import SpecError
from aiobpf.runtime import Map, Program, Variable

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS = {"Map": Map, "Program": Program, "Variable": Variable}


def bound_fields(cls: type) -> dict[str, type[Map | Program | Variable]]:
    """What *cls* and its bases ask for, by name; SpecError for an annotation that is none of the three.

    Annotations may be text (``from __future__ import annotations``). They are not evaluated: a class made in a function
    uses names that only that function knows, and a name imported for type checkers alone does not exist. The last part
    of the text says enough ("aiobpf.Map").
    """
    fields: dict[str, type[Map | Program | Variable]] = {}
    for base in reversed(cls.__mro__):
        for name, given in _annotations(base).items():
            annotation = getattr(given, "__forward_arg__", given)  # NamedTuple makes ForwardRefs of text
            if not _is_class_variable(annotation):
                fields[name] = _kind(cls, name, annotation)
    return fields


def fill(cls: type[Any], values: Mapping[str, object]) -> Any:
    """An object of *cls* with *values*: through its constructor where that is made from the annotations."""
    if "__attrs_attrs__" in cls.__dict__ or "__dataclass_fields__" in cls.__dict__ or hasattr(cls, "_fields"):
        return cls(**values)
    bound = cls()
    for name, value in values.items():
        setattr(bound, name, value)
    return bound


def _kind(cls: type, name: str, annotation: object) -> type[Map | Program | Variable]:
    if isinstance(annotation, str):
        kind = _KINDS.get(annotation.strip().strip("'\"").rpartition(".")[2])
        if kind is not None:
            return kind
    else:
        for kind in _KINDS.values():
            if annotation is kind:
                return kind
    shown = annotation if isinstance(annotation, str) else repr(annotation)
    raise SpecError(f"{cls.__name__}.{name} is annotated {shown}: Map, Program or Variable is needed")


def _annotations(cls: type) -> dict[str, Any]:
    if sys.version_info >= (3, 14):  # all are as if postponed, and asking for their values would evaluate them
        import annotationlib

        return annotationlib.get_annotations(cls, format=annotationlib.Format.STRING)
    return inspect.get_annotations(cls)


def _is_class_variable(annotation: object) -> bool:
    if isinstance(annotation, str):
        return annotation.partition("[")[0].rpartition(".")[2] == "ClassVar"
    return annotation is ClassVar or get_origin(annotation) is ClassVar
