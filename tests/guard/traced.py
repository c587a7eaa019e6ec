"""What system calls are counted of: run under strace by tests/guard/system_calls.py. As root; Linux 5.17.

A part is what lies between two calls of access(2) that nothing else makes.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

import anyio
import numpy  # noqa: F401 - its import is no cost of a batch

import aiobpf
from aiobpf import stream as _stream  # noqa: F401
from tests.endurance.collections import with_programs
from tests.guard.streams import NO_TURN_S, RECORD_BYTES, WAYS, Seen, loaded, open_stream, refill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.workload import Workload

MARK = "/aiobpf-guard"
PROGRAMS = 10
OPERATIONS = 200
ENTRIES = 4096
EVENTS = 25 * 4096
WAKE_UPS = 50
PAUSE_S = 0.004
LOOPS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


@contextlib.contextmanager
def part(name: str) -> Iterator[None]:
    os.access(f"{MARK}/begin/{name}", os.F_OK)
    yield
    os.access(f"{MARK}/end/{name}", os.F_OK)


async def loads() -> None:
    spec = with_programs(PROGRAMS)
    for which in ("first", "second"):
        with part(f"{which} load"):
            collection = await aiobpf.Collection.load(spec)
        await collection.aclose()


async def maps() -> None:
    async with loaded() as workload:
        each = workload.map("lookups")
        each[0]
        value = each[1]
        with part("lookups"):
            for key in range(OPERATIONS):
                each[key]
        with part("updates"):
            for key in range(OPERATIONS):
                each[key] = value
        with part("deletes"):
            for key in range(OPERATIONS):
                del each[key]
        with part("update_many"):
            each.update_many((key, value) for key in range(ENTRIES))
        with part("scan"):
            each.numpy()


async def streams(loop: str) -> None:
    async with loaded() as workload, open_stream(workload, turn_s=NO_TURN_S) as stream:
        for way, read in WAYS.items():
            for is_warm in (False, True):
                refill(workload, EVENTS)
                with part(f"{way}, {loop}") if is_warm else contextlib.nullcontext():
                    await read(stream, Seen(EVENTS))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(WAYS["events"], stream, Seen(WAKE_UPS + 2))
            await _submit(workload, 1)  # the reader has slept and was woken before
            with part(f"wake-ups, {loop}"):
                await _submit(workload, WAKE_UPS)
            await _submit(workload, 1)


async def _submit(workload: Workload, count: int) -> None:
    """One by one, to a reader that sleeps."""
    for _ in range(count):
        await anyio.sleep(PAUSE_S)
        workload.submit(RECORD_BYTES, 1)
    await anyio.sleep(PAUSE_S)


def main(*loops: str) -> None:
    """On all loops, or on *loops*."""
    anyio.run(loads)
    anyio.run(maps)
    for loop in loops or LOOPS:
        backend, options = LOOPS[loop]
        anyio.run(streams, loop, backend=backend, backend_options=options)


if __name__ == "__main__":
    main(*sys.argv[1:])
