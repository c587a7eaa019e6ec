"""Ring buffers that are filled while they are read, in every way that a stream gives events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from attrs import define, field

from benchmarks import commands
from benchmarks.stopwatch import Stopwatch, percentiles, sleeps

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiobpf import RingBuffer
    from benchmarks.commands import Arguments

clock = time.monotonic_ns


@define
class Reading:
    """What a consumer is to look for, and what it has seen."""

    last: int
    """The sequence number that ends it."""
    mask: int
    """A record's latency is noted where its sequence number has no bit of this."""
    count: int = 0
    total: int = 0
    latencies: list[int] = field(factory=list)


def _look(batch: Any, reading: Reading, every: int) -> int:
    """Take in one batch; its last sequence number. No array outlives this, so a lease ends with its batch."""
    now = clock()
    events = batch.numpy()
    sequences = events["sequence"]
    reading.total += int(sequences.sum())
    reading.count += len(batch)
    noted = events["submitted_ns"][-int(sequences[0]) % every :: every]
    if len(noted):
        reading.latencies += (now - noted).tolist()
    return int(sequences[-1])


async def by_numpy(stream: RingBuffer[Any], reading: Reading) -> None:
    """One array a batch, copied."""
    every = reading.mask + 1
    async for batch in stream.batches():
        if _look(batch, reading, every) >= reading.last:
            return


async def by_lease(stream: RingBuffer[Any], reading: Reading) -> None:
    """One array a batch, lying in the ring."""
    every = reading.mask + 1
    async for batch in stream.batches(lease=True):
        if _look(batch, reading, every) >= reading.last:
            batch.release()  # else with the next step, and others are to read this ring before
            return


async def by_records(stream: RingBuffer[Any], reading: Reading) -> None:
    """One object an event, handed out in batches."""
    mask, latencies, total = reading.mask, reading.latencies, 0
    async for batch in stream.batches():
        sequence = 0
        for event in batch.records():
            sequence = event.sequence
            if not sequence & mask:
                latencies.append(clock() - event.submitted_ns)
            total += sequence
        reading.count += len(batch)
        if sequence >= reading.last:
            break
    reading.total = total


async def by_events(stream: RingBuffer[Any], reading: Reading) -> None:
    """One object an event, one at a time."""
    mask, last, latencies, total, count = reading.mask, reading.last, reading.latencies, 0, 0
    async for event in stream:
        sequence = event.sequence
        if not sequence & mask:
            latencies.append(clock() - event.submitted_ns)
        total += sequence
        count += 1
        if sequence >= last:
            break
    reading.total, reading.count = total, count


MODES: dict[str, Callable[[RingBuffer[Any], Reading], Awaitable[None]]] = {
    "numpy": by_numpy,
    "lease": by_lease,
    "records": by_records,
    "events": by_events,
}


async def read(stream: RingBuffer[Any], arguments: Arguments) -> dict[str, object]:
    """Read until the record whose sequence number is the last."""
    reading = Reading(arguments.number("last"), arguments.number("mask"))
    mode = MODES[arguments.text("mode")]
    commands.say({"ready": True})
    slept = sleeps()
    took = Stopwatch()
    await mode(stream, reading)
    took.stop()
    end_ns, slept = clock(), sleeps() - slept
    noted = percentiles(reading.latencies, reading.total)
    return {**noted, **took.answer(reading.count, reading.total, end_ns=end_ns, sleeps=slept)}
