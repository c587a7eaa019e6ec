"""Filling a user's typed class from a collection, by the names and types of its annotations."""

from __future__ import annotations

import builtins
import inspect
import sys
import typing
from collections import ChainMap
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, get_args, get_origin

from aiobpf.errors import CodecError, SpecError
from aiobpf.runtime import Map, PerCpu, Program, Variable
from aiobpf.runtime.element import OBJECT_VALUE_TYPES, PER_CPU_TYPES, STREAMED_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS: Final[dict[str, type[Any]]] = {"Map": Map, "Program": Program, "Variable": Variable}
COLLECTION: Final = "Collection"


class Wanted(NamedTuple):
    """What an annotation asks for: a Map, a Program, a Variable, or the Collection; *parameters* as in Map[int, Event].

    *name* is its name in the object: that of the annotation, unless ``__bpf_names__`` of the class says another.
    """

    name: str
    kind: str
    parameters: tuple[object, ...]


def bound_fields(cls: type) -> dict[str, Wanted]:
    """What *cls* and its bases ask for, by name; SpecError for an annotation that is none of the four.

    Annotations may be text (``from __future__ import annotations``). They are not evaluated: a class made in a function
    uses names that only that function knows, and a name imported for type checkers alone does not exist. The last part
    of the text says enough ("aiobpf.Map"). What stands in brackets is evaluated, in the module of the class.
    """
    fields: dict[str, Wanted] = {}
    names: Mapping[str, str] = getattr(cls, "__bpf_names__", {})
    for base in reversed(cls.__mro__):
        for name, given in _annotations(base).items():
            annotation = getattr(given, "__forward_arg__", given)  # NamedTuple makes ForwardRefs of text
            if not _is_class_variable(annotation):
                kind, parameters = _kind(base, name, annotation)
                fields[name] = Wanted(names.get(name, name), kind, parameters)
    return fields


def fill(cls: type[Any], values: Mapping[str, object]) -> Any:
    """An object of *cls* with *values*: through its constructor where that is made from the annotations."""
    if "__attrs_attrs__" in cls.__dict__ or "__dataclass_fields__" in cls.__dict__ or hasattr(cls, "_fields"):
        return cls(**values)
    bound = cls()
    for name, value in values.items():
        setattr(bound, name, value)
    return bound


def typed(found: Any, wanted: Wanted, place: str) -> Any:
    """*found* with the classes that *wanted* has in brackets; SpecError where *place* cannot have them."""
    parameters: tuple[Any, ...] = wanted.parameters
    try:
        if isinstance(found, Variable):
            return found.typed(parameters[0]) if parameters and not _is_any(parameters[0]) else found
        if not isinstance(found, Map) or not parameters:
            return found
        key, value = (*parameters, Any)[:2]
        if found.type in PER_CPU_TYPES and not _is_any(value):
            if get_origin(value) is not PerCpu:
                raise SpecError(f"{place}: map {found.name!r} has a value for each CPU, a PerCpu[...]")
            (value,) = get_args(value)
        elif found.type in OBJECT_VALUE_TYPES - STREAMED_TYPES:
            value = Any  # a Map, or an id
        key_class: Any = None if _is_any(key) else key
        value_class: Any = None if _is_any(value) else value
        return found if key_class is None and value_class is None else found.typed(key_class, value_class)
    except CodecError as error:
        raise SpecError(f"{place} does not fit: {error}") from error


def _is_any(parameter: object) -> bool:
    return parameter is Any or parameter is None or parameter is type(None) or parameter is object


def _kind(cls: type, name: str, annotation: object) -> tuple[str, tuple[object, ...]]:
    if isinstance(annotation, str):
        text = annotation.strip().strip("'\"")
        head, _, rest = text.partition("[")
        kind = head.strip().rpartition(".")[2]
        if kind in _KINDS or kind == COLLECTION:
            return kind, _evaluated(cls, name, rest.rpartition("]")[0]) if rest else ()
    else:
        plain = get_origin(annotation) or annotation
        for kind, each in _KINDS.items():
            if plain is each:
                arguments = get_args(annotation)
                return kind, tuple(_value_of(cls, name, argument) for argument in arguments)
        if getattr(plain, "__name__", None) == COLLECTION:
            return COLLECTION, ()
    shown = annotation if isinstance(annotation, str) else repr(annotation)
    raise SpecError(f"{cls.__name__}.{name} is annotated {shown}: Map, Program or Variable is needed")


def _value_of(cls: type, name: str, argument: object) -> object:
    text = getattr(argument, "__forward_arg__", argument)
    return _evaluated(cls, name, text)[0] if isinstance(text, str) else argument


def _evaluated(cls: type, name: str, text: str) -> tuple[object, ...]:
    module = sys.modules.get(cls.__module__)
    known: ChainMap[str, Any] = ChainMap(
        dict(vars(module)) if module else {}, _KINDS, {"PerCpu": PerCpu}, dict(vars(typing))
    )
    try:
        # The class's own annotation, as typing.get_type_hints does it.
        found: tuple[object, ...] = eval(f"({text},)", {"__builtins__": builtins}, known)
    except Exception as error:
        raise SpecError(
            f"{cls.__name__}.{name}: what is in [{text}] cannot be found ({error}): the classes have to be in the "
            f"module {cls.__module__} at run time"
        ) from error
    return found


def _annotations(cls: type) -> dict[str, Any]:
    if sys.version_info >= (3, 14):  # all are as if postponed, and asking for their values would evaluate them
        import annotationlib

        return annotationlib.get_annotations(cls, format=annotationlib.Format.STRING)
    return inspect.get_annotations(cls)


def _is_class_variable(annotation: object) -> bool:
    if isinstance(annotation, str):
        return annotation.partition("[")[0].rpartition(".")[2] == "ClassVar"
    return annotation is ClassVar or get_origin(annotation) is ClassVar
