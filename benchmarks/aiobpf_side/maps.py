"""Map elements: one by one, and all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.aiobpf_side.given_maps import given_map
from benchmarks.stopwatch import Stopwatch

if TYPE_CHECKING:
    from benchmarks.commands import Arguments


async def lookup(arguments: Arguments) -> dict[str, object]:
    """Typed lookups of keys that are there."""
    keys, count = arguments.number("keys"), arguments.number("count")
    total = 0
    async with given_map(arguments.number("fd"), "lookups") as found:
        took = Stopwatch()
        for number in range(count):
            total += found[number % keys].bytes
        took.stop()
    return took.answer(count, total)


async def scan(arguments: Arguments) -> dict[str, object]:
    """All elements as numpy arrays."""
    async with given_map(arguments.number("fd"), "scanned") as found:
        took = Stopwatch()
        keys, values = found.numpy()
        total = int(values.sum())
        took.stop()
    return took.answer(len(keys), total)
