"""Cancelled at each await in turn, a load, an attach, a stream and a close leave nothing behind.

A scenario is run once to count how often it yields to the loop, then once for each of those places, cancelled there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import aiobpf
from aiobpf import asm
from aiobpf.asm import Instructions
from aiobpf.kernel import link_iter
from aiobpf.kernel.event_loop import runs_on_trio
from aiobpf.kernel.ids import ObjectKind, all_ids, program_by_id
from aiobpf.kernel.info import program_info
from aiobpf.link import Iter, RawTracepoint
from aiobpf.stream import PerfHistory, Relay, Rows, UserRingBuffer, merge
from tests.kernel_features import kernel_has

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

OBJECTS = Path(__file__).parent.parent / "objects"
PACKET = bytes(64)

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


class Stepper:
    """Awaits *coroutine*, and calls *act* each time it has yielded to the loop, with the number of the yield."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], act: Callable[[int], None]) -> None:
        self.coroutine = coroutine
        self.act = act
        self.yields = 0

    def __await__(self) -> Generator[Any, Any, None]:
        value: Any = None
        error: BaseException | None = None
        while True:
            try:
                yielded = self.coroutine.send(value) if error is None else self.coroutine.throw(error)
            except StopIteration:
                return
            self.yields += 1
            self.act(self.yields)
            value = error = None
            try:
                value = yield yielded
            except BaseException as thrown:
                error = thrown


async def load_and_close() -> None:
    async with aiobpf.load(OBJECTS / "ring_events.bpf.o"):
        await anyio.lowlevel.checkpoint()


async def load_without_with() -> None:
    coll = await aiobpf.Collection.load(OBJECTS / "globals.bpf.o")
    await coll.aclose()


async def attach_by_kind() -> None:
    async with aiobpf.load(OBJECTS / "core.bpf.o") as coll, coll.programs["ask"].attach(RawTracepoint("sys_enter")):
        await anyio.lowlevel.checkpoint()


async def attach_all() -> None:
    async with aiobpf.load(OBJECTS / "core.bpf.o") as coll, coll.attach():
        await anyio.lowlevel.checkpoint()


async def stream_events() -> None:
    async with aiobpf.load(OBJECTS / "ring_events.bpf.o") as coll, coll.stream("events") as events:
        for _ in range(2):
            coll.programs["produce"].run_sync(PACKET)
            async for event in events:
                assert event.number >= 0
                break


async def stream_batches() -> None:
    async with aiobpf.load(OBJECTS / "ring_events.bpf.o") as coll, coll.stream("events") as events:
        coll.programs["produce"].run_sync(PACKET)
        async for batch in events.batches():
            assert len(batch) == 1
            break


async def stream_leased_batches() -> None:
    async with aiobpf.load(OBJECTS / "ring_events.bpf.o") as coll, coll.stream("events") as events:
        arrays = []
        for _ in range(2):  # the second step waits by the clock, as an array still lies in the ring
            coll.programs["produce"].run_sync(PACKET)
            async for batch in events.batches(lease=True):
                arrays.append(batch.numpy())
                break
        assert [len(array) for array in arrays] == [1, 1]


async def stream_of_samples() -> None:
    async with aiobpf.load(OBJECTS / "perf_events.bpf.o") as coll, coll.attach(), coll.stream("samples") as samples:
        os.getppid()
        async for sample in samples:
            assert sample is not None
            break


async def one_map_and_program() -> None:
    spec = aiobpf.read_spec(OBJECTS / "subprograms.bpf.o")
    async with aiobpf.Map.create(spec.maps["table"]) as table:
        table[1] = 1
        async with aiobpf.Program.load(spec.programs["first"]) as program:
            await program.run(PACKET)


async def maps_in_a_map() -> None:
    inner = aiobpf.MapSpec(name="inner", type=aiobpf.MapType.HASH, key_size=4, value_size=8, max_entries=4)
    outer = aiobpf.MapSpec(name="outer", type=aiobpf.MapType.HASH_OF_MAPS, key_size=4, max_entries=4, inner=inner)
    async with aiobpf.Map.create(outer) as holder:
        async with holder.create_inner(1, contents={1: 2}) as held:
            await holder.put(2, held)
        async for _ in holder.batches():
            pass


async def replace_under_a_link() -> None:
    async with (
        aiobpf.load(OBJECTS / "reload_first.bpf.o", programs=["on_packet", "on_syscall"]) as coll,
        coll.attach("on_syscall"),
    ):
        await coll.replace(OBJECTS / "reload_second.bpf.o")
        assert coll.maps["flows"].max_entries == 128


async def meet_every_object() -> None:
    async with aiobpf.Program.load(aiobpf.read_spec(OBJECTS / "subprograms.bpf.o").programs["first"]) as program:
        async for each in aiobpf.Program.all(after=program.id - 1):
            async with each:
                assert each.id >= program.id
        async with aiobpf.enable_stats():
            await program.info()
        await program.target()
        async with aiobpf.BtfObject.from_id((await program.info(code=False)).kernel.btf_id) as types:
            await types.types()


