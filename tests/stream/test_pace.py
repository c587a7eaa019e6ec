"""Drains are spaced while records keep coming, and only then."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf._native import ffi
from aiobpf.errors import SpecError
from aiobpf.stream import PerfBuffer, RingBuffer, merge
from aiobpf.stream.pace import FASTEST, LONGEST_DELAY_S, SHARE, SHORTEST_S, WORTH_IT, Pace, seconds_until
from aiobpf.stream.source import Drained

from .conftest import EVENT, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiobpf.stream import EventStream

    from .conftest import Producer

MEMORY = ffi.new("uint8_t[]", 1)
BIG = 1 << 24
LIMIT, ROOM = 4096, 1 << 18


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", made)
        yield made


def drain(pace: Pace, count: int, *, size: int = 64, capacity: int = BIG, limit: int = LIMIT, **state: bool) -> None:
    pace.drained(Drained(MEMORY, count, count * size, **state), limit, ROOM)  # type: ignore[arg-type]
    pace.due(capacity)


def left(pace: Pace, capacity: int = BIG) -> float:
    due = pace.due(capacity)
    return seconds_until(due) if due else 0.0


def test_steady_records_space_the_drains(clock: Clock) -> None:
    pace = Pace(0.0005)
    for _ in range(40):  # 100,000 a second
        clock.now += 0.00005
        drain(pace, 5)
    assert left(pace) == pytest.approx(0.0005)
    clock.now += 0.0003
    assert left(pace) == pytest.approx(0.0002)
    clock.now += 0.0003  # the reader took longer than that
    assert left(pace) == 0.0


def test_sparse_records_never_wait(clock: Clock) -> None:
    pace = Pace(0.0005)
    for _ in range(1000):
        clock.now += 0.0005
        drain(pace, 1)
        assert left(pace) == 0.0


def test_the_first_records_after_silence_do_not_wait(clock: Clock) -> None:
    pace = Pace(0.0005)
    for _ in range(10):
        clock.now += 1
        for _ in range(9):
            clock.now += 0.0001
            drain(pace, 50)
            assert left(pace) == 0.0


def test_a_pause_in_which_nothing_came_is_the_last(clock: Clock) -> None:
    pace = Pace(0.0005)
    for _ in range(40):
        clock.now += 0.0001
        drain(pace, 50)
    assert left(pace)
    clock.now += 0.0005
    drain(pace, 0)
    assert left(pace) == 0.0


def test_bursts_that_are_read_at_one_wake_up_get_hardly_any_pause(clock: Clock) -> None:
    pace = Pace(0.0005)
    pauses = 0
    for _ in range(1000):  # 10 records every millisecond
        clock.now += 0.001
        drain(pace, 10)
        if left(pace):
            pauses += 1
            clock.now += 0.0005
            drain(pace, 0)
            assert left(pace) == 0.0
            clock.now -= 0.0005
    assert 1 <= pauses <= 30
    for _ in range(3000):  # and a steady rate is found after them
        clock.now += 0.00005
        drain(pace, 5)
    assert left(pace)


def test_what_is_still_there_does_not_wait(clock: Clock) -> None:
    pace = Pace(0.0005)

    def busy() -> None:
        for _ in range(40):
            clock.now += 0.0001
            drain(pace, 50)
        assert left(pace)

    busy()
    drain(pace, 50, limit=50)  # the budget of records
    assert left(pace) == 0.0
    busy()
    drain(pace, ROOM // 64)  # that of bytes
    assert left(pace) == 0.0
    busy()
    drain(pace, 50, is_busy=True)
    assert left(pace) == 0.0
    busy()
    drain(pace, 50, is_short=True)
    assert left(pace) == 0.0


@given(
    st.floats(0, 0.1),
    st.integers(1, 1000),
    st.floats(1e-6, 0.01),
    st.integers(8, 4096),
    st.integers(12, 26).map(lambda order: 1 << order),
)
def test_no_pause_fills_more_than_its_share(
    max_delay: float, count: int, every: float, size: int, capacity: int
) -> None:
    now = 1000.0
    pace = Pace(max_delay)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now)
        for _ in range(10):
            now += every
            drain(pace, count, size=size, capacity=capacity)
        seconds = left(pace, capacity)
    if seconds:
        rate = count / every
        assert SHORTEST_S <= seconds <= max_delay * 1.001
        assert seconds * rate * (size + 8) <= capacity / SHARE * 1.001
        assert seconds * FASTEST <= capacity * 1.001
        assert seconds * rate >= WORTH_IT * 0.999


@pytest.mark.parametrize("max_delay", [-0.1, LONGEST_DELAY_S * 2, float("nan")])
def test_a_delay_that_is_none_is_refused(ring: Producer, max_delay: float) -> None:
    with pytest.raises(SpecError, match="max_delay"):
        RingBuffer(ring.map, max_delay=max_delay)


# --- on the real kernel -----------------------------------------------------------------------------------------------


def produce(producer: Producer, records: int, a_time: int) -> threading.Thread:
    """*records* as fast as *a_time* at once every 50 us, in a thread."""
    producer.submit(0)  # its program is loaded before a thread needs it

    def run() -> None:
        due = time.monotonic()
        for _ in range(records // a_time):
            while time.monotonic() < due:
                time.sleep(0)
            producer.submit(a_time)
            due += 0.00005

    thread = threading.Thread(target=run)
    thread.start()
    return thread


async def count_all(stream: EventStream[Any], wanted: int, *, batches: bool) -> None:
    seen = 0
    if batches:
        async for batch in stream.batches():
            seen += len(batch)
            if seen >= wanted:
                break
    else:
        async for event in stream:
            assert event.number == seen
            seen += 1
            if seen >= wanted:
                break
    assert seen == wanted


@pytest.mark.slow  # an emulated reader is slower than the producer, and never waits
@pytest.mark.root
@pytest.mark.everywhere
@pytest.mark.parametrize("batches", [True, False], ids=["batches", "events"])
async def test_a_steady_producer_wakes_the_reader_for_few_records(
    make_producer: Callable[..., Producer], *, batches: bool
) -> None:
    from aiobpf.uapi import MapType

    producer = make_producer(MapType.RINGBUF, 1 << 22, value_type=EVENT)
    async with RingBuffer(producer.map) as stream:
        thread = produce(producer, 8000, 8)
        with anyio.fail_after(20):
            await count_all(stream, 8000, batches=batches)
        thread.join()
        assert producer.failures == 0
        assert stream.stats.coalesced > 5
        assert stream.stats.wake_ups < 8000 / 8 / 2


@pytest.mark.root
@pytest.mark.everywhere
@pytest.mark.parametrize("max_delay", [0, None])
async def test_it_can_be_switched_off(ring: Producer, max_delay: float | None) -> None:
    async with RingBuffer(ring.map, max_delay=max_delay) as stream:
        thread = produce(ring, 800, 8)
        with anyio.fail_after(20):
            await count_all(stream, 800, batches=True)
        thread.join()
        assert stream.stats.coalesced == 0


@pytest.mark.slow  # as above
@pytest.mark.root
@pytest.mark.everywhere
async def test_perf_buffers_and_merged_streams_coalesce_too(
    make_producer: Callable[..., Producer], perf: Producer
) -> None:
    from aiobpf.uapi import MapType

    producer = make_producer(MapType.RINGBUF, 1 << 22, value_type=EVENT)
    async with merge(RingBuffer(producer.map), PerfBuffer(perf.map, pages=256)) as merged:
        threads = [produce(producer, 4000, 8), produce(perf, 4000, 8)]
        seen = 0
        with anyio.fail_after(20):
            async for _, batch in merged.batches():
                seen += len(batch)
                if seen == 8000:
                    break
        for thread in threads:
            thread.join()
        assert sum(stream.stats.coalesced for stream in merged.streams) > 5
    async with PerfBuffer(perf.map, pages=256) as stream:
        thread = produce(perf, 4000, 8)
        with anyio.fail_after(20):
            seen = 0
            async for batch in stream.batches():
                seen += len(batch)
                if seen == 4000:
                    break
        thread.join()
        assert stream.stats.coalesced > 5


@pytest.mark.root
@pytest.mark.everywhere
@pytest.mark.parametrize("kind", ["ring", "perf"])
async def test_a_record_after_a_busy_time_is_never_left_behind(
    kind: str, ring: Producer, perf: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever it comes: while the last pause is slept, as it ends, as the descriptor is watched again."""
    monkeypatch.setattr(Pace, "_delay_at", lambda *_: 0.0002)  # pauses after each drain but an empty one
    producer = ring if kind == "ring" else perf
    options: Any = {} if kind == "ring" else {"flush_interval": 30}
    async with (RingBuffer if kind == "ring" else PerfBuffer)(producer.map, **options) as stream:
        seen = 0

        async def read() -> None:
            nonlocal seen
            async for _ in stream:
                seen += 1

        def has_seen(wanted: int) -> bool:
            return seen == wanted

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            for turn in range(200):
                producer.submit(1)
                time.sleep(turn * 2e-6)
                await anyio.lowlevel.checkpoint()
                time.sleep(turn % 7 * 1e-5)
                producer.submit(1)
                await until(partial(has_seen, 2 * (turn + 1)))
            stream.finish()
