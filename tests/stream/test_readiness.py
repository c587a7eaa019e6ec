"""What waiting costs the event loop, and that no stream starves another."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aiobpf.stream import PerfBuffer, RingBuffer
from aiobpf.stream.perf_source import PerfSource
from aiobpf.stream.ring_source import RingSource
from aiobpf.uapi import MapType

from .conftest import EVENT, NO_WAKEUP, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Producer

pytestmark = pytest.mark.root


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry each time that anything looks whether there is data: also what the loop's callback does first."""
    found: list[str] = []
    for source in (RingSource, PerfSource):
        real: Any = source.has_data

        def has_data(self: Any, real: Any = real) -> bool:
            found.append(type(self).__name__)
            return bool(real(self))

        monkeypatch.setattr(source, "has_data", has_data)
    return found


@pytest.mark.everywhere
async def test_a_slow_consumer_does_not_make_the_loop_spin(ring: Producer, looks: list[str]) -> None:
    async with RingBuffer(ring.map, batch_records=1) as stream:
        ring.submit(3)
        async for _ in stream.batches():  # armed by a wait, and left with data
            break
        async with anyio.create_task_group() as tasks:
            stream.drain()
            tasks.start_soon(anext, stream)
            await anyio.sleep(0.02)
            ring.submit(3)
        looks.clear()
        await anyio.sleep(0.1)
        assert len(looks) <= 2
        assert stream.stats.wake_ups <= 1


@pytest.mark.everywhere
async def test_a_slow_consumer_is_not_called_for_every_perf_record(perf: Producer, looks: list[str]) -> None:
    async with PerfBuffer(perf.map) as stream:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anext, stream)
            await anyio.sleep(0.02)
            perf.submit()
        looks.clear()
        for _ in range(50):
            perf.submit()
            await anyio.sleep(0.001)
        assert len(looks) <= 3
        assert len(stream.drain()) == 50


@pytest.mark.everywhere
async def test_an_idle_reader_of_a_ring_sleeps(ring: Producer, looks: list[str]) -> None:
    async with RingBuffer(ring.map) as stream, anyio.create_task_group() as tasks:
        tasks.start_soon(anext, stream)
        await anyio.sleep(0.01)
        looks.clear()
        await anyio.sleep(0.1)
        assert looks == []
        tasks.cancel_scope.cancel()


@pytest.mark.everywhere
async def test_each_burst_is_one_wake_up(ring: Producer) -> None:
    seen: list[int] = []

    async with RingBuffer(ring.map) as stream, anyio.create_task_group() as tasks:

        async def read() -> None:
            seen.extend([len(batch) async for batch in stream.batches()])

        tasks.start_soon(read)
        for _ in range(10):
            await anyio.sleep(0.01)
            ring.submit(10)
        await anyio.sleep(0.01)
        stream.finish()
    assert sum(seen) == 100
    assert stream.stats.wake_ups <= 20


@pytest.mark.everywhere
async def test_many_streams_at_once_all_get_theirs(make_producer: Callable[..., Producer]) -> None:
    producers = [make_producer(MapType.RINGBUF, 4096, value_type=EVENT) for _ in range(62)]
    producers += [make_producer(MapType.PERF_EVENT_ARRAY, value_type=EVENT) for _ in range(2)]
    counts = [0] * len(producers)

    async def read(index: int, ready: anyio.Semaphore) -> None:
        producer = producers[index]
        stream: Any = (
            RingBuffer(producer.map) if producer.map.type == MapType.RINGBUF else PerfBuffer(producer.map, pages=1)
        )
        async with stream:
            ready.release()
            async for _ in stream:
                counts[index] += 1
                if counts[index] == 60:
                    break

    opened = anyio.Semaphore(0)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for index in range(len(producers)):
                tasks.start_soon(read, index, opened)
            for _ in producers:
                await opened.acquire()
            for _ in range(3):
                for producer in producers:
                    producer.submit(20)
                await anyio.sleep(0.01)
    assert counts == [60] * len(producers)


@pytest.mark.everywhere
async def test_producers_in_threads_lose_nothing_and_are_counted(make_producer: Callable[..., Producer]) -> None:
    producer = make_producer(MapType.RINGBUF, 1 << 14, value_type=EVENT)

    def produce() -> None:
        for burst in range(100):
            producer.submit(burst, flags=NO_WAKEUP if burst % 5 == 0 else 0)
            producer.discard(2)

    producer.submit(0)  # its programs are loaded before threads need them
    producer.submit(0, flags=NO_WAKEUP)
    producer.discard(0)
    threads = [threading.Thread(target=produce) for _ in range(2)]
    async with RingBuffer(producer.map, flush_interval=0.05) as stream:
        for thread in threads:
            thread.start()
        seen = 0
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:

                async def read() -> None:
                    nonlocal seen
                    async for batch in stream.batches():
                        seen += len(batch)

                tasks.start_soon(read)
                await until(lambda: not any(thread.is_alive() for thread in threads), 20)
                stream.finish()
        stats = stream.stats
        assert seen == stats.records
        assert stats.records + stats.discarded + producer.failures == producer.attempts


def test_trio_is_found_inside_an_asyncio_loop() -> None:
    """Guest mode: asyncio sees its loop running where trio's tasks run."""
    import asyncio

    import trio

    from aiobpf.stream.readiness import LoopReadiness, TrioReadiness, readiness

    async def inside() -> type:
        made = readiness(0, lambda: False, keeps_ready=True, interval=None)
        made.close()
        return type(made)

    async def main() -> type:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        trio.lowlevel.start_guest_run(
            inside,
            run_sync_soon_threadsafe=asyncio.get_running_loop().call_soon_threadsafe,
            done_callback=done.set_result,
        )
        outcome = await done
        found: type = outcome.unwrap()
        return found

    async def plain() -> type:
        return await inside()

    assert asyncio.run(main()) is TrioReadiness
    assert asyncio.run(plain()) is LoopReadiness
