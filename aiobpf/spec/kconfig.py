"""What an extern of the kernel's configuration holds: the text of a .config as a value of its type.

``extern int CONFIG_HZ __kconfig``: bool, char, enum libbpf_tristate, integers, and arrays of char, as libbpf has them.
"""

from __future__ import annotations

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
"""enum libbpf_tristate, which objects are compiled with."""


def parse_option(name: str, text: str) -> Any:
    """The Python value of *text*, a value as .config has it: y, m, n, "string", 17, 0x11, -3. SpecError for others."""
    if text.startswith('"'):
        if len(text) < 2 or not text.endswith('"'):
            raise SpecError(f"{name}={text}: a string without its closing quote")
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if text in _TRISTATE:
        return text
    try:
        return int(text, 0)
    except ValueError:
        raise SpecError(f"{name}={text}: neither y, m, n, a number nor a string") from None


def encode_option(extern: Extern, value: Any, byte_order: ByteOrder) -> bytes:
    """*value*, from `parse_option` or a number, as *extern*'s type holds it; SpecError where it does not fit."""
    type_ = None if extern.type is None else strip_qualifiers(extern.type)
    try:
        return _encode_as(type_, extern, value, byte_order)
    except (CodecError, SpecError) as error:
        raise SpecError(f"kconfig extern {extern.name!r} cannot hold {value!r}: {error}") from error


def _encode_as(type_: Type | None, extern: Extern, value: Any, byte_order: ByteOrder) -> bytes:
    if isinstance(value, str) and value in _TRISTATE and not isinstance(type_, Array):
        if isinstance(type_, Enum):
            value = _TRISTATE[value]
        elif isinstance(type_, Int) and type_.is_bool:
            if value == "m":
                raise SpecError("a bool has no value for m")
            value = value == "y"
        elif isinstance(type_, Int) and type_.size == 1:
            return value.encode()  # char: the letter itself
        else:
            raise SpecError("y, m and n need bool, char or enum libbpf_tristate")
    if isinstance(type_, Array):
        if not isinstance(value, str):
            raise SpecError("an array of char takes a string")
        raw = value.encode()[: max(extern.size - 1, 0)]  # as libbpf: cut to what fits, always with its NUL
        return raw.ljust(extern.size, b"\0")
    if isinstance(value, str):
        raise SpecError("a string needs an array of char")
    if type_ is None:
        raise SpecError("the extern has no type")
    return codec(type_, byte_order=byte_order).encode(value)
