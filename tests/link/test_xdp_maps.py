"""XDP programs behind maps: what is sent to a device, a CPU or an AF_XDP socket meets them, or this process."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

import aiobpf
from aiobpf.errors import ClosedError, KernelError, SpecError
from aiobpf.kernel.netns import NetNamespace
from aiobpf.link import Xdp
from aiobpf.runtime import CpuMapValue, DevMapValue
from aiobpf.stream import XskSocket

from .networks import output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import NetworkPair

pytestmark = [pytest.mark.root, pytest.mark.everywhere]

OBJECT = Path(__file__).parent.parent / "objects" / "xdp_redirect.bpf.o"
SO_NO_CHECK = 11


def send(network: NetworkPair, times: int = 3, port: int = 9) -> None:
    """Datagrams from far to near. veth leaves checksums unfinished, and nobody finishes them behind a redirect."""
    with network.socket(network.far) as sender:
        sender.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        for _ in range(times):
            sender.sendto(b"hello", ("10.77.0.1", port))


@pytest.fixture
def onward(network: NetworkPair) -> Iterator[NetworkPair]:
    """The pair, and a second one from the near namespace on: interface "out" there, "sink" in a third namespace."""
    third = f"aiobpf-third-{os.getpid()}"
    try:
        for command in (
            f"netns add {third}",
            f"-n {network.near} link add out type veth peer name sink netns {third}",
            f"-n {network.near} link set out up",
            f"-n {third} link set sink up",
            # what else would be sent: router solicitations and their kin
            f"-n {network.far} neigh replace 10.77.0.1 lladdr 02:00:00:00:00:01 dev far",
        ):
            subprocess.run(["ip", *command.split()], check=True)
        yield network
    finally:
        subprocess.run(["ip", "netns", "del", third], check=False)


@pytest.mark.shows("xdp_devmap_prog")
async def test_a_packet_sent_to_a_device_meets_the_program_there(onward: NetworkPair) -> None:
    third = f"aiobpf-third-{os.getpid()}"
    async with aiobpf.load(OBJECT) as coll:
        with NetNamespace.open(onward.near) as inside, inside.entered():
            coll.maps["devices"][0] = DevMapValue("out", coll.programs["on_device"])
        counts = coll.variables
        async with (
            coll.programs["pass"].attach(Xdp("sink", "native", netns=third)),
            coll.programs["to_device"].attach(Xdp("near", "native", netns=onward.near)),
        ):
            send(onward)
            with anyio.fail_after(5):
                while counts["behind_device"].value < 3 or counts["passed"].value < 3:  # noqa: ASYNC110 counted there
                    await anyio.sleep(0.01)
            assert counts["redirected"].value >= 3
        before = counts["behind_device"].value
        send(onward)
        assert counts["behind_device"].value == before


@pytest.mark.shows("xdp_cpumap_prog")
async def test_a_packet_sent_to_a_cpu_meets_the_program_there_and_arrives(network: NetworkPair) -> None:
    async with aiobpf.load(OBJECT) as coll:
        coll.maps["cpus"][0] = CpuMapValue(192, coll.programs["on_cpu"])
        with network.socket(network.near) as receiver:
            receiver.bind(("10.77.0.1", 0))
            receiver.settimeout(5)
            assert network.datagram_arrives()  # both know each other's address
            async with coll.programs["to_cpu"].attach(Xdp("near", "native", netns=network.near)):
                send(network, port=receiver.getsockname()[1])
                assert [receiver.recv(16) for _ in range(3)] == [b"hello"] * 3
                assert coll.variables["behind_cpu"].value >= 3
            before = coll.variables["behind_cpu"].value
            send(network, port=receiver.getsockname()[1])
            assert receiver.recv(16) == b"hello"
            assert coll.variables["behind_cpu"].value == before


@pytest.mark.shows("xdp_frags")
@pytest.mark.requires("XDP in fragments")
async def test_a_program_for_packets_in_fragments_is_attached_native(network: NetworkPair) -> None:
    async with (
        aiobpf.load(OBJECT, programs=["pass_fragments"]) as coll,
        coll.programs["pass_fragments"].attach(Xdp("near", "native", netns=network.near)),
    ):
        # More than a page of headers and data: no program without frags is let on such an interface.
        for namespace, interface in ((network.near, "near"), (network.far, "far")):
            output(f"ip -n {namespace} link set {interface} mtu 9000")
        assert network.datagram_arrives()
        assert coll.variables["in_fragments"].value >= 1


def frame(payload: bytes) -> bytes:
    return b"\xff" * 6 + b"\x02\x00\x00\x00\x00\x07" + b"\x88\xb5" + payload  # an EtherType for experiments


@pytest.mark.shows("af_xdp_copy")
@pytest.mark.parametrize("mode", ["native", "skb"])
async def test_an_af_xdp_socket_receives_what_the_program_sends_it(network: NetworkPair, mode: str) -> None:
    async with (
        aiobpf.load(OBJECT) as coll,
        await XskSocket.open("near", frames=64, mode="copy", netns=network.near) as xsk,
        coll.programs["to_socket"].attach(Xdp("near", mode, netns=network.near)),
    ):
        coll.maps["sockets"][0] = xsk
        with NetNamespace.open(network.far) as inside, inside.entered():
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        with raw, anyio.fail_after(10):
            raw.bind(("far", 0))
            sent = [frame(struct.pack("!I", number) + bytes(60)) for number in range(100)]  # more than there are frames
            seen: list[bytes] = []
            for first in range(0, 100, 10):
                for packet in sent[first : first + 10]:
                    raw.send(packet)
                async for batch in xsk.batches():
                    seen += [bytes(view) for view in batch if bytes(view[12:14]) == b"\x88\xb5"]
                    if len(seen) == first + 10:
                        break
            assert seen == sent
        assert xsk.statistics.rx_dropped == 0
        await xsk.aclose()
        before = coll.variables["redirected"].value
        assert network.datagram_arrives()  # no socket: the verdict beside it
        assert coll.variables["redirected"].value > before


async def test_an_af_xdp_socket_sends_past_the_stack(network: NetworkPair) -> None:
    async with await XskSocket.open("near", frames=16, mode="copy", netns=network.near) as xsk:
        with NetNamespace.open(network.far) as inside, inside.entered():
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5))
        with raw:
            raw.bind(("far", 0x88B5))
            raw.settimeout(5)
            packets = [frame(struct.pack("!I", number) + bytes(60)) for number in range(100)]
            await xsk.send(packets)
            assert [raw.recv(128) for _ in range(100)] == packets
        with pytest.raises(SpecError, match="a packet of 3 bytes"):
            await xsk.send([b"abc"])


async def test_who_waits_for_packets_is_told_of_the_close(network: NetworkPair) -> None:
    xsk = await XskSocket.open("near", frames=16, netns=network.near)

    async def wait() -> None:
        with pytest.raises(ClosedError):
            async for _ in xsk.batches():
                pass

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.sleep(0.05)
        await xsk.aclose()
    await xsk.aclose()
    with pytest.raises(ClosedError):
        xsk.fileno()


async def test_what_an_af_xdp_socket_cannot_be_is_said(network: NetworkPair) -> None:
    with pytest.raises(KernelError, match=r"interface 'nera'.*There are: near"):
        await XskSocket.open("nera", netns=network.near)
    with pytest.raises(KernelError, match=r"queue 77 of interface.*It has no such queue"):
        await XskSocket.open("near", 77, frames=16, netns=network.near)
    with pytest.raises(SpecError, match="a power of two of frames"):
        await XskSocket.open("near", frames=100, netns=network.near)
    async with await XskSocket.open("near", frames=16, netns=network.near):
        with pytest.raises(KernelError, match="Another socket has the queue"):
            await XskSocket.open("near", frames=16, netns=network.near)
    xsk = await XskSocket.open("near", frames=16, netns=network.near)
    with pytest.warns(ResourceWarning, match="never closed"):
        del xsk
