"""A ring whose producers overwrite the oldest records: the reader sees what is newest, whole, and how much is gone."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest
from attrs import define

from aiobpf._native import lib
from aiobpf.kernel import create_map
from aiobpf.stream import RingBuffer
from aiobpf.stream.batch_memory import BatchMemory
from aiobpf.stream.stats import StreamStats
from aiobpf.uapi import MapFlags, MapType

from .conftest import EVENT, Producer, StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import FakeRing

TOTAL = 72
FITTING = 4096 // TOTAL


@define
class Overwriting(StandIn):
    flags: int = MapFlags.RB_OVERWRITE


@pytest.fixture
def overwriting() -> Iterator[Producer]:
    ring = create_map(MapType.RINGBUF, 0, 0, 4096, flags=MapFlags.RB_OVERWRITE, name="events")
    counters = create_map(MapType.ARRAY, 4, 16, 1, name="counters")
    producer = Producer(Overwriting(ring, MapType.RINGBUF, 4096, EVENT), counters)
    yield producer
    producer.close()


@pytest.mark.everywhere
@pytest.mark.root
@pytest.mark.requires("overwriting rings")
async def test_the_newest_records_are_there_and_the_overwritten_bytes_are_counted(overwriting: Producer) -> None:
    async with RingBuffer(overwriting.map) as stream:
        overwriting.submit(10)
        with anyio.fail_after(5):
            assert [(await anext(stream)).number for _ in range(10)] == list(range(10))
        assert stream.stats.overwritten == 0
        overwriting.submit(1000)
        numbers = [event.number for event in stream.drain()]
        assert numbers == list(range(1010 - len(numbers), 1010))
        assert FITTING - 1 <= len(numbers) <= FITTING
        assert stream.stats.overwritten == (1000 - len(numbers)) * TOTAL
        assert overwriting.failures == 0
        overwriting.submit()
        with anyio.fail_after(5):
            assert (await anext(stream)).number == 1010


@pytest.mark.asyncio
@pytest.mark.root
@pytest.mark.requires("overwriting rings")
async def test_what_a_fast_producer_overtakes_is_never_torn(overwriting: Producer) -> None:
    thread = threading.Thread(target=overwriting.submit, args=(50_000,))
    count, last = 0, -1
    async with RingBuffer(overwriting.map) as stream:
        thread.start()
        while thread.is_alive():
            for event in stream.drain():
                assert event.number > last
                assert set(event.rest) == {0x5A}
                last = event.number
                count += 1
            await anyio.lowlevel.checkpoint()
        thread.join()
        count += len(stream.drain())
        assert count == stream.stats.records
        assert stream.stats.overwritten == (overwriting.attempts - count) * TOTAL


@pytest.mark.asyncio
async def test_a_copy_that_was_overtaken_is_thrown_away(fake_ring: FakeRing) -> None:
    """As above without such a kernel: the position that producers move before they write."""
    fake_ring.source.overwrites = True
    stats = StreamStats()
    for number in range(5):
        fake_ring.submit(number.to_bytes(8, "little"))
    lib.store_release64(fake_ring.producer + 16, 32)
    taken = fake_ring.source.drain(8, 100, 4096, BatchMemory(4096), stats)
    assert taken.count == 3
    assert (stats.overwritten, stats.records, stats.bytes) == (32, 3, 24)
    assert fake_ring.consumed == fake_ring.position
    fake_ring.discard(b"12345678")
    fake_ring.reserve(b"12345678")
    taken = fake_ring.source.drain(8, 100, 4096, BatchMemory(4096), stats)
    assert (taken.count, taken.is_busy, stats.discarded) == (0, True, 1)
