"""XDP: packets are dropped while the link is there, and arrive after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aiobpf.errors import KernelError, NotSupportedError
from aiobpf.kernel.netns import NetNamespace
from aiobpf.link import Xdp, XdpMode
from aiobpf.uapi import AttachType, LinkType, ProgramType

if TYPE_CHECKING:
    from .conftest import Counters, NetworkPair

pytestmark = pytest.mark.root

DROP, PASS = 1, 2


@pytest.mark.everywhere
@pytest.mark.shows("netns_veth", "xdp_link")
@pytest.mark.parametrize("mode", ["auto", "native", "skb"])
async def test_xdp_drops_until_it_is_closed(counters: Counters, network: NetworkPair, mode: str) -> None:
    seen = counters(ProgramType.XDP, AttachType.XDP, retval=DROP)
    assert network.datagram_arrives()
    async with seen.program.attach(Xdp("near", mode, netns=network.near)) as link:
        assert not network.datagram_arrives(0.1)
        assert seen.count >= 1
        info = await link.info()
        assert info.type == LinkType.XDP
    assert network.datagram_arrives()


@pytest.mark.everywhere
@pytest.mark.shows("link_update")
async def test_an_update_leaves_no_gap_and_takes_effect(counters: Counters, network: NetworkPair) -> None:
    drop = counters(ProgramType.XDP, AttachType.XDP, retval=DROP)
    pass_ = counters(ProgramType.XDP, AttachType.XDP, retval=PASS)
    async with drop.program.attach(Xdp("near", netns=network.near)) as link:
        assert not network.datagram_arrives(0.1)
        await link.update(pass_.program)
        assert network.datagram_arrives()
        assert pass_.count >= 1
        await link.update(drop.program, expected=pass_.program)
        assert not network.datagram_arrives(0.1)
        await link.detach()
        assert network.datagram_arrives()


@pytest.mark.everywhere
async def test_the_callers_thread_decides_the_network_namespace(counters: Counters, network: NetworkPair) -> None:
    """A worker thread made earlier lives in the old namespace; the interface is looked for where the caller is."""
    seen = counters(ProgramType.XDP, AttachType.XDP, retval=DROP)
    with pytest.raises(KernelError, match="'near'"):
        await seen.program.attach(Xdp("near"))
    with NetNamespace.open(network.near) as namespace, namespace.entered():
        link = await seen.program.attach(Xdp("near"))
    async with link:
        assert not network.datagram_arrives(0.1)


@pytest.mark.everywhere
async def test_an_interface_index_will_do(counters: Counters, network: NetworkPair) -> None:
    import socket

    with NetNamespace.open(network.near) as namespace, namespace.entered():
        index = socket.if_nametoindex("near")
    seen = counters(ProgramType.XDP, AttachType.XDP, retval=DROP)
    async with seen.program.attach(Xdp(index, netns=network.near)):
        assert not network.datagram_arrives(0.1)


@pytest.mark.everywhere
async def test_a_missing_interface_is_named_with_those_there_are(counters: Counters, network: NetworkPair) -> None:
    seen = counters(ProgramType.XDP, AttachType.XDP, retval=PASS)
    with pytest.raises(KernelError, match=r"interface 'nera'.*There are: near") as error:
        await seen.program.attach(Xdp("nera", netns=network.near))
    assert error.value.errno == 19
    with pytest.raises(KernelError, match="interface 4711"):
        await seen.program.attach(Xdp(4711, netns=network.near))
    with pytest.raises(KernelError, match="network namespace 'no-such'"):
        await seen.program.attach(Xdp("near", netns="no-such"))


@pytest.mark.everywhere
async def test_a_second_program_is_told_that_the_place_is_taken(counters: Counters, network: NetworkPair) -> None:
    seen = counters(ProgramType.XDP, AttachType.XDP, retval=PASS)
    async with seen.program.attach(Xdp("near", netns=network.near)):
        with pytest.raises(KernelError, match="Another XDP program is on it"):
            await seen.program.attach(Xdp("near", netns=network.near))


@pytest.mark.everywhere
async def test_a_driver_without_native_xdp_is_said_to_lack_it(counters: Counters, network: NetworkPair) -> None:
    seen = counters(ProgramType.XDP, AttachType.XDP, retval=PASS)
    with pytest.raises(NotSupportedError, match=r"no XDP in mode 'native'.*mode='skb'"):
        await seen.program.attach(Xdp("lo", "native", netns=network.near))


def test_modes_are_words_or_the_enum() -> None:
    assert Xdp("eth0", "skb") == Xdp("eth0", XdpMode.SKB)
    with pytest.raises(ValueError, match="fast"):
        Xdp("eth0", "fast")