async def meet_every_link() -> None:
    code = Instructions([asm.mov(asm.R0, 0), asm.exit_()])
    spec = aiobpf.ProgramSpec(
        name="met",
        type=aiobpf.ProgramType.TRACING,
        attach_type=aiobpf.AttachType.TRACE_ITER,
        attach_to="task",
        license="GPL",
        instructions=code,
    )
    async with aiobpf.Program.load(spec) as program, await aiobpf.Link.from_fd(link_iter(program)) as link:
        number = (await link.info()).id
        async for each in aiobpf.Link.all(after=number - 1):
            await each.aclose()
        async with await aiobpf.Link.from_id(number) as again:
            assert again.fileno() != link.fileno()


async def merged_streams() -> None:
    async with aiobpf.load(OBJECTS / "timed.bpf.o") as coll:
        for order in (None, "time_ns"):
            events = merge(coll.stream("left"), coll.stream("right"), order_by=order, lateness_s=0.001)
            async with events:
                await coll.programs["make_left"].run()
                await coll.programs["make_right"].run()
                await anext(events)
                await anext(events)


async def relayed_stream() -> None:
    async with aiobpf.load(OBJECTS / "timed.bpf.o") as coll, coll.stream("left") as events:
        relay = Relay(events, 1)
        await coll.programs["make_left"].run()
        await coll.programs["make_left"].run()
        events.finish()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(relay.run)
            async for _ in relay:
                pass


async def rows_of_an_iterator() -> None:
    async with aiobpf.load(OBJECTS / "iterators.bpf.o", programs=["maps"]) as coll:
        async with coll.rows("maps", type="struct object_row") as rows:
            async for _ in rows:
                pass
        async with coll.programs["maps"].attach(Iter("bpf_map")) as link, Rows(link, bytes) as raw:
            async for _ in raw:
                pass


async def history_of_events() -> None:
    async with aiobpf.load(OBJECTS / "shown.bpf.o") as coll, PerfHistory(coll.maps["perf"], bytes, pages=1) as history:
        await history.take()


async def records_to_a_program() -> None:
    if kernel_has("user ring buffers"):
        async with (
            aiobpf.load(OBJECTS / "user_ring.bpf.o") as coll,
            UserRingBuffer(coll.maps["commands"], bytes) as commands,
        ):
            await commands.send(bytes(24))
            with await commands.reserve(8):
                await anyio.lowlevel.checkpoint()


SCENARIOS = [
    merged_streams,
    relayed_stream,
    rows_of_an_iterator,
    history_of_events,
    records_to_a_program,
    load_and_close,
    load_without_with,
    attach_by_kind,
    attach_all,
    stream_events,
    stream_batches,
    stream_leased_batches,
    stream_of_samples,
    one_map_and_program,
    maps_in_a_map,
    replace_under_a_link,
    meet_every_object,
    meet_every_link,
]


def our_fds() -> dict[str, int]:
    found: dict[str, int] = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            what = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
        if "bpf" in what or "perf_event" in what:
            found[what] = found.get(what, 0) + 1
    return found


def our_programs() -> set[int]:
    """The ids of the programs in the kernel that these objects have; others may come and go."""
    names = {
        "ask",
        "guarded",
        "produce",
        "produce_untyped",
        "count",
        "sum",
        "first",
        "sample",
        "on_packet",
        "on_syscall",
        "met",
        "make_left",
        "maps",
        "on_getpgid",
        "on_any",
        "drain",
    }
    found = set()
    for id_ in all_ids(ObjectKind.PROGRAM):
        try:
            with program_by_id(id_) as fd:
                if program_info(fd).name in names:
                    found.add(id_)
        except FileNotFoundError:  # gone meanwhile
            continue
    return found


async def settled(fds: dict[str, int], programs: set[int]) -> None:
    """Wait until this process has the descriptors that it had, and the kernel no program more.

    A worker that was abandoned by a native cancellation ends its call first, and then disposes of the result.
    """
    deadline = time.monotonic() + 10
    while True:
        fds_now, programs_now = our_fds(), our_programs()
        if fds_now == fds and programs_now <= programs:
            return
        if time.monotonic() > deadline:
            pytest.fail(f"left behind: descriptors {fds_now} (before: {fds}), programs {programs_now - programs}")
        await anyio.sleep(0.01)


async def yields_of(scenario: Callable[[], Coroutine[Any, Any, None]]) -> int:
    stepper = Stepper(scenario(), lambda number: None)
    await stepper
    return stepper.yields


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.__name__)
async def test_a_cancelled_scope(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await scenario()  # caches and threads that live on are made first
    fds, programs = our_fds(), our_programs()
    for place in range(1, await yields_of(scenario) + 1):
        with anyio.CancelScope() as scope:

            def act(number: int, place: int = place, scope: anyio.CancelScope = scope) -> None:
                if number == place:
                    scope.cancel()

            await Stepper(scenario(), act)
        await settled(fds, programs)


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.__name__)
async def test_a_native_task_cancellation(scenario: Callable[[], Coroutine[Any, Any, None]], times: int) -> None:
    """asyncio's own ``task.cancel()``, which goes through shields, once or again and again while things close."""
    if runs_on_trio():
        return  # trio has no such thing
    await scenario()
    fds, programs = our_fds(), our_programs()
    for place in range(1, await yields_of(scenario) + 1):

        def act(number: int, place: int = place) -> None:
            if place <= number < place + times:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()

        async def run(act: Callable[[int], None] = act) -> None:
            await Stepper(scenario(), act)

        task = asyncio.create_task(run())
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await settled(fds, programs)
