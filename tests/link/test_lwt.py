"""Programs on routes: the packets that take a route meet its program until the link is closed."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aiobpf.errors import KernelError, NotSupportedError, ObjectExistsError, SpecError
from aiobpf.kernel.netns import NetNamespace
from aiobpf.link import Lwt
from aiobpf.uapi import ProgramType

from .networks import output

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Counters, NetworkPair

pytestmark = pytest.mark.root

OK, DROP = 0, 2


def send(network: NetworkPair, namespace: str, address: str) -> None:
    with network.socket(namespace) as sender:
        sender.sendto(b"hello", (address, 9))


@pytest.mark.everywhere
@pytest.mark.shows("lwt_xmit")
@pytest.mark.parametrize("type_", [ProgramType.LWT_XMIT, ProgramType.LWT_OUT])
async def test_what_is_sent_along_a_route_meets_its_program(
    counters: Counters, network: NetworkPair, type_: ProgramType
) -> None:
    output(f"ip -n {network.near} addr add 10.88.0.1/32 dev near")
    seen, drop = counters(type_, retval=OK), counters(type_, retval=DROP)

    def arrives(timeout_s: float) -> bool:
        with network.socket(network.near) as receiver, network.socket(network.far) as sender:
            receiver.bind(("10.88.0.1", 0))
            receiver.settimeout(timeout_s)
            try:
                sender.sendto(b"hello", receiver.getsockname())
                return receiver.recv(16) == b"hello"
            except OSError:  # no route, dropped on the way out, or lost
                return False

    assert not arrives(0.1)
    async with seen.program.attach(Lwt("10.88.0.0/24", "far", netns=network.far)) as link:
        assert arrives(2)
        assert seen.count >= 1
        assert "encap bpf" in output(f"ip -n {network.far} route show 10.88.0.0/24")
        await link.update(drop.program)
        before = seen.count
        assert not arrives(0.1)
        assert drop.count >= 1
        assert seen.count == before
    assert not arrives(0.1)
    assert output(f"ip -n {network.far} route show 10.88.0.0/24") == ""


@pytest.mark.everywhere
async def test_what_arrives_for_a_route_meets_its_program(counters: Counters, network: NetworkPair) -> None:
    """The far end sends by the near one, which would forward."""
    with NetNamespace.open(network.near) as inside, inside.entered():
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    output(f"ip -n {network.far} route add 10.88.0.0/24 via 10.77.0.1")
    seen = counters(ProgramType.LWT_IN, retval=OK)
    async with seen.program.attach(Lwt("10.88.0.0/24", "near", via="10.77.0.2", netns=network.near)):
        assert network.datagram_arrives()  # and both know each other's address from here on
        before = seen.count
        send(network, network.far, "10.88.0.5")
        assert seen.count == before + 1
    send(network, network.far, "10.88.0.5")
    assert seen.count == before + 1


@pytest.mark.everywhere
async def test_a_route_is_replaced_only_where_that_is_asked_for(counters: Counters, network: NetworkPair) -> None:
    seen = counters(ProgramType.LWT_XMIT, retval=OK)
    output(f"ip -n {network.far} route add 10.88.0.0/24 dev far")
    with pytest.raises(ObjectExistsError, match="replace=True takes its place"):
        await seen.program.attach(Lwt("10.88.0.0/24", "far", netns=network.far))
    async with seen.program.attach(Lwt("10.88.0.0/24", "far", metric=7, headroom=14, netns=network.far)) as link:
        assert len(output(f"ip -n {network.far} route show 10.88.0.0/24").splitlines()) == 2
        with pytest.raises(NotSupportedError, match="replaced whatever runs"):
            await link.update(seen.program, expected=seen.program)
    async with seen.program.attach(Lwt("10.88.0.0/24", "far", replace=True, netns=network.far)):
        assert len(output(f"ip -n {network.far} route show 10.88.0.0/24").splitlines()) == 1
        output(f"ip -n {network.far} link set far down")  # the route goes along


@pytest.mark.everywhere
async def test_a_program_ends_a_segment(counters: Counters, network: NetworkPair) -> None:
    """An IPv6 packet with two segments: the first is a route of the near end with a program, the last where it was sent
    (the kernel takes no packet of an ended segment for itself)."""
    for namespace, interface, address in ((network.near, "near", "fd77::1"), (network.far, "far", "fd77::2")):
        output(f"ip -n {namespace} addr add {address}/64 dev {interface} nodad")
        with NetNamespace.open(namespace) as inside, inside.entered():
            for name in ("all", interface):
                Path(f"/proc/sys/net/ipv6/conf/{name}/seg6_enabled").write_text("1")
                Path(f"/proc/sys/net/ipv6/conf/{name}/forwarding").write_text("1")
    output(f"ip -n {network.far} -6 route add fd88::/64 via fd77::1")
    seen = counters(ProgramType.LWT_SEG6LOCAL, retval=OK)
    segments = [
        socket.inet_pton(socket.AF_INET6, address) for address in ("fd77::2", "fd88::5")
    ]  # the last comes first
    header = struct.pack("=BBBBBBH", 0, 4, 4, 1, 1, 0, 0) + b"".join(segments)
    async with seen.program.attach(Lwt("fd88::/64", "near", netns=network.near)):
        with NetNamespace.open(network.far) as inside, inside.entered():
            sender = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            receiver = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        with sender, receiver:
            receiver.bind(("fd77::2", 0))
            receiver.settimeout(2)
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RTHDR, header)
            sender.sendto(b"hello", ("fd77::2", receiver.getsockname()[1]))
            assert receiver.recv(16) == b"hello"
        assert seen.count == 1


@pytest.mark.everywhere
async def test_what_cannot_be_is_said(counters: Counters, network: NetworkPair) -> None:
    seen = counters(ProgramType.LWT_XMIT, retval=OK)
    with pytest.raises(KernelError, match=r"interface 'nera'.*There are: near"):
        await seen.program.attach(Lwt("10.88.0.0/24", "nera", netns=network.near))
    with pytest.raises(KernelError, match="interface 4711"):
        await seen.program.attach(Lwt("10.88.0.0/24", 4711, netns=network.near))
    other = counters(ProgramType.XDP, retval=OK)
    with pytest.raises(SpecError, match="none for a route"):
        await other.program.attach(Lwt("10.88.0.0/24", "near", netns=network.near))


def test_a_destination_is_a_network() -> None:
    makes: list[Callable[[], object]] = [
        lambda: Lwt("10.88.0.1/24", "eth0"),
        lambda: Lwt("10.88.0.0/24", "eth0", headroom=257),
        lambda: Lwt("10.88.0.0/24", "eth0", via="x"),
    ]
    for make in makes:
        with pytest.raises(ValueError, match=r"host bits|must be|does not appear"):
            make()
