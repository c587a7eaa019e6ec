"""Programs on maps of sockets: data goes where they say, for sockets that are put in while they hang there."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

import aiobpf
from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError, SpecError
from aiobpf.link import Link, Sockmap, SockmapMode
from aiobpf.uapi import AttachType, LinkType, ProgramType
from tests.kernel_features import kernel_has

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Counters

pytestmark = [pytest.mark.root, pytest.mark.everywhere]

OBJECT = Path(__file__).parents[1] / "objects" / "sockets.bpf.o"


@frozen
class Connections:
    """Two TCP connections on the loopback interface: a with b, c with d."""

    a: socket.socket
    b: socket.socket
    c: socket.socket
    d: socket.socket

    def gets(self, sock: socket.socket, timeout_s: float = 5.0) -> bytes:
        sock.settimeout(timeout_s)
        try:
            return sock.recv(100)
        except TimeoutError:
            return b""


@pytest.fixture
def connections() -> Iterator[Connections]:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        found = []
        for _ in range(2):
            found.append(stack.enter_context(socket.create_connection(listener.getsockname())))
            found.append(stack.enter_context(listener.accept()[0]))
        yield Connections(*found)


def modes(link: pytest.MarkDecorator, others: pytest.MarkDecorator) -> list[Any]:
    """Parameters, with the marks of what their tests show: a kernel may have no links for maps of sockets."""
    found = [pytest.param("link", marks=[pytest.mark.requires("sockmap links"), link])]
    return found + [pytest.param(mode, marks=others) for mode in ("attach", "auto")]


@pytest.mark.parametrize("mode", modes(pytest.mark.shows("sockmap_link"), pytest.mark.shows("sk_msg")))
async def test_what_is_sent_is_received_elsewhere_until_it_is_closed(connections: Connections, mode: str) -> None:
    a, b, d = connections.a, connections.b, connections.d
    async with aiobpf.load(OBJECT, programs=["send_elsewhere"]) as coll:
        sockets = coll.maps["sock_hash"]

        def put_in() -> None:
            sockets[0], sockets[1] = a, d

        def take_out() -> None:
            del sockets[0], sockets[1]

        async with coll.programs["send_elsewhere"].attach(Sockmap(sockets, mode=mode)):
            put_in()
            a.sendall(b"there")
            assert connections.gets(d) == b"there"
            assert coll.variables["seen"].value == 1
            take_out()
            a.sendall(b"again")
            assert connections.gets(b) == b"again"
        put_in()
        a.sendall(b"here")
        assert connections.gets(b) == b"here"
        assert coll.variables["seen"].value == 1
        take_out()


@pytest.mark.parametrize("mode", modes(pytest.mark.shows("sockmap_link"), pytest.mark.shows("sk_skb")))
async def test_what_is_received_is_passed_on_until_it_is_closed(connections: Connections, mode: str) -> None:
    a, b, c, d = connections.a, connections.b, connections.c, connections.d
    async with aiobpf.load(OBJECT, programs=["all_of_it", "pass_on"]) as coll:
        sockets = coll.maps["socks"]
        place = Sockmap(sockets, mode=mode)
        async with coll.programs["all_of_it"].attach(place), coll.programs["pass_on"].attach(place):
            sockets[0], sockets[1] = b, c
            a.sendall(b"there")
            assert connections.gets(d) == b"there"
            assert coll.variables["seen"].value == 1
        del sockets[0], sockets[1]
        sockets[0], sockets[1] = b, c
        a.sendall(b"here")
        assert connections.gets(b) == b"here"
        assert coll.variables["seen"].value == 1
        del sockets[0], sockets[1]


@pytest.mark.requires("sk_skb verdicts")
async def test_a_verdict_without_a_parser_passes_on_too(connections: Connections) -> None:
    async with aiobpf.load(OBJECT, programs=["pass_on_at_once"]) as coll:
        sockets = coll.maps["socks"]
        async with coll.programs["pass_on_at_once"].attach(Sockmap(sockets)):
            sockets[0], sockets[1] = connections.b, connections.c
            connections.a.sendall(b"there")
            assert connections.gets(connections.d) == b"there"
            del sockets[0], sockets[1]


async def test_a_socket_keeps_the_program_until_it_is_taken_out(connections: Connections) -> None:
    a, b, d = connections.a, connections.b, connections.d
    async with aiobpf.load(OBJECT, programs=["send_elsewhere"]) as coll:
        sockets = coll.maps["sock_hash"]
        sockets[1] = d
        async with coll.programs["send_elsewhere"].attach(Sockmap(sockets)):
            sockets[0] = a
        a.sendall(b"there")
        assert connections.gets(d) == b"there"
        del sockets[0]
        a.sendall(b"here")
        assert connections.gets(b) == b"here"
        del sockets[1]


@pytest.mark.requires("sockmap links")
async def test_a_link_holds_its_place_and_can_be_updated_and_detached(connections: Connections) -> None:
    async with aiobpf.load(OBJECT, programs=["send_elsewhere"]) as coll, aiobpf.load(
        OBJECT, programs=["send_elsewhere"]
    ) as second:  # fmt: skip
        program, sockets = coll.programs["send_elsewhere"], coll.maps["sock_hash"]
        async with program.attach(Sockmap(sockets)) as link:
            info = await link.info()
            assert (info.type, info.map_id) == (LinkType.SOCKMAP, kernel.map_info(sockets).id)
            for mode in SockmapMode:
                with pytest.raises(KernelError, match="A program with a link has this place"):
                    await program.attach(Sockmap(sockets, mode=mode))
            await link.update(second.programs["send_elsewhere"])
            assert program_ids(sockets) == [kernel.program_info(second.programs["send_elsewhere"]).id]
            await link.detach()
            async with program.attach(Sockmap(sockets)):
                pass


@pytest.mark.requires("sockmap queries")
async def test_without_a_link_an_update_takes_the_place_too() -> None:
    async with (
        aiobpf.load(OBJECT, programs=["send_elsewhere"]) as coll,
        aiobpf.load(OBJECT, programs=["send_elsewhere"]) as second,
    ):
        sockets, new = coll.maps["sock_hash"], second.programs["send_elsewhere"]
        async with coll.programs["send_elsewhere"].attach(Sockmap(sockets, mode="attach")) as link:
            with pytest.raises(KernelError, match="Another program than expected hangs there"):
                await link.update(new, expected=new)
            await link.update(new)
            assert program_ids(sockets) == [kernel.program_info(new).id]
        assert program_ids(sockets) == []


@pytest.mark.requires("sockmap links")
async def test_a_pinned_link_keeps_its_place_until_it_is_unpinned(bpffs: Path) -> None:
    async with aiobpf.load(OBJECT, programs=["send_elsewhere"]) as coll:
        sockets = coll.maps["sock_hash"]
        async with coll.programs["send_elsewhere"].attach(Sockmap(sockets)) as link:
            link.pin(bpffs / "link")
        assert len(program_ids(sockets)) == 1
        async with await Link.from_pin(bpffs / "link") as link:
            link.unpin()
        assert program_ids(sockets) == []


async def test_a_link_is_given_or_the_kernel_that_has_it_named() -> None:
    async with aiobpf.load(OBJECT, programs=["send_elsewhere"]) as coll:
        opening = coll.programs["send_elsewhere"].attach(Sockmap(coll.maps["sock_hash"], mode="link"))
        if kernel_has("sockmap links"):
            async with opening:
                return
        with pytest.raises(NotSupportedError, match=r"map 'sock_hash'.*needs Linux 6\.10"):
            await opening


async def test_a_verdict_needs_its_kernel_and_excludes_the_one_of_streams() -> None:
    async with aiobpf.load(OBJECT, programs=["pass_on", "pass_on_at_once"]) as coll:
        sockets = coll.maps["socks"]
        if not kernel_has("sk_skb verdicts"):
            with pytest.raises(NotSupportedError, match=r"SK_SKB_VERDICT needs Linux 5\.13"):
                await coll.programs["pass_on_at_once"].attach(Sockmap(sockets))
            return
        async with coll.programs["pass_on"].attach(Sockmap(sockets)):
            with pytest.raises(KernelError, match="a verdict of the other kind"):
                await coll.programs["pass_on_at_once"].attach(Sockmap(sockets))


async def test_what_does_not_fit_is_said(counters: Counters) -> None:
    async with aiobpf.load(OBJECT, programs=["send_elsewhere"]) as coll:
        with pytest.raises(SpecError, match="is a REUSEPORT_SOCKARRAY map, not one of sockets"):
            await coll.programs["send_elsewhere"].attach(Sockmap(coll.maps["listeners"]))
        sockets = coll.maps["sock_hash"]
        with pytest.raises(SpecError, match="is none for it"):
            await coll.programs["send_elsewhere"].attach(Sockmap(sockets, AttachType.SK_SKB_VERDICT))
        with pytest.raises(SpecError, match="does not say whether it parses"):
            await counters(ProgramType.SK_SKB, retval=1).program.attach(Sockmap(sockets))
        with pytest.raises(SpecError, match="takes SK_MSG programs"):
            await counters(ProgramType.RAW_TRACEPOINT).program.attach(Sockmap(sockets))


def program_ids(sockets: aiobpf.Map) -> list[int]:
    return list(kernel.prog_query(sockets, AttachType.SK_MSG_VERDICT).program_ids)
