"""The map on an instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.asm.metadata import Key

if TYPE_CHECKING:
    from aiobpf.runtime.map import Map

MAP: Key[Map] = Key("map")
"""On an instruction that loads a map's address: this map, whatever the reference says. It stays alive by it."""
