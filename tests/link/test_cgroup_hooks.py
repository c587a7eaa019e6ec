"""Each hook of a cgroup: what the program there does to a socket, a setting or a device, until the link is closed."""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import aiobpf
from aiobpf import asm
from aiobpf.asm import R0, R1, R2, Instructions
from aiobpf.errors import NotSupportedError
from aiobpf.link import Cgroup
from aiobpf.runtime import Program
from aiobpf.spec import ProgramSpec
from aiobpf.uapi import AttachType, ProgramType
from tests.kernel_features import kernel_has

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Counters

pytestmark = [pytest.mark.root, pytest.mark.everywhere]

OBJECT = Path(__file__).parents[1] / "objects" / "sockets.bpf.o"
DENY, ALLOW = 0, 1
ADDRESS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
PORT = 20_000 + os.getpid() % 10_000  # no port that the kernel gives by itself
STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
NAME = f"\0aiobpf-{os.getpid()}"  # of a Unix socket, in no file system


def create() -> None:
    socket.socket().close()


def bind(family: socket.AddressFamily) -> int:
    with socket.socket(family, STREAM) as sock:
        sock.bind((ADDRESS[family], 0))
        return int(sock.getsockname()[1])


def connect(family: socket.AddressFamily) -> int | None:
    """The port that a connection to port 9 got to."""
    with socket.socket(family, STREAM) as listener, socket.socket(family, STREAM) as client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ADDRESS[family], PORT))
        listener.listen()
        try:
            client.connect((ADDRESS[family], 9))
        except ConnectionRefusedError:
            return None
        return int(client.getpeername()[1])


def send(family: socket.AddressFamily) -> int | None:
    """The port that a datagram to port 9 got to."""
    with socket.socket(family, DATAGRAM) as receiver, socket.socket(family, DATAGRAM) as sender:
        receiver.bind((ADDRESS[family], PORT))
        receiver.settimeout(0.1)
        sender.sendto(b"x", (ADDRESS[family], 9))
        try:
            receiver.recv(1)
        except TimeoutError:
            return None
        return PORT


def receive(family: socket.AddressFamily) -> int:
    """The port that a datagram says it came from."""
    with socket.socket(family, DATAGRAM) as receiver, socket.socket(family, DATAGRAM) as sender:
        receiver.bind((ADDRESS[family], 0))
        sender.sendto(b"x", receiver.getsockname())
        receiver.settimeout(2)
        return int(receiver.recvfrom(1)[1][1])


def arrive() -> None:
    """TimeoutError unless a datagram arrives."""
    with socket.socket(type=DATAGRAM) as receiver, socket.socket(type=DATAGRAM) as sender:
        receiver.bind(("127.0.0.1", 0))
        sender.sendto(b"x", receiver.getsockname())
        receiver.settimeout(0.1)
        receiver.recv(1)


def peer_name(family: socket.AddressFamily) -> int:
    with socket.socket(family, DATAGRAM) as sock:
        sock.connect((ADDRESS[family], 9))
        return int(sock.getpeername()[1])


def own_name(family: socket.AddressFamily) -> int:
    with socket.socket(family, DATAGRAM) as sock:
        sock.bind((ADDRESS[family], 0))
        return int(sock.getsockname()[1])


def unix_talk() -> None:
    """Connect, send, receive and ask for both names."""
    with socket.socket(socket.AF_UNIX, DATAGRAM) as receiver, socket.socket(socket.AF_UNIX, DATAGRAM) as sender:
        receiver.bind(NAME)
        sender.sendto(b"x", NAME)
        receiver.recvfrom(1)
        sender.connect(NAME)
        sender.getpeername()
        receiver.getsockname()


def on(family: socket.AddressFamily, act: Callable[[socket.AddressFamily], object]) -> Callable[[], object]:
    return functools.partial(act, family)


