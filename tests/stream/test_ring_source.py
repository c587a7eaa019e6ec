"""The ring in memory: what producers do to it in every order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiobpf._native import ffi
from aiobpf.errors import ClosedError, KernelError
from aiobpf.stream.batch_memory import BatchMemory
from aiobpf.stream.stats import StreamStats

from .conftest import EVENT, FakeRing, FakeStream, until

if TYPE_CHECKING:
    from .conftest import Producer

LIMIT = 1000


def payload(number: int, size: int = 64) -> bytes:
    return number.to_bytes(8, "little").ljust(size, b"x")


def drain(ring: FakeRing, stride: int = 0, limit: int = LIMIT, room: int = 1 << 16) -> tuple[list[bytes], StreamStats]:
    stats = StreamStats()
    drained = ring.source.drain(stride, limit, room, BatchMemory(1 << 16), stats)
    data = bytes(ffi.buffer(drained.memory, drained.room))
    if stride:
        return [data[i * stride : (i + 1) * stride] for i in range(drained.count)], stats
    assert drained.count == len(drained.offsets or ())
    return [
        data[start : start + length] for start, length in zip(drained.offsets or (), drained.lengths or (), strict=True)
    ], stats


def test_records_that_go_past_the_end_are_whole(fake_ring: FakeRing) -> None:
    fake_ring.move_to(4096 - 24)
    fake_ring.submit(payload(1))
    assert drain(fake_ring)[0] == [payload(1)]
    assert fake_ring.consumed == 4096 - 24 + 72


def test_positions_that_overflow_their_counter_go_on(fake_ring: FakeRing) -> None:
    fake_ring.move_to((1 << 64) - 4096)
    for number in range(10):
        fake_ring.submit(payload(number, 500))
        if number % 3 == 2:
            assert len(drain(fake_ring)[0]) == 3
    assert drain(fake_ring)[0] == [payload(9, 500)]


def test_it_stops_at_a_record_that_is_still_written(fake_ring: FakeRing) -> None:
    fake_ring.submit(payload(0))
    position = fake_ring.reserve(payload(1))
    fake_ring.submit(payload(2))
    assert drain(fake_ring, 64)[0] == [payload(0)]
    assert fake_ring.source.has_data()
    assert drain(fake_ring, 64)[0] == []
    fake_ring.commit(position, 64)
    assert drain(fake_ring, 64)[0] == [payload(1), payload(2)]


def test_rows_stop_at_a_record_that_is_too_short_for_them(fake_ring: FakeRing) -> None:
    fake_ring.submit(payload(0))
    fake_ring.submit(payload(1, 32))
    stats = StreamStats()
    memory = BatchMemory(1 << 16)
    first = fake_ring.source.drain(64, LIMIT, 1 << 16, memory, stats)
    assert (first.count, first.is_short) == (1, True)
    second = fake_ring.source.drain(64, LIMIT, 1 << 16, memory, stats)
    assert (second.count, second.is_short) == (0, True)
    assert drain(fake_ring)[0] == [payload(1, 32)]


@pytest.mark.parametrize("stride", [0, 64])
def test_what_is_no_ring_is_an_error_after_what_came_before(fake_ring: FakeRing, stride: int) -> None:
    fake_ring.submit(payload(0))
    position = fake_ring.reserve(payload(1))
    fake_ring.commit(position, 4000)
    assert drain(fake_ring, stride)[0] == [payload(0)]
    for _ in range(2):
        with pytest.raises(KernelError, match=r"fake ring: drain: .*\(EIO\).*does not hold records of a ring buffer"):
            drain(fake_ring, stride)


def test_a_closed_source_is_empty_and_cannot_be_drained(fake_ring: FakeRing) -> None:
    fake_ring.submit(payload(0))
    fake_ring.source.close()
    assert not fake_ring.source.has_data()
    with pytest.raises(ClosedError, match="the stream of fake ring is closed"):
        drain(fake_ring)
    with pytest.raises(ClosedError):
        fake_ring.source.backlog()
    fake_ring.source.close()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["submit", "discard", "busy", "drain"]), st.integers(0, 300)), min_size=1, max_size=60
    ),
    st.sampled_from([0, 8, 24]),
    st.integers(1, 20),
)
def test_every_record_comes_once_and_in_order(steps: list[tuple[str, int]], stride: int, limit: int) -> None:
    ring = FakeRing()
    try:
        expected: list[bytes] = []
        found: list[bytes] = []
        discarded = seen_discarded = 0
        busy: tuple[int, int] | None = None
        for number, (step, extra) in enumerate(steps):
            record = payload(number, max(stride, 8) + extra)
            if step == "drain" or ring.position - ring.consumed + len(record) + 16 > ring.size:
                records, stats = drain(ring, stride, limit)
                found += records
                seen_discarded += stats.discarded
                if busy is not None and step == "drain":
                    ring.commit(*busy)
                    busy = None
                continue
            if step == "discard":
                ring.discard(record)
                discarded += 1
                continue
            if step == "busy" and busy is None:
                busy = (ring.reserve(record), len(record))
            else:
                ring.submit(record)
            expected.append(record[:stride] if stride else record)
        if busy is not None:
            ring.commit(*busy)
        while ring.source.has_data():
            records, stats = drain(ring, stride, limit)
            found += records
            seen_discarded += stats.discarded
        assert found == expected
        assert seen_discarded == discarded
    finally:
        ring.close()


@pytest.mark.root
@pytest.mark.everywhere
async def test_a_reader_pauses_at_a_busy_record_instead_of_spinning(fake_ring: FakeRing, ring: Producer) -> None:
    async with FakeStream(fake_ring, ring.map, EVENT) as stream, anyio.create_task_group() as tasks:
        numbers: list[int] = []

        async def read() -> None:
            async for event in stream:
                numbers.append(event.number)  # noqa: PERF401 - looked at meanwhile

        fake_ring.submit(payload(0))
        position = fake_ring.reserve(payload(1))
        tasks.start_soon(read)
        await anyio.sleep(0.2)
        assert numbers == [0]
        assert 3 <= stream.stats.busy_pauses <= 30
        fake_ring.commit(position, 64)
        await until(lambda: numbers == [0, 1])
        stream.finish()


@pytest.mark.root
@pytest.mark.everywhere
async def test_a_busy_record_does_not_keep_a_reader_from_finishing(fake_ring: FakeRing, ring: Producer) -> None:
    fake_ring.submit(payload(0))
    fake_ring.reserve(payload(1))
    async with FakeStream(fake_ring, ring.map, EVENT) as stream:
        stream.finish()
        with anyio.fail_after(5):
            assert [event.number async for event in stream] == [0]


@pytest.mark.root
@pytest.mark.everywhere
async def test_a_reader_at_a_busy_record_can_be_cancelled_and_closed(fake_ring: FakeRing, ring: Producer) -> None:
    position = fake_ring.reserve(payload(0))
    async with FakeStream(fake_ring, ring.map, EVENT) as stream:
        with anyio.move_on_after(0.05) as scope:
            await anext(stream)
        assert scope.cancelled_caught
        fake_ring.commit(position, 64)
        assert (await anext(stream)).number == 0
        fake_ring.reserve(payload(1))
        async with anyio.create_task_group() as tasks:

            async def read() -> None:
                with pytest.raises(StopAsyncIteration):
                    await anext(stream)

            tasks.start_soon(read)
            await anyio.sleep(0.05)
            await stream.aclose()


@pytest.mark.root
@pytest.mark.everywhere
async def test_a_drain_takes_what_is_before_a_busy_record(fake_ring: FakeRing, ring: Producer) -> None:
    fake_ring.submit(payload(0))
    fake_ring.reserve(payload(1))
    async with FakeStream(fake_ring, ring.map, EVENT) as stream:
        assert [event.number for event in stream.drain()] == [0]
        assert len(stream.drain()) == 0


@pytest.mark.root
@pytest.mark.everywhere
async def test_garbage_in_the_ring_is_an_error_of_the_reader(fake_ring: FakeRing, ring: Producer) -> None:
    position = fake_ring.reserve(payload(0))
    fake_ring.commit(position, 4000)
    async with FakeStream(fake_ring, ring.map, EVENT) as stream:
        for _ in range(2):
            with pytest.raises(KernelError, match="EIO"):
                await anext(stream)
