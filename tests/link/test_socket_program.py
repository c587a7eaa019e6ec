"""Programs on one socket: its filter, and which socket of a group takes what arrives, until their link is closed."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pytest

import aiobpf
from aiobpf.errors import KernelError, NotSupportedError, SpecError
from aiobpf.link import Link, SkReuseport, SocketFilter
from aiobpf.uapi import ProgramType
from tests.kernel_features import kernel_has

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Counters

pytestmark = [pytest.mark.root, pytest.mark.everywhere]

OBJECT = Path(__file__).parents[1] / "objects" / "sockets.bpf.o"
SO_LOCK_FILTER = 44
NOTHING = 0


def arrives(receiver: socket.socket) -> bool:
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", receiver.getsockname())
    receiver.settimeout(0.1)
    try:
        return receiver.recv(1) == b"x"
    except TimeoutError:
        return False


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


@pytest.mark.shows("socket_filter")
@pytest.mark.parametrize("by_number", [False, True])
async def test_a_filter_keeps_packets_from_its_socket_until_it_is_closed(
    counters: Counters, receiver: socket.socket, by_number: bool
) -> None:
    seen = counters(ProgramType.SOCKET_FILTER, retval=NOTHING)
    assert arrives(receiver)
    async with seen.program.attach(SocketFilter(receiver.fileno() if by_number else receiver)):
        assert not arrives(receiver)
        assert seen.count == 1
    assert arrives(receiver)


@contextlib.contextmanager
def known_as(number: int, file: socket.socket | BinaryIO) -> Iterator[None]:
    """Give the descriptor *number*, which is closed, to *file*, which may have got it already."""
    if file.fileno() == number:
        yield
        return
    os.dup2(file.fileno(), number)
    try:
        yield
    finally:
        os.close(number)


async def test_a_filter_goes_with_its_socket_and_no_other_is_touched(counters: Counters) -> None:
    drop = counters(ProgramType.SOCKET_FILTER, retval=NOTHING)
    first = socket.socket(type=socket.SOCK_DGRAM)
    number = first.fileno()
    link: Link = await drop.program.attach(SocketFilter(number))
    first.close()
    with socket.socket(type=socket.SOCK_DGRAM) as second, known_as(number, second):
        second.bind(("127.0.0.1", 0))
        async with drop.program.attach(SocketFilter(number)):
            await link.aclose()
            assert not arrives(second)


async def test_a_filter_on_a_socket_that_was_closed_is_closed_without_ado(counters: Counters, tmp_path: Path) -> None:
    seen = counters(ProgramType.SOCKET_FILTER, retval=NOTHING)
    sock = socket.socket(type=socket.SOCK_DGRAM)
    async with seen.program.attach(SocketFilter(sock)):
        sock.close()
    sock = socket.socket(type=socket.SOCK_DGRAM)
    number = sock.fileno()
    link: Link = await seen.program.attach(SocketFilter(number))
    sock.close()
    with (tmp_path / "file").open("wb") as file, known_as(number, file):
        await link.aclose()


async def test_what_takes_no_filter_is_said(counters: Counters, receiver: socket.socket, tmp_path: Path) -> None:
    seen = counters(ProgramType.SOCKET_FILTER, retval=NOTHING)
    with (tmp_path / "file").open("w") as file, pytest.raises(SpecError, match="is no socket"):
        await seen.program.attach(SocketFilter(file.fileno()))
    with pytest.raises(KernelError, match="EBADF"):
        await seen.program.attach(SocketFilter(1_000_000))
    with pytest.raises(SpecError, match="is RAW_TRACEPOINT"):
        await counters(ProgramType.RAW_TRACEPOINT).program.attach(SocketFilter(receiver))
    receiver.setsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER, 1)
    with pytest.raises(KernelError, match="was locked"):
        await seen.program.attach(SocketFilter(receiver))


# --- sockets that share a port --------------------------------------------------------------------------------------


@contextlib.contextmanager
def group(type_: socket.SocketKind) -> Iterator[list[socket.socket]]:
    """Two sockets with one port."""
    with socket.socket(type=type_) as first, socket.socket(type=type_) as second:
        for sock in (first, second):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(("127.0.0.1", 0) if sock is first else first.getsockname())
            if type_ == socket.SOCK_STREAM:
                sock.listen()
        yield [first, second]


def spread(sockets: list[socket.socket], count: int = 40) -> list[int]:
    """How many of *count* datagrams, each from a port of its own, get to each."""
    for _ in range(count):
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", sockets[0].getsockname())
    found = []
    for sock in sockets:
        sock.setblocking(False)
        found.append(0)
        with contextlib.suppress(BlockingIOError):
            while sock.recv(1):
                found[-1] += 1
    assert sum(found) == count
    return found


@pytest.mark.shows("sk_reuseport")
@pytest.mark.parametrize("choice", [0, 1])
async def test_the_socket_that_is_chosen_gets_everything_until_it_is_closed(choice: int) -> None:
    async with aiobpf.load(OBJECT, programs=["choose"]) as coll:
        with group(socket.SOCK_DGRAM) as sockets:
            for index, sock in enumerate(sockets):
                coll.maps["listeners"][index] = sock
            coll.variables["choice"].value = choice
            assert all(spread(sockets))
            async with coll.programs["choose"].attach(SkReuseport(sockets[0])):
                assert spread(sockets)[choice] == 40
                assert coll.variables["seen"].value == 40
            assert all(spread(sockets))
            assert coll.variables["seen"].value == 40


async def test_a_socket_filter_chooses_by_the_order_of_the_sockets(counters: Counters) -> None:
    second = counters(ProgramType.SOCKET_FILTER, retval=1)
    with group(socket.SOCK_DGRAM) as sockets:
        async with second.program.attach(SkReuseport(sockets[1])):
            assert spread(sockets) == [0, 40]
        assert all(spread(sockets))


@pytest.mark.requires("listener migration")
async def test_a_connection_not_yet_accepted_goes_to_the_listener_that_is_chosen() -> None:
    async with aiobpf.load(OBJECT, programs=["choose_again"]) as coll:
        with group(socket.SOCK_STREAM) as (first, second):
            for index, sock in enumerate((first, second)):
                coll.maps["listeners"][index] = sock
            async with coll.programs["choose_again"].attach(SkReuseport(second)):
                with socket.create_connection(first.getsockname()) as client:
                    coll.variables["choice"].value = 1
                    first.close()
                    second.settimeout(5)
                    with second.accept()[0] as accepted:
                        assert accepted.getpeername() == client.getsockname()
                    assert coll.variables["seen"].value == 2


async def test_migration_is_done_or_the_kernel_that_does_it_named() -> None:
    async with aiobpf.load(OBJECT, programs=["choose_again"]) as coll:
        with group(socket.SOCK_STREAM) as (first, _second):
            opening = coll.programs["choose_again"].attach(SkReuseport(first))
            if kernel_has("listener migration"):
                async with opening:
                    return
            with pytest.raises(NotSupportedError, match=r"between listeners needs Linux 5\.14"):
                await opening


async def test_a_socket_that_shares_no_port_is_said_to(counters: Counters, receiver: socket.socket) -> None:
    with pytest.raises(KernelError, match="has no SO_REUSEPORT"):
        await counters(ProgramType.SOCKET_FILTER, retval=1).program.attach(SkReuseport(receiver))
    with pytest.raises(SpecError, match="is RAW_TRACEPOINT"):
        await counters(ProgramType.RAW_TRACEPOINT).program.attach(SkReuseport(receiver))
