"""Opening, closing, cancelling, and using a stream at the wrong time."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import pytest_asyncio

from aiobpf.errors import ClosedError, KernelError, SpecError, StreamBusyError
from aiobpf.stream import EventStream, PerfBuffer, RingBuffer
from aiobpf.uapi import MapType

from .conftest import EVENT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from .conftest import Producer

pytestmark = pytest.mark.root

KINDS = [MapType.RINGBUF, MapType.PERF_EVENT_ARRAY]


@pytest.fixture(params=KINDS, ids=["ring", "perf"])
def producer(request: pytest.FixtureRequest, make_producer: Callable[..., Producer]) -> Producer:
    return make_producer(request.param, value_type=EVENT)


def stream_of(producer: Producer) -> EventStream[Any]:
    return RingBuffer(producer.map) if producer.map.type == MapType.RINGBUF else PerfBuffer(producer.map)


def forget(streams: list[EventStream[Any]]) -> None:
    """Let go of the last references, and see the warning.

    It may come a little later: a worker thread may hold the very last one, and it closes before it warns.
    """
    message = "the stream of map 'events' was never closed"
    with pytest.warns(ResourceWarning, match=message) as warned:  # noqa: PT031 it waits for the warning
        streams.clear()
        deadline = time.monotonic() + 60
        while not warned.list and time.monotonic() < deadline:
            gc.collect()  # what ran the loop may refer to it in circles
            time.sleep(0.01)


@pytest.mark.everywhere
async def test_closing_ends_the_iteration_of_a_waiting_reader(producer: Producer) -> None:
    stream = await stream_of(producer).open()
    ended: list[str] = []

    async def read(iterator: Any, name: str) -> None:
        async for _ in iterator:
            pass
        ended.append(name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read, stream, "events")
        await anyio.sleep(0.02)
        await stream.aclose()
    stream = await stream_of(producer).open()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read, stream.batches(), "batches")
        await anyio.sleep(0.02)
        await stream.aclose()
    assert ended == ["events", "batches"]


@pytest.mark.everywhere
async def test_a_reader_at_work_ends_at_its_next_step(producer: Producer) -> None:
    async with stream_of(producer) as stream:
        producer.submit(3)
        numbers = []
        async for event in stream:
            numbers.append(event.number)
            await stream.aclose()
        assert numbers == [0, 1, 2], "what was taken from the kernel is still handed out"


@pytest.mark.everywhere
async def test_finish_lets_the_reader_take_what_is_there(producer: Producer) -> None:
    async with stream_of(producer) as stream:
        numbers: list[int] = []

        async def read() -> None:
            numbers.extend([event.number async for event in stream])

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                await anyio.sleep(0.02)
                producer.submit(700)
                stream.finish()
        assert sorted(numbers) == list(range(700))


@pytest.mark.everywhere
async def test_finish_before_the_first_step_still_hands_out(producer: Producer) -> None:
    async with stream_of(producer) as stream:
        producer.submit(5)
        stream.finish()
        assert len([event async for event in stream]) == 5
        assert [event async for event in stream] == []


@pytest.mark.everywhere
async def test_a_closed_stream_says_so(producer: Producer) -> None:
    stream = stream_of(producer)
    with pytest.raises(ClosedError, match="the stream of map 'events' is not open yet: use it in 'async with'"):
        stream.drain()
    with pytest.raises(ClosedError, match="not open yet"):
        await anext(stream)
    async with stream:
        with pytest.raises(SpecError, match="is open already"):
            await stream.open()
    assert stream.is_closed
    for use in (stream.__aiter__, stream.batches, stream.drain):
        with pytest.raises(ClosedError, match="the stream of map 'events' is closed"):
            use()
    with pytest.raises(ClosedError):
        await stream.open()
    await stream.aclose()
    assert stream.stats.records == 0
    assert "closed" in repr(stream)


@pytest.mark.everywhere
async def test_two_readers_at_once_are_refused(producer: Producer) -> None:
    async with stream_of(producer) as stream, anyio.create_task_group() as tasks:
        tasks.start_soon(anext, stream)
        await anyio.sleep(0.02)
        with pytest.raises(StreamBusyError, match="the stream of map 'events' is being read by another task"):
            await anext(stream)
        with pytest.raises(StreamBusyError):
            await anext(stream.batches())
        tasks.cancel_scope.cancel()


@pytest.mark.everywhere
async def test_a_cancelled_reader_loses_nothing(producer: Producer) -> None:
    async with stream_of(producer) as stream:
        numbers: list[int] = []
        for round_ in range(30):
            with anyio.move_on_after(0.004 if round_ % 2 else 0):
                while True:
                    numbers.append((await anext(stream)).number)
            producer.submit(2)
        stream.finish()
        numbers += [event.number async for event in stream]
        assert numbers == list(range(60))


@pytest.mark.everywhere
async def test_each_await_of_a_reader_can_be_cancelled(producer: Producer) -> None:
    """A producer in a thread, and cancellations that land anywhere."""
    stop = threading.Event()

    def produce() -> None:
        while not stop.is_set():
            producer.submit(3)
            stop.wait(0.0005)

    async with stream_of(producer) as stream:
        thread = threading.Thread(target=produce)
        thread.start()
        numbers: list[int] = []
        try:
            for round_ in range(100):
                with anyio.move_on_after(round_ * 0.00003):
                    async for batch in stream.batches():
                        numbers += [event.number for event in batch]
        finally:
            stop.set()
            thread.join()
        numbers += [event.number for event in stream.drain()]
        assert producer.failures == 0
        assert sorted(numbers) == list(range(producer.attempts))


@pytest.mark.asyncio
async def test_a_natively_cancelled_task_loses_nothing(producer: Producer) -> None:
    async with stream_of(producer) as stream:
        numbers: list[int] = []

        async def read() -> None:
            async for event in stream:
                numbers.append(event.number)

        for round_ in range(20):
            task = asyncio.create_task(read())
            await asyncio.sleep(0.001 * (round_ % 3))
            producer.submit(2)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        numbers += [event.number for event in stream.drain()]
        assert numbers == list(range(40))


@pytest.mark.everywhere
async def test_cancelled_while_opening_or_closing_it_leaves_nothing_open(producer: Producer) -> None:
    for delay in (0, 0.00005, 0.0002, 0.001):
        stream = stream_of(producer)
        with anyio.move_on_after(delay):
            await stream.open()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await stream.aclose()
        assert stream.is_closed
    with anyio.fail_after(5):
        while True:  # a worker whose waiter is gone closes in its own time
            try:
                async with stream_of(producer):
                    break
            except SpecError:
                await anyio.sleep(0.01)


@pytest.mark.asyncio
async def test_natively_cancelled_while_opening_it_leaves_nothing_open(producer: Producer) -> None:
    for delay in (0, 0.00005, 0.0002, 0.001):
        stream = stream_of(producer)
        task = asyncio.create_task(stream.open())
        await asyncio.sleep(delay)
        task.cancel()
        await asyncio.wait([task])
        await stream.aclose()
        await asyncio.sleep(0.01)


@pytest.mark.everywhere
async def test_a_stream_outlives_the_map_it_was_opened_on(producer: Producer) -> None:
    async with stream_of(producer) as stream:
        producer.submit(2)
        fd = producer.map.fd.duplicate()
        producer.map.fd.close()
        try:
            assert len(stream.drain()) == 2
        finally:
            producer.map.fd = fd


@pytest.mark.everywhere
async def test_a_failed_opening_leaves_nothing_open(producer: Producer) -> None:
    class Failing(EventStream[bytes]):
        def _opener(self) -> Any:
            def fail(fd: Any) -> Any:
                fd.close()
                raise KernelError(12, "mmap", "map 'events'")

            return fail

    stream = Failing(producer.map)
    with pytest.raises(KernelError, match="ENOMEM"):
        await stream.open()
    await stream.aclose()
    async with stream_of(producer):
        pass


@pytest.mark.everywhere
async def test_a_forgotten_stream_warns_and_is_closed(producer: Producer) -> None:
    stream = await stream_of(producer).open()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anext, stream)
        await anyio.sleep(0.02)
        producer.submit()
    forgotten = [stream]
    del stream
    forget(forgotten)
    async with stream_of(producer):
        pass


def test_it_can_be_forgotten_after_the_loop(producer: Producer) -> None:
    async def main() -> EventStream[Any]:
        stream = await stream_of(producer).open()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anext, stream)
            await anyio.sleep(0.02)
            producer.submit()
        return stream

    for backend in ("asyncio", "trio"):
        forget([anyio.run(main, backend=backend)])


@pytest_asyncio.fixture
async def opened(producer: Producer) -> AsyncIterator[EventStream[Any]]:
    """Entered in one task and left in another: no cancel scope may be held in between."""
    async with stream_of(producer) as stream:
        yield stream


@pytest.mark.asyncio
async def test_a_fixture_may_hold_it(opened: EventStream[Any], producer: Producer) -> None:
    producer.submit()
    assert (await anext(opened)).number == 0


@pytest.mark.everywhere
async def test_it_may_be_opened_in_one_task_and_closed_in_another(producer: Producer) -> None:
    stream = stream_of(producer)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stream.open)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stream.aclose)
    assert stream.is_closed
