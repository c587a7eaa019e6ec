"""Ring and perf buffers written by hand, in plain memory: the C drains see what a kernel would have left there."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from attrs import define, field

from aiobpf._native import ffi, lib

if TYPE_CHECKING:
    from aiobpf._native._lib import PerfDrained, RingDrained

PAGE = 4096
BUSY, DISCARDED = 1 << 31, 1 << 30


@define
class HandmadeRing:
    """A BPF ring buffer of *size* bytes; the second mapping of its data is a copy that `put` keeps."""

    size: int
    memory: bytearray = field(init=False)
    position: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.memory = bytearray(2 * PAGE + 2 * self.size)

    def begin_at(self, position: int) -> None:
        struct.pack_into("=Q", self.memory, 0, position)
        self._produce(position)

    def _produce(self, position: int) -> None:
        self.position = position
        struct.pack_into("=Q", self.memory, PAGE, position)

    @property
    def consumed(self) -> int:
        position: int = struct.unpack_from("=Q", self.memory, 0)[0]
        return position

    @property
    def free(self) -> int:
        return self.size - (self.position - self.consumed)

    def put(self, payload: bytes, flags: int = 0, *, claim: int | None = None) -> int:
        """Append a record; where it is. *claim*: a length that its header tells instead."""
        at = self.position
        self.write(at, struct.pack("=II", len(payload) if claim is None else claim, 0) + payload)
        self.set_flags(at, flags)
        self._produce(at + (len(payload) + 8 + 7) // 8 * 8)
        return at

    def set_flags(self, at: int, flags: int) -> None:
        (header,) = struct.unpack_from("=I", self.memory, 2 * PAGE + at % self.size)
        self.write(at, struct.pack("=I", header & ~(BUSY | DISCARDED) | flags))

    def write(self, at: int, data: bytes) -> None:
        for offset, byte in enumerate(data):
            place = 2 * PAGE + (at + offset) % self.size
            self.memory[place] = self.memory[place + self.size] = byte

    def drain_fixed(self, stride: int, room: int, limit: int = 1000) -> tuple[int, RingDrained, bytes]:
        drained, out = ffi.new("struct ring_drained *"), bytearray(room)
        base = ffi.from_buffer("uint8_t[]", self.memory)
        error = lib.ring_drain_fixed(
            base, base + PAGE, PAGE, self.size, stride, ffi.from_buffer(out), room, limit, drained
        )
        return error, drained, bytes(out)

    def drain(self, room: int, limit: int = 1000) -> tuple[int, RingDrained, list[bytes], list[int]]:
        drained, out = ffi.new("struct ring_drained *"), bytearray(room)
        offsets, lengths = ffi.new("uint32_t[]", limit), ffi.new("uint32_t[]", limit)
        base = ffi.from_buffer("uint8_t[]", self.memory)
        error = lib.ring_drain(
            base, base + PAGE, PAGE, self.size, ffi.from_buffer(out), room, offsets, lengths, limit, drained
        )
        records = [bytes(out[offsets[i] : offsets[i] + lengths[i]]) for i in range(drained.records)]
        return error, drained, records, [offsets[i] for i in range(drained.records)]


@define
class HandmadePerf:
    """A perf buffer of *size* bytes behind its control page."""

    size: int
    memory: bytearray = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.memory = bytearray(PAGE + self.size)

    def begin_at(self, position: int) -> None:
        struct.pack_into("=QQ", self.memory, 1024, position, position)

    @property
    def head(self) -> int:
        position: int = struct.unpack_from("=Q", self.memory, 1024)[0]
        return position

    @property
    def tail(self) -> int:
        position: int = struct.unpack_from("=Q", self.memory, 1032)[0]
        return position

    @property
    def free(self) -> int:
        return self.size - (self.head - self.tail)

    def put(self, kind: int, body: bytes, *, size: int | None = None) -> None:
        record = struct.pack("=IHH", kind, 0, len(body) + 8 if size is None else size) + body
        at = self.head
        for offset, byte in enumerate(record):
            self.memory[PAGE + (at + offset) % self.size] = byte
        struct.pack_into("=Q", self.memory, 1024, at + len(record))

    def sample(self, payload: bytes, time: int | None = None) -> bytes:
        """Append a raw sample, padded as the kernel does; its bytes with the padding."""
        padded = payload + bytes(-(len(payload) + 4) % 8)
        prefix = b"" if time is None else struct.pack("=Q", time)
        self.put(9, prefix + struct.pack("=I", len(padded)) + padded)
        return padded

    def lost(self, count: int) -> None:
        self.put(2, struct.pack("=QQ", 1, count))

    def drain(
        self, room: int, *, stride: int = 0, limit: int = 1000, times: bool = False
    ) -> tuple[int, PerfDrained, list[bytes], list[int]]:
        drained, out = ffi.new("struct perf_drained *"), bytearray(room)
        offsets, lengths = ffi.new("uint32_t[]", limit), ffi.new("uint32_t[]", limit)
        stamps = ffi.new("uint64_t[]", limit)
        error = lib.perf_drain(
            ffi.from_buffer(self.memory),
            PAGE,
            self.size,
            stride,
            ffi.from_buffer(out),
            room,
            offsets,
            lengths,
            stamps if times else ffi.NULL,
            limit,
            drained,
        )
        records = [bytes(out[offsets[i] : offsets[i] + lengths[i]]) for i in range(drained.records)]
        return error, drained, records, [stamps[i] for i in range(drained.records)]


@pytest.fixture
def make_ring() -> type[HandmadeRing]:
    return HandmadeRing


@pytest.fixture
def make_perf() -> type[HandmadePerf]:
    return HandmadePerf


@pytest.fixture(scope="session")
def make_ring_once() -> type[HandmadeRing]:
    """As make_ring, for tests that hypothesis runs many times."""
    return HandmadeRing


@pytest.fixture(scope="session")
def make_perf_once() -> type[HandmadePerf]:
    return HandmadePerf
