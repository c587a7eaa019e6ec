"""``python -m tests.guard.first_load``: a process's first load and first stream, every callback of its loop timed.

`aiobpf.load` is imported before, as at the top of a module, and nothing else. Prints JSON: the longest callback of
each part, in ms of CPU time, and what it was.
"""

from __future__ import annotations

import asyncio
import json

import anyio

import aiobpf
from benchmarks.workload import OBJECT
from tests.guard.steps import Steps, asyncio_callbacks


async def first() -> dict[str, Steps]:
    loading, streaming = Steps(), Steps()
    with asyncio_callbacks(loading):
        await asyncio.sleep(0)
        collection = await aiobpf.load(OBJECT)
        await asyncio.sleep(0)  # a callback is told of when it is over
    async with collection:
        with asyncio_callbacks(streaming):
            await asyncio.sleep(0)
            async with collection.stream("ring_64", type="struct record_64"):
                await asyncio.sleep(0)
    return {"load": loading, "stream": streaming}


if __name__ == "__main__":
    aiobpf.load
    print(json.dumps({part: [each.longest_ms, each.longest_is] for part, each in anyio.run(first).items()}))
