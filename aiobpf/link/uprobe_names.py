"""Functions by a pattern, or by the name that their C++ or Rust source has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import frozen

from aiobpf.errors import NotSupportedError, SpecError, UnresolvedSymbolError
from aiobpf.link.near import near_hint
from aiobpf.symbols.demangle import can_demangle, demangle, is_mangled, without_parameters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.symbols.elf_image import ElfImage, Symbol

STT_FUNC: Final = 2
STT_GNU_IFUNC: Final = 10
_SHN_UNDEF: Final = 0
_MAX_NAME: Final = 1 << 12


@frozen
class NamedFunction:
    """A function of a binary: its *name* in the symbol table, and where it lies in the file."""

    name: str
    offset: int


def is_function(symbol: Symbol) -> bool:
    """Whether a uprobe may go to *symbol*: a function, or an IFUNC, that this file has itself."""
    # An undefined symbol (imported from elsewhere) has section 0; some linkers give it the address of its PLT stub.
    return symbol.type in {STT_FUNC, STT_GNU_IFUNC} and symbol.section != _SHN_UNDEF and symbol.value != 0


def is_source_name(name: str) -> bool:
    """Whether *name* can be no symbol of C, but a name of C++ or Rust: "ns::function", "function(int)"."""
    return "::" in name or "(" in name


def functions(image: ElfImage) -> Iterator[NamedFunction]:
    """Every function with its code in the file; an IFUNC, whose symbol is its resolver, is none. Names may repeat."""
    for table, strings_section in image.symbol_tables():
        strings = image.read(strings_section)
        for symbol in image.symbols(table):
            if symbol.type != STT_FUNC or not is_function(symbol):
                continue
            end = strings.find(b"\0", symbol.name_offset, symbol.name_offset + _MAX_NAME)
            offset = image.file_offset(symbol.value)
            if end > symbol.name_offset and offset is not None:
                name = strings[symbol.name_offset : end].decode("utf-8", "backslashreplace")
                yield NamedFunction(name, offset)


def functions_like(image: ElfImage, pattern: str) -> list[NamedFunction]:
    """Those whose name matches *pattern* ("*" and "?" are wild), in the order of their places, one for each place.

    A pattern that is a C++ or Rust name ("std::vector*") is held against names as their source has them, with and
    without parameters. Raises UnresolvedSymbolError where there is none, NotSupportedError without the extra.
    """
    # libbpf's glob: "[" is a character as any other, as it is in "operator[]".
    expression = re.compile(
        "".join(".*" if each == "*" else "." if each == "?" else re.escape(each) for each in pattern), re.DOTALL
    )
    found: dict[int, NamedFunction] = {}
    if is_source_name(pattern):
        _need_demangling(image, pattern)
        for function, plain in _source_names(image):
            if expression.fullmatch(plain) or expression.fullmatch(without_parameters(plain)):
                found.setdefault(function.offset, function)
    else:
        for function in functions(image):
            if expression.fullmatch(function.name.partition("@")[0]):
                found.setdefault(function.offset, function)
    if not found:
        raise UnresolvedSymbolError(f"{image.what} has no function like {pattern!r}", pattern)
    return [found[offset] for offset in sorted(found)]


def function_by_source_name(image: ElfImage, name: str) -> int:
    """The file offset of the one function that C++ or Rust source calls *name*, with or without its parameters.

    Raises UnresolvedSymbolError (with near matches), SpecError where several overloads have the name,
    NotSupportedError without the extra.
    """
    _need_demangling(image, name)
    found: dict[int, str] = {}
    names: set[str] = set()
    for function, plain in _source_names(image):
        short = without_parameters(plain)
        names.add(short)
        if name in {plain, short}:
            found[function.offset] = plain
    if not found:
        hint = near_hint(name, names)
        raise UnresolvedSymbolError(f"{image.what} has no function {name!r}{hint}", name)
    if len(found) > 1:
        several = "; ".join(f"{plain} at {offset:#x}" for offset, plain in sorted(found.items())[:6])
        raise SpecError(f"{image.what} has {len(found)} functions {name!r}: say which. {several}")
    return next(iter(found))


def _source_names(image: ElfImage) -> Iterator[tuple[NamedFunction, str]]:
    for function in functions(image):
        if is_mangled(function.name):
            plain = demangle(function.name).partition("@")[0]
            if " (." not in plain:  # a part that the compiler split off (.cold): not where the function begins
                yield function, plain


def _need_demangling(image: ElfImage, name: str) -> None:
    if not can_demangle():
        raise NotSupportedError(
            f"{image.what}: looking up {name!r} as C++ or Rust source has it", hint="pip install 'aiobpf[demangle]'"
        )
