"""What programs print arrives line by line: from the trace, their own streams, a ring buffer with levels."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

import aiobpf
from aiobpf.errors import ClosedError, NotSupportedError, StreamBusyError
from aiobpf.stream import LogLine, ProgramOutput, TracePipe, log_to
from tests.kernel_features import kernel_has

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OBJECT = Path(__file__).parent.parent / "objects" / "kernel_log.bpf.o"
PACKET = bytes(64)
NUMBER = os.getpid()  # others may print too
PATIENCE_S = 30.0

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


async def first(lines: AsyncIterator[LogLine], count: int, number: int) -> list[LogLine]:
    """The next *count* lines that end with *number*: others print too."""
    found: list[LogLine] = []
    with anyio.fail_after(PATIENCE_S):
        async for line in lines:
            if line.message.endswith(f" {number}"):
                found.append(line)
            if len(found) == count:
                return found
    raise AssertionError("the stream ended")


@pytest.mark.shows("printk")
async def test_what_a_program_prints_to_the_trace_is_read_by_a_waiting_reader() -> None:
    async with aiobpf.load(OBJECT) as coll, TracePipe() as lines:
        coll.variables["number"].value = NUMBER
        found: list[LogLine] = []

        async def read() -> None:
            found.extend(await first(lines, 2, NUMBER))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.sleep(0.05)
            await coll.programs["to_trace"].run(PACKET)
        assert [(line.message, line.level) for line in found] == [
            (f"hello {NUMBER}", logging.INFO), (f"careful {NUMBER}", logging.WARNING),
        ]  # fmt: skip
        assert {line.event for line in found} == {"bpf_trace_printk"}
        assert all(line.pid and line.time_ns and line.cpu is not None for line in found)
        await coll.programs["to_trace"].run(PACKET)
        assert len([line for line in lines.drain() if line.message.endswith(f" {NUMBER}")]) == 2


@pytest.mark.shows("streams")
@pytest.mark.requires("program streams")
async def test_what_a_program_prints_to_its_own_streams_is_read_apart() -> None:
    async with (
        aiobpf.load(OBJECT, programs=["to_streams"]) as coll,
        ProgramOutput(coll.programs["to_streams"], interval=0.01) as out,
        ProgramOutput(coll.programs["to_streams"], "stderr", interval=0.01) as err,
    ):
        await coll.programs["to_streams"].run()
        assert coll.variables["printed"].value >= 0
        assert await first(out, 1, 7) == [LogLine("hello 7", logging.INFO)]
        assert await first(err, 1, 7) == [LogLine("wrong 7", logging.ERROR)]
        assert out.drain() == []


async def test_a_kernel_without_program_streams_says_so() -> None:
    if kernel_has("program output"):
        return
    async with aiobpf.load(OBJECT, programs=["to_trace"]) as coll:
        with pytest.raises(NotSupportedError, match=r"6\.17"):
            await ProgramOutput(coll.programs["to_trace"]).__aenter__()


@pytest.mark.requires("bounded loops")
async def test_a_ring_buffer_of_messages_has_levels_that_can_be_changed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with aiobpf.load(OBJECT, programs=["to_ring"]) as coll, coll.stream("messages") as events:
        await coll.programs["to_ring"].run(PACKET)
        coll.variables["messages_level"].value = 7
        await coll.programs["to_ring"].run(PACKET)
        events.finish()
        with caplog.at_level(logging.DEBUG, logger="test.programs"):
            await log_to(events, "test.programs")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "hello 7"), ("ERROR", "wrong 7: really"),
        ("DEBUG", "a detail of 7"), ("INFO", "hello 7"), ("ERROR", "wrong 7: really"),
    ]  # fmt: skip
    assert all(record.bpf_time_ns for record in caplog.records)  # type: ignore[attr-defined]


@pytest.mark.requires("bounded loops")
async def test_messages_that_find_no_room_are_counted() -> None:
    async with aiobpf.load(OBJECT, programs=["to_ring"]) as coll, coll.stream("messages") as events:
        for _ in range(40):
            await coll.programs["to_ring"].run(PACKET)
        taken = len(events.drain())
        assert taken + events.stats.lost == 80
        assert events.stats.lost > 0


async def test_closing_ends_a_waiting_reader_and_a_second_reader_is_refused() -> None:
    async with TracePipe() as lines, anyio.create_task_group() as tasks:
        ended = anyio.Event()

        async def read() -> None:
            async for _ in lines:
                pass
            ended.set()

        tasks.start_soon(read)
        await anyio.sleep(0.05)
        with pytest.raises(StreamBusyError):
            await lines.__anext__()
        await lines.aclose()
        with anyio.fail_after(PATIENCE_S):
            await ended.wait()
    with pytest.raises(ClosedError):
        lines.drain()
    with pytest.raises(ClosedError):
        async with lines:
            pass


async def test_a_cancelled_reader_loses_nothing() -> None:
    async with aiobpf.load(OBJECT) as coll, TracePipe() as lines:
        coll.variables["number"].value = 815
        with anyio.move_on_after(0.02):
            await first(lines, 1, 815)
        await coll.programs["to_trace"].run(PACKET)
        assert [line.message for line in await first(lines, 2, 815)] == ["hello 815", "careful 815"]


async def test_a_forgotten_pipe_warns_and_is_closed() -> None:
    lines = TracePipe()
    await lines.__aenter__()
    forgotten = [lines]
    del lines
    with pytest.warns(ResourceWarning, match="trace_pipe was never closed"):
        forgotten.clear()
