"""Whether what one object declares is what another one defines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from aiobpf.btf import (
    Array,
    Enum,
    Float,
    Forward,
    Function,
    FunctionPrototype,
    Int,
    Pointer,
    Struct,
    Union,
)
from aiobpf.btf import strip_qualifiers as bare
from aiobpf.errors import SpecError

if TYPE_CHECKING:
    from aiobpf.btf import Type
    from aiobpf.spec import MapSpec

_MAX_PAIRS: Final = 1 << 18
"""Of types that are compared in one link: a hostile file may lead to the product of two graphs."""
_MAX_PATH: Final = 200
"""Characters; deeper members are named by where they begin."""

_FIELDS: Final = (
    "type",
    "key_size",
    "value_size",
    "max_entries",
    "flags",
    "map_extra",
    "numa_node",
    "pinning",
    "is_frozen",
)


@final
class Comparison:
    """All comparisons of one link, within one budget: two types that were found to agree are not compared again."""

    def __init__(self) -> None:
        self._seen: set[tuple[Type, Type, bool]] = set()

    def of_types(self, first: Type | None, second: Type | None) -> str | None:
        """What keeps two types from being one, as text; None where nothing does or one is not known.

        As with libbpf names of typedefs and parameters, qualifiers, the sign of an integer and the constants of an enum
        do not count. Behind a pointer a struct is its name, as it may be only declared in one of the objects. An array
        without a length goes with any; two lengths must agree, where libbpf lets the longer one be read past its end.

        A walk over two graphs in step. A pair that is being compared is taken for equal, so circles end.
        """
        if first is None or second is None:
            return None
        pending: list[tuple[str, Type, Type, bool]] = [("", first, second, False)]
        assumed = []
        while pending:
            path, a, b, is_pointed_to = pending.pop()
            a, b = bare(a), bare(b)
            pair = a, b, is_pointed_to
            if a is b or pair in self._seen:
                continue
            self._seen.add(pair)
            assumed.append(pair)
            if len(self._seen) > _MAX_PAIRS:
                raise SpecError(f"types {_name(first)} and {_name(second)} are too large to be compared")
            difference = _step(a, b, path, is_pointed_to, pending)
            if difference is not None:
                self._seen.difference_update(assumed)
                return f"{path}{': ' if path else ''}{difference}"
        return None

    def of_maps(self, first: MapSpec, second: MapSpec) -> list[str]:
        """Each field in which two definitions of one map differ, as text."""
        found = [
            f"{field} {_show(getattr(first, field))} and {_show(getattr(second, field))}"
            for field in _FIELDS
            if getattr(first, field) != getattr(second, field)
        ]
        for field in ("key", "value"):
            difference = self.of_types(getattr(first, field), getattr(second, field))
            if difference is not None:
                found.append(f"{field}: {difference}")
        if (first.inner is None) != (second.inner is None):
            found.append("one of them holds maps")
        elif first.inner is not None and second.inner is not None:
            found += [f"inner map: {each}" for each in self.of_maps(first.inner, second.inner)]
        return found


def _show(value: object) -> str:
    return str(getattr(value, "name", value))


def _step(a: Type, b: Type, path: str, is_pointed_to: bool, pending: list[tuple[str, Type, Type, bool]]) -> str | None:
    """Compare what two types say themselves, and leave what they refer to for later."""
    different = f"{_name(a)} and {_name(b)}"
    if isinstance(a, Forward) or isinstance(b, Forward):
        return None if a.name == b.name and _composite(a) == _composite(b) != "" else different
    if type(a) is not type(b):
        return different
    if isinstance(a, Int) and isinstance(b, Int):
        return None if a.size == b.size else f"{_name(a)} of {a.size} bytes and {_name(b)} of {b.size}"
    if isinstance(a, Float) and isinstance(b, Float):
        return None if a.size == b.size else different
    if isinstance(a, Enum) and isinstance(b, Enum):
        return None if (a.name, a.size) == (b.name, b.size) else different
    if isinstance(a, Pointer) and isinstance(b, Pointer):
        pending.append((path, a.target, b.target, True))
    elif isinstance(a, Array) and isinstance(b, Array):
        if a.count != b.count and a.count and b.count:
            return f"{a.count} elements and {b.count}"
        pending.append((path, a.element, b.element, is_pointed_to))
    elif isinstance(a, FunctionPrototype) and isinstance(b, FunctionPrototype):
        return _functions(a, b, path, pending)
    elif isinstance(a, Function) and isinstance(b, Function):
        pending.append((path, a.type, b.type, False))
    elif isinstance(a, Struct | Union) and isinstance(b, Struct | Union):
        return _members(a, b, path, is_pointed_to, pending)
    return None


def _functions(
    a: FunctionPrototype, b: FunctionPrototype, path: str, pending: list[tuple[str, Type, Type, bool]]
) -> str | None:
    if len(a.parameters) != len(b.parameters):
        return f"{len(a.parameters)} parameters and {len(b.parameters)}"
    before = f"{path[:_MAX_PATH]}, " if path else ""
    for number, (mine, theirs) in enumerate(zip(a.parameters, b.parameters, strict=True), 1):
        pending.append((f"{before}parameter {number}", mine.type, theirs.type, False))
    pending.append((f"{before}what it returns", a.return_type, b.return_type, False))
    return None


def _members(
    a: Struct | Union,
    b: Struct | Union,
    path: str,
    is_pointed_to: bool,
    pending: list[tuple[str, Type, Type, bool]],
) -> str | None:
    if a.name != b.name:
        return f"{_name(a)} and {_name(b)}"
    if is_pointed_to and a.name:
        return None
    if a.size != b.size:
        return f"{_name(a)} of {a.size} bytes and of {b.size}"
    if len(a.members) != len(b.members):
        return f"{_name(a)} of {len(a.members)} members and of {len(b.members)}"
    before = f"{path[:_MAX_PATH]}." if path else ""
    for mine, theirs in zip(a.members, b.members, strict=True):
        if (mine.name, mine.bit_offset, mine.bitfield_size) != (theirs.name, theirs.bit_offset, theirs.bitfield_size):
            return f"{_name(a)} has member {mine.name!r} where the other one has {theirs.name!r}, or another place"
        pending.append((f"{before}{mine.name}", mine.type, theirs.type, is_pointed_to))
    return None


def _composite(type: Type) -> str:  # noqa: A002
    if isinstance(type, Forward):
        return "union" if type.is_union else "struct"
    return "struct" if isinstance(type, Struct) else "union" if isinstance(type, Union) else ""


def _name(type: Type) -> str:  # noqa: A002
    words = {Struct: "struct", Union: "union", Enum: "enum", Pointer: "a pointer", Array: "an array"}
    word = words.get(type.__class__, "")
    if not type.name:
        return word or type.kind.name.lower()
    return f"{word} {type.name}".strip()
