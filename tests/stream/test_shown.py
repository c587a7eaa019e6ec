"""One system call, seen through each way out of a program."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import anyio
import pytest

import aiobpf

OBJECT = Path(__file__).parent.parent / "objects" / "shown.bpf.o"

pytestmark = pytest.mark.root


def call() -> None:
    with contextlib.suppress(ProcessLookupError):
        os.getpgid(4711)


@pytest.mark.everywhere
@pytest.mark.shows("tp_ringbuf", "perf_event_array", "stack_trace")
async def test_a_call_wakes_the_readers_of_a_ring_and_a_perf_buffer_and_has_two_stacks() -> None:
    async with aiobpf.load(OBJECT) as coll:
        coll.variables["wanted"].value = os.getpid()
        async with coll.stream("ring") as ring, coll.stream("perf", type="struct call") as perf:
            async with coll.attach():
                for stream in (ring, perf):
                    async with anyio.create_task_group() as tasks:

                        async def soon() -> None:
                            await anyio.sleep(0.02)
                            call()

                        tasks.start_soon(soon)
                        with anyio.fail_after(10):
                            event = await anext(stream)
                        assert (event.argument, event.pid) == (4711, os.getpid())
                for name in ("user_stack", "kernel_stack"):
                    stack = coll.variables[name].value
                    assert stack >= 0, name
                    frames = memoryview(coll.maps["stacks"].lookup_bytes(stack) or b"").cast("Q")
                    assert frames[0], "the address of the innermost frame"
            ring.drain()
            perf.drain()
            call()
            assert not ring.drain()
            assert not perf.drain()
