"""``--set VARIABLE=VALUE``: a text to the Python value that a global variable's BTF type takes.

An integer is written as in Python (42, -1, 0x2a, 1_000), or with a unit of time or size (5ms, 64KiB); a character as
one character; a bool as true/false, yes/no, on/off, 1/0; an enum by an enumerator's name or number; ``char[]`` as
itself; bytes (``u8[]``) in hex, colons and all; arrays and structs as JSON.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from aiobpf.btf import Array, Enum, Float, Int, Struct, Union, strip_qualifiers
from aiobpf.cli.choices import suggestion
from aiobpf.errors import CodecError, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiobpf.btf import Type
    from aiobpf.cli.run import Setting
    from aiobpf.spec import CollectionSpec

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_UNITS = {
    "ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9,
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
}  # fmt: skip
"""Durations count nanoseconds, as the kernel does."""
_WITH_UNIT = re.compile(rf"(\d+)({'|'.join(_UNITS)})")


def apply_settings(spec: CollectionSpec, settings: Iterable[Setting]) -> None:
    """Give the spec's variables their values; SpecError for one that is not there, CodecError for a wrong value."""
    for name, text in settings:
        variable = spec.variables.get(name)
        if variable is None:
            raise SpecError(f"no global variable {name!r} to --set{suggestion(name, spec.variables)}")
        try:
            if variable.type is None:
                variable.raw = as_bytes(text, variable.size)
            else:
                variable.value = parse_value(text, variable.type)
        except (ValueError, OverflowError) as error:
            raise CodecError(f"--set {name}={text}: {error}") from None


def parse_value(text: str, type: Type) -> Any:  # noqa: A002 - the field's own word
    """The value that *type*'s codec encodes; ValueError says what it would take."""
    bare = strip_qualifiers(type)
    if isinstance(bare, Int):
        if bare.is_bool:
            return as_bool(text)
        if is_character(bare) and len(text) == 1 and not text.isdigit():
            return ord(text)
        return as_int(text)
    if isinstance(bare, Enum):
        return as_enumerator(text, bare)
    if isinstance(bare, Float):
        return float(text)
    if isinstance(bare, Array):
        return as_array(text, bare)
    if isinstance(bare, (Struct, Union)):
        return as_json(text, "{}", f"a JSON object for {bare.name or 'it'}")
    raise ValueError(f"a variable of type {bare.name or bare.kind.name.lower()} cannot be set")


def is_character(type: Int) -> bool:  # noqa: A002
    return type.is_char or type.name == "char"  # clang gives a plain char no CHAR flag


def as_bool(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError("it is a bool: true or false")


def as_int(text: str) -> int:
    match = _WITH_UNIT.fullmatch(text.strip())
    if match:
        return int(match[1]) * _UNITS[match[2]]
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError("it takes an integer (42, -1, 0x2a, 5ms, 64KiB)") from None


def as_enumerator(text: str, type: Enum) -> int:  # noqa: A002
    for enumerator in type.enumerators:
        if enumerator.name == text:
            return enumerator.value
    try:
        return int(text, 0)
    except ValueError:
        names = ", ".join(enumerator.name for enumerator in type.enumerators[:20])
        raise ValueError(f"enum {type.name} has {names}") from None


def as_array(text: str, type: Array) -> Any:  # noqa: A002
    element = strip_qualifiers(type.element)
    if isinstance(element, Int) and element.size == 1:
        if is_character(element):
            return text
        return as_bytes(text, type.count)
    return as_json(text, "[]", f"a JSON list of {type.count}")


def as_bytes(text: str, size: int) -> bytes:
    """Hex digits, with or without 0x and separators, filled up with zeros to *size*."""
    try:
        data = bytes.fromhex(re.sub(r"[:\s-]|^0x", "", text))
    except ValueError:
        raise ValueError(f"it takes {size} bytes in hex") from None
    if len(data) > size:
        raise ValueError(f"it takes {size} bytes, not {len(data)}")
    return data.ljust(size, b"\0")


def as_json(text: str, brackets: str, expected: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict if brackets == "{}" else list):
        raise ValueError(f"it takes {expected}")
    return value