IPV4, IPV6 = socket.AF_INET, socket.AF_INET6
ADDRESSED, SOCK, SKB = ProgramType.CGROUP_SOCK_ADDR, ProgramType.CGROUP_SOCK, ProgramType.CGROUP_SKB
DENIED = [
    ("INET4_POST_BIND", SOCK, on(IPV4, bind)),
    ("INET6_POST_BIND", SOCK, on(IPV6, bind)),
    ("INET4_BIND", ADDRESSED, on(IPV4, bind)),
    ("INET6_BIND", ADDRESSED, on(IPV6, bind)),
    ("INET4_CONNECT", ADDRESSED, on(IPV4, connect)),
    ("INET6_CONNECT", ADDRESSED, on(IPV6, connect)),
    ("UDP4_SENDMSG", ADDRESSED, on(IPV4, send)),
    ("UDP6_SENDMSG", ADDRESSED, on(IPV6, send)),
    ("UNIX_SENDMSG", ADDRESSED, unix_talk),
]
REWRITTEN = [
    ("INET6_BIND", on(IPV6, bind)),
    ("INET6_CONNECT", on(IPV6, connect)),
    ("UDP6_SENDMSG", on(IPV6, send)),
    ("UDP4_RECVMSG", on(IPV4, receive)),
    ("UDP6_RECVMSG", on(IPV6, receive)),
    ("INET6_GETPEERNAME", on(IPV6, peer_name)),
    ("INET4_GETSOCKNAME", on(IPV4, own_name)),
    ("INET6_GETSOCKNAME", on(IPV6, own_name)),
]
SEEN = [
    ("INET_SOCK_RELEASE", SOCK, create),
    ("UNIX_RECVMSG", ADDRESSED, unix_talk),
    ("UNIX_GETPEERNAME", ADDRESSED, unix_talk),
    ("UNIX_GETSOCKNAME", ADDRESSED, unix_talk),
]


def cases(rows: list[tuple[Any, ...]]) -> list[Any]:
    return [case(*row) for row in rows]


def case(name: str, *values: object, shows: pytest.MarkDecorator | None = None) -> Any:
    marks = [pytest.mark.requires("cgroup unix hooks")] if name.startswith("UNIX") else []
    marks += [shows] if shows else []
    return pytest.param(AttachType[f"CGROUP_{name}"], *values, id=name.lower(), marks=marks)


@pytest.mark.parametrize(
    ("attach_type", "type_", "act"),
    [
        *cases(DENIED),
        case("INET_SOCK_CREATE", SOCK, create, shows=pytest.mark.shows("cgroup_sock_create")),
        case("INET_EGRESS", SKB, on(IPV4, send), shows=pytest.mark.shows("cgroup_skb_egress")),
        case("UNIX_CONNECT", ADDRESSED, unix_talk, shows=pytest.mark.shows("cgroup_connect_unix")),
    ],
)
async def test_what_a_hook_denies_is_allowed_again_after_close(
    counters: Counters, cgroup: Path, attach_type: AttachType, type_: ProgramType, act: Callable[[], object]
) -> None:
    seen = counters(type_, attach_type, retval=DENY)
    act()
    async with seen.program.attach(Cgroup(cgroup)):
        with pytest.raises(PermissionError):
            act()
        assert seen.count == 1
    act()
    assert seen.count == 1


@pytest.mark.shows("cgroup_skb_ingress")
async def test_what_is_denied_on_its_way_in_does_not_arrive(counters: Counters, cgroup: Path) -> None:
    seen = counters(SKB, AttachType.CGROUP_INET_INGRESS, retval=DENY)
    arrive()
    async with seen.program.attach(Cgroup(cgroup)):
        with pytest.raises(TimeoutError):
            arrive()
        assert seen.count >= 1
    arrive()


@pytest.mark.parametrize(
    ("attach_type", "act"),
    [
        *cases(REWRITTEN),
        case("INET4_BIND", on(IPV4, bind), shows=pytest.mark.shows("cgroup_bind4")),
        case("INET4_CONNECT", on(IPV4, connect), shows=pytest.mark.shows("cgroup_connect4")),
        case("UDP4_SENDMSG", on(IPV4, send), shows=pytest.mark.shows("cgroup_sendmsg4")),
        case("INET4_GETPEERNAME", on(IPV4, peer_name), shows=pytest.mark.shows("cgroup_getpeername4")),
    ],
)
async def test_the_port_that_a_program_writes_is_the_one(
    cgroup: Path, attach_type: AttachType, act: Callable[[], object]
) -> None:
    user_port = 24  # in struct bpf_sock_addr
    code = Instructions(
        [asm.mov(R2, socket.htons(PORT)), asm.stx(4, R1, R2, user_port), asm.mov(R0, ALLOW), asm.exit_()]
    )
    spec = ProgramSpec(name="rewrite", type=ADDRESSED, attach_type=attach_type, license="GPL", instructions=code)
    async with Program.load(spec) as rewrite:
        assert act() != PORT
        async with rewrite.attach(Cgroup(cgroup)):
            assert act() == PORT
        assert act() != PORT


