"""Cancelled at each await in turn, what hangs on an interface without a link is off again, and no socket is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import TYPE_CHECKING

import anyio
import pytest

from aiobpf import asm
from aiobpf.kernel.event_loop import runs_on_trio
from aiobpf.kernel.netlink import NetlinkSocket
from aiobpf.kernel.netns import NetNamespace
from aiobpf.kernel.traffic_control import INGRESS, filters
from aiobpf.link import Tc, Xdp, query
from aiobpf.runtime import Program
from aiobpf.spec import ProgramSpec
from aiobpf.stream import XskSocket
from aiobpf.uapi import ProgramType
from tests.link.conftest import network
from tests.link.networks import has_clsact, index_of

from .test_every_checkpoint import Stepper

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.link.conftest import NetworkPair

__all__ = ["network"]  # the fixture

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


def spec(type_: ProgramType, retval: int) -> ProgramSpec:
    code = asm.Instructions([asm.mov(asm.R0, retval), asm.exit_()])
    return ProgramSpec(name="by_hand", type=type_, license="GPL", instructions=code)


async def filters_and_query(pair: NetworkPair) -> None:
    async with (
        Program.load(spec(ProgramType.SCHED_CLS, 0)) as program,
        program.attach(Tc("near", "ingress", netns=pair.near)) as link,
    ):
        await link.update(program)
        assert len(await query(interface="near", netns=pair.near)) == 1


async def xdp_over_netlink(pair: NetworkPair) -> None:
    async with Program.load(spec(ProgramType.XDP, 2)) as program:
        link = await program.attach(Xdp("near", link=False, netns=pair.near))
        await link.aclose()


async def af_xdp(pair: NetworkPair) -> None:
    async with await XskSocket.open("near", frames=16, netns=pair.near) as xsk:
        await xsk.send([bytes(64)])


SCENARIOS = [filters_and_query, xdp_over_netlink, af_xdp]


def sockets_and_programs() -> int:
    """How many descriptors of netlink and AF_XDP sockets, namespaces and programs this process has."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            what = os.readlink(f"/proc/self/fd/{name}")
            count += what.startswith(("socket:", "/proc/", "net:")) or "bpf" in what
    return count


def is_clean(pair: NetworkPair) -> bool:
    with NetNamespace.open(pair.near) as inside, inside.entered(), NetlinkSocket() as route:
        return not filters(route, index_of("near", pair.near), INGRESS, subject="near")


async def settled(pair: NetworkPair, before: int) -> None:
    deadline = time.monotonic() + 10
    while sockets_and_programs() != before or not is_clean(pair):
        if time.monotonic() > deadline:
            pytest.fail(f"left behind: {sockets_and_programs()} descriptors, {before} before")
        await anyio.sleep(0.01)
    assert not has_clsact(pair.near, "near")
    assert await query(interface="near", netns=pair.near) == []


async def yields_of(scenario: Callable[[], Coroutine[object, object, None]]) -> int:
    stepper = Stepper(scenario(), lambda _: None)
    await stepper
    return stepper.yields


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.__name__)
async def test_a_cancelled_scope(
    network: NetworkPair, scenario: Callable[[NetworkPair], Coroutine[object, object, None]]
) -> None:
    await scenario(network)
    before = sockets_and_programs()
    for place in range(1, await yields_of(lambda: scenario(network)) + 1):
        with anyio.CancelScope() as scope:

            def act(number: int, place: int = place, scope: anyio.CancelScope = scope) -> None:
                if number == place:
                    scope.cancel()

            await Stepper(scenario(network), act)
        await settled(network, before)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.__name__)
async def test_a_native_task_cancellation(
    network: NetworkPair, scenario: Callable[[NetworkPair], Coroutine[object, object, None]]
) -> None:
    if runs_on_trio():
        return  # trio has no such thing
    await scenario(network)
    before = sockets_and_programs()
    for place in range(1, await yields_of(lambda: scenario(network)) + 1):

        def act(number: int, place: int = place) -> None:
            if number == place:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()

        async def run(act: Callable[[int], None] = act) -> None:
            await Stepper(scenario(network), act)

        task = asyncio.create_task(run())
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await settled(network, before)
