"""Many map elements at once; what is written is made before, what is read is summed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.aiobpf_side.given_maps import given_map
from benchmarks.stopwatch import Stopwatch

if TYPE_CHECKING:
    from benchmarks.commands import Arguments


async def lookup(arguments: Arguments) -> dict[str, object]:
    """All elements: as numpy arrays, or where *mode* says so as lists of Python's integers."""
    total = count = 0
    async with given_map(arguments.number("fd"), "bulk") as found:
        took = Stopwatch()
        if arguments.text("mode", "numpy") == "numpy":
            keys, values = found.numpy()
            count, total = len(keys), int(values.sum())
        else:
            async for some_keys, some_values in found.batches(65536):
                count += len(some_keys)
                total += sum(some_values)
        took.stop()
    return took.answer(count, total)


async def update(arguments: Arguments) -> dict[str, object]:
    """A dict of *count* elements."""
    count, salt = arguments.number("count"), arguments.number("salt")
    elements = {key: key ^ salt for key in range(count)}
    async with given_map(arguments.number("fd"), "bulk") as found:
        took = Stopwatch()
        done = found.update_many(elements)
        took.stop()
    return took.answer(count, done)


async def delete(arguments: Arguments) -> dict[str, object]:
    """A list of *count* keys."""
    count = arguments.number("count")
    keys = list(range(count))
    async with given_map(arguments.number("fd"), "bulk") as found:
        took = Stopwatch()
        done = found.delete_many(keys)
        took.stop()
    return took.answer(count, done)
