"""Tracepoints, with tracefs mounted or not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from aiobpf.errors import NotSupportedError, SpecError, UnresolvedSymbolError
from aiobpf.link import ProbeMode, Tracepoint
from aiobpf.uapi import LinkType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Counters

pytestmark = pytest.mark.root

FIRST_ARGUMENT = 16  # of a syscalls/sys_enter_* record: 8 common bytes, the number, padding


@pytest.mark.everywhere
@pytest.mark.parametrize("mode", ["auto", pytest.param("link", marks=pytest.mark.requires("perf links")), "ioctl"])
async def test_a_tracepoint_counts_until_it_is_closed(
    counters: Counters, calls_getpgid: Callable[[int], None], mode: str
) -> None:
    seen = counters(ProgramType.TRACEPOINT, only_pid=os.getpid(), context_offset=FIRST_ARGUMENT)
    link = await seen.program.attach(Tracepoint("syscalls", "sys_enter_getpgid", mode=mode))
    calls_getpgid(5)
    assert (seen.count, seen.value) == (5, 0)
    await link.aclose()
    calls_getpgid(5)
    assert seen.count == 5


@pytest.mark.everywhere
@pytest.mark.requires("cookies")
async def test_a_tracepoint_link_has_a_cookie_and_says_what_it_is(
    counters: Counters, calls_getpgid: Callable[[int], None]
) -> None:
    seen = counters(ProgramType.TRACEPOINT, only_pid=os.getpid(), with_cookie=True)
    async with seen.program.attach(Tracepoint("syscalls", "sys_enter_getpgid", cookie=99)) as link:
        calls_getpgid(1)
        assert seen.cookie == 99
        assert (await link.info()).type == LinkType.PERF_EVENT


@pytest.mark.everywhere
async def test_a_missing_tracepoint_is_named_with_its_neighbours(counters: Counters) -> None:
    seen = counters(ProgramType.TRACEPOINT)
    with pytest.raises(UnresolvedSymbolError, match="no tracepoint 'sched/sched_swich'; near: sched/sched_switch"):
        await seen.program.attach(Tracepoint("sched", "sched_swich"))
    with pytest.raises(UnresolvedSymbolError):
        await seen.program.attach(Tracepoint("..", "x y"))


@pytest.mark.everywhere
async def test_the_ioctl_way_has_no_cookie(counters: Counters) -> None:
    seen = counters(ProgramType.TRACEPOINT)
    with pytest.raises(NotSupportedError, match=r"cookie needs Linux 5\.15"):
        await seen.program.attach(Tracepoint("syscalls", "sys_enter_getpgid", cookie=1, mode="ioctl"))


def test_a_tracepoint_is_not_made_through_tracefs() -> None:
    with pytest.raises(SpecError, match="there already"):
        Tracepoint("sched", "sched_switch", mode=ProbeMode.TRACEFS)
