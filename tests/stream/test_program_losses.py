"""What a ring buffer had no room for: the program counts, and the stream tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

import aiobpf
from aiobpf import asm
from aiobpf.errors import SpecError
from aiobpf.kernel import MapElements, create_map, load_program, possible_cpus
from aiobpf.kernel import test_run as run_program
from aiobpf.stream import RingBuffer
from aiobpf.uapi import MapType, ProgramType

OBJECTS = Path(__file__).parent.parent / "objects"
FITTING = 4096 // 72

pytestmark = pytest.mark.root


@pytest.mark.everywhere
@pytest.mark.parametrize("program", ["reserve", "output"])
async def test_losses_that_the_header_counts_are_the_streams(program: str) -> None:
    async with aiobpf.load(OBJECTS / "streams.bpf.o") as coll, coll.stream("events") as events:
        await coll.programs[program].run(bytes(64), repeat=100)
        assert events.stats.lost == events.stats.lost_by_program == 100 - FITTING
        assert len(events.drain()) == FITTING
        await coll.programs[program].run(bytes(64), repeat=50)
        assert len(events.drain()) == 50
        before = evolve(events.stats)
        assert before.records + before.lost == 150
        await coll.programs[program].run(bytes(64), repeat=FITTING + 7)
    assert events.stats.lost == 100 - FITTING + 7, "the last count is taken as the stream closes"


@pytest.mark.everywhere
async def test_a_global_variable_counts_as_well() -> None:
    async with aiobpf.load(OBJECTS / "streams.bpf.o") as coll:
        await coll.programs["output_other"].run(bytes(64), repeat=100)
        async with coll.stream("others") as others:
            assert others.stats.lost == 0, "counted from when the stream was opened"
            await coll.programs["output_other"].run(bytes(64), repeat=11)
            assert others.stats.lost == 11
        async with RingBuffer(coll.maps["others"]) as others:
            await coll.programs["output_other"].run(bytes(64), repeat=5)
            assert others.stats.lost == 0, "nobody said where it counts"


@pytest.mark.parametrize("kind", [MapType.ARRAY, MapType.PERCPU_ARRAY])
def test_the_asm_snippet_adds_one(kind: MapType) -> None:
    cpus = len(possible_cpus()) if kind == MapType.PERCPU_ARRAY else 1
    with create_map(kind, 4, 8, 1, name="events_lost") as counter:
        code = asm.Instructions([*asm.count_lost("events_lost", fd=counter.fileno()), asm.mov(asm.R0, 0), asm.exit_()])
        with load_program(ProgramType.SOCKET_FILTER, code.encode(), name="lose") as program:
            for _ in range(3):
                run_program(program, bytes(64))
        raw = MapElements(counter, 4, 8 * cpus).lookup(bytes(4))
    assert raw is not None
    assert sum(memoryview(raw).cast("Q")) == 3


async def refused(coll: aiobpf.Collection, lost: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        RingBuffer(coll.maps["events"], lost=lost)


@pytest.mark.asyncio
async def test_what_cannot_count_losses_is_refused_by_name() -> None:
    async with aiobpf.load(OBJECTS / "streams.bpf.o") as coll:
        await refused(coll, coll.maps["events"], "'events' does not count losses")
        await refused(coll, 5, "lost= is a map or a variable")
