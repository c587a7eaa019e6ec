"""Turns of the event loop and jobs in worker threads: how often each of them is needed.

Run as a program it prints all of them as JSON. As root; Linux 5.17.
"""

from __future__ import annotations

import asyncio
import json
import selectors
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from tests.guard.streams import NO_TURN_S, RECORD_BYTES, WAYS, Seen, loaded, open_stream, refill

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.workload import Workload
    from tests.guard.measured import Numbers

EVENTS = 25 * 4096
WAKE_UPS = 50
PAUSE_S = 0.004


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts its turns, and what it asks of epoll."""

    def __init__(self) -> None:
        super().__init__(selectors.EpollSelector())
        self.turns = 0

    def _run_once(self) -> None:
        self.turns += 1
        super()._run_once()  # type: ignore[misc]


def counted(work: Callable[[CountingLoop], Awaitable[float]]) -> float:
    """What *work* gives, run on a loop that counts."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountingLoop)
        return await work(loop)

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        return runner.run(main())


async def turns_per_4096(way: str, loop: CountingLoop) -> float:
    """Turns for 4096 events, the default for a batch, that are there already."""
    async with loaded() as workload, open_stream(workload, turn_s=NO_TURN_S) as stream:
        refill(workload, EVENTS)
        before = loop.turns
        seen = Seen(EVENTS)
        await WAYS[way](stream, seen)
        assert seen.events == EVENTS
        return round((loop.turns - before) * 4096 / EVENTS, 2)


async def _submit_one_by_one(workload: Workload) -> None:
    for _ in range(WAKE_UPS):
        await asyncio.sleep(PAUSE_S)
        workload.submit(RECORD_BYTES, 1)


async def turns_per_wake_up(loop: CountingLoop) -> float:
    """Turns that reading an event takes which comes alone, beyond those of the task that submits it."""
    async with loaded() as workload:
        async with open_stream(workload, turn_s=NO_TURN_S) as stream:
            before = loop.turns
            reading = asyncio.ensure_future(WAYS["events"](stream, Seen(WAKE_UPS)))
            await _submit_one_by_one(workload)
            await reading
            with_reader = loop.turns - before
        before = loop.turns
        await _submit_one_by_one(workload)
        return (with_reader - (loop.turns - before)) // WAKE_UPS  # the reader's beginning and end are no wake-up's


async def hops() -> Numbers:
    """Jobs in worker threads."""
    import aiobpf
    from benchmarks.workload import OBJECT

    jobs = 0
    threads: Any = anyio.to_thread
    real = threads.run_sync

    async def counting(*args: Any, **options: Any) -> Any:
        nonlocal jobs
        jobs += 1
        return await real(*args, **options)

    found: Numbers = {}

    def take(name: str) -> None:
        nonlocal jobs
        found[name], jobs = jobs, 0

    threads.run_sync = counting
    try:
        collection = await aiobpf.Collection.load(OBJECT)
        take("worker jobs: a load")
        stream = await collection.stream("ring_64", type="struct record_64").open()
        take("worker jobs: opening a stream")
        await stream.aclose()
        take("worker jobs: closing a stream")
        await collection.aclose()
        take("worker jobs: closing a collection")
        async with aiobpf.load(_attachable()) as collection:
            jobs = 0
            attached = await collection.attach()
            take("worker jobs: attaching 10 programs")
            await attached.aclose()
            take("worker jobs: detaching 10 programs")
    finally:
        threads.run_sync = real
    return found


def _attachable() -> Any:
    from tests.endurance.collections import with_programs

    return with_programs(10)


def measure() -> Numbers:
    found: Numbers = {}
    for way in WAYS:
        found[f"turns of the loop for 4096 events: {way}"] = counted(partial(turns_per_4096, way))
    found["turns of the loop for a wake-up"] = counted(turns_per_wake_up)
    return found | anyio.run(hops)


if __name__ == "__main__":
    print(json.dumps(measure()))
