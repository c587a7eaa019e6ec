"""Many collections, one after the other and several at once: each is loaded, attached, streamed from and closed.

Afterwards the process has the descriptors and the memory that it had, and the kernel the objects.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

import aiobpf
from aiobpf import kernel
from tests.endurance.memory import Memory

if TYPE_CHECKING:
    import argparse

    from aiobpf.spec import CollectionSpec

OBJECT = Path(__file__).parent.parent / "objects" / "reload_first.bpf.o"
PROGRAMS = 10
AT_ONCE = 4
PATIENCE_S = 10.0
SLACK_BYTES = 2 << 20
"""What resident memory may grow by: malloc's arenas for threads, and the list of ids that is kept here."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=200, help="how many collections (200)")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help=f"how many at a time ({AT_ONCE})")


async def check(options: argparse.Namespace) -> list[str]:
    before, after = await run(options.count, at_once=options.at_once)
    assert after.fds == before.fds, f"{after.fds - before.fds} descriptors more"
    more = after.rss - before.rss
    assert more < SLACK_BYTES, f"{more / (1 << 20):.1f} MiB more"
    return [f"before: {before}", f"after {options.count} collections of {PROGRAMS} programs: {after}"]


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


async def run(count: int, *, at_once: int = AT_ONCE, warm_up: int = 8) -> tuple[Memory, Memory]:
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
    before = Memory.settled()
    await several(range(warm_up + 1, warm_up + count + 1))
    after = Memory.settled()
    assert len(made) == (warm_up + count) * PROGRAMS
    with anyio.fail_after(PATIENCE_S):  # a work queue of the kernel frees them
        while made & set(kernel.all_ids(kernel.ObjectKind.PROGRAM)):  # noqa: ASYNC110 - nothing announces it
            await anyio.sleep(0.01)
    return before, after
