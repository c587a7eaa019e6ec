"""Ring buffers: batches as numpy arrays, batches as objects, and one event at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aiobpf import RingBuffer
from benchmarks import commands
from benchmarks.aiobpf_side import live
from benchmarks.aiobpf_side.given_maps import given_map
from benchmarks.stopwatch import Stopwatch, percentiles

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AsyncExitStack

    from aiobpf.stream.options import StreamOptions
    from benchmarks.commands import Arguments


async def by_numpy(stream: RingBuffer[Any], wanted: int) -> tuple[int, int]:
    """Count and sum of *wanted* events, from one array a batch."""
    count = total = 0
    async for batch in stream.batches():
        total += int(batch.numpy()["sequence"].sum())
        count += len(batch)
        if count >= wanted:
            break
    return count, total


async def by_lease(stream: RingBuffer[Any], wanted: int) -> tuple[int, int]:
    """The same from arrays that lie in the ring."""
    count = total = 0
    async for batch in stream.batches(lease=True):
        total += int(batch.numpy()["sequence"].sum())
        count += len(batch)
        if count >= wanted:
            batch.release()  # else with the next step, and others are to read this ring before
            break
    return count, total


async def by_records(stream: RingBuffer[Any], wanted: int) -> tuple[int, int]:
    """The same from one object an event, handed out in batches."""
    count = total = 0
    async for batch in stream.batches():
        for event in batch.records():
            total += event.sequence
        count += len(batch)
        if count >= wanted:
            break
    return count, total


async def by_events(stream: RingBuffer[Any], wanted: int) -> tuple[int, int]:
    """The same from one object an event, one at a time."""
    count = total = 0
    async for event in stream:
        total += event.sequence
        count += 1
        if count >= wanted:
            break
    return count, total


MODES: dict[str, Callable[[RingBuffer[Any], int], Awaitable[tuple[int, int]]]] = {
    "numpy": by_numpy,
    "lease": by_lease,
    "records": by_records,
    "events": by_events,
}


class Rings:
    """The open streams, by the descriptor of their map; *stack* closes them."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._streams: dict[int, tuple[str, RingBuffer[Any]]] = {}

    async def _of(self, arguments: Arguments) -> RingBuffer[Any]:
        fd, size = arguments.number("fd"), arguments.number("size")
        max_delay = arguments.text("max_delay", "")
        opened_with, stream = self._streams.get(fd, ("", None))
        if stream is None or opened_with != max_delay:
            if stream is not None:
                await stream.aclose()  # a ring has one reader
            ring = await self._stack.enter_async_context(given_map(fd, f"ring_{size}"))
            options: StreamOptions = {"max_delay": float(max_delay)} if max_delay else {}
            stream = await self._stack.enter_async_context(RingBuffer(ring, f"struct record_{size}", **options))
            self._streams[fd] = max_delay, stream
        return stream

    async def drain(self, arguments: Arguments) -> dict[str, object]:
        """Read what the ring was filled with."""
        stream = await self._of(arguments)
        mode = MODES[arguments.text("mode", "numpy")]
        took = Stopwatch()
        count, total = await mode(stream, arguments.number("count"))
        return took.stop().answer(count, total)

    async def live(self, arguments: Arguments) -> dict[str, object]:
        """Read events that come meanwhile."""
        return await live.read(await self._of(arguments), arguments)

    async def wake(self, arguments: Arguments) -> dict[str, object]:
        """Read events that come one by one while nothing else is there."""
        stream = await self._of(arguments)
        wanted = arguments.number("count")
        latencies: list[int] = []
        total = 0
        commands.say({"ready": True})
        async for event in stream:
            latencies.append(time.clock_gettime_ns(time.CLOCK_MONOTONIC) - event.submitted_ns)
            total += event.sequence
            if len(latencies) >= wanted:
                break
        return percentiles(latencies, total)
