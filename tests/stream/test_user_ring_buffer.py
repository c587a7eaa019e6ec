"""Records from here to a program, which drains them when it is run."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

import aiobpf
from aiobpf.errors import ClosedError, CodecError, SpecError
from aiobpf.stream import UserRingBuffer

if TYPE_CHECKING:
    from aiobpf.collection import Collection

OBJECT = Path(__file__).parent.parent / "objects" / "user_ring.bpf.o"
FITTING = 4096 // 32

pytestmark = [pytest.mark.root, pytest.mark.requires("user ring buffers")]


async def drain(coll: Collection) -> int:
    """How many records the program took."""
    return (await coll.programs["drain"].run()).retval


def command(number: int, text: str = "") -> dict[str, Any]:
    return {"number": number, "flags": 1, "text": text}


@pytest.mark.everywhere
@pytest.mark.shows("user_ringbuf")
async def test_typed_records_reach_the_program_that_drains() -> None:
    async with aiobpf.load(OBJECT) as coll, UserRingBuffer(coll.maps["commands"]) as ring:
        assert await drain(coll) == 0
        await ring.send(command(21, "hello"))
        await ring.send(command(21))
        assert ring.backlog == 64
        assert await drain(coll) == 2
        assert (coll.variables["drained"].value, coll.variables["sum"].value) == (2, 42)
        assert ring.backlog == 0
        assert (ring.stats.records, ring.stats.sent_bytes, ring.stats.capacity) == (2, 48, 4096)


@pytest.mark.asyncio
async def test_a_class_of_the_users_and_plain_bytes_are_sent_as_well() -> None:
    @attrs.define
    class Command:
        number: int
        flags: int
        text: str

    async with aiobpf.load(OBJECT) as coll:
        async with UserRingBuffer(coll.maps["commands"], type=Command) as ring:
            await ring.send(Command(7, 0, "seven"))
            with pytest.raises(CodecError):
                await ring.send(Command(1 << 40, 0, ""))
        async with UserRingBuffer(coll.maps["commands"], type=bytes) as raw:
            await raw.send((8).to_bytes(4, "little").ljust(24, b"\0"))
        assert await drain(coll) == 2, "what was submitted stays when its stream is closed"
        assert coll.variables["sum"].value == 15


@pytest.mark.everywhere
async def test_a_full_ring_makes_the_sender_wait_until_the_program_drains() -> None:
    async with aiobpf.load(OBJECT) as coll, UserRingBuffer(coll.maps["commands"]) as ring:
        for number in range(FITTING):
            assert ring.try_send(command(number))
        assert not ring.try_send(command(0))
        with anyio.move_on_after(0.05) as scope:
            await ring.send(command(0))
        assert scope.cancelled_caught
        assert ring.stats.records == FITTING, "nothing was half sent"
        sent = []

        async def send(number: int) -> None:
            await ring.send(command(number))
            sent.append(number)

        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(send, number)
            await anyio.sleep(0.05)
            assert sent == []
            assert not ring.try_send(command(0)), "those that wait are first"
            with anyio.fail_after(5):
                assert await drain(coll) == FITTING
        assert sorted(sent) == list(range(5))
        assert await drain(coll) == 5
        assert ring.stats.full >= 7


@pytest.mark.everywhere
async def test_many_more_records_than_fit_arrive_in_order_and_none_is_lost() -> None:
    count = 3000
    async with aiobpf.load(OBJECT) as coll, UserRingBuffer(coll.maps["commands"]) as ring:
        async with anyio.create_task_group() as tasks:

            async def keep_draining() -> None:
                while coll.variables["drained"].value < count:
                    await drain(coll)
                    assert coll.variables["last"].value.number <= count

            tasks.start_soon(keep_draining)
            for number in range(count):
                await ring.send(command(number))
        assert coll.variables["sum"].value == count * (count - 1) // 2
        assert coll.variables["last"].value.number == count - 1


@pytest.mark.asyncio
async def test_threads_may_share_a_stream() -> None:
    async with aiobpf.load(OBJECT) as coll, UserRingBuffer(coll.maps["commands"]) as ring:
        threads = [
            threading.Thread(target=lambda: [ring.try_send(command(1)) for _ in range(FITTING // 4)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert await drain(coll) == coll.variables["sum"].value == FITTING


@pytest.mark.everywhere
async def test_a_reserved_record_is_seen_once_it_is_committed_and_holds_back_later_ones() -> None:
    async with aiobpf.load(OBJECT) as coll, UserRingBuffer(coll.maps["commands"]) as ring:
        with await ring.reserve(24) as room:
            room[:] = bytes(24)
            room[:4] = (5).to_bytes(4, "little")
            await ring.send(command(6))
            assert await drain(coll) == 0
        assert await drain(coll) == 2
        assert coll.variables["sum"].value == 11
        with pytest.raises(ZeroDivisionError), await ring.reserve(24):
            raise ZeroDivisionError
        await ring.send(command(1))
        assert await drain(coll) == 1, "the discarded one is passed over"
        assert ring.stats.discarded == 1
        reservation = await ring.reserve(8)
        reservation.commit()
        for late in (reservation.commit, lambda: reservation.room):
            with pytest.raises(ClosedError, match="committed or discarded already"):
                late()
        reservation.discard()
        left = await ring.reserve(24)
    with pytest.raises(ClosedError):
        left.commit()


@pytest.mark.everywhere
async def test_closing_ends_the_wait_of_a_sender() -> None:
    async with aiobpf.load(OBJECT) as coll:
        ring = await UserRingBuffer(coll.maps["commands"]).open()
        while ring.try_send(command(0)):
            pass
        async with anyio.create_task_group() as tasks:

            async def send() -> None:
                with pytest.raises(ClosedError, match="the stream to map 'commands' is closed"):
                    await ring.send(command(1))

            tasks.start_soon(send)
            await anyio.sleep(0.02)
            with anyio.fail_after(5):
                await ring.aclose()
        await ring.aclose()


@pytest.mark.asyncio
async def test_what_is_wrong_is_said_by_name() -> None:
    async with aiobpf.load(OBJECT) as coll:
        commands = coll.maps["commands"]
        with pytest.raises(SpecError, match="no USER_RINGBUF"):
            UserRingBuffer(next(map_ for map_ in coll.maps.values() if map_ is not commands))
        ring = UserRingBuffer(commands, bytes)
        with pytest.raises(ClosedError, match="not open yet"):
            await ring.send(b"")
        async with ring:
            with pytest.raises(SpecError, match="has room for 4088"):
                await ring.send(bytes(4089))
            with pytest.raises(SpecError, match="one producer at a time"):
                await UserRingBuffer(commands, bytes).open()
            with pytest.raises(SpecError, match="open already"):
                await ring.open()
        forgotten = await UserRingBuffer(commands, bytes).open()
        with pytest.warns(ResourceWarning, match="was never closed"):
            del forgotten
