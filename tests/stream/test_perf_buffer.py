"""Perf buffers: a descriptor whose readiness is consumed by looking at it, and one buffer for each CPU."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import anyio
import attrs
import pytest

from aiobpf._native import ffi
from aiobpf.errors import CodecError, KernelError, NotSupportedError, SpecError
from aiobpf.kernel.perf_events import open_bpf_output
from aiobpf.stream import PerfBuffer
from aiobpf.stream.batch_memory import BatchMemory
from aiobpf.stream.perf_source import PerfSource
from aiobpf.stream.stats import StreamStats
from aiobpf.uapi import MapType

from .conftest import FIXED

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobpf.kernel.mapped import MappedMemory

    from .conftest import Producer

pytestmark = pytest.mark.root

CPUS = sorted(os.sched_getaffinity(0))


async def take(stream: Any, count: int) -> list[Any]:
    events: list[Any] = []
    with anyio.fail_after(5):
        async for event in stream:
            events.append(event)
            if len(events) == count:
                break
    return events


@pytest.mark.everywhere
async def test_all_cpus_are_read_and_named(perf: Producer) -> None:
    async with PerfBuffer(perf.map) as stream:
        assert set(CPUS) <= set(stream.cpus)
        for cpu in CPUS:
            perf.submit(100, cpu=cpu)
        seen: Counter[int] = Counter()
        numbers: dict[int, list[int]] = {cpu: [] for cpu in CPUS}
        with anyio.fail_after(5):
            async for batch in stream.batches():
                assert batch.cpus is not None
                seen.update(batch.cpus)
                for cpu, event in zip(batch.cpus, batch, strict=True):
                    numbers[cpu].append(event.number)
                if seen.total() == 100 * len(CPUS):
                    break
        assert seen == dict.fromkeys(CPUS, 100)
        assert all(each == sorted(each) for each in numbers.values())
        assert stream.stats.records == 100 * len(CPUS)


@pytest.mark.everywhere
async def test_sparse_records_wake_the_reader_whenever_they_land(perf: Producer) -> None:
    """The race of perf_poll: a record between the look and the arming. No interval is there to mend it."""
    rounds = 200
    async with PerfBuffer(perf.map, flush_interval=None) as stream:
        for round_ in range(rounds):
            cpu = CPUS[round_ % len(CPUS)]

            def produce(cpu: int = cpu, delay: float = round_ % 8 * 0.00005) -> None:
                os.sched_setaffinity(0, {cpu})
                time.sleep(delay)
                perf.submit()

            thread = threading.Thread(target=produce)
            thread.start()
            if round_ % 3 == 0:
                thread.join()
            with anyio.fail_after(2):
                event = await anext(stream)
            assert event.number == round_
            thread.join()


@pytest.mark.everywhere
async def test_a_cancelled_wait_does_not_eat_the_next_records_readiness(perf: Producer) -> None:
    async with PerfBuffer(perf.map, flush_interval=None) as stream:
        for round_ in range(50):
            with anyio.move_on_after(round_ % 3 * 0.001):
                await anext(stream)
            perf.submit(cpu=CPUS[round_ % len(CPUS)])
            with anyio.fail_after(2):
                assert (await anext(stream)).number == round_


@pytest.mark.everywhere
async def test_records_below_the_wake_up_count_come_with_the_interval(perf: Producer) -> None:
    async with PerfBuffer(perf.map, wakeup_events=1000, flush_interval=0.02) as stream:
        found: list[Any] = []

        async def read() -> None:
            found.extend(await take(stream, 5))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.sleep(0.03)
            perf.submit(5)
        assert len(found) == 5
        assert stream.stats.wake_ups == 0


@pytest.mark.everywhere
async def test_lost_records_are_counted_by_cpu(perf: Producer) -> None:
    async with PerfBuffer(perf.map, pages=1) as stream:
        for cpu in CPUS:
            perf.submit(500, cpu=cpu)
        stats = stream.stats
        assert set(stats.lost_by_cpu) == set(CPUS)
        assert sum(stats.lost_by_cpu.values()) == stats.lost == perf.failures
        batch = stream.drain()
        assert len(batch) + stats.lost == perf.attempts
        for cpu in CPUS:  # the buffers now tell of the losses, which are not to be counted again
            perf.submit(500, cpu=cpu)
        stream.drain()
        perf.submit(3)
        stream.drain()
        assert stream.stats.records + stream.stats.lost == perf.attempts
        assert stream.stats.high_water <= stream.stats.capacity == 4096


@pytest.mark.everywhere
async def test_losses_are_told_by_kernels_that_cannot_be_asked(perf: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiobpf.stream.perf_source.read_lost", lambda _: None)
    async with PerfBuffer(perf.map, pages=1) as stream:
        perf.submit(500, cpu=CPUS[0])
        stream.drain()
        assert stream.stats.lost == 0
        perf.submit(1, cpu=CPUS[0])
        stream.drain()
        assert stream.stats.records + stream.stats.lost == perf.attempts
        assert stream.stats.lost == perf.failures


@pytest.mark.everywhere
async def test_it_goes_round_each_buffer_many_times(perf: Producer) -> None:
    async with PerfBuffer(perf.map, pages=1) as stream:
        count = 0
        for round_ in range(200):
            perf.submit(30, cpu=CPUS[round_ % len(CPUS)])
            count += len(await take(stream, 30))
        assert count == perf.attempts
        assert stream.stats.lost == 0


@pytest.mark.everywhere
async def test_a_busy_cpu_does_not_use_up_every_budget(perf: Producer) -> None:
    async with PerfBuffer(perf.map, batch_records=10) as stream:
        for cpu in CPUS:
            perf.submit(200, cpu=cpu)
        first = [await anext(stream.batches()) for _ in range(len(CPUS))]
        assert {cpu for batch in first for cpu in batch.cpus or ()} == set(CPUS)
        assert all(len(batch) == 10 for batch in first)


@pytest.mark.everywhere
async def test_untyped_records_are_as_long_as_the_kernel_padded_them(make_producer: Callable[..., Producer]) -> None:
    producer = make_producer(MapType.PERF_EVENT_ARRAY)
    async with PerfBuffer(producer.map) as stream:
        for cpu in CPUS:
            producer.submit(size=8, cpu=cpu)
            producer.submit(size=33, cpu=cpu)
        batch = stream.drain()
        assert [len(record) for record in batch.raw()] == [12, 36] * len(CPUS)
        assert batch.cpus == [cpu for cpu in CPUS for _ in range(2)]
        empty = stream.drain()
        assert (len(empty), list(empty.cpus or ())) == (0, [])
        assert len(empty.numpy()) == 0


@pytest.mark.everywhere
async def test_short_records_raise_in_their_place(make_producer: Callable[..., Producer]) -> None:
    producer = make_producer(MapType.PERF_EVENT_ARRAY, value_type=FIXED)
    async with PerfBuffer(producer.map) as stream:
        cpu = CPUS[0]
        producer.submit(cpu=cpu)
        producer.submit(size=16, cpu=cpu)
        producer.submit(cpu=cpu)
        assert (await anext(stream)).number == 0
        with pytest.raises(CodecError, match="a record of 20 bytes is too short: struct fixed has 64 bytes"):
            await anext(stream)
        assert (await anext(stream)).number == 2


@pytest.mark.everywhere
async def test_a_record_may_be_larger_than_the_budget(make_producer: Callable[..., Producer]) -> None:
    producer = make_producer(MapType.PERF_EVENT_ARRAY)
    async with PerfBuffer(producer.map, batch_bytes=64) as stream:
        producer.submit(size=400)
        producer.submit(size=8)
        assert [len(event) for event in await take(stream, 2)] == [404, 12]


@pytest.mark.everywhere
async def test_closing_empties_the_maps_slots(perf: Producer) -> None:
    async with PerfBuffer(perf.map):
        perf.submit()
        assert perf.failures == 0
    perf.submit()
    assert perf.failures == 1


@pytest.mark.everywhere
async def test_pages_are_rounded_up(perf: Producer) -> None:
    async with PerfBuffer(perf.map, pages=5) as stream:
        assert stream.stats.capacity == 8 * 4096


@pytest.mark.parametrize(("options", "what"), [({"pages": 0}, "pages"), ({"wakeup_events": 0}, "wakeup_events")])
def test_options_that_make_no_sense_are_refused(perf: Producer, options: dict[str, int], what: str) -> None:
    with pytest.raises(SpecError, match=what):
        PerfBuffer(perf.map, None, **options)  # type: ignore[call-overload]


# --- CPUs that come and go --------------------------------------------------------------------------------------------


def source_on(perf: Producer, online: list[int], slots: int | None = None) -> PerfSource:
    fd = perf.map.fd.duplicate()
    return PerfSource.open(fd, perf.map.max_entries if slots is None else slots, pages=1, cpus=lambda: online)


def drain(source: PerfSource) -> list[int]:
    drained = source.drain(64, 1000, 1 << 16, BatchMemory(1 << 16), StreamStats())
    return drained.cpus or []


def test_a_cpu_that_comes_online_is_taken_in(perf: Producer) -> None:
    online = CPUS[:1]
    source = source_on(perf, online)
    try:
        assert source.cpus == CPUS[:1]
        perf.submit(cpu=CPUS[-1])
        online.append(CPUS[-1])
        source.refresh()
        source.refresh()
        assert source.cpus == [CPUS[0], CPUS[-1]] if len(CPUS) > 1 else CPUS
        perf.submit(cpu=CPUS[-1])
        assert drain(source) == [CPUS[-1]] * (1 if len(CPUS) > 1 else 2)
    finally:
        source.close()


def test_a_cpu_that_goes_offline_is_still_read(perf: Producer) -> None:
    online = list(CPUS)
    source = source_on(perf, online)
    try:
        perf.submit(cpu=CPUS[-1])
        online.pop()
        source.refresh()
        assert drain(source) == [CPUS[-1]]
    finally:
        source.close()


def test_a_cpu_without_a_slot_is_left_out(perf: Producer) -> None:
    source = source_on(perf, [CPUS[0], 4096])
    try:
        assert source.cpus == CPUS[:1]
    finally:
        source.close()
    with pytest.raises(NotSupportedError, match="map 'events': no online CPU has one of its 0 slots"):
        source_on(perf, CPUS, slots=0)


def test_a_cpu_that_goes_offline_meanwhile_is_left_out(perf: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiobpf.stream.perf_source.open_bpf_output", refusing(19, CPUS[-1]))
    if len(CPUS) > 1:
        source = source_on(perf, list(CPUS))
        assert source.cpus == CPUS[:-1]
        source.close()


def test_all_cpus_or_none(perf: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiobpf.stream.perf_source.open_bpf_output", refusing(1, CPUS[-1]))
    with pytest.raises(KernelError, match="EPERM"):
        source_on(perf, list(CPUS))
    perf.submit(cpu=CPUS[0])
    assert perf.failures == 1, "the slots of the CPUs before it are empty again"


def refusing(errno: int, refused: int) -> Any:
    real = open_bpf_output

    def refuse(cpu: int, **options: Any) -> Any:
        if cpu == refused:
            raise KernelError(errno, "perf_event_open", f"CPU {cpu}")
        return real(cpu, **options)

    return refuse


def test_garbage_is_an_error_after_what_came_before(perf: Producer) -> None:
    @attrs.define
    class Copy:
        """The buffer's pages, which the kernel lets nobody write, as memory of ours."""

        address: Any

        def close(self) -> None: ...

    source = source_on(perf, CPUS[:1])
    buffer = source._buffers[0]
    real = buffer.memory
    try:
        perf.submit(2, cpu=CPUS[0])
        pages = ffi.new("uint8_t[]", bytes(ffi.buffer(real.address, 2 * 4096)))
        view = memoryview(ffi.buffer(pages)).cast("B")
        view[4096 + 80 + 6 : 4096 + 80 + 8] = b"\xff\xff"  # the size of the second record
        buffer.memory = cast("MappedMemory", Copy(pages))
        source._mapped[0] = pages
        assert drain(source) == CPUS[:1]
        for _ in range(2):
            with pytest.raises(KernelError, match="EIO"):
                drain(source)
    finally:
        source.close()
        real.close()
