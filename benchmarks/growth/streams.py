"""Rings that grow, and streams that become many."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import aiobpf
from aiobpf import RingBuffer
from aiobpf.stream import merge
from benchmarks.growth.cost import HeldBytes
from benchmarks.growth.curve import Curve, Point
from benchmarks.workload import Workload, workload_spec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aiobpf.stream import Merged

    Cost = Callable[[Merged, list[Workload]], Awaitable[int]]

RING_KIB: Final = (64, 256, 1024, 4096, 16384, 65536)
STREAMS: Final = (1, 2, 4, 8, 16, 32, 64)
RECORD: Final = 72
"""Bytes that a record of 64 takes in a ring."""
RECORDS_A_STREAM: Final = 200
"""So few that 64 rings stay in a CPU's cache: what is asked is what a stream costs, not what memory does."""
EVENTS_A_STREAM: Final = 50
TRIES: Final = 7


async def curves(wanted: Callable[[str], bool], most: int | None = None) -> AsyncIterator[Curve]:
    """By size of the ring, and by number of streams; *most* sizes of each."""
    if wanted("ring/KiB"):
        points = [Point(size, await _full_ring(size)) for size in RING_KIB[:most]]
        yield Curve("ring/KiB", "A full ring read in batches to numpy", "KiB of ring", tuple(points))
    stages: dict[str, tuple[str, Cost | None]] = {
        "drain/streams": ("Full rings merged, in batches", _drained),
        "wake/streams": ("Events one by one, each waking a merge of all rings", _woken),
        "hold/streams": ("What open streams and their merge hold", None),
    }
    for key, (title, cost) in stages.items():
        if wanted(key):
            points = [Point(count, await _of_many(count, cost)) for count in STREAMS[:most]]
            yield Curve(key, title, "streams", tuple(points), is_memory=cost is None)


async def _workload(stack: AsyncExitStack, ring_bytes: int) -> tuple[Workload, RingBuffer[Any]]:
    spec = workload_spec(scan_entries=1)
    spec.maps["ring_64"].max_entries = ring_bytes
    spec.maps["ring_512"].max_entries = 4096
    collection = await stack.enter_async_context(aiobpf.load(spec))
    return Workload(collection), RingBuffer(collection.maps["ring_64"], "struct record_64")


async def _full_ring(kib: int) -> float:
    count = kib * 1024 // RECORD - 1
    async with AsyncExitStack() as stack:
        workload, unopened = await _workload(stack, kib * 1024)
        stream = await stack.enter_async_context(unopened)
        best: list[int] = []
        for _ in range(TRIES):
            right = workload.submit(64, count)
            total = seen = 0
            began = time.thread_time_ns()
            async for batch in stream.batches():
                total += int(batch.numpy()["sequence"].sum())
                seen += len(batch)
                if seen == count:
                    break
            best.append(time.thread_time_ns() - began)
            assert total == right
    return min(best)


async def _of_many(count: int, cost: Cost | None) -> float:
    async with AsyncExitStack() as stack:
        pairs = [await _workload(stack, 256 << 10) for _ in range(count)]
        if cost is None:
            with HeldBytes() as held:
                merged = await stack.enter_async_context(merge(*(stream for _, stream in pairs)))
                return held.count()
        merged = await stack.enter_async_context(merge(*(stream for _, stream in pairs)))
        workloads = [workload for workload, _ in pairs]
        return min([await cost(merged, workloads) for _ in range(TRIES)])


async def _drained(merged: Merged, workloads: list[Workload]) -> int:
    right = sum(workload.submit(64, RECORDS_A_STREAM) for workload in workloads)
    total = seen = 0
    began = time.thread_time_ns()
    async for _, batch in merged.batches():
        total += int(batch.numpy()["sequence"].sum())
        seen += len(batch)
        if seen == RECORDS_A_STREAM * len(workloads):
            break
    took = time.thread_time_ns() - began
    assert total == right
    return took


async def _woken(merged: Merged, workloads: list[Workload]) -> int:
    """Each event is submitted while the reader sleeps, and what submitting takes is left out."""
    loop = asyncio.get_running_loop()
    submitting = 0

    def submit(number: int) -> None:
        nonlocal submitting
        began = time.thread_time_ns()
        workloads[number % len(workloads)].submit(64, 1)
        submitting += time.thread_time_ns() - began

    began = time.thread_time_ns()
    events = aiter(merged)
    for number in range(EVENTS_A_STREAM * len(workloads)):
        loop.call_soon(submit, number)
        await anext(events)
    return time.thread_time_ns() - began - submitting
