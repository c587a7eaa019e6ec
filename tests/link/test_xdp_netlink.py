"""XDP without a bpf link: over netlink, as before 5.9, and in the place of a program that is named."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from aiobpf.errors import KernelError, NotSupportedError, ObjectExistsError, SpecError
from aiobpf.kernel import program_info
from aiobpf.kernel.interfaces import XDP_DRIVER, XDP_SKB, xdp_programs
from aiobpf.kernel.netlink import NetlinkSocket
from aiobpf.kernel.netns import NetNamespace
from aiobpf.link import Xdp, XdpMode
from aiobpf.uapi import AttachType, ProgramType

from .networks import index_of, output

if TYPE_CHECKING:
    from .conftest import Counters, NetworkPair

pytestmark = pytest.mark.root

DROP, PASS = 1, 2


def on_near(network: NetworkPair) -> list[tuple[int, int]]:
    """Mode and id of each program on the interface near."""
    with NetNamespace.open(network.near) as inside, inside.entered(), NetlinkSocket() as route:
        found = xdp_programs(route, index_of("near", network.near), subject="near")
    return [(each.mode, each.program_id) for each in found]


@pytest.mark.everywhere
@pytest.mark.parametrize(
    ("mode", "flag"),
    [
        pytest.param("native", XDP_DRIVER, marks=pytest.mark.shows("xdp_native")),
        pytest.param("generic", XDP_SKB, marks=pytest.mark.shows("xdp_generic")),
        ("auto", XDP_DRIVER),
    ],
)
async def test_xdp_passes_then_drops_until_it_is_closed(
    counters: Counters, network: NetworkPair, mode: str, flag: int
) -> None:
    pass_ = counters(ProgramType.XDP, AttachType.XDP, retval=PASS)
    drop = counters(ProgramType.XDP, AttachType.XDP, retval=DROP)
    async with pass_.program.attach(Xdp("near", mode, link=False, netns=network.near)) as link:
        assert network.datagram_arrives()
        assert pass_.count >= 1
        assert on_near(network) == [(flag, program_info(pass_.program).id)]
        await link.update(drop.program, expected=pass_.program)
        assert not network.datagram_arrives(0.1)
        assert on_near(network) == [(flag, program_info(drop.program).id)]
    assert on_near(network) == []
    assert network.datagram_arrives()


@pytest.mark.everywhere
async def test_a_program_takes_the_place_of_the_one_that_is_named_and_of_no_other(
    counters: Counters, network: NetworkPair
) -> None:
    pass_ = counters(ProgramType.XDP, AttachType.XDP, retval=PASS)
    drop = counters(ProgramType.XDP, AttachType.XDP, retval=DROP)
    first = await pass_.program.attach(Xdp("near", link=False, netns=network.near))
    with pytest.raises(KernelError, match="Another XDP program is on it") as busy:
        await drop.program.attach(Xdp("near", link=False, netns=network.near))
    assert busy.value.errno == errno.EBUSY
    with pytest.raises(ObjectExistsError, match="Another program than 'counting' hangs there"):
        await drop.program.attach(Xdp("near", replaces=drop.program, netns=network.near))
    async with drop.program.attach(Xdp("near", replaces=pass_.program, netns=network.near)) as link:
        assert not network.datagram_arrives(0.1)
        with pytest.raises(ObjectExistsError):
            await link.update(pass_.program, expected=pass_.program)
        await first.aclose()  # its place has another program, which stays
        assert not network.datagram_arrives(0.1)
    assert on_near(network) == []
    with pytest.raises(ValueError, match="is for netlink"):
        Xdp("near", replaces=drop.program, link=True)


@pytest.mark.everywhere
async def test_netlink_says_why_it_refuses_and_what_holds_the_place(counters: Counters, network: NetworkPair) -> None:
    seen = counters(ProgramType.XDP, AttachType.XDP, retval=PASS)
    async with seen.program.attach(Xdp("near", netns=network.near)):
        with pytest.raises(KernelError, match=r"Another XDP program is on it.*The kernel says: .*BPF"):
            await seen.program.attach(Xdp("near", link=False, netns=network.near))
    with pytest.raises(NotSupportedError, match="mode='skb'"):
        await seen.program.attach(Xdp("lo", "native", link=False, netns=network.near))
    for has_link in (None, False):
        with pytest.raises(NotSupportedError, match="no XDP in mode 'hw'"):
            await seen.program.attach(Xdp("near", "hw", link=has_link, netns=network.near))
    with pytest.raises(KernelError, match="interface 4711"):
        await seen.program.attach(Xdp(4711, link=False, netns=network.near))


@pytest.mark.everywhere
async def test_a_program_of_a_map_goes_on_no_interface(counters: Counters, network: NetworkPair) -> None:
    seen = counters(ProgramType.XDP, AttachType.XDP_DEVMAP, retval=PASS)
    with pytest.raises(SpecError, match="was loaded for a device map"):
        await seen.program.attach(Xdp("near", netns=network.near))
    unnamed = counters(ProgramType.XDP, AttachType.XDP_CPUMAP, retval=PASS, with_spec=False)
    with pytest.raises(KernelError) as refused:
        await unnamed.program.attach(Xdp("near", netns=network.near))
    assert refused.value.errno == errno.EINVAL


@pytest.mark.everywhere
async def test_an_interface_that_goes_first_takes_the_program_along(counters: Counters, network: NetworkPair) -> None:
    seen = counters(ProgramType.XDP, AttachType.XDP, retval=PASS)
    async with seen.program.attach(Xdp("near", link=False, netns=network.near)):
        output(f"ip -n {network.near} link del near")


def test_generic_is_another_word_for_skb() -> None:
    assert Xdp("eth0", "generic") == Xdp("eth0", XdpMode.SKB)
