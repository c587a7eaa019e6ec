"""Map elements: one by one, and all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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


async def update(arguments: Arguments) -> dict[str, object]:
    """Typed updates, one by one, each with a value made for it."""
    keys, count, salt = arguments.number("keys"), arguments.number("count"), arguments.number("salt")
    total = 0
    async with given_map(arguments.number("fd"), "updates") as found:
        codec: Any = found.value_codec
        traffic = codec.python_type
        took = Stopwatch()
        for number in range(count):
            key = number % keys
            found[key] = traffic(packets=number, bytes=key * 64 + salt)
            total += key
        took.stop()
    return took.answer(count, total)