@pytest.mark.parametrize(("attach_type", "type_", "act"), cases(SEEN))
async def test_what_a_hook_cannot_deny_it_sees_until_it_is_closed(
    counters: Counters, cgroup: Path, attach_type: AttachType, type_: ProgramType, act: Callable[[], object]
) -> None:
    seen = counters(type_, attach_type, retval=ALLOW)
    async with seen.program.attach(Cgroup(cgroup)):
        act()
        assert seen.count == 1
    act()
    assert seen.count == 1


# --- those that look at more than the address -----------------------------------------------------------------------


@pytest.mark.shows("cgroup_getsockopt")
async def test_a_socket_option_reads_as_the_program_says(cgroup: Path) -> None:
    def read() -> int:
        with socket.socket() as sock:
            return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    async with aiobpf.load(OBJECT, programs=["tell_4711"]) as coll:
        assert read() != 4711
        async with coll.programs["tell_4711"].attach(Cgroup(cgroup)):
            assert read() == 4711
        assert read() != 4711


@pytest.mark.shows("cgroup_setsockopt")
async def test_a_socket_option_that_a_program_keeps_is_not_set(cgroup: Path) -> None:
    def set_it() -> None:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)

    async with aiobpf.load(OBJECT, programs=["keep_the_buffer"]) as coll:
        set_it()
        async with coll.programs["keep_the_buffer"].attach(Cgroup(cgroup)):
            with pytest.raises(PermissionError):
                set_it()
        set_it()
        assert coll.variables["seen"].value == 1


@pytest.mark.shows("cgroup_sysctl")
async def test_a_sysctl_is_read_and_not_written(cgroup: Path) -> None:
    setting = Path("/proc/sys/kernel/core_uses_pid")
    value = setting.read_text()
    async with aiobpf.load(OBJECT, programs=["read_only"]) as coll:
        async with coll.programs["read_only"].attach(Cgroup(cgroup)):
            assert setting.read_text() == value
            assert coll.variables["seen"].value >= 1
            with pytest.raises(PermissionError):
                setting.write_text(value)
        setting.write_text(value)


@pytest.mark.shows("cgroup_device")
async def test_a_device_is_not_opened_until_the_link_is_closed(cgroup: Path) -> None:
    async with aiobpf.load(OBJECT, programs=["no_random"]) as coll:
        async with coll.programs["no_random"].attach(Cgroup(cgroup)):
            with pytest.raises(PermissionError):
                os.open("/dev/random", os.O_RDONLY)
            with open("/dev/zero", "rb"):
                pass
        with open("/dev/random", "rb"):
            pass
        assert coll.variables["seen"].value == 1


@pytest.mark.shows("sockops")
async def test_sockops_sees_both_ends_of_a_connection_until_it_is_closed(cgroup: Path) -> None:
    tcp_connect, active_established, passive_established = 3, 4, 5  # BPF_SOCK_OPS_*_CB

    def talk() -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            socket.create_connection(listener.getsockname()),
        ):
            listener.accept()[0].close()

    async with aiobpf.load(OBJECT, programs=["watch"]) as coll:
        async with coll.programs["watch"].attach(Cgroup(cgroup)):
            talk()
            operations = coll.variables["operations"].value
            assert [operations[op] for op in (tcp_connect, active_established, passive_established)] == [1, 1, 1]
        talk()
        assert coll.variables["operations"].value[tcp_connect] == 1


async def test_a_hook_that_this_kernel_lacks_is_named_with_its_kernel(counters: Counters, cgroup: Path) -> None:
    spec = ProgramSpec(
        name="newer",
        type=ADDRESSED,
        attach_type=AttachType.CGROUP_UNIX_CONNECT,
        license="GPL",
        instructions=Instructions([asm.mov(R0, ALLOW), asm.exit_()]),
    )
    if kernel_has("cgroup unix hooks"):
        async with Program.load(spec) as program, program.attach(Cgroup(cgroup)):
            return
    with pytest.raises(NotSupportedError, match=r"CGROUP_UNIX_CONNECT needs Linux 6\.7"):
        await Program.load(spec)
    older = counters(ADDRESSED, AttachType.CGROUP_INET4_CONNECT, retval=ALLOW)
    with pytest.raises(NotSupportedError, match=r"CGROUP_UNIX_CONNECT needs Linux 6\.7"):
        await older.program.attach(Cgroup(cgroup, AttachType.CGROUP_UNIX_CONNECT))
