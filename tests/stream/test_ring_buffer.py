"""Ring buffers, with records of real programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import attrs
import numpy
import pytest

from aiobpf.errors import BpfError, CodecError, SpecError
from aiobpf.stream import PerfBuffer, RingBuffer
from aiobpf.uapi import MapType

from .conftest import EVENT, FIXED, NO_WAKEUP, OPEN, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Producer

pytestmark = pytest.mark.root


@attrs.define
class Event:
    number: int


async def take(stream: Any, count: int) -> list[Any]:
    """The next *count* events, one by one."""
    events: list[Any] = []
    with anyio.fail_after(5):
        async for event in stream:
            events.append(event)
            if len(events) == count:
                break
    return events


@pytest.mark.everywhere
async def test_events_come_typed_in_order_and_once(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        ring.submit(1000)
        events = await take(stream, 1000)
        assert [event.number for event in events] == list(range(1000))
        assert events[0].rest == b"Z" * 56
        stats = stream.stats
        assert (stats.records, stats.bytes, stats.lost, stats.discarded) == (1000, 64000, 0, 0)
        assert stats.high_water == 1000 * 72
        assert stats.capacity == ring.map.max_entries
        assert len(stream.drain()) == 0


@pytest.mark.everywhere
async def test_a_waiting_reader_is_woken(ring: Producer) -> None:
    async with RingBuffer(ring.map, Event) as stream, anyio.create_task_group() as tasks:
        numbers: list[int] = []

        async def read() -> None:
            numbers.extend(event.number for event in await take(stream, 3))

        tasks.start_soon(read)
        for _ in range(3):
            await anyio.sleep(0.02)
            ring.submit()
        await until(lambda: len(numbers) == 3)
        assert numbers == [0, 1, 2]
        assert stream.stats.wake_ups == 3


@pytest.mark.everywhere
async def test_batches_give_arrays_objects_and_bytes_of_the_same_records(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        ring.submit(100)
        batch = await anext(stream.batches())
        assert len(batch) == 100
        assert batch.cpus is None
        array = batch.numpy()
        assert array.shape == (100,)
        assert (array["number"] == numpy.arange(100)).all()
        assert [event.number for event in batch] == list(range(100))
        assert batch.raw()[7] == (7).to_bytes(8, "little") + b"Z" * 56
    assert array["number"].sum() == 4950, "a batch outlives its stream"


@pytest.mark.everywhere
async def test_a_batch_keeps_to_its_budget(ring: Producer) -> None:
    async with RingBuffer(ring.map, batch_records=10, batch_bytes=320) as stream:
        ring.submit(12)
        batches = stream.batches()
        sizes = [len(await anext(batches)) for _ in range(3)]
        assert sizes == [5, 5, 2]
    async with RingBuffer(ring.map, batch_records=4) as stream:
        ring.submit(12)
        sizes = [len(await anext(stream.batches())) for _ in range(3)]
        assert sizes == [4, 4, 4]


@pytest.mark.everywhere
@pytest.mark.parametrize("by", ["events", "batches"])
async def test_other_tasks_have_their_turn_while_events_never_end(ring: Producer, by: str) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with RingBuffer(ring.map, batch_records=64) as stream, anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        ring.submit(64)
        seen = 0
        source: Any = stream if by == "events" else stream.batches()
        async for _ in source:
            seen += 1
            if seen == 50:
                break
            ring.submit(64)
        tasks.cancel_scope.cancel()
    assert turns >= (49 if by == "batches" else 1)


@pytest.mark.everywhere
async def test_a_record_may_be_larger_than_the_budget(make_producer: Callable[..., Producer]) -> None:
    producer = make_producer(MapType.RINGBUF, 1 << 17)
    async with RingBuffer(producer.map, batch_bytes=4096) as stream:
        producer.submit()
        producer.reserve(size=50_000)
        producer.submit()
        lengths = [len(event) for event in await take(stream, 3)]
        assert lengths == [64, 50_000, 64]


@pytest.mark.everywhere
async def test_records_without_type_are_bytes_of_their_own_lengths(make_producer: Callable[..., Producer]) -> None:
    producer = make_producer()
    async with RingBuffer(producer.map) as stream:
        for size in (8, 1, 13, 64, 100):
            producer.submit(size=size)
        batch = stream.drain()
        assert [len(record) for record in batch.records()] == [8, 1, 13, 64, 100]
        assert batch.records() == batch.raw()
        assert batch.records()[1] == b"Z"
        with pytest.raises(CodecError, match="records of 5 lengths, from 1 to 100 bytes"):
            batch.numpy()
        producer.submit(3, size=13)
        array = stream.drain().numpy()
        assert array.shape == (3, 13)
        assert list(array[:, 0]) == [5, 6, 7]


@pytest.mark.everywhere
async def test_nobody_announces_yet_a_drain_finds_it(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take, stream, 1)
            await anyio.sleep(0.02)
            ring.submit(10, flags=NO_WAKEUP)
            await anyio.sleep(0.05)
            assert stream.stats.records == 0
            tasks.cancel_scope.cancel()
        assert [event.number for event in stream.drain()] == list(range(10))


@pytest.mark.everywhere
async def test_a_flush_interval_finds_what_nobody_announces(ring: Producer) -> None:
    async with RingBuffer(ring.map, flush_interval=0.01) as stream, anyio.create_task_group() as tasks:
        numbers: list[int] = []

        async def read() -> None:
            numbers.extend(event.number for event in await take(stream, 5))

        tasks.start_soon(read)
        await anyio.sleep(0.03)
        ring.submit(5, flags=NO_WAKEUP)
        await until(lambda: len(numbers) == 5)
        assert stream.stats.wake_ups == 0


@pytest.mark.everywhere
async def test_discarded_records_are_counted_and_skipped(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        ring.submit(2)
        ring.discard(3)
        ring.submit(2)
        assert [event.number for event in await take(stream, 4)] == [0, 1, 5, 6]
        assert stream.stats.discarded == 3
        ring.discard(5)
        assert len(stream.drain()) == 0
        assert stream.stats.discarded == 8


@pytest.mark.everywhere
async def test_discarded_records_alone_wake_nobody_for_long(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take, stream, 1)
            await anyio.sleep(0.01)
            ring.discard(5)
            await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()
        assert (stream.stats.records, stream.stats.discarded) == (0, 5)
        assert stream.stats.wake_ups <= 5


@pytest.mark.everywhere
async def test_it_goes_round_the_ring_many_times(make_producer: Callable[..., Producer]) -> None:
    producer = make_producer(MapType.RINGBUF, 4096, value_type=EVENT)
    async with RingBuffer(producer.map) as stream:
        numbers: list[int] = []
        for _ in range(100):
            producer.submit(37)
            numbers += [event.number for event in await take(stream, 37)]
        assert numbers == list(range(3700))


@pytest.mark.everywhere
async def test_delivered_and_refused_make_up_what_was_produced(make_producer: Callable[..., Producer]) -> None:
    producer = make_producer(MapType.RINGBUF, 4096, value_type=EVENT)
    async with RingBuffer(producer.map) as stream:
        for _ in range(5):
            producer.submit(100)
            await anext(stream.batches())
        producer.submit(100)
        stream.drain()
        assert stream.stats.records + producer.failures == producer.attempts == 600
        assert producer.failures > 0


@pytest.mark.everywhere
async def test_a_ring_read_before_goes_on_where_it_stood(ring: Producer) -> None:
    for first in (0, 10):
        async with RingBuffer(ring.map) as stream:
            ring.submit(10)
            assert [event.number for event in await take(stream, 5)] == list(range(first, first + 5))
            stream.drain()


@pytest.mark.everywhere
async def test_what_was_not_handed_out_is_the_next_batch(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        ring.submit(10)
        assert (await anext(stream)).number == 0
        ring.submit(2)
        batches = stream.batches()
        assert [event.number for event in await anext(batches)] == list(range(1, 10))
        assert (await anext(stream)).number == 10
        assert [event.number for event in stream.drain()] == [11]


@pytest.mark.everywhere
async def test_drain_joins_what_was_left_and_what_is_there(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        ring.submit(4)
        await anext(stream)
        ring.submit(4)
        batch = stream.drain()
        assert [event.number for event in batch] == list(range(1, 8))
        assert batch.numpy()["number"].tolist() == list(range(1, 8))


# --- records that do not have the type's size -------------------------------------------------------------------------


@pytest.mark.everywhere
async def test_a_longer_record_is_decoded_as_far_as_the_type_goes(make_producer: Callable[..., Producer]) -> None:
    producer = make_producer(value_type=FIXED)
    async with RingBuffer(producer.map) as stream:
        producer.submit(3, size=80)
        assert [event.number for event in await take(stream, 3)] == [0, 1, 2]


@pytest.mark.everywhere
async def test_a_record_cut_in_the_last_array_is_filled_up(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        ring.submit()
        ring.submit(size=24)
        ring.submit()
        events = await take(stream, 3)
        assert [event.number for event in events] == [0, 1, 2]
        assert events[1].rest == b"Z" * 16 + bytes(40)
        ring.submit(size=24)
        batch = stream.drain()
        assert len(batch.raw()[0]) == 24
        assert batch.numpy()["rest"][0].tobytes() == b"Z" * 16 + bytes(40)


@pytest.mark.everywhere
async def test_an_open_ended_type_takes_all_of_its_record(make_producer: Callable[..., Producer]) -> None:
    producer = make_producer(value_type=OPEN)
    async with RingBuffer(producer.map) as stream:
        producer.submit(size=8)
        producer.submit(size=11)
        producer.submit(size=4)
        producer.submit(size=40)
        events = await take(stream, 2)
        assert [bytes(event.rest) for event in events] == [b"", b"ZZZ"]
        with pytest.raises(CodecError, match="4 bytes is too short"):
            await anext(stream)
        batch = stream.drain()
        assert [len(bytes(event.rest)) for event in batch] == [32]
        assert batch.numpy()["number"].tolist() == [3]


@pytest.mark.everywhere
async def test_a_short_record_raises_in_its_place_and_no_other_is_lost(make_producer: Callable[..., Producer]) -> None:
    producer = make_producer(value_type=FIXED)
    async with RingBuffer(producer.map) as stream:
        producer.submit(2)
        producer.submit(size=16)
        producer.submit(2)
        producer.submit(size=16)
        numbers: list[int] = []
        errors: list[str] = []
        while len(numbers) < 4:
            try:
                async for event in stream:
                    numbers.append(event.number)
                    if len(numbers) == 4:
                        break
            except CodecError as error:
                errors.append(str(error))
        assert numbers == [0, 1, 3, 4]
        assert errors == ["map 'events': a record of 16 bytes is too short: struct fixed has 64 bytes"]
        with pytest.raises(CodecError):
            stream.drain()
        assert stream.stats.decode_errors == 2
        producer.submit(3)
        assert [event.number for event in stream.drain()] == [6, 7, 8]


@pytest.mark.everywhere
async def test_short_records_can_be_skipped(make_producer: Callable[..., Producer]) -> None:
    producer = make_producer(value_type=FIXED)
    async with RingBuffer(producer.map, on_short="skip") as stream:
        producer.submit(size=16)
        producer.submit(2)
        producer.submit(size=16)
        producer.submit(2)
        assert [event.number for event in await take(stream, 4)] == [1, 2, 4, 5]
        assert stream.stats.decode_errors == 2


@pytest.mark.everywhere
async def test_an_event_that_its_class_refuses_raises_alone(ring: Producer) -> None:
    def not_two(_: object, __: object, value: int) -> None:
        if value == 2:
            raise ValueError("two")

    @attrs.define
    class Picky:
        number: int = attrs.field(validator=not_two)

    async with RingBuffer(ring.map, Picky) as stream:
        ring.submit(5)
        numbers = [(await anext(stream)).number, (await anext(stream)).number]
        with pytest.raises(ValueError, match="two"):
            await anext(stream)
        numbers.append((await anext(stream)).number)
        assert numbers == [0, 1, 3]
        assert [event.number for event in await anext(stream.batches())] == [4]


# --- wrong uses -------------------------------------------------------------------------------------------------------


def test_a_stream_is_for_maps_of_its_kind(ring: Producer, perf: Producer) -> None:
    with pytest.raises(SpecError, match="map 'events' is a PERF_EVENT_ARRAY map, no RINGBUF"):
        RingBuffer(perf.map)
    with pytest.raises(SpecError, match="map 'events' is a RINGBUF map, no PERF_EVENT_ARRAY"):
        PerfBuffer(ring.map)


@pytest.mark.parametrize(
    "options",
    [{"batch_records": 0}, {"batch_bytes": 0}, {"turn_s": 0}, {"flush_interval": 0}, {"on_short": "ignore"}],
    ids=lambda options: next(iter(options)),
)
def test_options_that_make_no_sense_are_refused(ring: Producer, options: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="stream of map 'events'"):
        RingBuffer(ring.map, **options)


@pytest.mark.everywhere
async def test_a_map_has_one_stream_at_a_time(ring: Producer) -> None:
    async with RingBuffer(ring.map):
        with pytest.raises(SpecError, match="map 'events' is read by another stream of this process"):
            await RingBuffer(ring.map).open()
    async with RingBuffer(ring.map):
        pass


@pytest.mark.everywhere
async def test_a_size_that_no_ring_has_is_an_error(ring: Producer) -> None:
    ring.map.max_entries = 5000
    with pytest.raises(SpecError, match="a power of two of bytes, not 5000"):
        await RingBuffer(ring.map).open()
    ring.map.max_entries = 1 << 24
    with pytest.raises(BpfError, match=r"map 'events': mmap: .*\(EINVAL\)|EPERM"):
        await RingBuffer(ring.map).open()
    ring.map.max_entries = 1 << 18
    async with RingBuffer(ring.map):
        pass
