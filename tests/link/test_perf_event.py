"""Sampling: by software events, by the processor's, and at accesses to an address."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aiobpf.errors import KernelError, NotSupportedError, SpecError
from aiobpf.kernel import online_cpus
from aiobpf.link import Breakpoint, CacheEvent, HardwareEvent, PerfEvent, PmuEvent, RawEvent, SoftwareEvent
from aiobpf.uapi import ProgramType

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Counters

pytestmark = pytest.mark.root


def spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def spin_until(is_true: Callable[[], bool], seconds: float = 10) -> None:
    """Work until *is_true*: a machine that is emulated, or has much to do, ticks less often than it was asked to."""
    end = time.monotonic() + seconds
    while not is_true() and time.monotonic() < end:
        spin(0.01)


@pytest.mark.everywhere
@pytest.mark.shows("perf_cpu_clock")
@pytest.mark.parametrize("mode", ["auto", "ioctl"])
async def test_the_cpu_clock_ticks_on_every_cpu_until_it_is_closed(counters: Counters, mode: str) -> None:
    seen = counters(ProgramType.PERF_EVENT)
    link = await seen.program.attach(PerfEvent(frequency=500, mode=mode))
    spin_until(lambda: seen.count >= 10)
    assert seen.count >= 10
    await link.aclose()
    after = seen.count
    spin(0.05)
    assert seen.count == after


@pytest.mark.everywhere
@pytest.mark.shows("perf_task_clock")
async def test_one_process_can_be_sampled(counters: Counters) -> None:
    seen = counters(ProgramType.PERF_EVENT, only_pid=os.getpid())
    async with seen.program.attach(PerfEvent(SoftwareEvent.TASK_CLOCK, period=1_000_000, pid=0)):
        spin_until(lambda: seen.count >= 10)
        assert seen.count >= 10
        before = seen.count
        thread = threading.Thread(target=spin_until, args=(lambda: seen.count >= before + 10,))
        thread.start()
        thread.join()
        assert seen.count >= before + 10
    after = seen.count
    spin(0.05)
    assert seen.count == after


@pytest.mark.everywhere
@pytest.mark.requires("perf links")
async def test_a_link_of_several_cpus_cannot_be_pinned(counters: Counters, tmp_path: Path) -> None:
    if len(online_cpus()) < 2:
        pytest.skip("needs two CPUs")
    seen = counters(ProgramType.PERF_EVENT)
    async with seen.program.attach(PerfEvent(frequency=1)) as link:
        with pytest.raises(NotSupportedError, match="links, one a place, CPU or thread"):
            link.pin(tmp_path / "link")


@pytest.mark.everywhere
async def test_cpus_that_are_not_there_and_rates_too_high_are_errors(counters: Counters) -> None:
    seen = counters(ProgramType.PERF_EVENT)
    with pytest.raises(KernelError):
        await seen.program.attach(PerfEvent(frequency=1, cpus=[4000]))
    with pytest.raises(KernelError, match="no process 4194000"):
        await seen.program.attach(PerfEvent(frequency=1, pid=4194000))
    with pytest.raises(KernelError, match="perf_event_max_sample_rate"):
        await seen.program.attach(PerfEvent(frequency=1_000_000_000))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"frequency": 1, "period": 1},
        {"frequency": 1, "mode": "tracefs"},
        {"frequency": 1, "pid": 0, "cpus": [0]},
        {"frequency": 1, "pid": 0, "cgroup": "/"},
    ],
)
def test_a_rate_is_said_once(arguments: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        PerfEvent(**arguments)


def test_an_event_is_given_by_its_name() -> None:
    assert PerfEvent("cpu-clock", frequency=99) == PerfEvent(frequency=99)
    assert PerfEvent("page_faults", period=1).event is SoftwareEvent.PAGE_FAULTS
    assert PerfEvent("cycles", period=1000).event is HardwareEvent.CPU_CYCLES
    assert PerfEvent("branch-misses", period=1).event is HardwareEvent.BRANCH_MISSES
    assert PerfEvent("LLC-load-misses", period=1).event == CacheEvent("LLC", "load", misses=True)
    assert PerfEvent("l1-dcache-stores", period=1).event == CacheEvent("L1-dcache", "store")
    assert PerfEvent("r1a8", period=1).event == RawEvent(0x1A8)
    assert CacheEvent("dTLB", "prefetch", misses=True).config == 3 | 2 << 8 | 1 << 16
    with pytest.raises(SpecError, match=r"no event 'cycels'; there are cpu-clock, task-clock, .*cpu-cycles"):
        PerfEvent("cycels", frequency=99)
    for make in (
        lambda: CacheEvent("L9"),
        lambda: RawEvent(-1),
        lambda: Breakpoint(8, 3),
        lambda: Breakpoint(8, 8, "z"),
    ):
        with pytest.raises(ValueError, match="must be in"):
            make()


@pytest.mark.everywhere
@pytest.mark.shows("perf_page_faults")
async def test_page_faults_of_a_process_are_seen_one_by_one(counters: Counters) -> None:
    seen = counters(ProgramType.PERF_EVENT)
    with mmap.mmap(-1, 64 * mmap.PAGESIZE) as first, mmap.mmap(-1, 64 * mmap.PAGESIZE) as second:
        for each in (first, second):
            each.madvise(mmap.MADV_NOHUGEPAGE)
        async with seen.program.attach(PerfEvent("page-faults", period=1, pid=0)):
            for page in range(64):
                first[page * mmap.PAGESIZE] = 1
            assert seen.count >= 64
        after = seen.count
        for page in range(64):
            second[page * mmap.PAGESIZE] = 1
        assert seen.count == after


@pytest.mark.everywhere
@pytest.mark.shows("perf_hw_cycles")
@pytest.mark.parametrize("event", ["cycles", "LLC-load-misses", "r3c"])
async def test_the_processor_counts_or_the_machine_is_said_to_have_no_counter(counters: Counters, event: str) -> None:
    seen = counters(ProgramType.PERF_EVENT)
    kind = PerfEvent(event, period=100_000)
    if (Path("/sys/bus/event_source/devices/cpu")).exists():
        async with seen.program.attach(kind):
            spin_until(lambda: seen.count > 0 or event != "cycles")
            assert seen.count > 0 or event != "cycles"
    else:
        with pytest.raises(NotSupportedError, match=r"no counter for it.*Virtual machines often have none"):
            await seen.program.attach(kind)


@pytest.mark.everywhere
async def test_an_event_of_a_source_that_is_not_there_is_named(counters: Counters) -> None:
    with pytest.raises(NotSupportedError, match="no_such_source events"):
        await counters(ProgramType.PERF_EVENT).program.attach(PerfEvent(PmuEvent("no_such_source", 1), period=1))


@pytest.mark.everywhere
async def test_a_source_of_the_kernel_is_sampled_by_its_number(counters: Counters) -> None:
    seen = counters(ProgramType.PERF_EVENT)
    async with seen.program.attach(PerfEvent(PmuEvent("software", 0), frequency=500)):
        spin_until(lambda: seen.count >= 5)
        assert seen.count >= 5


@pytest.mark.everywhere
@pytest.mark.requires("perf events of cgroups")
async def test_what_runs_in_a_cgroup_is_sampled_and_nothing_else(counters: Counters, cgroup: Path) -> None:
    inside, outside = counters(ProgramType.PERF_EVENT), counters(ProgramType.PERF_EVENT)
    empty = cgroup / "empty"
    empty.mkdir()
    try:
        async with (
            inside.program.attach(PerfEvent("task-clock", period=1_000_000, cgroup=cgroup)),
            outside.program.attach(PerfEvent("task-clock", period=1_000_000, cgroup=empty)),
        ):
            spin_until(lambda: inside.count >= 10)
            assert inside.count >= 10
            assert outside.count == 0
        after = inside.count
        spin(0.05)
        assert inside.count == after
    finally:
        empty.rmdir()
    with pytest.raises(KernelError, match="cgroup '/no/such'"):
        await inside.program.attach(PerfEvent(frequency=1, cgroup="/no/such"))


@pytest.mark.everywhere
async def test_a_breakpoint_sees_each_write_to_an_address(counters: Counters) -> None:
    seen = counters(ProgramType.PERF_EVENT)
    cell = ctypes.c_uint64()
    kind = PerfEvent.breakpoint(ctypes.addressof(cell), 8, "w", pid=0)
    async with seen.program.attach(kind):
        for number in range(5):
            cell.value = number
        assert cell.value == 4
        assert seen.count >= 5  # an emulated processor may tell of one write twice (seen: 8, on 6.12 under QEMU)
    after = seen.count
    cell.value = 9
    assert seen.count == after


@pytest.mark.everywhere
async def test_a_breakpoint_sees_each_execution_of_a_function(counters: Counters) -> None:
    seen = counters(ProgramType.PERF_EVENT)
    libc = ctypes.CDLL(None)
    address = ctypes.cast(libc.getppid, ctypes.c_void_p).value
    assert address is not None
    async with seen.program.attach(PerfEvent.breakpoint(address, 8, "x", pid=0)):
        for _ in range(3):
            libc.getppid()
        assert seen.count == 3
    libc.getppid()
    assert seen.count == 3


@pytest.mark.everywhere
async def test_a_breakpoint_that_the_processor_does_not_do_is_named(counters: Counters) -> None:
    seen = counters(ProgramType.PERF_EVENT)
    cell = ctypes.c_uint64()
    with pytest.raises(KernelError, match="not aligned to the length"):
        await seen.program.attach(PerfEvent.breakpoint(ctypes.addressof(cell) + 1, 8, "w", pid=0))
