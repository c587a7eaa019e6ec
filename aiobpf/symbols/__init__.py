"""Functions by address, of the kernel and of processes; names that compilers mangle, as people wrote them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiobpf.symbols.frame import Frame as Frame
    from aiobpf.symbols.frame import folded as folded
    from aiobpf.symbols.stack_ids import BuildIdPlace as BuildIdPlace
    from aiobpf.symbols.stack_ids import parse_addresses as parse_addresses
    from aiobpf.symbols.stack_ids import parse_build_ids as parse_build_ids
    from aiobpf.symbols.stack_ids import stack_of as stack_of
    from aiobpf.symbols.symbolizer import Symbolizer as Symbolizer

_HOMES = {
    "BuildIdPlace": "stack_ids",
    "Frame": "frame",
    "Symbolizer": "symbolizer",
    "folded": "frame",
    "parse_addresses": "stack_ids",
    "parse_build_ids": "stack_ids",
    "stack_of": "stack_ids",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - one list, above


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
