"""The ring's mapping, for as long as anybody looks at it, and not longer."""

from __future__ import annotations

import gc
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import numpy
import pytest

from aiobpf.errors import LeaseError, SpecError
from aiobpf.stream import RingBuffer, merge
from aiobpf.stream.stats import StreamStats

from .conftest import FakeRing
from .test_lifetime import forget
from .test_ring_source import payload

if TYPE_CHECKING:
    from .conftest import Producer


def ring_mappings() -> int:
    """How often a BPF map is mapped here."""
    return Path("/proc/self/maps").read_text(encoding="utf-8").count("bpf-map")


async def first_array(stream: RingBuffer[Any]) -> Any:
    with anyio.fail_after(5):
        return (await anext(stream.batches(lease=True))).numpy()


@pytest.mark.root
@pytest.mark.everywhere
async def test_a_closed_streams_arrays_stay_good_and_keep_it_mapped_until_the_last_is_gone(ring: Producer) -> None:
    ring.submit(1)
    before = ring_mappings()
    descriptors = len(os.listdir("/proc/self/fd"))
    async with RingBuffer(ring.map) as stream:
        assert ring_mappings() > before
        ring.submit(9)
        array = await first_array(stream)
        mapped = ring_mappings()
    assert len(os.listdir("/proc/self/fd")) == descriptors, "descriptors are closed at once"
    assert ring_mappings() == mapped
    ring.submit(10_000)
    assert array["number"].tolist() == list(range(10)), "still not given back"
    with pytest.raises(SpecError, match="arrays of leased batches of a stream that was closed still lie in it"):
        await RingBuffer(ring.map).open()
    column = array["number"]
    del array
    assert ring_mappings() == mapped
    assert column.sum() == 45
    del column
    assert ring_mappings() == before
    async with RingBuffer(ring.map) as stream:
        assert (await first_array(stream))["number"][0] == 10, "given back when it went, and nothing else was"


@pytest.mark.root
@pytest.mark.everywhere
async def test_a_closed_stream_without_arrays_is_unmapped_at_once(ring: Producer) -> None:
    before = ring_mappings()
    async with RingBuffer(ring.map) as stream:
        ring.submit(10)
        async for batch in stream.batches(lease=True):
            assert len(batch) == 10
            break
    assert ring_mappings() == before
    async with RingBuffer(ring.map) as stream:
        assert len(stream.drain()) == 0, "what was leased is not read again"


@pytest.mark.root
@pytest.mark.everywhere
async def test_a_forgotten_streams_arrays_stay_good(ring: Producer) -> None:
    before = ring_mappings()
    stream: Any = await RingBuffer(ring.map).open()
    ring.submit(10)
    array = await first_array(stream)
    streams = [stream]
    del stream
    forget(streams)
    assert array["number"].sum() == 45
    with pytest.raises(SpecError, match="still lie in it"):
        await RingBuffer(ring.map).open()
    del array
    gc.collect()
    assert ring_mappings() == before


@pytest.mark.root
@pytest.mark.everywhere
async def test_a_ring_with_arrays_in_it_is_not_merged(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        ring.submit(10)
        array = await first_array(stream)
        with pytest.raises(LeaseError, match="arrays of leased batches lie in its ring"):
            await merge(stream).open()
        assert array["number"].sum() == 45
        del array
        ring.submit()
        async with merge(stream) as events:
            assert (await anext(events))[1].number == 10


def test_a_forked_child_gives_nothing_back(fake_ring: FakeRing) -> None:
    for number in range(3):
        fake_ring.submit(payload(number))
    leased = fake_ring.source.lease(64, 2, 1 << 20, StreamStats())
    array = numpy.ndarray((2,), "u8", leased.lease, 8, (72,))  # type: ignore[arg-type]
    leased.lease = None
    done, child = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork while a thread is there
        pid = os.fork()
    if pid == 0:
        total = int(array.sum())
        del array
        os.write(child, bytes([total, fake_ring.consumed]))
        os._exit(0)
    assert os.read(done, 2) == bytes([1, 0])
    os.waitpid(pid, 0)
    os.close(done)
    os.close(child)
    del array
    assert fake_ring.consumed == 144


def test_an_array_outlives_source_and_owner() -> None:
    ring = FakeRing()
    ring.submit(payload(7))
    leased = ring.source.lease(64, 1, 1 << 20, StreamStats())
    view = memoryview(leased.lease)  # type: ignore[arg-type]
    assert view.readonly
    ring.close()
    del leased, ring
    gc.collect()
    assert bytes(view[8:72]) == payload(7)
