"""Perf buffers that are written over and over, and read when it is wanted."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.errors import ClosedError, SpecError
from aiobpf.stream import PerfBuffer, PerfHistory
from aiobpf.stream.backward_records import Backward

if TYPE_CHECKING:
    from .conftest import Producer

CPUS = sorted(os.sched_getaffinity(0))


@pytest.mark.everywhere
@pytest.mark.root
async def test_the_newest_events_of_each_cpu_are_there_and_older_ones_are_overwritten(perf: Producer) -> None:
    async with PerfHistory(perf.map, pages=1) as history:
        assert len(await history.take()) == 0
        for cpu in CPUS:
            perf.submit(200, cpu=cpu)
        batch = await history.take()
        assert perf.failures == 0, "none was refused"
        for index, cpu in enumerate(CPUS):
            assert batch.cpus is not None
            numbers = [event.number for at, event in zip(batch.cpus, batch, strict=True) if at == cpu]
            last = 200 * (index + 1)
            assert numbers == list(range(last - len(numbers), last))
            assert 40 <= len(numbers) <= 4096 // 80
        assert history.overwritten == (200 * len(CPUS) - len(batch)) * 80
        perf.submit(3, cpu=CPUS[0])
        assert [event.number for event in await history.take()] == [200 * len(CPUS) + number for number in range(3)]
        assert len(await history.take()) == 0
    perf.submit(1, cpu=CPUS[0])
    assert perf.failures == 1, "the slots are empty again"


@pytest.mark.asyncio
@pytest.mark.root
async def test_one_reader_and_named_errors(perf: Producer, ring: Producer) -> None:
    with pytest.raises(SpecError, match="no PERF_EVENT_ARRAY"):
        PerfHistory(ring.map)
    with pytest.raises(SpecError, match="1 to 2"):
        PerfHistory(perf.map, pages=0)
    history = PerfHistory(perf.map, bytes, pages=3)
    with pytest.raises(ClosedError, match="not open yet"):
        await history.take()
    async with history:
        with pytest.raises(SpecError, match="one reader at a time"):
            await PerfBuffer(perf.map).open()
        with pytest.raises(SpecError, match="open already"):
            await history.open()
        perf.submit(2)
        assert [len(record) for record in await history.take()] == [68, 68], "the kernel fills up to 8 with its size"
    with pytest.raises(ClosedError, match="is closed"):
        await history.take()
    forgotten = await PerfHistory(perf.map, pages=1).open()
    with pytest.warns(ResourceWarning, match="was never closed"):
        del forgotten


@given(st.lists(st.integers(0, 5), max_size=40), st.integers(0, 40))
def test_records_are_found_where_a_backward_writer_put_them(sizes: list[int], taken: int) -> None:
    buffer = bytearray(256)
    head = before = 0
    made: list[bytes] = []
    for number, words in enumerate(sizes):
        raw = struct.pack("=I", number) + b"\xa5" * (8 * words)
        record = struct.pack("=IHHI", 9, 0, 12 + len(raw), len(raw)) + raw
        head = (head - len(record)) % (1 << 64)
        for index, byte in enumerate(record):
            buffer[(head + index) % 256] = byte
        made.append(raw)
        if number + 1 == taken:
            before = head
    found = list(Backward(bytes(buffer), head, before).newest_first())
    new = made[taken:] if taken <= len(made) else made
    fitting: list[bytes] = []
    for raw in reversed(new):
        if sum(12 + len(each) for each in [*fitting, raw]) > 256:
            break
        fitting.append(raw)
    assert found == fitting


@given(st.binary(min_size=64, max_size=64), st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1))
def test_any_bytes_give_samples_within_the_buffer(data: bytes, head: int, before: int) -> None:
    assert sum(map(len, Backward(data, head, before).newest_first())) <= 64
