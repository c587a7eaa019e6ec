"""tc: what a classifier drops arrives again when it is closed; what others put there stays."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from aiobpf.errors import KernelError, NotSupportedError, ObjectExistsError
from aiobpf.kernel import traffic_control
from aiobpf.kernel.netlink import NetlinkSocket
from aiobpf.kernel.netns import NetNamespace
from aiobpf.link import Direction, Tc
from aiobpf.uapi import ProgramType

from .networks import filters_by_tc, has_clsact, index_of, output

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Counters, NetworkPair

pytestmark = pytest.mark.root

OK, SHOT = 0, 2


@pytest.mark.everywhere
@pytest.mark.shows("tc_clsact")
@pytest.mark.parametrize(("interface", "direction"), [("near", "ingress"), ("far", "egress")])
async def test_a_classifier_drops_until_it_is_closed(
    counters: Counters, network: NetworkPair, interface: str, direction: str
) -> None:
    namespace = getattr(network, interface)
    seen = counters(ProgramType.SCHED_CLS, retval=OK)
    dropping = counters(ProgramType.SCHED_CLS, retval=SHOT)
    async with seen.program.attach(Tc(interface, direction, netns=namespace)):
        assert network.datagram_arrives()
        assert seen.count >= 1
        async with dropping.program.attach(Tc(interface, direction, netns=namespace)):
            assert not network.datagram_arrives(0.1)
            assert dropping.count >= 1
        assert network.datagram_arrives()
        assert has_clsact(namespace, interface)
    assert network.datagram_arrives()
    assert not has_clsact(namespace, interface)


@pytest.mark.everywhere
async def test_priority_and_handle_are_what_tc_lists(counters: Counters, network: NetworkPair) -> None:
    seen = counters(ProgramType.SCHED_CLS, retval=OK)
    async with (
        seen.program.attach(Tc("near", "ingress", priority=7, handle=0x11, netns=network.near)),
        seen.program.attach(Tc("near", "ingress", priority=3, netns=network.near)),
    ):
        assert filters_by_tc(network.near, "near", "ingress") == [(3, 1), (7, 0x11)]
        assert filters_by_tc(network.near, "near", "egress") == []


@pytest.mark.everywhere
async def test_a_filter_gives_way_only_where_that_is_asked_for(counters: Counters, network: NetworkPair) -> None:
    pass_, drop = counters(ProgramType.SCHED_CLS, retval=OK), counters(ProgramType.SCHED_CLS, retval=SHOT)
    kind = Tc("near", Direction.INGRESS, priority=5, handle=1, netns=network.near)
    async with pass_.program.attach(kind):
        with pytest.raises(ObjectExistsError, match=r"priority 5 and handle 0x1 is there: replace=True"):
            await drop.program.attach(kind)
        replacing = Tc("near", "ingress", priority=5, handle=1, replace=True, netns=network.near)
        async with drop.program.attach(replacing):
            assert not network.datagram_arrives(0.1)
            assert len(filters_by_tc(network.near, "near", "ingress")) == 1
        assert filters_by_tc(network.near, "near", "ingress") == []
    assert not has_clsact(network.near, "near")
    with pytest.raises(ValueError, match="needs the priority and the handle"):
        Tc("near", "ingress", replace=True)


@pytest.mark.everywhere
async def test_closing_leaves_the_filter_that_took_the_place_of_ours(counters: Counters, network: NetworkPair) -> None:
    pass_, drop = counters(ProgramType.SCHED_CLS, retval=OK), counters(ProgramType.SCHED_CLS, retval=SHOT)
    ours = await pass_.program.attach(Tc("near", "ingress", priority=5, handle=1, netns=network.near))
    theirs = Tc("near", "ingress", priority=5, handle=1, replace=True, netns=network.near)
    async with drop.program.attach(theirs):
        await ours.aclose()
        assert not network.datagram_arrives(0.1)


@pytest.mark.everywhere
async def test_the_program_of_a_filter_is_updated_in_its_place(counters: Counters, network: NetworkPair) -> None:
    pass_, drop = counters(ProgramType.SCHED_CLS, retval=OK), counters(ProgramType.SCHED_CLS, retval=SHOT)
    async with pass_.program.attach(Tc("near", "ingress", netns=network.near)) as link:
        before = filters_by_tc(network.near, "near", "ingress")
        await link.update(drop.program)
        assert not network.datagram_arrives(0.1)
        assert filters_by_tc(network.near, "near", "ingress") == before
        with pytest.raises(NotSupportedError, match="replaced whatever they are"):
            await link.update(pass_.program, expected=drop.program)
    assert network.datagram_arrives()


@pytest.mark.everywhere
async def test_a_qdisc_of_others_stays_and_so_does_one_with_filters_of_others(
    counters: Counters, network: NetworkPair
) -> None:
    seen = counters(ProgramType.SCHED_CLS, retval=OK)
    output(f"tc -n {network.near} qdisc add dev near clsact")
    async with seen.program.attach(Tc("near", "ingress", netns=network.near)):
        pass
    assert has_clsact(network.near, "near")
    async with seen.program.attach(Tc("far", "egress", netns=network.far)):
        with NetNamespace.open(network.far) as inside, inside.entered(), NetlinkSocket() as route:
            traffic_control.add_filter(
                route, index_of("far", network.far), traffic_control.INGRESS, seen.program,
                name="of_another", priority=9, handle=9, subject="far",
            )  # fmt: skip
    assert has_clsact(network.far, "far")
    assert filters_by_tc(network.far, "far", "ingress") == [(9, 9)]


@pytest.mark.everywhere
async def test_an_ingress_qdisc_serves_for_ingress_and_is_named_for_egress(
    counters: Counters, network: NetworkPair
) -> None:
    drop = counters(ProgramType.SCHED_CLS, retval=SHOT)
    output(f"tc -n {network.near} qdisc add dev near ingress")
    async with drop.program.attach(Tc("near", "ingress", netns=network.near)):
        assert not network.datagram_arrives(0.1)
    assert network.datagram_arrives()
    with pytest.raises(ObjectExistsError, match="It has a qdisc 'ingress' already"):
        await drop.program.attach(Tc("near", "egress", netns=network.near))


@pytest.mark.everywhere
async def test_what_cannot_be_is_said_in_the_kernels_words(counters: Counters, network: NetworkPair) -> None:
    seen = counters(ProgramType.SCHED_CLS, retval=OK)
    with pytest.raises(KernelError, match=r"interface 'nera'.*There are: near") as error:
        await seen.program.attach(Tc("nera", "ingress", netns=network.near))
    assert error.value.errno == 19
    with pytest.raises(KernelError, match="interface 4711"):
        await seen.program.attach(Tc(4711, "ingress", netns=network.near))
    wrong = counters(ProgramType.XDP, retval=OK)
    with pytest.raises(KernelError, match="counting' on interface 'near' \\(ingress\\)"):
        await wrong.program.attach(Tc("near", "ingress", netns=network.near))
    assert not has_clsact(network.near, "near")  # what was made on the way is gone


@pytest.mark.everywhere
async def test_an_interface_that_goes_first_takes_the_filter_along(counters: Counters, network: NetworkPair) -> None:
    seen = counters(ProgramType.SCHED_CLS, retval=OK)
    async with seen.program.attach(Tc("near", "ingress", netns=network.near)):
        subprocess.run(["ip", "-n", network.near, "link", "del", "near"], check=True)


def test_directions_are_words_or_the_enum() -> None:
    assert Tc("eth0", "ingress") == Tc("eth0", Direction.INGRESS)
    makes: list[Callable[[], object]] = [
        lambda: Tc("eth0", "sideways"),
        lambda: Tc("eth0", "ingress", priority=1 << 16),
        lambda: Tc("eth0", "ingress", handle=-1),
        lambda: Tc("eth0", "ingress", netns=""),
    ]
    for make in makes:
        with pytest.raises(ValueError, match=r"sideways|must be|not an empty"):
            make()
