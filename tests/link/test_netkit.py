"""netkit: a program in the device decides on what one end sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aiobpf.errors import KernelError, NotSupportedError, SpecError
from aiobpf.link import First, Netkit, NetkitEnd
from aiobpf.uapi import AttachType, LinkType, ProgramType
from tests.kernel_features import kernel_has

from .networks import netkit_network

if TYPE_CHECKING:
    from .conftest import Counters, NetworkPair

pytestmark = pytest.mark.root

NEXT, DROP = -1, 2


@pytest.mark.requires("netkit")
@pytest.mark.everywhere
@pytest.mark.shows("netkit")
@pytest.mark.parametrize(("primary", "end"), [("near", "peer"), ("far", "primary")])
async def test_what_one_end_sends_is_dropped_until_the_link_is_closed(
    counters: Counters, primary: str, end: str
) -> None:
    """The far interface sends; it is the peer, or the primary."""
    seen = counters(ProgramType.SCHED_CLS, retval=NEXT)
    drop = counters(ProgramType.SCHED_CLS, retval=DROP)
    with netkit_network(primary) as network:
        namespace = getattr(network, primary)
        async with seen.program.attach(Netkit(primary, end, netns=namespace)) as link:
            assert network.datagram_arrives()
            assert seen.count >= 1
            assert (await link.info()).type == LinkType.NETKIT
            for has_link in (True, False):
                before = seen.count
                kind = Netkit(primary, end, anchor=First(), link=has_link, netns=namespace)
                async with drop.program.attach(kind):
                    assert not network.datagram_arrives(0.1)
                    assert seen.count == before
                assert network.datagram_arrives()


@pytest.mark.requires("netkit")
@pytest.mark.everywhere
async def test_only_a_primary_netkit_device_takes_programs(counters: Counters) -> None:
    seen = counters(ProgramType.SCHED_CLS, AttachType.NETKIT_PEER, retval=NEXT)
    with netkit_network("near") as network:
        async with seen.program.attach(Netkit("near", netns=network.near)):
            pass
        with pytest.raises(SpecError, match="'far' is the peer"):
            await seen.program.attach(Netkit("far", netns=network.far))
        with pytest.raises(SpecError, match="'lo' is no netkit device"):
            await seen.program.attach(Netkit("lo", netns=network.near))
        with pytest.raises(KernelError, match="There are: near"):
            await seen.program.attach(Netkit("nera", netns=network.near))
    other = counters(ProgramType.SCHED_CLS, retval=NEXT)
    with pytest.raises(SpecError, match="does not say which end"):
        await other.program.attach(Netkit("lo"))


@pytest.mark.everywhere
async def test_a_kernel_without_netkit_is_said_to_lack_it(counters: Counters, network: NetworkPair) -> None:
    if kernel_has("netkit"):
        return
    seen = counters(ProgramType.SCHED_CLS, retval=NEXT)
    with pytest.raises(NotSupportedError) as error:
        await seen.program.attach(Netkit("near", "peer", netns=network.near))
    assert error.value.since == "6.7"


def test_ends_are_words_or_the_enum() -> None:
    assert Netkit("nk0", "peer") == Netkit("nk0", NetkitEnd.PEER)
    with pytest.raises(ValueError, match="middle"):
        Netkit("nk0", "middle")
