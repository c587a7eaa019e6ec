"""Functions by address, of the kernel and of processes; names that compilers mangle, as people wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.lazy_names import lazy_names

if TYPE_CHECKING:
    from aiobpf.symbols.frame import Frame as Frame
    from aiobpf.symbols.frame import folded as folded
    from aiobpf.symbols.stack_ids import BuildIdPlace as BuildIdPlace
    from aiobpf.symbols.stack_ids import parse_addresses as parse_addresses
    from aiobpf.symbols.stack_ids import parse_build_ids as parse_build_ids
    from aiobpf.symbols.stack_ids import stack_of as stack_of
    from aiobpf.symbols.symbolizer import Symbolizer as Symbolizer

_HOMES = {
    "frame": "Frame folded",
    "stack_ids": "BuildIdPlace parse_addresses parse_build_ids stack_of",
    "symbolizer": "Symbolizer",
}

__all__ = sorted(" ".join(_HOMES.values()).split())  # noqa: PLE0605 - one list, above
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
