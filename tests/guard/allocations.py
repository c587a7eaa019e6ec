"""Memory: what an event, an instruction, a type costs, and that streams which go on take no more than they have.

Run as a program it prints all of it as JSON. As root; Linux 5.17.
"""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import anyio
import numpy  # noqa: F401 - batches import it when first asked for an array, which is no cost of a batch

from aiobpf import Btf, read_spec
from aiobpf.btf import codec
from tests.guard.inputs import OBJECTS, event_type, many_types
from tests.guard.streams import NO_TURN_S, WAYS, Seen, loaded, open_stream, refill

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.guard.measured import Numbers

EVENTS = 16_384
ROUNDS = 20


def kept(make: Callable[[], Any], times: int = 10) -> tuple[float, float]:
    """Bytes and blocks that one result of *make* keeps; what only the first keeps (caches, imports) left out."""
    make()
    gc.collect()
    results: list[Any] = [None] * times
    tracemalloc.start()
    before, blocks = tracemalloc.get_traced_memory()[0], sys.getallocatedblocks()
    for i in range(times):
        results[i] = make()
    gc.collect()
    bytes_ = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    results[:] = [None] * times
    gc.collect()
    before = sys.getallocatedblocks()
    for i in range(times):
        results[i] = make()
    gc.collect()
    blocks = sys.getallocatedblocks() - before
    return bytes_ / times, blocks / times


async def events() -> Numbers:
    """An event as an object, and what a stream keeps that goes on."""
    found: Numbers = {}
    async with loaded() as workload, open_stream(workload, turn_s=NO_TURN_S) as stream:
        refill(workload, EVENTS)
        drained = [stream.drain()]
        assert len(drained[0]) == EVENTS
        bytes_, blocks = kept(lambda: list(drained[0].records()), 2)
        found["an event as an object: bytes"] = round(bytes_ / EVENTS, 2)
        found["an event as an object: blocks"] = round(blocks / EVENTS, 3)
        drained.clear()
        for name, way in WAYS.items():

            async def rounds(count: int, way: Any = way) -> int:
                seen = Seen(EVENTS)
                for _ in range(count):
                    refill(workload, EVENTS)
                    seen.events = 0
                    await way(stream, seen)
                gc.collect()
                return sys.getallocatedblocks()

            await rounds(4)
            before = await rounds(1)
            growth = await rounds(ROUNDS) - before
            # What the interpreter keeps for itself, a block or two, is none for each of 80 batches.
            found[f"blocks kept for each 4096 events: {name}"] = max(round(growth * 4096 / (ROUNDS * EVENTS), 1), 0)
    return found


def data() -> Numbers:
    """Specs, types and codecs."""
    found: Numbers = {}
    for name, path in OBJECTS.items():
        contents = path.read_bytes()
        count = sum(len(program.instructions) for program in read_spec(contents).programs.values())
        bytes_, blocks = kept(lambda contents=contents: read_spec(contents))  # type: ignore[misc]
        found[f"read_spec, {name}: bytes an instruction"] = round(bytes_ / count, 1)
        found[f"read_spec, {name}: blocks an instruction"] = round(blocks / count, 2)
    raw = many_types()

    def opened() -> Btf:
        types = Btf.from_bytes(raw)
        types.by_name("s_100")
        return types

    bytes_, blocks = kept(opened)
    found["opened BTF: bytes a type"] = round(bytes_ / len(opened().types), 2)
    found["opened BTF: blocks"] = blocks
    count = len(opened().types)
    bytes_, blocks = kept(lambda: list(Btf.from_bytes(raw).types), 2)
    found["types, all looked at: bytes a type"] = round(bytes_ / count, 1)
    found["types, all looked at: blocks a type"] = round(blocks / count, 2)

    def compiled() -> object:
        made = codec(event_type())  # a type of its own: codecs are kept by type
        return made, made.decode, made.python_type

    bytes_, blocks = kept(compiled)
    found["a codec of 9 fields: bytes"] = round(bytes_)
    found["a codec of 9 fields: blocks"] = round(blocks)
    return found


def measure() -> Numbers:
    return data() | anyio.run(events)


if __name__ == "__main__":
    print(json.dumps(measure()))
