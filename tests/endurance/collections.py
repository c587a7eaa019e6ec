"""Many collections, one after the other and several at once: each is loaded, attached, streamed from and closed.

Afterwards the process has the descriptors and the memory that it had, and the kernel the objects.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from attrs import frozen

import aiobpf
from aiobpf import kernel

if TYPE_CHECKING:
    from aiobpf.spec import CollectionSpec

OBJECT = Path(__file__).parent.parent / "objects" / "reload_first.bpf.o"
PROGRAMS = 10
AT_ONCE = 4
PATIENCE_S = 10.0


@frozen
class Footprint:
    """What the process has: descriptors, and bytes of memory that it has touched."""

    descriptors: int
    memory: int

    @classmethod
    def taken(cls) -> Footprint:
        gc.collect()
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return cls(len(os.listdir("/proc/self/fd")), resident)


def with_programs(count: int = PROGRAMS) -> CollectionSpec:
    """A ring buffer, and *count* programs that write to it at every system call, attached by their section."""
    spec = aiobpf.read_spec(OBJECT)
    template = spec.programs["on_syscall"]
    spec.programs.clear()
    for i in range(count):
        program = template.copy()
        program.name = f"on_syscall_{i}"
        spec.programs[program.name] = program
    return spec


async def one(spec: CollectionSpec, number: int) -> set[int]:
    """Load, attach, see an event of each program, close; the ids of its programs."""
    async with aiobpf.load(spec) as coll, coll.attach() as links, coll.stream("events") as events:
        coll.variables["numbered"].value = number
        os.getpgid(0)
        coll.variables["numbered"].value = 0
        seen = [event.number for event in events.drain().records()]
        assert len(links.links) == len(coll.programs)
        assert len(seen) >= len(coll.programs), f"{len(seen)} events of {len(coll.programs)} programs"
        assert set(seen) <= {number, 0}  # 0: another process's system call, as it was switched off
        return {kernel.program_info(program).id for program in coll.programs.values()}


async def run(count: int, *, at_once: int = AT_ONCE, warm_up: int = 8) -> tuple[Footprint, Footprint]:
    """What there was after *warm_up* collections, and after *count* more; the kernel has none of their programs."""
    spec = with_programs()
    made: set[int] = set()

    async def several(numbers: range) -> None:
        left = iter(numbers)

        async def worker() -> None:
            for number in left:
                made.update(await one(spec, number))

        async with anyio.create_task_group() as tasks:
            for _ in range(at_once):
                tasks.start_soon(worker)

    await several(range(1, warm_up + 1))
    before = Footprint.taken()
    await several(range(warm_up + 1, warm_up + count + 1))
    after = Footprint.taken()
    assert len(made) == (warm_up + count) * PROGRAMS
    with anyio.fail_after(PATIENCE_S):  # a work queue of the kernel frees them
        while made & set(kernel.all_ids(kernel.ObjectKind.PROGRAM)):  # noqa: ASYNC110 - nothing announces it
            await anyio.sleep(0.01)
    return before, after
