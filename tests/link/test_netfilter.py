"""netfilter: packets are dropped among the hooks of the IP stack while the link is there."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from aiobpf.errors import KernelError, NotSupportedError
from aiobpf.kernel.netns import NetNamespace
from aiobpf.kernel.program_run import test_run as run_once
from aiobpf.link import Netfilter, NetfilterFamily, NetfilterHook
from aiobpf.uapi import AttachType, LinkType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Counters, NetworkPair

pytestmark = [pytest.mark.root, pytest.mark.requires("netfilter programs")]

DROP, ACCEPT = 0, 1


@pytest.mark.everywhere
@pytest.mark.shows("netfilter_link")
@pytest.mark.parametrize(("namespace", "hook"), [("near", "pre_routing"), ("near", "local_in"), ("far", "local_out")])
async def test_a_hook_drops_until_its_link_is_closed(
    counters: Counters, network: NetworkPair, namespace: str, hook: str
) -> None:
    netns = getattr(network, namespace)
    accept = counters(ProgramType.NETFILTER, AttachType.NETFILTER, retval=ACCEPT)
    drop = counters(ProgramType.NETFILTER, AttachType.NETFILTER, retval=DROP)
    async with accept.program.attach(Netfilter("ipv4", hook, priority=-1, netns=netns)) as link:
        assert network.datagram_arrives()
        assert accept.count >= 1
        info = await link.info()
        assert info.type == LinkType.NETFILTER
        async with drop.program.attach(Netfilter("ipv4", hook, netns=netns)):
            if hook == "local_out":
                with pytest.raises(PermissionError):
                    network.datagram_arrives(0.1)
            else:
                assert not network.datagram_arrives(0.1)
            assert drop.count >= 1
        assert network.datagram_arrives()


@pytest.mark.everywhere
async def test_a_hook_of_another_family_or_namespace_sees_nothing(counters: Counters, network: NetworkPair) -> None:
    drop = counters(ProgramType.NETFILTER, AttachType.NETFILTER, retval=DROP)
    async with (
        drop.program.attach(Netfilter("ipv6", "local_in", netns=network.near)),
        drop.program.attach(Netfilter("ipv4", "local_in", netns=network.far)),
    ):
        assert network.datagram_arrives()


@pytest.mark.everywhere
async def test_a_namespace_may_be_given_by_its_descriptor(counters: Counters, network: NetworkPair) -> None:
    drop = counters(ProgramType.NETFILTER, AttachType.NETFILTER, retval=DROP)
    with NetNamespace.open(network.near) as inside:
        for netns in (inside, inside.fileno()):
            async with drop.program.attach(Netfilter("ipv4", "local_in", netns=netns)):
                assert not network.datagram_arrives(0.1)
    with pytest.raises(KernelError, match="network namespace 99999"):
        await drop.program.attach(Netfilter("ipv4", "local_in", netns=99999))


@pytest.mark.everywhere
async def test_a_priority_is_taken_once_and_defragmentation_where_the_kernel_can(
    counters: Counters, network: NetworkPair
) -> None:
    seen = counters(ProgramType.NETFILTER, AttachType.NETFILTER, retval=ACCEPT)
    async with seen.program.attach(Netfilter("ipv4", "local_in", priority=5, netns=network.near)):
        with pytest.raises(KernelError, match="at priority 5 already") as busy:
            await seen.program.attach(Netfilter("ipv4", "local_in", priority=5, netns=network.near))
        assert busy.value.errno == errno.EBUSY
    kind = Netfilter("ipv4", "pre_routing", defrag=True, netns=network.near)
    try:
        link = await seen.program.attach(kind)
    except NotSupportedError as error:
        assert error.since == "6.6"
    else:
        async with link:
            assert network.datagram_arrives()
            assert seen.count >= 1


@pytest.mark.shows("run_netfilter")
def test_a_netfilter_program_is_run_on_a_packet(counters: Counters) -> None:
    seen = counters(ProgramType.NETFILTER, AttachType.NETFILTER, retval=ACCEPT)
    packet = bytes(12) + b"\x08\x00" + b"\x45" + bytes(63)
    assert run_once(seen.program, packet, data_size_out=0).retval == ACCEPT
    assert seen.count == 1


def test_hooks_are_words_or_enums_and_priorities_have_bounds() -> None:
    assert Netfilter("ipv4", "forward") == Netfilter(NetfilterFamily.IPV4, NetfilterHook.FORWARD)
    makes: list[Callable[[], object]] = [
        lambda: Netfilter("ipx", "forward"),
        lambda: Netfilter("ipv4", "sideways"),
        lambda: Netfilter("ipv4", "forward", priority=-(1 << 31)),
        lambda: Netfilter("ipv4", "forward", priority=(1 << 31) - 1),
        lambda: Netfilter("ipv4", "forward", priority=-400, defrag=True),
    ]
    for make in makes:
        with pytest.raises(ValueError, match=r"ipx|sideways|must be|needs a priority"):
            make()
