"""A reader that is slow, and what may become of the events that it has no time for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aiobpf.errors import SpecError
from aiobpf.stream import Overflow, Relay, RingBuffer

if TYPE_CHECKING:
    from .conftest import Producer

pytestmark = pytest.mark.root


async def relayed(ring: Producer, policy: str, submitted: int, capacity: int) -> tuple[list[int], Relay[Any]]:
    """Nobody reads until all were submitted and the stream ended."""
    numbers: list[int] = []
    async with RingBuffer(ring.map, batch_records=16) as stream:
        relay: Relay[Any] = Relay(stream, capacity, policy)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(relay.run)
            ring.submit(submitted)
            stream.finish()
            await anyio.sleep(0.05)
            assert len(relay) == min(capacity, submitted)
            numbers.extend([event.number async for event in relay])
    assert relay.stats.received == relay.stats.delivered + relay.stats.dropped == submitted
    assert relay.stats.high_water == min(capacity, submitted)
    return numbers, relay


@pytest.mark.everywhere
async def test_drop_oldest_keeps_what_is_new(ring: Producer) -> None:
    numbers, relay = await relayed(ring, "drop_oldest", 100, 10)
    assert numbers == list(range(90, 100))
    assert relay.stats.dropped == 90


@pytest.mark.everywhere
async def test_drop_newest_keeps_what_came_first(ring: Producer) -> None:
    numbers, relay = await relayed(ring, "drop_newest", 100, 10)
    assert numbers == list(range(10))
    assert relay.stats.dropped == 90


@pytest.mark.everywhere
async def test_block_leaves_events_in_the_kernel_and_loses_none_there_is_room_for(ring: Producer) -> None:
    numbers, relay = await relayed(ring, "block", 100, 10)
    assert numbers == list(range(100))
    assert relay.stats.dropped == 0
    assert relay.stats.blocked >= 1


@pytest.mark.everywhere
async def test_a_relay_that_blocks_lets_the_program_count_what_it_loses(ring: Producer) -> None:
    ring_holds = (1 << 18) // 72
    async with RingBuffer(ring.map, batch_records=16) as stream:
        relay = Relay(stream, 10)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(relay.run)
            ring.submit(20)
            await anyio.sleep(0.05)
            ring.submit(ring_holds + 500)
            assert ring.failures >= 500
            stream.finish()
            count = len([event async for event in relay])
            assert count == ring.attempts - ring.failures


@pytest.mark.everywhere
async def test_a_reader_waits_for_events_and_ends_with_the_stream(ring: Producer) -> None:
    stream = await RingBuffer(ring.map).open()
    relay = Relay(stream, 10, Overflow.DROP_OLDEST)
    numbers = []
    async with anyio.create_task_group() as tasks:

        async def read() -> None:
            numbers.extend([event.number async for event in relay])

        tasks.start_soon(read)
        tasks.start_soon(relay.run)
        for _ in range(5):
            ring.submit()
            await anyio.sleep(0.005)
        with anyio.fail_after(5):
            await stream.aclose()
    assert numbers == list(range(5))


@pytest.mark.asyncio
async def test_what_is_wrong_with_a_relay_is_said(ring: Producer) -> None:
    async with RingBuffer(ring.map) as stream:
        with pytest.raises(SpecError, match="overflow is one of 'block', 'drop_oldest', 'drop_newest', not 'drop'"):
            Relay(stream, 1, "drop")
        with pytest.raises(SpecError, match="at least one"):
            Relay(stream, 0)
        relay = Relay(stream, 1)
        stream.finish()
        await relay.run()
        with pytest.raises(SpecError, match="runs once"):
            await relay.run()
