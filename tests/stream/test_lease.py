"""Batches that lie in the ring itself: what they show, for how long, and what they keep from the producers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anyio
import numpy
import pytest

from aiobpf.errors import CodecError, KernelError, LeaseError, SpecError
from aiobpf.kernel import create_map
from aiobpf.stream import Batch, LeasedBatch, PerfBuffer, RingBuffer
from aiobpf.uapi import MapFlags, MapType

from .conftest import EVENT, FIXED, OPEN, FakeStream, Producer, StandIn, until
from .test_ring_source import payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import FakeRing

pytestmark = [pytest.mark.root, pytest.mark.everywhere]

TOTAL = 72
"""Bytes of a record in the ring."""


async def step(stream: Any) -> LeasedBatch[Any]:
    with anyio.fail_after(5):
        batch: LeasedBatch[Any] = await anext(stream.batches(lease=True))
    return batch


def numbers(batch: Any) -> list[int]:
    return [event.number for event in batch]


async def test_a_leased_batch_lies_in_the_ring(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        ring.submit(100)
        batch = await step(stream)
        array = batch.numpy()
        assert (array["number"] == numpy.arange(100)).all()
        assert array.strides == (TOTAL,)
        assert array.dtype == batch.copy().numpy().dtype
        assert numpy.shares_memory(array, batch.numpy())
        assert not numpy.shares_memory(array, batch.copy().numpy())
        assert len(batch) == 100
        assert repr(batch) == "<LeasedBatch of 100 struct event>"
        assert numbers(batch) == list(range(100))
        assert batch.raw()[7] == (7).to_bytes(8, "little") + b"Z" * 56
        assert numbers(batch.tail(98)) == [98, 99]
        stats = stream.stats
        assert (stats.records, stats.leased, stats.bytes, stats.batches) == (100, 100, 6400, 1)
        assert stats.high_water == 100 * TOTAL


async def test_nobody_can_write_to_the_ring_through_an_array(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        ring.submit()
        array = (await step(stream)).numpy()
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
        with pytest.raises(ValueError, match="read-only"):
            array["number"] = 1


async def test_a_batch_raises_after_its_lease(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        ring.submit()
        by_step = await step(stream)
        ring.submit()
        by_release = await step(stream)
        by_release.release()
        by_release.release()
        ring.submit()
        with await step(stream) as by_with:
            assert numbers(by_with) == [2]
        ring.submit()
        by_close = await step(stream)
        assert numbers(by_close) == [3]
    for batch in (by_step, by_release, by_with, by_close):
        for use in (batch.numpy, batch.records, batch.raw, batch.copy, batch.decoding, batch.__iter__):
            with pytest.raises(LeaseError, match=r"map 'events' is over, by the next step.*batch\.copy\(\)"):
                use()
        assert repr(batch) == "<LeasedBatch of 1 struct event, released>"


async def test_a_copy_stays_good(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        ring.submit(10)
        batch = await step(stream)
        copy = batch.copy()
        batch.release()
        ring.submit(5000)
    assert type(copy) is Batch
    assert numbers(copy) == list(range(10))
    assert copy.numpy()["number"].sum() == 45


async def test_what_an_array_lies_on_is_not_overwritten(ring: Producer) -> None:
    async with RingBuffer(ring.map, batch_records=100) as stream:
        ring.submit(200)
        array = (await step(stream)).numpy()
        later = (await step(stream)).numpy()["number"]
        stream.drain()
        expected = array.tobytes()
        ring.submit(10_000)
        free = ring.map.max_entries // TOTAL - 200
        assert ring.failures == 10_000 - free, "the ring is full, and what is held is not given back"
        assert array.tobytes() == expected
        assert later.tolist() == list(range(100, 200))
        del array
        ring.submit(100)
        assert ring.failures == 10_000 - free, "room for the 100 that nobody looks at any more"
        ring.submit()
        assert ring.failures == 10_000 - free + 1
        assert later.tolist() == list(range(100, 200))
        del later
        ring.submit()
        assert ring.failures == 10_000 - free + 2, "its lease is not over"
        stream.finish()
        assert sum([len(batch) async for batch in stream.batches(lease=True)]) == free + 100
        ring.submit(3640)
        assert ring.failures == 10_000 - free + 2


async def test_room_is_given_back_in_order(ring: Producer) -> None:
    async with RingBuffer(ring.map, batch_records=10) as stream:
        ring.submit(30)
        first, second, third = [(await step(stream)).numpy() for _ in range(3)]
        stream.drain()
        source: Any = stream._source
        assert source._leases.settle() == 30 * TOTAL
        del second
        assert source._leases.settle() == 30 * TOTAL, "the first is still looked at"
        del first
        assert source._leases.settle() == 10 * TOTAL
        view = third["number"][5:]
        del third
        assert source._leases.settle() == 10 * TOTAL, "a view of a view"
        assert view.tolist() == [25, 26, 27, 28, 29]
        del view
        assert source._leases.settle() == 10 * TOTAL, "the lease of the last batch is not over"
        stream.finish()
        with pytest.raises(StopAsyncIteration):
            await step(stream)
        assert source._leases.settle() == 0


async def test_the_last_array_may_be_kept_while_the_next_step_waits(ring: Producer) -> None:
    seen: list[int] = []
    async with RingBuffer(ring.map) as stream, anyio.create_task_group() as tasks:

        async def read() -> None:
            async for batch in stream.batches(lease=True):
                array = batch.numpy()
                seen.extend(array["number"].tolist())

        tasks.start_soon(read)
        for number in range(20):
            ring.submit(500)
            await until(lambda number=number: len(seen) == 500 * (number + 1))  # type: ignore[misc]
        stream.finish()
    assert seen == list(range(10_000))
    assert ring.failures == 0
    assert 0 < stream.stats.held <= 500 * TOTAL


async def test_a_reader_that_waits_with_arrays_held_sleeps(ring: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with RingBuffer(ring.map) as stream, anyio.create_task_group() as tasks:
        source: Any = stream._source
        looks: list[int] = []
        real = type(source).has_data

        def has_data(self: Any) -> bool:
            looks.append(1)
            return bool(real(self))

        monkeypatch.setattr(type(source), "has_data", has_data)
        ring.submit()
        arrays = [(await step(stream)).numpy()]
        await anyio.sleep(0.1)
        assert len(looks) <= 3, "nor does the loop spin while the batch is looked at"
        looks.clear()

        async def read() -> None:
            arrays.append((await step(stream)).numpy())

        tasks.start_soon(read)
        await anyio.sleep(0.2)
        assert 5 <= len(looks) <= 40
        ring.submit()
        await until(lambda: len(arrays) == 2)
        assert [array["number"].tolist() for array in arrays] == [[0], [1]]


async def test_a_reader_is_woken_again_once_the_arrays_are_gone(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        ring.submit()
        arrays = [(await step(stream)).numpy()]
        woken = stream.stats.wake_ups
        async with anyio.create_task_group() as tasks:

            async def read() -> None:
                assert numbers(await step(stream)) == [1]

            tasks.start_soon(read)
            await anyio.sleep(0.02)
            arrays.clear()
            await anyio.sleep(0.05)
            source: Any = stream._source
            assert not source.is_held
            ring.submit()
        assert stream.stats.wake_ups == woken + 1


async def test_an_array_may_go_in_another_thread(ring: Producer) -> None:
    async with RingBuffer(ring.map, batch_records=50) as stream:
        handed: list[Any] = []
        last: Any = None
        done = threading.Event()

        def drop() -> None:
            while not done.is_set() or handed:
                if handed:
                    handed.pop(0)

        thread = threading.Thread(target=drop)
        thread.start()
        try:
            got: list[int] = []
            for _ in range(100):
                ring.submit(200)
                while len(got) < ring.attempts:
                    await until(lambda: len(handed) <= 3)
                    last = await step(stream)
                    handed.append(last.numpy())
                    got.extend(last.numpy()["number"].tolist())
        finally:
            done.set()
            thread.join()
        assert got == list(range(20_000))
        assert ring.failures == 0
        last.release()
        ring.submit(3640)
        assert ring.failures == 0, "all of it was given back"


async def test_who_holds_more_than_half_of_the_ring_is_told_and_loses_nothing(ring: Producer) -> None:
    size = ring.map.max_entries
    async with RingBuffer(ring.map) as stream:
        ring.submit(3600)
        arrays = [(await step(stream)).numpy() for _ in range(3)]
        with pytest.raises(LeaseError, match=rf"events.*: \d+ of its {size} bytes are held by arrays .*let go"):
            await step(stream)
        assert [len(array) for array in arrays] == [910, 910, 910]
        held = 3 * 910 * TOTAL
        assert stream.stats.held == held
        with pytest.raises(LeaseError, match=f"{held} of"):
            await step(stream)
        seen = numpy.concatenate([array["number"] for array in arrays]).tolist()
        arrays.clear()
        batch = await step(stream)
        assert seen + batch.numpy()["number"].tolist() == list(range(3600))


async def test_a_batch_is_a_quarter_of_the_ring_at_most(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        ring.submit(3640)
        assert len(await step(stream)) == ring.map.max_entries // 4 // TOTAL
    async with RingBuffer(ring.map, batch_records=7) as stream:
        assert len(await step(stream)) == 7
    async with RingBuffer(ring.map, batch_bytes=10 * TOTAL) as stream:
        assert len(await step(stream)) == 10


async def test_events_copies_and_leases_take_turns_in_order(ring: Producer) -> None:
    async with RingBuffer(ring.map, batch_records=10) as stream:
        ring.submit(60)
        array = (await step(stream)).numpy()
        assert (await anext(stream)).number == 10
        rest = await step(stream)
        assert numbers(rest) == list(range(11, 20)), "left over from single events: a copy"
        with pytest.raises(ValueError, match="read-only"):
            rest.numpy()["number"] = 1
        assert numbers(await anext(stream.batches())) == list(range(20, 30))
        with pytest.raises(LeaseError):
            rest.raw()
        assert numbers(await step(stream)) == list(range(30, 40))
        assert numbers(stream.drain()) == list(range(40, 60))
        assert array["number"].tolist() == list(range(10))
        assert stream.stats.records == 60
        assert stream.stats.leased == 20


async def test_discarded_records_end_a_run_and_are_skipped(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        ring.submit(3)
        ring.discard(2)
        ring.submit(2)
        ring.discard(3)
        assert numbers(await step(stream)) == [0, 1, 2]
        assert numbers(await step(stream)) == [5, 6]
        stream.finish()
        with pytest.raises(StopAsyncIteration):
            await step(stream)
        assert stream.stats.discarded == 5
        ring.submit(3640)
        assert ring.failures == 0


async def test_longer_records_make_a_run_of_their_own(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        ring.submit(2)
        ring.submit(2, size=100)
        ring.submit(1)
        assert (await step(stream)).numpy().strides == (72,)
        batch = await step(stream)
        assert batch.numpy().strides == (112,)
        assert numbers(batch) == batch.numpy()["number"].tolist() == [2, 3]
        assert numbers(await step(stream)) == [4]


async def test_a_record_that_is_too_short_is_the_error_that_it_always_is(
    make_producer: Callable[..., Producer],
) -> None:
    producer = make_producer(MapType.RINGBUF, value_type=FIXED)
    async with RingBuffer(producer.map) as stream:
        producer.submit(2)
        producer.submit(1, size=16)
        producer.submit(2)
        assert numbers(await step(stream)) == [0, 1]
        with pytest.raises(CodecError, match="a record of 16 bytes is too short"):
            await step(stream)
        assert numbers(await step(stream)) == [3, 4]
        producer.submit(1)
        batch = await step(stream)
        assert batch.numpy().strides == (TOTAL,), "leased again"


async def test_a_record_that_ends_in_its_array_is_filled_up(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        ring.submit(1, size=16)
        batch = await step(stream)
        array = batch.numpy()
        assert array["rest"].tobytes() == b"Z" * 8 + bytes(48)
        assert numbers(batch) == [0]
        assert stream.stats.leased == 0


async def test_records_without_type_are_arrays_of_bytes(make_producer: Callable[..., Producer]) -> None:
    producer = make_producer()
    async with RingBuffer(producer.map) as stream:
        producer.submit(3, size=13)
        producer.submit(2, size=8)
        batch = await step(stream)
        array = batch.numpy()
        assert array.shape == (3, 13)
        assert array.strides == (24, 1)
        assert list(array[:, 0]) == [0, 1, 2]
        assert batch.records() == batch.raw() == [bytes(row) for row in array]
        assert numpy.array_equal(batch.copy().numpy(), array)
        assert (await step(stream)).numpy().view("=u8").tolist() == [[3], [4]]


async def test_a_record_that_is_still_written_is_waited_for(fake_ring: FakeRing, ring: Producer) -> None:
    async with FakeStream(fake_ring, ring.map, EVENT) as stream:
        fake_ring.submit(payload(0))
        position = fake_ring.reserve(payload(1))
        array = (await step(stream)).numpy()
        async with anyio.create_task_group() as tasks:

            async def read() -> None:
                assert numbers(await step(stream)) == [1]

            tasks.start_soon(read)
            await until(lambda: stream.stats.busy_pauses >= 3)
            fake_ring.commit(position, 64)
        assert array["number"].tolist() == [0]
        fake_ring.commit(fake_ring.reserve(payload(2)), 4000)
        with pytest.raises(KernelError, match="does not hold records of a ring buffer"):
            await step(stream)


async def test_records_that_go_past_the_end_are_one_array(fake_ring: FakeRing, ring: Producer) -> None:
    fake_ring.move_to((1 << 64) - 100)
    async with FakeStream(fake_ring, ring.map, EVENT) as stream:
        for number in range(5):
            fake_ring.submit(payload(number))
        batch = await step(stream)
        assert batch.numpy()["number"].tolist() == numbers(batch) == list(range(5))
        batch.release()
        assert fake_ring.consumed == fake_ring.position == 5 * TOTAL - 100


async def test_a_cancelled_step_loses_nothing(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        ring.submit(2)
        array = (await step(stream)).numpy()
        for _ in range(2):  # with the array held, and without
            with anyio.move_on_after(0.02) as scope:
                await anext(stream.batches(lease=True))
            assert scope.cancelled_caught
            array = array.copy()
        ring.submit(2)
        assert numbers(await step(stream)) == [2, 3]
        assert array["number"].tolist() == [0, 1]


async def test_finish_ends_a_reader_that_holds_arrays(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        ring.submit()
        arrays = [(await step(stream)).numpy()]
        async with anyio.create_task_group() as tasks:

            async def read() -> None:
                arrays.extend([batch.numpy() async for batch in stream.batches(lease=True)])

            tasks.start_soon(read)
            await anyio.sleep(0.02)
            stream.finish()
        assert len(arrays) == 1


async def test_what_cannot_be_leased_says_why(make_producer: Callable[..., Producer], perf: Producer) -> None:
    async with PerfBuffer(perf.map) as stream:
        with pytest.raises(
            SpecError, match="records of a perf buffer wrap around its end, so that its batches are copies"
        ):
            stream.batches(lease=True)
    async with RingBuffer(make_producer(MapType.RINGBUF, value_type=OPEN).map) as stream:
        with pytest.raises(SpecError, match="struct open ends in a flexible array"):
            stream.batches(lease=True)


@pytest.mark.requires("overwriting rings")
async def test_a_ring_that_overwrites_cannot_be_leased() -> None:
    with create_map(MapType.RINGBUF, 0, 0, 4096, flags=MapFlags.RB_OVERWRITE, name="events") as fd:
        async with RingBuffer(StandIn(fd, MapType.RINGBUF, 4096, EVENT)) as stream:
            with pytest.raises(SpecError, match="producers overwrite records of this ring unread"):
                stream.batches(lease=True)
