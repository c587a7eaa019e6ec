"""Sampling by software events."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from aiobpf.errors import KernelError, NotSupportedError, SpecError
from aiobpf.kernel import online_cpus
from aiobpf.link import PerfEvent, SoftwareEvent
from aiobpf.uapi import ProgramType

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
        with pytest.raises(NotSupportedError, match="links, one a CPU"):
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
    [{}, {"frequency": 1, "period": 1}, {"frequency": 1, "mode": "tracefs"}, {"frequency": 1, "pid": 0, "cpus": [0]}],
)
def test_a_rate_is_said_once(arguments: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        PerfEvent(**arguments)


def test_an_event_is_given_by_its_name() -> None:
    assert PerfEvent("cpu-clock", frequency=99) == PerfEvent(frequency=99)
    assert PerfEvent("page_faults", period=1).event is SoftwareEvent.PAGE_FAULTS
    with pytest.raises(SpecError, match="no software event 'cycles'; there are cpu-clock, task-clock"):
        PerfEvent("cycles", frequency=99)
