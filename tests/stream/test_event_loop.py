"""No callback holds the event loop for 5 ms of CPU time: merged streams, perf buffers, and floods of what is discarded.

`tests/guard` has the same for one ring buffer, each way to read it.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aiobpf.stream import PerfBuffer, RingBuffer, merge
from aiobpf.uapi import MapType
from tests.guard.steps import LOOPS, Stepped, Steps, check, only_own_garbage, run_on

from .conftest import EVENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import Producer

pytestmark = [pytest.mark.root, pytest.mark.slow]  # an emulated CPU takes more than 5 ms for anything

EVENTS = 60_000
BURST = 10_000


@pytest.fixture(autouse=True)
def no_garbage_of_others() -> Iterator[None]:
    with only_own_garbage():
        yield


@contextlib.contextmanager
def flooded(*producers: Callable[[int], None]) -> Iterator[None]:
    """A thread that submits with all of them, without a pause."""
    ends = threading.Event()
    for produce in producers:
        produce(BURST)

    def submit() -> None:
        while not ends.is_set():
            for produce in producers:
                produce(BURST)

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()


def longest(
    loop: str, source: Callable[[], Any], read: Callable[[Any], Any], *producers: Callable[[int], None]
) -> Steps:
    async def main() -> Steps:
        steps = Steps()
        async with source() as stream:
            with flooded(*producers), anyio.fail_after(60):
                await Stepped("the reader", read(stream), steps)
        return steps

    return run_on(loop, main)


async def events(stream: Any) -> None:
    seen = 0
    async for _ in stream:
        seen += 1
        if seen == EVENTS:
            break


async def batches(stream: Any) -> None:
    seen = 0
    async for found in stream.batches():
        batch = found[1] if isinstance(found, tuple) else found
        seen += len(batch.records())
        if seen >= EVENTS:
            break


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("read", [events, batches])
def test_three_rings_at_once(loop: str, read: Callable[[Any], Any], make_producer: Callable[..., Producer]) -> None:
    made = [make_producer(MapType.RINGBUF, 1 << 22, value_type=EVENT) for _ in range(3)]
    submits = [producer.submit for producer in made]
    check(lambda: longest(loop, lambda: merge(*(RingBuffer(each.map) for each in made)), read, *submits))


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("read", [events, batches])
def test_a_perf_buffer(loop: str, read: Callable[[Any], Any], perf: Producer) -> None:
    check(lambda: longest(loop, lambda: PerfBuffer(perf.map, pages=1024), read, perf.submit))


@pytest.mark.parametrize("loop", LOOPS)
def test_records_that_are_all_discarded(loop: str, make_producer: Callable[..., Producer]) -> None:
    producer = make_producer(MapType.RINGBUF, 1 << 22, value_type=EVENT)

    async def read(stream: RingBuffer[Any]) -> None:
        async with anyio.create_task_group() as tasks:

            async def stop() -> None:
                while stream.stats.discarded < EVENTS:  # noqa: ASYNC110 - nothing tells of discarded records
                    await anyio.sleep(0.002)
                tasks.cancel_scope.cancel()

            tasks.start_soon(stop)
            async for _ in stream:
                raise AssertionError

    check(lambda: longest(loop, lambda: RingBuffer(producer.map), read, producer.discard))
