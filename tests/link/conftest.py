"""Programs made by hand that count what they see, and the places to hang them."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import subprocess
from typing import TYPE_CHECKING, Any, cast

import pytest
from attrs import define, field, frozen

from aiobpf.btf import Btf
from aiobpf.kernel.elements import MapElements
from aiobpf.kernel.maps import create_map
from aiobpf.kernel.mounts import mounts
from aiobpf.kernel.netns import NetNamespace
from aiobpf.kernel.programs import load_program
from aiobpf.runtime.program import Program
from aiobpf.spec import ProgramSpec
from aiobpf.uapi import AttachType, MapType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from aiobpf.kernel.fd import OwnedFd

LOOKUP, PID_TGID, ATTACH_COOKIE = 1, 14, 174  # helpers
COUNT, COOKIE, VALUE = range(3)  # places in the map


def ins(opcode: int, dst: int = 0, src: int = 0, offset: int = 0, constant: int = 0) -> bytes:
    return struct.pack("=BBhi", opcode, dst | src << 4, offset, constant)


def element(map_fd: int, index: int) -> bytes:
    """r0 = the map's element, the next instruction only if there is one (it always is)."""
    return (
        ins(0x62, dst=10, offset=-4, constant=index)  # *(u32 *)(r10 - 4) = index
        + ins(0xBF, dst=2, src=10)
        + ins(0x07, dst=2, constant=-4)
        + ins(0x18, dst=1, src=1, constant=map_fd)
        + ins(0)
        + ins(0x85, constant=LOOKUP)
    )


def counting_code(
    map_fd: int, retval: int, *, only_pid: int | None, with_cookie: bool, context_offset: int | None
) -> bytes:
    code = b""
    if with_cookie:
        code += ins(0xBF, dst=1, src=6) + ins(0x85, constant=ATTACH_COOKIE) + ins(0xBF, dst=7, src=0)
        code += element(map_fd, COOKIE) + ins(0x15, dst=0, offset=1) + ins(0x7B, dst=0, src=7)
    if context_offset is not None:
        code += ins(0x79, dst=7, src=6, offset=context_offset)
        code += element(map_fd, VALUE) + ins(0x15, dst=0, offset=1) + ins(0x7B, dst=0, src=7)
    code += element(map_fd, COUNT) + ins(0x15, dst=0, offset=2)
    code += ins(0xB7, dst=1, constant=1) + ins(0xDB, dst=0, src=1)  # lock *(u64 *)(r0) += 1
    head = ins(0xBF, dst=6, src=1)
    if only_pid is not None:
        head += ins(0x85, constant=PID_TGID) + ins(0x77, dst=0, constant=32)
        head += ins(0x55, dst=0, offset=len(code) // 8, constant=only_pid)
    return head + code + ins(0xB7, dst=0, constant=retval) + ins(0x95)


@define(eq=False)
class Counted:
    """A loaded program, and the array of u64 that it counts in."""

    program: Program
    map: OwnedFd

    def _at(self, index: int) -> int:
        value = MapElements(self.map.fileno(), 4, 8).lookup(struct.pack("=I", index))
        assert value is not None
        return int.from_bytes(value, "little")

    @property
    def count(self) -> int:
        return self._at(COUNT)

    @property
    def cookie(self) -> int:
        return self._at(COOKIE)

    @property
    def value(self) -> int:
        return self._at(VALUE)


@define(eq=False)
class Counters:
    """Makes counting programs, and closes them at the test's end."""

    _stack: contextlib.ExitStack = field(factory=contextlib.ExitStack)

    def __call__(
        self,
        type: ProgramType,  # noqa: A002 the field's own word
        attach_type: AttachType | None = None,
        *,
        attach_to: str = "",
        attach_btf_id: int = 0,
        retval: int = 0,
        only_pid: int | None = None,
        with_cookie: bool = False,
        context_offset: int | None = None,
        with_spec: bool = True,
    ) -> Counted:
        map_fd = create_map(MapType.ARRAY, 4, 8, 3, name="counter")
        self._stack.callback(map_fd.close)
        code = counting_code(
            map_fd.fileno(), retval, only_pid=only_pid, with_cookie=with_cookie, context_offset=context_offset
        )
        fd = load_program(
            type, code, "GPL", name="counting", expected_attach_type=attach_type or 0, attach_btf_id=attach_btf_id
        )
        self._stack.callback(fd.close)
        spec = ProgramSpec(
            name="counting", type=type, instructions=cast("Any", None), attach_type=attach_type, attach_to=attach_to
        )
        return Counted(Program(fd, name="counting", type=type, spec=spec if with_spec else None), map_fd)


@pytest.fixture
def counters() -> Iterator[Counters]:
    made = Counters()
    with made._stack:
        yield made


@pytest.fixture(scope="session")
def vmlinux() -> Btf:
    return Btf.from_file("/sys/kernel/btf/vmlinux")


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    """A bpffs of the test's own."""
    where = tmp_path / "bpffs"
    where.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(where)], check=True)
    yield where
    subprocess.run(["umount", str(where)], check=True)


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A cgroup v2 that this process is in while the test lasts."""
    from pathlib import Path

    root = Path(next(iter(mounts("cgroup2"))))
    with open("/proc/self/cgroup", encoding="ascii") as lines:
        home = next(line.strip().split(":", 2)[2] for line in lines if line.startswith("0::"))
    where = root / f"aiobpf-test-{os.getpid()}"
    where.mkdir()
    try:
        (where / "cgroup.procs").write_text(str(os.getpid()))
        yield where
    finally:
        (root / home.strip("/") / "cgroup.procs").write_text(str(os.getpid()))
        where.rmdir()


@frozen
class NetworkPair:
    """Two network namespaces joined by a veth pair: interface "near" in one, "far" in the other."""

    near: str
    far: str

    def socket(self, namespace: str) -> socket.socket:
        """A UDP socket that lives in *namespace*."""
        with NetNamespace.open(namespace) as entered, entered.entered():
            return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def datagram_arrives(self, timeout_s: float = 2.0) -> bool:
        """Whether a datagram from far reaches near."""
        with self.socket(self.near) as receiver, self.socket(self.far) as sender:
            receiver.bind(("10.77.0.1", 0))
            receiver.settimeout(timeout_s)
            sender.sendto(b"hello", receiver.getsockname())
            try:
                return receiver.recv(16) == b"hello"
            except TimeoutError:
                return False


@pytest.fixture
def network() -> Iterator[NetworkPair]:
    if shutil.which("ip") is None:
        pytest.skip("needs ip(8)")
    pair = NetworkPair(f"aiobpf-near-{os.getpid()}", f"aiobpf-far-{os.getpid()}")
    commands = [
        f"netns add {pair.near}",
        f"netns add {pair.far}",
        f"-n {pair.near} link add near type veth peer name far netns {pair.far}",
        f"-n {pair.near} addr add 10.77.0.1/24 dev near",
        f"-n {pair.far} addr add 10.77.0.2/24 dev far",
        f"-n {pair.near} link set near up",
        f"-n {pair.far} link set far up",
    ]
    try:
        for command in commands:
            subprocess.run(["ip", *command.split()], check=True)
        yield pair
    finally:
        for name in (pair.near, pair.far):
            subprocess.run(["ip", "netns", "del", name], check=False)


@pytest.fixture
def calls_getpgid() -> Callable[[int], None]:
    """Make the system call getpgid *n* times."""

    def call(times: int) -> None:
        for _ in range(times):
            os.getpgid(0)

    return call
