"""Real producers: programs made instruction by instruction, run by BPF_PROG_TEST_RUN."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from attrs import define, field

from aiobpf import asm
from aiobpf._native import ffi, lib
from aiobpf.btf.types import Array, Int, IntEncoding, Member, Struct, Type
from aiobpf.errors import KernelError
from aiobpf.kernel import MapElements, OwnedFd, create_map, kernel_release, load_program, test_run
from aiobpf.stream import EventStream
from aiobpf.stream.ring_source import PAGE, RingSource
from aiobpf.uapi import MapType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from aiobpf.btf import Btf

NO_WAKEUP = 1 << 0
PERF_EVENT_OUTPUT, RINGBUF_OUTPUT, RINGBUF_RESERVE, RINGBUF_SUBMIT, RINGBUF_DISCARD = 25, 130, 131, 132, 133

U8 = Int("unsigned char", 1, 8)
U32 = Int("unsigned int", 4, 32)
U64 = Int("unsigned long long", 8, 64)
CHAR = Int("char", 1, 8, IntEncoding.SIGNED | IntEncoding.CHAR)


def event_type(size: int = 64) -> Struct:
    """struct event: a u64 number, the rest bytes."""
    return Struct("event", size, [Member("number", U64, 0), Member("rest", Array(U8, U32, size - 8), 64)])


EVENT = event_type()
FIXED = Struct(
    "fixed", 64, [Member("number", U64, 0), Member("rest", Array(U8, U32, 48), 64), Member("last", U64, 448)]
)
"""As EVENT, but it ends in no array: a shorter record is none."""
OPEN = Struct("open", 8, [Member("number", U64, 0), Member("rest", Array(U8, U32, 0), 64)])
"""As EVENT, but the array is as long as the record says."""


async def until(is_true: Callable[[], bool], seconds: float = 5) -> None:
    """Return as soon as *is_true*; TimeoutError after *seconds*."""
    with anyio.fail_after(seconds):
        while not is_true():  # noqa: ASYNC110 - what is waited for sets no event
            await anyio.sleep(0.002)


@define
class StandIn:
    """What a stream needs of a Map."""

    fd: OwnedFd
    type: MapType
    max_entries: int
    value_type: Type | None = None
    types: Btf | None = None
    name: str = "events"

    def fileno(self) -> int:
        return self.fd.fileno()


def count(address: asm.Register, number: asm.Register, scratch: asm.Register) -> list[asm.Instruction]:
    """*number* = the u64 at *address*, which then is one more."""
    if kernel_release() >= (5, 12):
        return [asm.mov(number, 1), asm.atomic_add(asm.DW, address, number, 0, fetch=True)]
    # Adding that tells the old value came with 5.12 (5ffa25502b5a); before, one producer at a time has to do.
    return [
        asm.ldx(asm.DW, number, address, 0),
        asm.mov(scratch, number),
        asm.add(scratch, 1),
        asm.stx(asm.DW, address, scratch, 0),
    ]


@define
class Producer:
    """A map and programs that submit records to it; each record begins with a u64 that counts from 0."""

    map: StandIn
    counters: OwnedFd
    programs: list[OwnedFd] = field(factory=list)
    _code: dict[Any, OwnedFd] = field(factory=dict)

    def submit(self, count: int = 1, *, size: int = 64, flags: int = 0, cpu: int | None = None) -> None:
        self._run(self._program("submit", size, flags), count, cpu)

    def discard(self, count: int = 1, *, size: int = 64) -> None:
        self._run(self._program("discard", size, 0), count, None)

    def reserve(self, count: int = 1, *, size: int) -> None:
        """Records larger than a program's stack."""
        self._run(self._program("reserve", size, 0), count, None)

    @property
    def attempts(self) -> int:
        return self._counter(0)

    @property
    def failures(self) -> int:
        return self._counter(1)

    def _counter(self, index: int) -> int:
        raw = MapElements(self.counters, 4, 16).lookup(struct.pack("=I", 0))
        assert raw is not None
        value: int = struct.unpack_from("=Q", raw, 8 * index)[0]
        return value

    def _run(self, program: OwnedFd, count: int, cpu: int | None) -> None:
        if cpu is None:
            self._repeat(program, count)
            return
        # A thread of its own: the CPUs that the test's thread may use are not to change.
        failures: list[BaseException] = []

        def on_cpu() -> None:
            try:
                os.sched_setaffinity(0, {cpu})
                self._repeat(program, count)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=on_cpu)
        thread.start()
        thread.join()
        for failure in failures:
            raise failure

    def _repeat(self, program: OwnedFd, count: int) -> None:
        goal = self.attempts + count
        while (left := goal - self.attempts) > 0:
            try:
                test_run(program, bytes(64), repeat=left, attempts=1)
            except KernelError as error:
                if error.errno != errno.EINTR:  # else some runs were done
                    raise

    def _program(self, kind: str, size: int, flags: int) -> OwnedFd:
        key = (kind, size, flags)
        if key not in self._code:
            code = asm.Instructions(self._instructions(kind, size, flags)).encode()
            self._code[key] = load_program(ProgramType.SOCKET_FILTER, code, name=kind)
        return self._code[key]

    def _instructions(self, kind: str, size: int, flags: int) -> list[asm.Instruction]:
        r0, r1, r2, r3, r4, r5, r6, r7, fp = (
            asm.R0, asm.R1, asm.R2, asm.R3, asm.R4, asm.R5, asm.R6, asm.R7, asm.R10,
        )  # fmt: skip
        dw = asm.DW
        code = [
            asm.mov(r6, r1),
            asm.load_map_value(r1, "counters", 0, fd=self.counters.fileno()),
            *count(r1, r7, r0),
        ]
        ring = asm.load_map_ptr(r1, "events", fd=self.map.fileno())
        if kind in {"discard", "reserve"}:
            code += [
                ring,
                asm.mov(r2, size),
                asm.mov(r3, 0),
                asm.call_helper(RINGBUF_RESERVE),
                asm.jeq(r0, 0, "full"),
                asm.stx(dw, r0, r7, 0),
                asm.mov(r1, r0),
                asm.mov(r2, flags),
                asm.call_helper(RINGBUF_DISCARD if kind == "discard" else RINGBUF_SUBMIT),
                asm.mov(r0, 0),
                asm.exit_(),
            ]
        else:
            room = -(-size // 8) * 8
            code += [asm.st(asm.W, fp, offset - room, 0x5A5A5A5A) for offset in range(0, room, 4)]
            if size >= 8:
                code.append(asm.stx(dw, fp, r7, -room))
            if self.map.type == MapType.RINGBUF:
                code += [
                    ring,
                    asm.mov(r2, fp),
                    asm.add(r2, -room),
                    asm.mov(r3, size),
                    asm.mov(r4, flags),
                    asm.call_helper(RINGBUF_OUTPUT),
                ]
            else:
                code += [
                    asm.mov(r1, r6),
                    asm.load_map_ptr(r2, "events", fd=self.map.fileno()),
                    asm.ld_imm64(r3, 0xFFFFFFFF),
                    asm.mov(r4, fp),
                    asm.add(r4, -room),
                    asm.mov(r5, size),
                    asm.call_helper(PERF_EVENT_OUTPUT),
                ]
            code += [asm.jne(r0, 0, "full"), asm.exit_()]
        code += [
            asm.load_map_value(r1, "counters", 8, fd=self.counters.fileno()).with_symbol("full"),
            asm.mov(r7, 1),
            asm.atomic_add(dw, r1, r7, 0),
            asm.mov(r0, 0),
            asm.exit_(),
        ]
        return code

    def close(self) -> None:
        for program in self._code.values():
            program.close()
        self.counters.close()
        self.map.fd.close()


@pytest.fixture
def make_producer() -> Iterator[Callable[..., Producer]]:
    """``make_producer(MapType.RINGBUF, size)`` or ``(MapType.PERF_EVENT_ARRAY, slots)``; closed after the test."""
    made: list[Producer] = []

    def make(kind: MapType = MapType.RINGBUF, max_entries: int | None = None, **options: Any) -> Producer:
        is_ring = kind == MapType.RINGBUF
        if max_entries is None:
            max_entries = 1 << 18 if is_ring else (os.cpu_count() or 1)
        key = 0 if is_ring else 4
        fd = create_map(kind, key, key, max_entries, name="events")
        counters = create_map(MapType.ARRAY, 4, 16, 1, name="counters")
        producer = Producer(StandIn(fd, kind, max_entries, **options), counters)
        made.append(producer)
        return producer

    yield make
    for producer in made:
        producer.close()


@pytest.fixture
def ring(make_producer: Callable[..., Producer]) -> Producer:
    return make_producer(MapType.RINGBUF, value_type=EVENT)


@pytest.fixture
def perf(make_producer: Callable[..., Producer]) -> Producer:
    return make_producer(MapType.PERF_EVENT_ARRAY, value_type=EVENT)


class FakeRing:
    """A ring buffer in this process's memory, for what no program can be made to do: leave a record half written.

    Its descriptor is an eventfd, readable from the first record on until `quiet`.
    """

    def __init__(self, size: int = 4096) -> None:
        self.size = size
        self.consumer = ffi.new("uint8_t[]", PAGE)
        self.producer = ffi.new("uint8_t[]", PAGE + 2 * size)
        self._data = memoryview(ffi.buffer(self.producer)).cast("B")
        self.signal = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.source = RingSource(self.consumer, self.producer, size, OwnedFd(os.dup(self.signal), "fake ring"))

    @property
    def position(self) -> int:
        return lib.load_acquire64(self.producer)

    @property
    def consumed(self) -> int:
        return lib.load_acquire64(self.consumer)

    def reserve(self, payload: bytes, flags: int = 1 << 31) -> int:
        """A record that is still being written; where it is."""
        position = self.position
        self._write(position + 8, payload)
        self._header(position, len(payload) | flags)
        lib.store_release64(self.producer, (position + (len(payload) + 8 + 7) // 8 * 8) % (1 << 64))
        os.eventfd_write(self.signal, 1)
        return position

    def submit(self, payload: bytes) -> None:
        self.reserve(payload, 0)

    def discard(self, payload: bytes) -> None:
        self.reserve(payload, 1 << 30)

    def commit(self, position: int, length: int) -> None:
        self._header(position, length)

    def _header(self, position: int, header: int) -> None:
        self._write(position, struct.pack("=II", header, 0))

    def _write(self, position: int, payload: bytes) -> None:
        for index, byte in enumerate(payload):
            at = (position + index) % self.size
            self._data[PAGE + at] = self._data[PAGE + self.size + at] = byte

    def move_to(self, position: int) -> None:
        """Begin there, as a ring that was used before."""
        lib.store_release64(self.consumer, position)
        lib.store_release64(self.producer, position)

    def close(self) -> None:
        self.source.close()
        os.close(self.signal)


class FakeStream(EventStream[Any]):
    """Reads a FakeRing; the map only gives its name and types."""

    def __init__(self, fake: FakeRing, map: StandIn, type: Any = None, **options: Any) -> None:  # noqa: A002
        super().__init__(map, type, **options)
        self._fake = fake

    def _opener(self) -> Callable[[OwnedFd], RingSource]:
        def open_source(fd: OwnedFd) -> RingSource:
            fd.close()
            return self._fake.source

        return open_source


@pytest.fixture
def fake_ring() -> Iterator[FakeRing]:
    fake = FakeRing()
    yield fake
    fake.close()


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    """A bpffs of the test's own."""
    where = tmp_path / "bpffs"
    where.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(where)], check=True)
    yield where
    subprocess.run(["umount", str(where)], check=True)
