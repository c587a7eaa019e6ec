"""What a SIGKILL leaves attached: with a link nothing, without one what docs/links.md says."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

import aiobpf
from aiobpf.kernel import OwnedFd, create_map, link_by_id, pin, prog_detach, prog_query, program_by_id
from aiobpf.kernel.netns import NetNamespace
from aiobpf.kernel.tracefs import Tracefs
from aiobpf.uapi import AttachType, MapType

if TYPE_CHECKING:
    from .conftest import NetworkPair

pytestmark = pytest.mark.root

needs_perf_links = pytest.mark.requires("perf links")
needs_kprobes = pytest.mark.requires("kprobes")

VICTIM = """
import anyio, sys
from aiobpf.kernel import load_program
from aiobpf.link import *
from aiobpf.runtime.map import Map
from aiobpf.runtime.program import Program
from aiobpf.uapi import AttachType, ProgramType

async def main():
    type, attach_type = ProgramType[sys.argv[1]], AttachType(int(sys.argv[2]))
    returned = "00" if type is ProgramType.TRACING else "01"  # fentry may return nothing but 0
    code = bytes.fromhex(f"b7000000{returned}0000009500000000000000")
    program = Program(load_program(type, code, expected_attach_type=attach_type), name="victim", type=type)
    link = await program.attach(eval(sys.argv[3]))
    try:
        print((await link.info()).id, flush=True)
    except Exception:
        print(0, flush=True)
    await anyio.sleep(60)

anyio.run(main)
"""


class Killed(Protocol):
    """Attach in a process of its own and kill that: its pid, and the link's id."""

    def __call__(
        self, type_: str, attach_type: int, kind: str, *, passing: tuple[int, ...] = ()
    ) -> tuple[int, int]: ...


@pytest.fixture
def killed(tmp_path: Path) -> Killed:
    script = tmp_path / "victim.py"
    script.write_text(VICTIM)

    def run(type_: str, attach_type: int, kind: str, *, passing: tuple[int, ...] = ()) -> tuple[int, int]:
        with subprocess.Popen(
            [sys.executable, str(script), type_, str(attach_type), kind], stdout=subprocess.PIPE, text=True,
            pass_fds=passing,
            env={**os.environ, "PYTHONPATH": str(Path(aiobpf.__file__).parents[1])},
        ) as process:  # fmt: skip
            assert process.stdout is not None
            line = process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        assert line, "the victim failed"
        return process.pid, int(line)

    return run


@pytest.mark.parametrize(
    ("type_", "attach_type", "kind"),
    [
        ("RAW_TRACEPOINT", 0, 'RawTracepoint("sys_enter")'),
        pytest.param("TRACEPOINT", 0, 'Tracepoint("syscalls", "sys_enter_getpgid")', marks=needs_perf_links),
        pytest.param("KPROBE", 0, 'Uprobe("libc", "getppid")', marks=needs_perf_links),
        pytest.param("KPROBE", 0, 'Ksyscall("getpgid")', marks=[needs_perf_links, needs_kprobes]),
        pytest.param("KPROBE", 48, 'UprobeMulti("libc", "getp?id")', marks=pytest.mark.requires("uprobe.multi")),
        pytest.param("KPROBE", 57, 'UprobeSession("libc", "getp?id")', marks=pytest.mark.requires("uprobe.session")),
        pytest.param("KPROBE", 0, 'Usdt("/usr/bin/python3", "python", "audit")', marks=needs_perf_links),
        pytest.param("KPROBE", 42, 'KprobeMulti("do_getpg*")', marks=pytest.mark.requires("kprobe.multi")),
        pytest.param("KPROBE", 56, 'KprobeSession("do_getpg*")', marks=pytest.mark.requires("kprobe.session")),
        pytest.param("TRACING", 59, 'FentryMulti("do_getpg*")', marks=pytest.mark.requires("fentry.multi")),
    ],
)
def test_a_link_goes_with_its_process(killed: Killed, type_: str, attach_type: int, kind: str) -> None:
    _pid, link = killed(type_, attach_type, kind)
    assert link
    with pytest.raises(OSError, match="ENOENT"):
        link_by_id(link)


