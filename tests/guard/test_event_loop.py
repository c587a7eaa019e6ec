"""No callback holds the event loop for long, however fast events come."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from tests.guard.steps import (
    ATTEMPTS,
    LOOPS,
    MOST_MS,
    Stepped,
    Steps,
    asyncio_callbacks,
    check,
    only_own_garbage,
    run_on,
)
from tests.guard.streams import WAYS, Seen, loaded, open_stream, saturated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.stream import RingBuffer

MOST_RECORDS = {"leased batches": 65_536, "leased batches to objects": 65_536}
"""In one callback; of other ways 4096, the default of *batch_records*."""
EVENTS = 250_000
"""More than the ring holds."""


@pytest.fixture(autouse=True)
def no_garbage_of_others() -> Iterator[None]:
    with only_own_garbage():
        yield


async def leased_batches_to_objects(stream: RingBuffer[Any], seen: Seen) -> None:
    async for batch in stream.batches(lease=True):
        seen.sum += sum(event.sequence for event in batch.records())
        seen.events += len(batch)
        if seen.is_enough:
            break


READ = WAYS | {"leased batches to objects": leased_batches_to_objects}


@pytest.mark.requires("loops")
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("way", READ)
def test_no_callback_holds_the_loop_at_saturation(way: str, loop: str) -> None:
    async def read(steps: Steps) -> int:
        seen = Seen(EVENTS)
        async with loaded() as workload, open_stream(workload) as stream:
            with saturated(workload), ExitStack() as stack:
                if loop == "asyncio":
                    stack.enter_context(asyncio_callbacks(steps))
                reading = Stepped(way, READ[way](stream, seen), steps, lambda: seen.events)
                await reading
        assert seen.is_enough
        return reading.most_records

    def measure() -> Steps:
        steps = Steps()
        most = run_on(loop, lambda: read(steps))
        assert most <= MOST_RECORDS.get(way, 4096)
        return steps

    check(measure)


@pytest.mark.requires("loops")
def test_the_first_load_and_the_first_stream_of_a_process_do_not_hold_the_loop() -> None:
    attempts: list[str] = []
    while True:
        done = subprocess.run(
            [sys.executable, "-m", "tests.guard.first_load"], check=True, capture_output=True, text=True
        )
        over = {part: told for part, told in json.loads(done.stdout).items() if told[0] >= MOST_MS}
        if not over:
            break
        attempts.append(str(over))
        assert len(attempts) < ATTEMPTS, f"{MOST_MS} ms are allowed: {'; '.join(attempts)}"


def burn(ms: float) -> None:
    until = time.thread_time_ns() + ms * 1e6
    while time.thread_time_ns() < until:
        pass


@pytest.mark.parametrize("loop", LOOPS)
def test_what_holds_the_loop_is_seen_and_what_sleeps_is_not(loop: str) -> None:
    async def work() -> None:
        time.sleep(0.05)
        await anyio.lowlevel.checkpoint()
        burn(8)

    steps = Steps()

    async def main() -> None:
        await Stepped("work", work(), steps)

    run_on(loop, main)
    assert 8 <= steps.longest_ms < 40
    assert "work" in steps.longest_is


def test_a_callback_of_asyncio_that_is_no_task_is_seen() -> None:
    async def main() -> Steps:
        with asyncio_callbacks(steps := Steps()):
            asyncio.get_running_loop().call_soon(burn, 8)
            await asyncio.sleep(0.001)
        return steps

    steps = anyio.run(main)
    assert 8 <= steps.longest_ms < 40
    assert "burn" in steps.longest_is
