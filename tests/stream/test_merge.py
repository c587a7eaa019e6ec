"""Many streams read by one task: fair, and in the order of time where that is asked for."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

import aiobpf
from aiobpf.errors import ClosedError, CodecError, SpecError, StreamBusyError
from aiobpf.stream import PerfBuffer, RingBuffer, merge
from aiobpf.stream.ring_source import RingSource
from aiobpf.stream.time_order import Order, TimeOrder
from aiobpf.uapi import MapType

from .conftest import EVENT, FIXED, NO_WAKEUP

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Producer

OBJECT = Path(__file__).parent.parent / "objects" / "timed.bpf.o"
STREAMS = 64

pytestmark = pytest.mark.root


@pytest.fixture
def rings(make_producer: Callable[..., Producer]) -> list[Producer]:
    return [make_producer(MapType.RINGBUF, value_type=EVENT) for _ in range(3)]


@pytest.mark.everywhere
async def test_events_of_all_streams_come_with_their_stream(rings: list[Producer], perf: Producer) -> None:
    streams = [RingBuffer(each.map) for each in rings]
    events = merge(*streams, PerfBuffer(perf.map))
    seen: Counter[object] = Counter()
    async with events:
        for count, producer in enumerate([*rings, perf], 1):
            producer.submit(count * 10)
        with anyio.fail_after(5):
            async for stream, event in events:
                assert event.number < 40
                seen[stream] += 1
                if seen.total() == 100:
                    break
        assert [seen[stream] for stream in events.streams] == [10, 20, 30, 40]
        assert [stream.stats.records for stream in events.streams] == [10, 20, 30, 40]
    assert all(stream.is_closed for stream in streams)


@pytest.mark.everywhere
async def test_a_wait_ends_with_an_event_of_any_stream(rings: list[Producer]) -> None:
    async with merge(*(RingBuffer(each.map) for each in rings)) as events:
        for number in range(12):
            index = number % 3
            async with anyio.create_task_group() as tasks:

                async def produce(index: int = index) -> None:
                    await anyio.sleep(0.005)
                    rings[index].submit()

                tasks.start_soon(produce)
                with anyio.fail_after(5):
                    stream, event = await anext(events)
                assert stream is events.streams[index]
                assert event.number == number // 3
        assert sum(stream.stats.wake_ups for stream in events.streams) >= 1


@pytest.mark.everywhere
async def test_a_stream_that_is_always_full_takes_no_turn_of_63_others(make_producer: Callable[..., Producer]) -> None:
    flooded = make_producer(MapType.RINGBUF, 1 << 19, value_type=EVENT)
    others = [make_producer(MapType.RINGBUF, 4096, value_type=EVENT) for _ in range(STREAMS - 1)]
    flooded.submit(5000)
    for each in others:
        each.submit(20)
    streams = [RingBuffer(flooded.map, batch_records=100)]
    streams += [RingBuffer(each.map, batch_records=1) for each in others]
    turns: Counter[object] = Counter()
    async with merge(*streams) as events:
        async for stream, batch in events.batches():
            assert len(batch) == (100 if stream is streams[0] else 1)
            turns[stream] += 1
            if turns.total() == STREAMS * 10:
                break
    assert set(turns.values()) == {10}, "ten rounds, in each of them every stream once"


@pytest.mark.asyncio
async def test_a_wake_up_asks_the_stream_that_woke_and_not_all_64(
    make_producer: Callable[..., Producer], monkeypatch: pytest.MonkeyPatch
) -> None:
    producers = [make_producer(MapType.RINGBUF, 4096, value_type=EVENT) for _ in range(STREAMS)]
    asked = 0
    has_data = RingSource.has_data

    def counted(source: RingSource) -> bool:
        nonlocal asked
        asked += 1
        return has_data(source)

    loop = asyncio.get_running_loop()
    async with merge(*(RingBuffer(each.map) for each in producers)) as events:
        monkeypatch.setattr(RingSource, "has_data", counted)
        for number in range(4 * STREAMS):
            loop.call_soon(producers[number % STREAMS].submit)
            with anyio.fail_after(5):
                stream, event = await anext(events)
            assert (stream, event.number) == (events.streams[number % STREAMS], number // STREAMS)
        assert sum(stream.stats.wake_ups for stream in events.streams) == 4 * STREAMS
    assert asked < 4 * STREAMS * 10


@pytest.mark.everywhere
async def test_events_that_nobody_announces_come_with_those_of_others(rings: list[Producer]) -> None:
    async with merge(*(RingBuffer(each.map) for each in rings)) as events:
        seen: Counter[object] = Counter()
        for number in range(10):
            rings[0].submit(flags=NO_WAKEUP)
            rings[1].submit()
            with anyio.fail_after(5):
                while seen[events.streams[1]] <= number:
                    stream, _ = await anext(events)
                    seen[stream] += 1
        events.finish()
        with anyio.fail_after(5):
            async for stream, _ in events:
                seen[stream] += 1
        assert [seen[stream] for stream in events.streams] == [10, 10, 0]


@pytest.mark.slow  # not in a VM, where Python takes more than a second for 64 readers
@pytest.mark.asyncio
async def test_64_readers_on_one_loop_all_get_their_events_while_some_are_flooded(
    make_producer: Callable[..., Producer],
) -> None:
    producers = [make_producer(MapType.RINGBUF, 1 << 16, value_type=EVENT) for _ in range(STREAMS)]
    ends = threading.Event()
    latest: dict[int, float] = {}
    longest: dict[int, float] = dict.fromkeys(range(2, STREAMS), 0.0)

    def flood() -> None:
        while not ends.is_set():
            for each in producers[:2]:
                each.submit(500)

    async def read(index: int, stream: RingBuffer[Any]) -> None:
        async for batch in stream.batches():
            if index >= 2 and len(batch):
                longest[index] = max(longest[index], time.monotonic() - latest[index])

    streams = [await RingBuffer(each.map).open() for each in producers]
    async with anyio.create_task_group() as tasks:
        for index, stream in enumerate(streams):
            tasks.start_soon(read, index, stream)
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            for _ in range(10):
                for index in range(2, STREAMS):
                    latest[index] = time.monotonic()
                    producers[index].submit()
                await anyio.sleep(0.05)
        finally:
            ends.set()
            thread.join()
        for stream in streams:
            stream.finish()
    for stream in streams:
        await stream.aclose()
    assert {stream.stats.records for stream in streams[2:]} == {10}
    assert max(longest.values()) < 1, "of the tens of milliseconds that a busy machine takes"
    assert streams[0].stats.records > 1000


@pytest.mark.everywhere
async def test_events_of_two_rings_come_in_the_order_of_their_time() -> None:
    async with aiobpf.load(OBJECT) as coll:
        events = merge(coll.stream("left"), coll.stream("right"), order_by="time_ns", lateness_s=0.005)
        async with events:
            for number in range(300):
                side = "make_left" if number % 7 % 3 else "make_right"
                await coll.programs[side].run()
            with anyio.fail_after(5):
                numbers = [(await anext(events))[1].number for _ in range(300)]
            assert numbers == list(range(300))
            assert (events.late, events.early) == (0, 0)
            await coll.programs["make_left"].run()
            with anyio.fail_after(5):
                assert (await anext(events))[1].number == 300, "one alone comes once nothing earlier can"
            with pytest.raises(SpecError, match="gives events, no batches"):
                events.batches()


@pytest.mark.everywhere
async def test_finish_gives_what_is_held_and_ends(rings: list[Producer]) -> None:
    streams = [RingBuffer(each.map) for each in rings]
    events = merge(*streams, order_by=lambda event: time.monotonic_ns() + 10**12 + event.number, held=4)
    async with events:
        for each in rings:
            each.submit(3)
        events.finish()
        with anyio.fail_after(5):
            assert len([event async for event in events]) == 9
        assert events.early >= 1, "no more than four are held"


@pytest.mark.everywhere
async def test_a_short_record_raises_in_its_place_and_the_rest_goes_on(
    make_producer: Callable[..., Producer],
) -> None:
    left, right = (make_producer(MapType.RINGBUF, value_type=FIXED) for _ in range(2))
    left.submit(2)
    left.submit(size=16)
    left.submit(2)
    right.submit(5)
    numbers = []
    async with merge(RingBuffer(left.map), RingBuffer(right.map)) as events:
        events.finish()
        errors = 0
        while True:
            try:
                stream, event = await anext(events)
                numbers.append((events.streams.index(stream), event.number))
            except CodecError:
                errors += 1
            except StopAsyncIteration:
                break
    assert errors == 1
    assert sorted(numbers) == [(0, 0), (0, 1), (0, 3), (0, 4)] + [(1, number) for number in range(5)]


@pytest.mark.everywhere
async def test_a_cancelled_read_loses_nothing(rings: list[Producer]) -> None:
    numbers: list[int] = []
    async with merge(*(RingBuffer(each.map, batch_records=7) for each in rings)) as events:
        for each in rings:
            each.submit(100)
        rounds = 0
        while len(numbers) < 300:
            rounds += 1
            with anyio.move_on_after(rounds % 3 * 0.0005):
                numbers.append((await anext(events))[1].number)
    assert sorted(numbers) == sorted([*range(100)] * 3)


@pytest.mark.everywhere
async def test_closing_ends_the_reader_that_waits(rings: list[Producer]) -> None:
    for order in (None, "number"):
        events = merge(*(RingBuffer(each.map) for each in rings), order_by=order)
        await events.open()
        seen: list[Any] = []
        async with anyio.create_task_group() as tasks:

            async def read(events: Any = events, seen: list[Any] = seen) -> None:
                seen.extend([event async for event in events])

            tasks.start_soon(read)
            await anyio.sleep(0.02)
            with anyio.fail_after(5):
                await events.aclose()
        assert seen == []
        await events.aclose()
        with pytest.raises(ClosedError, match="is closed"):
            aiter(events)


@pytest.mark.asyncio
async def test_what_is_wrong_with_a_merge_is_said(rings: list[Producer]) -> None:
    with pytest.raises(SpecError, match="needs streams"):
        merge()
    stream = RingBuffer(rings[0].map)
    with pytest.raises(SpecError, match="a stream twice"):
        merge(stream, stream)
    with pytest.raises(SpecError, match="held has to be positive"):
        merge(stream, order_by="number", held=0)
    events = merge(stream, RingBuffer(rings[1].map))
    with pytest.raises(ClosedError, match="not open yet"):
        aiter(events)
    async with events:
        with pytest.raises(StreamBusyError):
            await anext(stream)
        with pytest.raises(SpecError, match="open already"):
            await events.open()
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(SpecError, match="one reader at a time"):
            await merge(RingBuffer(rings[2].map), RingBuffer(rings[1].map)).open()
        assert len(os.listdir("/proc/self/fd")) == before, "all or none"
    with pytest.raises(ClosedError):
        await events.open()


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), max_size=60),
    st.integers(0, 40),
)
def test_what_is_late_by_less_than_the_lateness_comes_in_order(made: list[tuple[int, int]], lateness: int) -> None:
    """Times rise by 1 with each event, less a delay that is below the lateness."""
    order = TimeOrder(Order(lambda event: event, lateness, 10**6), 3)
    given_: list[int] = []
    wanted = []
    for now, (source, delay) in enumerate(made, 100):
        at = now - min(delay, lateness)
        wanted.append(at)
        order.add(source, [at])
        for each in range(3):
            order.is_empty(each, now)
        while (found := order.next()) is not None:
            given_.append(found[1])
    while (found := order.rest()) is not None:
        given_.append(found[1])
    assert given_ == sorted(wanted)
    assert (order.late, order.early) == (0, 0)


def test_what_is_later_than_that_is_counted_and_given() -> None:
    order = TimeOrder(Order(lambda event: event, 0, 10), 1)
    order.add(0, [10])
    assert order.next() == (0, 10)
    order.add(0, [5, 11])
    assert order.next() == (0, 5)
    assert (order.late, order.next()) == (1, (0, 11))
