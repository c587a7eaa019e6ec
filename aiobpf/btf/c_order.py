"""In which order C must be told of types: what a definition needs comes before it.

A struct that is only pointed to is declared, one that is held by value defined. A typedef is needed as a name even
where what it stands for is not. Iterative: a chain of a million types is no recursion.
"""

from __future__ import annotations

from enum import Enum as PythonEnum
from typing import TYPE_CHECKING, NamedTuple, final

from aiobpf.btf.c_numbers import number_in_c
from aiobpf.btf.composites import Function, FunctionPrototype, Struct, Union
from aiobpf.btf.derived import Array, Const, Pointer, Restrict, Typedef, TypeTag, Volatile
from aiobpf.btf.scalars import Enum, Float, Forward, Int
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiobpf.btf.type_base import Type


class Need(PythonEnum):
    """How much of a type must have been written."""

    NAME = "declared"
    WHOLE = "defined"


class Step(NamedTuple):
    type: Type
    need: Need


@final
class Order:
    """Calls *declare* and *define* for types in an order that compiles, once for each.

    Only for types that stand by themselves in C: structs, unions and enums with a name, typedefs, and numbers that C
    has no name for. What is anonymous is written where it is used. *has_room* raises when the work grows too large.
    """

    def __init__(
        self, declare: Callable[[Type], None], define: Callable[[Type], None], has_room: Callable[[int], None]
    ) -> None:
        self._declare = declare
        self._define = define
        self._has_room = has_room
        self._done: set[Step] = set()
        self._open: set[Step] = set()

    def is_declared(self, type: Type) -> bool:  # noqa: A002
        return Step(type, Need.NAME) in self._done

    def mark_declared(self, type: Type) -> None:  # noqa: A002
        """That *type* was declared under another's name."""
        self._done.add(Step(type, Need.NAME))

    def need(self, type: Type) -> None:  # noqa: A002
        """Have *type* written, and all that it needs before it. BtfError where types need each other in a circle."""
        self._follow([Step(type, Need.WHOLE)])

    def need_for(self, type: Type) -> None:  # noqa: A002
        """Have all written that a declaration with *type* needs."""
        self._follow(list(self._needs_of(type, Need.NAME)))

    def _follow(self, steps: list[Step]) -> None:
        stack: list[tuple[Step | None, Iterator[Step]]] = [(None, iter(steps))]
        while stack:
            step, needs = stack[-1]
            for each in needs:
                if each in self._done:
                    continue
                if each in self._open:
                    raise BtfError(f"{each.type.kind.name.lower()} {each.type.name!r} needs itself to be defined")
                self._open.add(each)
                stack.append((each, iter(list(self._before(each)))))
                break
            else:
                stack.pop()
                if step is not None:
                    self._open.discard(step)
                    self._write(step)

    def _before(self, step: Step) -> Iterator[Step]:
        type_, need = step
        if isinstance(type_, Typedef):
            if need is Need.WHOLE:
                yield Step(type_, Need.NAME)
                yield from self._needs_of(type_.type, Need.WHOLE)
            else:
                yield from self._needs_of(type_.type, Need.NAME)
        elif isinstance(type_, Struct | Union) and need is Need.WHOLE:
            for member in type_.members:
                yield from self._needs_of(member.type, Need.WHOLE)

    def _write(self, step: Step) -> None:
        if step in self._done:
            return
        self._done.add(step)
        type_, need = step
        if isinstance(type_, Struct | Union):
            if need is Need.WHOLE:
                self._define(type_)
                self._done.add(Step(type_, Need.NAME))
            else:
                self._declare(type_)
        elif isinstance(type_, Typedef):
            if need is Need.NAME:
                self._define(type_)
        elif isinstance(type_, Forward):
            self._declare(type_)
        else:
            self._define(type_)

    def _needs_of(self, type: Type, need: Need) -> Iterator[Step]:  # noqa: A002
        """What must have been written before a declaration with *type*: the types by name that it leads to."""
        stack = [(type, need)]
        seen: set[tuple[Type, Need]] = set()
        while stack:
            each = stack.pop()
            if each in seen:
                continue
            seen.add(each)
            self._has_room(1)
            found, how = each
            if isinstance(found, Pointer):
                stack.append((found.target, Need.NAME))
            elif isinstance(found, Array):
                stack.append((found.element, Need.WHOLE))  # C takes no array of what it knows by name only
            elif isinstance(found, Const | Volatile | Restrict | TypeTag):
                stack.append((found.type, how))
            elif isinstance(found, Typedef):
                yield Step(found, how)
            elif isinstance(found, Struct | Union):
                if found.name:
                    yield Step(found, how)
                else:
                    stack += [(member.type, Need.WHOLE) for member in reversed(found.members)]
            elif isinstance(found, Enum):
                if found.name:
                    yield Step(found, Need.WHOLE)
            elif isinstance(found, Forward):
                yield Step(found, Need.NAME)
            elif isinstance(found, Int | Float):
                if not number_in_c(found):
                    yield Step(found, Need.WHOLE)
            elif isinstance(found, FunctionPrototype):
                stack += [(each.type, Need.NAME) for each in reversed(found.parameters)]
                stack.append((found.return_type, Need.NAME))
            elif isinstance(found, Function):
                stack.append((found.type, Need.NAME))
