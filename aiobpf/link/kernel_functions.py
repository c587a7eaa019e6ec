"""The kernel's functions that can be traced, found by a pattern."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf.errors import BpfError, UnresolvedSymbolError
from aiobpf.kernel.kallsyms import Kallsyms
from aiobpf.kernel.tracefs import Tracefs
from aiobpf.link.near import near_hint
from aiobpf.spec.attach_target import split_module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TEXT = frozenset("tT")
# What kallsyms has beside functions: prologues of CONFIG_CALL_PADDING and CONFIG_CFI_CLANG, parts that a compiler split
# off, and the places that ftrace itself has no name for.
_NO_FUNCTION = re.compile(r"__(?:pfx|cfi|probestub|traceiter|ftrace_invalid_address_)_|.*\.cold(?:\.\d+)?$")
# Parts of the kernel's text that must not be traced (include/asm-generic/vmlinux.lds.h).
_NOT_TRACED = (
    ("__noinstr_text_start", "__noinstr_text_end"),
    ("__entry_text_start", "__entry_text_end"),
    ("_sinittext", "_einittext"),
)


@frozen
class KernelFunction:
    name: str
    module: str | None
    """None for the kernel itself."""
    address: int
    """Where ftrace hooks it: its beginning, or behind the landing pad there (ENDBR, BTI)."""


def is_pattern(name: str) -> bool:
    return "*" in name or "?" in name


def functions_like(pattern: str) -> list[KernelFunction]:
    """The traceable functions whose name matches *pattern* ("*" and "?" are wild), or those of a module ("veth:*").

    In the order of their addresses, one for each. As ftrace lists them, where tracefs can be read; else, as under
    lockdown, the functions of /proc/kallsyms that lie in no part of the kernel that must not be traced.
    UnresolvedSymbolError (with near matches) where there is none; BpfError where addresses are hidden (CAP_SYSLOG).
    """
    module, wanted = split_module(pattern)
    module = module.replace("-", "_") if module else None
    # libbpf's glob: "[" is a character as any other.
    matches = re.compile(
        "".join(".*" if each == "*" else "." if each == "?" else re.escape(each) for each in wanted)
    ).fullmatch
    names: set[str] = set()
    found: dict[int, KernelFunction] = {}
    for function in _traceable():
        names.add(function.name)
        # A suffix of LTO (".llvm.1234") is no part of what the source calls it.
        plain = function.name.partition(".llvm.")[0]
        if (matches(plain) or matches(function.name)) and (module is None or _is_of(function, module)):
            found.setdefault(function.address, function)
    if not found:
        where = f"module {module!r}" if module else "this kernel"
        raise UnresolvedSymbolError(
            f"{where} has no traceable function like {wanted!r}{near_hint(wanted.strip('*?'), names)}", pattern
        )
    if 0 in found:
        raise BpfError(f"the addresses of functions like {wanted!r} are hidden: reading them needs CAP_SYSLOG")
    return [found[address] for address in sorted(found)]


def _is_of(function: KernelFunction, module: str) -> bool:
    return function.module == (None if module == "vmlinux" else module)


def _traceable() -> Iterator[KernelFunction]:
    try:
        with Tracefs.open() as tracefs:
            try:
                lines = tracefs.read("available_filter_functions_addrs")  # since 6.5 (83f74441bcb1)
            except (OSError, BpfError):
                listed = {_name_and_module(line.split()) for line in _lines(tracefs, "available_filter_functions")}
                return (each for each in _functions_in(Kallsyms.read()) if (each.name, each.module) in listed)
    except (OSError, BpfError):  # not mounted, or EPERM under lockdown
        return _by_kallsyms_alone()
    return _with_addresses(lines.splitlines())


def _lines(tracefs: Tracefs, name: str) -> list[str]:
    return [line for line in tracefs.read(name).splitlines() if line]


def _with_addresses(lines: Iterable[str]) -> Iterator[KernelFunction]:
    for line in lines:
        address, *rest = line.split()
        name, module = _name_and_module(rest)
        if not _NO_FUNCTION.match(name):
            yield KernelFunction(name, module, int(address, 16))


def _name_and_module(fields: list[str]) -> tuple[str, str | None]:
    return fields[0], fields[1].strip("[]") if len(fields) > 1 else None


def _functions_in(symbols: Kallsyms) -> Iterator[KernelFunction]:
    for symbol in symbols.symbols():
        if symbol.kind in _TEXT and symbol.module != "bpf" and not _NO_FUNCTION.match(symbol.name):
            yield KernelFunction(symbol.name, symbol.module, symbol.address)


def _by_kallsyms_alone() -> Iterator[KernelFunction]:
    symbols = Kallsyms.read()
    parts = []
    for names in _NOT_TRACED:
        ends = [symbols.lookup(name) for name in names]
        if all(ends):
            parts.append((ends[0][0].address, ends[1][0].address))
    for function in _functions_in(symbols):
        if function.module is not None or not any(start <= function.address < end for start, end in parts):
            yield function
