"""The .kconfig section's contents: the kernel's configuration, as the object's externs ask for it.

``extern int CONFIG_HZ __kconfig`` is read from the running kernel's configuration; some names are virtual and answered
by the loader: LINUX_KERNEL_VERSION, LINUX_HAS_BPF_COOKIE, LINUX_HAS_SYSCALL_WRAPPER.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiobpf.btf import Array, Enum, Int, codec, strip_qualifiers
from aiobpf.errors import CodecError, SpecError, UnresolvedSymbolError
from aiobpf.kernel import features
from aiobpf.kernel.kallsyms import has_syscall_wrapper
from aiobpf.kernel.kconfig import kernel_config
from aiobpf.kernel.release import kernel_version_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiobpf.btf import Type
    from aiobpf.spec import Extern

KCONFIG = ".kconfig"
"""The name of the map that holds kernel configuration values."""
_TRISTATE = {"n": 0, "y": 1, "m": 2}
"""enum libbpf_tristate, which objects are compiled with."""


def kconfig_contents(size: int, externs: Iterable[Extern]) -> bytes:
    """The *size* bytes of .kconfig for the running kernel.

    UnresolvedSymbolError for an option that the configuration does not set and that is not weak; SpecError where the
    value does not fit the extern's type.
    """
    externs = list(externs)
    options: Mapping[str, str] = {}
    if any(extern.name.startswith("CONFIG_") for extern in externs):
        options = kernel_config()
    data = bytearray(size)
    for extern in externs:
        value = _virtual(extern.name)
        if value is None:
            text = options.get(extern.name)
            if text is None:
                if extern.is_weak:
                    continue  # reads as 0
                raise UnresolvedSymbolError(
                    f"the kernel's configuration does not set {extern.name}; declare it __weak to read 0 then",
                    extern.name,
                )
            value = _parse(extern, text)
        data[extern.offset : extern.offset + extern.size] = _encode(extern, value)
    return bytes(data)


def _virtual(name: str) -> int | None:
    if name == "LINUX_KERNEL_VERSION":
        return kernel_version_code()
    if name == "LINUX_HAS_BPF_COOKIE":
        return int(features.supports_bpf_cookie())
    if name == "LINUX_HAS_SYSCALL_WRAPPER":
        return int(has_syscall_wrapper())
    return None


def _parse(extern: Extern, text: str) -> Any:
    """The Python value of *text*, a value as .config has it: y, m, n, "string", 17, 0x11, -3."""
    if text.startswith('"'):
        if len(text) < 2 or not text.endswith('"'):
            raise SpecError(f"{extern.name}={text}: a string without its closing quote")
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if text in _TRISTATE:
        return text
    try:
        return int(text, 0)
    except ValueError:
        raise SpecError(f"{extern.name}={text}: neither y, m, n, a number nor a string") from None


def _encode(extern: Extern, value: Any) -> bytes:
    type_ = None if extern.type is None else strip_qualifiers(extern.type)
    try:
        return _encode_as(type_, extern, value)
    except (CodecError, SpecError) as error:
        raise SpecError(f"kconfig extern {extern.name!r} cannot hold {value!r}: {error}") from error


def _encode_as(type_: Type | None, extern: Extern, value: Any) -> bytes:
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
    return codec(type_).encode(value)