def test_a_socket_keeps_its_filter_and_a_port_its_program(killed: Killed) -> None:
    """The victim's programs return 1: the second socket of a port, and one byte of a packet, less than its header."""
    with socket.socket(type=socket.SOCK_DGRAM) as first, socket.socket(type=socket.SOCK_DGRAM) as second:
        for sock in (first, second):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(("127.0.0.1", 0) if sock is first else first.getsockname())
            sock.settimeout(5)

        def send(times: int) -> None:
            for _ in range(times):
                with socket.socket(type=socket.SOCK_DGRAM) as sender:
                    sender.sendto(b"x", first.getsockname())

        killed("SOCKET_FILTER", 0, f"SkReuseport({first.fileno()})", passing=(first.fileno(),))
        send(20)
        assert [second.recv(1) for _ in range(20)] == [b"x"] * 20
        killed("SOCKET_FILTER", 0, f"SocketFilter({second.fileno()})", passing=(second.fileno(),))
        send(1)
        assert second.recv(1) == b""


@pytest.mark.parametrize("kind", ["SkLookup", "FlowDissector"])
def test_a_network_namespace_keeps_no_program(killed: Killed, network: NetworkPair, kind: str) -> None:
    name = {"SkLookup": "SK_LOOKUP", "FlowDissector": "FLOW_DISSECTOR"}[kind]
    _pid, link = killed(name, AttachType[name], f"{kind}({network.near!r})")
    assert link
    with pytest.raises(OSError, match="ENOENT"):
        link_by_id(link)
    with NetNamespace.open(network.near) as namespace:
        assert prog_query(namespace, AttachType[name]).program_ids == ()


@pytest.mark.requires("sockmap queries")
@pytest.mark.parametrize("mode", [pytest.param("link", marks=pytest.mark.requires("sockmap links")), "attach"])
def test_a_pinned_map_of_sockets_keeps_a_program_that_has_no_link(killed: Killed, bpffs: Path, mode: str) -> None:
    path = bpffs / "sockets"
    with create_map(MapType.SOCKHASH, 4, 4, 4, name="sockets") as sockets:
        pin(sockets, path)
        kind = f"Sockmap(Map.from_pin({str(path)!r}), mode={mode!r})"
        killed("SK_MSG", AttachType.SK_MSG_VERDICT, kind)
        assert len(prog_query(sockets, AttachType.SK_MSG_VERDICT).program_ids) == (mode == "attach")
        path.unlink()


@pytest.mark.parametrize(("mode", "left"), [("link", 0), ("multi", 1)])
def test_a_cgroup_keeps_a_program_that_has_no_link(killed: Killed, cgroup: Path, mode: str, left: int) -> None:
    kind = f"Cgroup({str(cgroup)!r}, AttachType.CGROUP_INET4_BIND, mode={mode!r})"
    _pid, link = killed("CGROUP_SOCK_ADDR", AttachType.CGROUP_INET4_BIND, kind)
    assert bool(link) is (mode == "link")
    with OwnedFd(os.open(cgroup, os.O_RDONLY), "cgroup") as directory:
        ids = prog_query(directory, AttachType.CGROUP_INET4_BIND).program_ids
        assert len(ids) == left
        for number in ids:
            with program_by_id(number) as program:
                prog_detach(program, directory, AttachType.CGROUP_INET4_BIND)


def test_a_probe_made_in_tracefs_stays_there(killed: Killed) -> None:
    pid, _link = killed("KPROBE", 0, 'Uprobe("libc", "getppid", mode="tracefs")')
    with Tracefs.open() as tracefs:
        lines = [line for line in tracefs.read("uprobe_events").splitlines() if f"_{pid}_" in line]
        assert len(lines) == 1
        match = re.match(r"p:aiobpf/(\S+)", lines[0])
        assert match is not None
        tracefs.remove_probe("uprobe", "aiobpf", match[1])
