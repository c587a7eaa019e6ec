"""What an extern of the kernel's configuration holds: the text of a .config as a value of its type.

``extern int CONFIG_HZ __kconfig``: bool, char, enum libbpf_tristate, integers, and arrays of char, as libbpf has them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from aiobpf.btf import Array, Enum, Int, codec, strip_qualifiers
from aiobpf.errors import CodecError, SpecError

if TYPE_CHECKING:
    from aiobpf.btf import Type
    from aiobpf.spec.collection import ByteOrder
    from aiobpf.spec.externs import Extern

KCONFIG: Final = ".kconfig"
"""The name of the map that holds kernel configuration values."""
_TRISTATE = {"n": 0, "y": 1, "m": 2}
_TRISTATE_NAME = "libbpf_tristate"
"""The enum that objects are compiled with; of another's enumerators nobody says which is y."""
_NUMBER = re.compile(
    r"([-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]{1,16})|(?P<octal>0[0-7]{0,22})|(?P<decimal>[1-9][0-9]{0,19}))"
)
"""As C reads them; no longer than 64 bits can be, for the time that reading a number takes."""
_BASES = {"hex": 16, "octal": 8, "decimal": 10}
_ESCAPED = re.compile(r'\\(["\\])')
_SHOWN = 60


def parse_option(name: str, text: str) -> Any:
    """The Python value of *text*, a value as .config has it: y, m, n, "string", 17, 0x11, -3. SpecError for others."""
    if text.startswith('"'):
        if len(text) < 2 or not text.endswith('"'):
            raise SpecError(f"{name}={_shown(text)}: a string without its closing quote")
        return Quoted(_ESCAPED.sub(r"\1", text[1:-1]))
    if text in _TRISTATE:
        return text
    match = _NUMBER.fullmatch(text)
    if match is None or match.lastgroup is None:
        raise SpecError(f"{name}={_shown(text)}: neither y, m, n, a number of 64 bits nor a string")
    number = int(match[match.lastgroup], _BASES[match.lastgroup])
    return -number if match[1] == "-" else number


class Quoted(str):
    """A string of the configuration: "y" in quotes is no tristate."""

    __slots__ = ()


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


def encode_option(extern: Extern, value: Any, byte_order: ByteOrder) -> bytes:
    """*value*, from `parse_option` or a number, as *extern*'s type holds it; SpecError where it does not fit."""
    type_ = None if extern.type is None else strip_qualifiers(extern.type)
    try:
        return _encode_as(type_, extern, value, byte_order)
    except (CodecError, SpecError) as error:
        raise SpecError(f"kconfig extern {extern.name!r} cannot hold {_shown(repr(value))}: {error}") from error


def _encode_as(type_: Type | None, extern: Extern, value: Any, byte_order: ByteOrder) -> bytes:
    is_text = isinstance(value, Quoted)
    is_letter = isinstance(value, str) and not is_text
    if type_ is None:
        raise SpecError("the extern has no type")
    if isinstance(type_, Array):
        element = strip_qualifiers(type_.element)
        if not isinstance(element, Int) or element.size != 1 or element.is_bool:
            raise SpecError("its type is an array of something else than char, which no option is")
        if not is_text:
            raise SpecError("an array of char takes a string")
        raw: bytes = value.encode(errors="replace")[
            : max(extern.size - 1, 0)
        ]  # as libbpf: cut to what fits, always with its NUL
        return raw.ljust(extern.size, b"\0")
    if is_text:
        raise SpecError("a string needs an array of char")
    if isinstance(type_, Enum):
        if type_.name != _TRISTATE_NAME:
            raise SpecError(f"its type is an enum, and the only one for options is {_TRISTATE_NAME}")
        if not is_letter:
            raise SpecError("a tristate takes y, m or n")
        value = _TRISTATE[value]
    elif isinstance(type_, Int) and type_.is_bool:
        if value not in {"y", "n", 0, 1}:
            raise SpecError("a bool has no value for m" if is_letter else "a bool takes y, n, 0 or 1")
        value = value in {"y", 1}
    elif not isinstance(type_, Int):
        raise SpecError(f"its type is {type_!r}: an option is a bool, char, integer, tristate or array of char")
    elif is_letter:
        if type_.size != 1:
            raise SpecError("y, m and n need bool, char or enum libbpf_tristate")
        return bytes(value.encode())  # char: the letter itself
    return codec(type_, byte_order=byte_order).encode(value)
