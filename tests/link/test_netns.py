"""Programs of a network namespace decide there, and only there, until their link is closed."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aiobpf
from aiobpf.errors import KernelError, SpecError
from aiobpf.kernel.netns import NetNamespace
from aiobpf.link import FlowDissector, Link, SkLookup
from aiobpf.uapi import LinkType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Counters, NetworkPair

pytestmark = [pytest.mark.root, pytest.mark.everywhere]

OBJECT = Path(__file__).parents[1] / "objects" / "sockets.bpf.o"
STEERED = 7777


def tcp(namespace: str) -> socket.socket:
    with NetNamespace.open(namespace) as entered, entered.entered():
        return socket.socket()


@contextlib.contextmanager
def listening(network: NetworkPair) -> Iterator[socket.socket]:
    with tcp(network.near) as listener:
        listener.bind(("10.77.0.1", 0))
        listener.listen()
        yield listener


def connects(network: NetworkPair, port: int) -> bool:
    """Whether a connection from far to near's *port* is taken."""
    with tcp(network.far) as client:
        client.settimeout(5)
        try:
            client.connect(("10.77.0.1", port))
        except ConnectionRefusedError:
            return False
        return True


def spread_packets(network: NetworkPair) -> None:
    """Let near's packets go to any CPU (RPS). Its file is in the /sys of its own namespace, which ip-netns mounts."""
    command = "echo 3 > /sys/class/net/near/queues/rx-0/rps_cpus"
    subprocess.run(["ip", "netns", "exec", network.near, "sh", "-c", command], check=True)


@pytest.mark.shows("sk_lookup")
async def test_a_connection_is_steered_to_another_port_until_it_is_closed(network: NetworkPair) -> None:
    async with aiobpf.load(OBJECT, programs=["steer"]) as coll:
        with listening(network) as listener:
            coll.maps["socks"][0] = listener
            coll.variables["steered_port"].value = STEERED
            assert not connects(network, STEERED)
            async with coll.programs["steer"].attach(SkLookup(network.near)) as link:
                assert connects(network, STEERED)
                assert coll.variables["seen"].value >= 1
                info = await link.info()
                assert (info.type, info.attach_type) == (LinkType.NETNS, 36)
            assert not connects(network, STEERED)


async def test_the_namespace_of_the_thread_that_asks_is_meant(network: NetworkPair) -> None:
    async with aiobpf.load(OBJECT, programs=["steer"]) as coll:
        with listening(network) as listener:
            coll.maps["socks"][0] = listener
            coll.variables["steered_port"].value = STEERED
            with NetNamespace.open(network.near) as near, near.entered():
                link: Link = await coll.programs["steer"].attach(SkLookup())
            async with link:
                assert connects(network, STEERED)
            assert not connects(network, STEERED)
            with NetNamespace.open(network.near) as near:
                async with coll.programs["steer"].attach(SkLookup(near)):
                    assert connects(network, STEERED)


async def test_a_lookup_can_be_updated_and_detached(network: NetworkPair) -> None:
    async with aiobpf.load(OBJECT, programs=["steer"]) as coll, aiobpf.load(OBJECT, programs=["steer"]) as second:
        with listening(network) as listener:
            for each in (coll, second):
                each.maps["socks"][0] = listener
            second.variables["steered_port"].value = STEERED
            async with coll.programs["steer"].attach(SkLookup(network.near)) as link:
                assert not connects(network, STEERED)
                await link.update(second.programs["steer"])
                assert connects(network, STEERED)
                await link.detach()
                assert not connects(network, STEERED)


async def test_a_pinned_lookup_stays_until_it_is_unpinned(network: NetworkPair, bpffs: Path) -> None:
    async with aiobpf.load(OBJECT, programs=["steer"]) as coll:
        with listening(network) as listener:
            coll.maps["socks"][0] = listener
            coll.variables["steered_port"].value = STEERED
            async with coll.programs["steer"].attach(SkLookup(network.near)) as link:
                link.pin(bpffs / "lookup")
            assert connects(network, STEERED)
            async with await Link.from_pin(bpffs / "lookup") as link:
                link.unpin()
            assert not connects(network, STEERED)


@pytest.mark.shows("flow_dissector")
async def test_flows_are_dissected_until_it_is_closed(network: NetworkPair) -> None:
    async with aiobpf.load(OBJECT, programs=["dissect"]) as coll:
        spread_packets(network)  # only then are they taken apart
        async with coll.programs["dissect"].attach(FlowDissector(network.near)) as link:
            assert network.datagram_arrives()
            seen = coll.variables["seen"].value
            assert seen >= 1
            assert (await link.info()).attach_type == 17
        assert network.datagram_arrives()
        assert coll.variables["seen"].value == seen


async def test_a_namespace_has_one_flow_dissector_and_the_root_none_beside_it(network: NetworkPair) -> None:
    async with aiobpf.load(OBJECT, programs=["dissect"]) as coll:
        dissect = coll.programs["dissect"]
        async with dissect.attach(FlowDissector(network.near)), dissect.attach(FlowDissector(network.far)):
            with pytest.raises(KernelError, match="has one flow dissector at most"):
                await dissect.attach(FlowDissector(network.near))
            with pytest.raises(KernelError, match="A flow dissector of the root network namespace serves all"):
                await dissect.attach(FlowDissector())  # tests run in the root namespace
        async with dissect.attach(FlowDissector(network.near)):
            pass


async def test_what_does_not_fit_is_said(counters: Counters, network: NetworkPair) -> None:
    other = counters(ProgramType.RAW_TRACEPOINT).program
    for kind in (SkLookup(network.near), FlowDissector(network.near)):
        with pytest.raises(SpecError, match="is a RAW_TRACEPOINT program"):
            await other.attach(kind)
    async with aiobpf.load(OBJECT, programs=["steer"]) as coll:
        with pytest.raises(KernelError, match="network namespace 'nonesuch'"):
            await coll.programs["steer"].attach(SkLookup("nonesuch"))
        with pytest.raises(KernelError, match="may be no network namespace"):
            await coll.programs["steer"].attach(SkLookup("/proc/self/ns/mnt"))
