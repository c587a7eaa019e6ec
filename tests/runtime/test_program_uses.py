"""What is done with a program once it is loaded, but for attaching it: run, pinned, tied to a map."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aiobpf import asm, kernel
from aiobpf.asm import R0, R1, R2, R3, R6, R10, Instructions
from aiobpf.errors import KernelError, NotSupportedError
from aiobpf.kernel import features
from aiobpf.kernel.netns import NetNamespace
from aiobpf.runtime import Map, Program
from aiobpf.spec import MapSpec, ProgramSpec
from aiobpf.uapi import AttachType, MapType, ProgramFlags, ProgramType, RunFlags
from tests.kernel_features import kernel_has

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.root, pytest.mark.everywhere]

XDP_TX = 3


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "bpffs"
    where.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(where)], check=True)
    yield where
    subprocess.run(["umount", str(where)], check=True)


@pytest.fixture
def own_namespace() -> Iterator[NetNamespace]:
    """A network namespace whose loopback interface takes packets from outside that claim to be from it."""
    name = f"aiobpf-live-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        with NetNamespace.open(name) as namespace:
            with namespace.entered():
                for setting in ("route_localnet", "accept_local"):
                    Path("/proc/sys/net/ipv4/conf/lo", setting).write_text("1")
            yield namespace
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def program(kind: ProgramType, *instructions: asm.Instruction, flags: int = 0) -> ProgramSpec:
    code = Instructions(instructions)
    return ProgramSpec(name="by_hand", type=kind, license="GPL", instructions=code, flags=ProgramFlags(flags))


@pytest.mark.shows("run_xdp")
async def test_a_packet_comes_back_as_the_program_left_it() -> None:
    spec = program(
        ProgramType.XDP,
        asm.ldx(4, R2, R1, 0),  # data
        asm.ldx(4, R3, R1, 4),  # data_end
        asm.mov(R6, R2),
        asm.add(R6, 14),
        asm.jgt(R6, R3, "short"),
        asm.st(1, R2, 0, 0xAB),
        asm.mov(R0, XDP_TX),
        asm.exit_(),
        asm.mov(R0, 0).with_label("short"),
        asm.exit_(),
    )
    async with Program.load(spec) as xdp:
        done = await xdp.run(bytes(64), repeat=10)
        assert (done.retval, done.data) == (XDP_TX, b"\xab" + bytes(63))
        assert done.duration_ns >= 0


def datagram(port: int, payload: bytes) -> bytes:
    """An Ethernet frame with a UDP datagram to 127.0.0.1."""
    udp = struct.pack("!HHHH", 1234, port, 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH8s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes([127, 0, 0, 1] * 2))
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)
    return bytes(12) + b"\x08\x00" + head[:10] + checksum + head[12:] + udp


async def test_live_frames_are_let_go_or_the_kernel_that_has_them_is_named() -> None:
    drop = program(ProgramType.XDP, asm.mov(R0, 1), asm.exit_())
    async with Program.load(drop) as xdp:
        if kernel_has("live frames"):
            with contextlib.suppress(KernelError):  # EINTR: a signal of the test run's own
                assert xdp.run_sync(bytes(64), flags=RunFlags.XDP_LIVE_FRAMES).data == b""
            return
        with pytest.raises(NotSupportedError) as caught:
            xdp.run_sync(bytes(64), flags=RunFlags.XDP_LIVE_FRAMES)
        assert caught.value.since == "5.18"


@pytest.mark.requires("live frames")
@pytest.mark.shows("run_xdp_live")
async def test_live_frames_really_arrive(own_namespace: NetNamespace) -> None:
    xdp_pass = 2
    spec = program(ProgramType.XDP, asm.mov(R0, xdp_pass), asm.exit_())
    async with Program.load(spec) as xdp:
        with own_namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(5)
            frame = datagram(receiver.getsockname()[1], b"live")
            assert xdp.run_sync(frame, repeat=3).retval == xdp_pass
            try:
                done = xdp.run_sync(frame, repeat=3, flags=RunFlags.XDP_LIVE_FRAMES)
            except KernelError as error:
                assert error.errno == errno.EINTR  # some signal of the test run's own; the first packet is out by then
            else:
                assert (done.data, done.duration_ns > 0) == (b"", True)
                assert [receiver.recv(16) for _ in range(2)] == [b"live"] * 2
            assert receiver.recv(16) == b"live"


@pytest.mark.shows("run_raw_tp")
async def test_a_raw_tracepoint_program_runs_on_the_cpu_that_is_asked_for() -> None:
    spec = program(ProgramType.RAW_TRACEPOINT, asm.call_helper("get_smp_processor_id"), asm.exit_())
    async with Program.load(spec) as where:
        for cpu in kernel.online_cpus():
            done = await where.run(context=bytes(16), flags=RunFlags.RUN_ON_CPU, cpu=cpu)
            assert done.retval == cpu


@pytest.mark.parametrize(
    ("kind", "arguments", "said"),
    [
        (ProgramType.SOCKET_FILTER, {"data": bytes(13)}, "takes data: a packet of at least 14 bytes"),
        (ProgramType.RAW_TRACEPOINT, {"data": bytes(64)}, "takes context: up to 12 numbers of 64 bits"),
        (ProgramType.RAW_TRACEPOINT, {"repeat": 3}, "no data, no repeat"),
        (ProgramType.SK_LOOKUP, {"data": bytes(64)}, "takes context: struct bpf_sk_lookup"),
        (ProgramType.XDP, {"data": bytes(64), "batch_size": 3}, "batch_size with live frames alone"),
        (ProgramType.FLOW_DISSECTOR, {"data": bytes(13)}, "a packet of at least 14 bytes"),
    ],
)
async def test_a_run_that_is_refused_says_what_it_takes(kind: ProgramType, arguments: Any, said: str) -> None:
    attach_type = AttachType.SK_LOOKUP if kind == ProgramType.SK_LOOKUP else None
    spec = program(kind, asm.mov(R0, 1), asm.exit_())
    spec.attach_type = attach_type
    async with Program.load(spec) as refused:
        with pytest.raises(KernelError, match=f"EINVAL.*{said}"):
            await refused.run(**arguments)


async def test_a_context_that_is_cut_short_comes_back_whole() -> None:
    """The first members alone are given; the kernel gives its whole struct back."""
    spec = program(ProgramType.SCHED_CLS, asm.mov(R2, 7), asm.stx(4, R1, R2, 8), asm.mov(R0, 0), asm.exit_())
    async with Program.load(spec) as marks:
        done = await marks.run(bytes(64), context=struct.pack("=III", 0, 0, 4))
        assert struct.unpack_from("=III", done.context)[2] == 7
        assert len(done.context) >= 184  # struct __sk_buff of 5.10


@pytest.mark.shows("syscall_prog")
@pytest.mark.requires("syscall programs")
async def test_a_syscall_program_answers_in_its_context() -> None:
    spec = program(
        ProgramType.SYSCALL,
        asm.ldx(4, R2, R1, 0),
        asm.add(R2, R2),
        asm.stx(4, R1, R2, 4),
        asm.mov(R0, 0),
        asm.exit_(),
        flags=ProgramFlags.SLEEPABLE,
    )
    async with Program.load(spec) as double:
        done = await double.run(context=struct.pack("=II", 21, 0))
        assert struct.unpack("=II", done.context) == (21, 42)


@pytest.mark.shows("pin")
async def test_a_pinned_program_and_map_are_found_again(bpffs: Path) -> None:
    spec = MapSpec(name="kept", type=MapType.ARRAY, key_size=4, value_size=8, max_entries=1)
    async with (
        Program.load(program(ProgramType.SOCKET_FILTER, asm.mov(R0, 17), asm.exit_())) as first,
        Map.create(spec) as kept,
    ):
        first.pin(bpffs / "program")
        kept.pin(bpffs / "map")
        kept[0] = 5
    async with Program.from_pin(bpffs / "program") as again, Map.from_pin(bpffs / "map") as same:
        assert again.name == "by_hand"
        assert (await again.run(bytes(64))).retval == 17
        assert same.lookup_bytes(0) == struct.pack("=Q", 5)
    with pytest.raises(FileNotFoundError):
        Map.from_pin(bpffs / "absent")


async def test_a_map_is_tied_to_a_program_that_does_not_use_it() -> None:
    spec = MapSpec(name="metadata", type=MapType.ARRAY, key_size=4, value_size=8, max_entries=1)
    async with Program.load(program(ProgramType.SOCKET_FILTER, asm.mov(R0, 0), asm.exit_())) as owner:
        async with Map.create(spec) as tied:
            tied[0] = 9
            owner.bind_map(tied)
            number = tied.info().id
        assert (await owner.info()).map_ids == (number,)
        async with Map.from_id(number) as found:
            assert found.lookup_bytes(0) == struct.pack("=Q", 9)


async def test_newer_helpers_become_older_ones_where_the_kernel_lacks_them(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = program(
        ProgramType.RAW_TRACEPOINT,
        asm.mov(R3, R1),
        asm.mov(R1, R10),
        asm.add(R1, -8),
        asm.mov(R2, 8),
        asm.call_helper("probe_read_kernel"),
        asm.mov(R0, 0),
        asm.exit_(),
    )
    calls: list[int] = []

    def note(*arguments: object, **options: object) -> object:
        calls.extend(each.constant for each in Instructions.decode(bytes(arguments[1])) if each.is_helper_call)  # type: ignore[call-overload]
        return load(*arguments, **options)  # type: ignore[arg-type]

    load = kernel.load_program
    monkeypatch.setattr(kernel, "load_program", note)
    async with Program.load(spec):
        pass
    monkeypatch.setattr(features, "supports_probe_read_kernel", lambda: False)
    async with Program.load(spec):
        pass
    assert calls == [asm.Helper["PROBE_READ_KERNEL"], asm.Helper["PROBE_READ"]]
    assert spec.instructions[4].constant == asm.Helper["PROBE_READ_KERNEL"], "the spec stays as it was"


async def test_the_kernel_knows_a_program_by_the_tag_that_is_computed_here() -> None:
    spec = program(ProgramType.SOCKET_FILTER, asm.ld_imm64(R2, 1 << 40), asm.mov(R0, 3), asm.exit_())
    async with Program.load(spec) as loaded:
        info = await loaded.info()
    code = spec.instructions
    tag = code.tag("sha256") if kernel.kernel_release() >= (6, 18) else code.tag("sha1")
    assert info.tag == tag.hex()
    assert info.kernel.type == ProgramType.SOCKET_FILTER
    assert info.kernel.load_time_ns > 0
    if kernel.kernel_release() >= (5, 16):
        assert info.kernel.verified_instructions == 3
