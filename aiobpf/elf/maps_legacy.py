"""Maps from before BTF: section ``maps`` is an array of struct bpf_map_def, one symbol each (libbpf before 1.0)."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from aiobpf.errors import ElfError
from aiobpf.spec.map import MapSpec
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    from aiobpf.elf.file import ElfFile, Section
    from aiobpf.elf.symbols import SymbolTable

_DEFINITIONS: Final = {"little": Struct("<IIIII"), "big": Struct(">IIIII")}
"""type, key_size, value_size, max_entries, map_flags."""


def read_legacy_maps(file: ElfFile, section: Section, symbols: SymbolTable) -> list[tuple[int, MapSpec]]:
    """The maps of *section* with their offsets.

    A definition ends where the next symbol or the section does. Loaders put fields of their own behind the five that
    all agree on (iproute2: id, pinning, inner map); unless they are zero, `MapSpec.extra` has them.
    """
    data = bytes(file.data(section))
    definition = _DEFINITIONS[file.byte_order]
    found = symbols.in_section(section.index)
    if not found:
        raise ElfError(f"section {section.name!r} has no symbols: its maps have no names")
    ends = [symbol.value for symbol in found[1:]] + [len(data)]
    maps = []
    for symbol, end in zip(found, ends, strict=True):
        raw = data[symbol.value : end]
        if len(raw) < definition.size:
            where = f"section {section.name!r}"
            raise ElfError(f"map {symbol.name!r} of {where} has {len(raw)} bytes, not {definition.size}")
        kind, key_size, value_size, max_entries, flags = definition.unpack_from(raw)
        extra = raw[definition.size :]
        try:
            type = MapType(kind)  # noqa: A001
        except ValueError:
            raise ElfError(f"map {symbol.name!r} is of type {kind}, which is none known here") from None
        maps.append(
            (
                symbol.value,
                MapSpec(
                    name=symbol.name,
                    type=type,
                    key_size=key_size,
                    value_size=value_size,
                    max_entries=max_entries,
                    flags=flags,
                    extra=extra if extra.strip(b"\0") else b"",
                ),
            )
        )
    return maps
