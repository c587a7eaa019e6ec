"""Many ring buffers on one loop, some of them flooded: every event arrives, and those of quiet ones in time."""

from __future__ import annotations

import struct
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
from attrs import define, field

from aiobpf import asm
from aiobpf.btf.types import Array, Int, Member, Struct
from aiobpf.kernel import MapElements, OwnedFd, create_map, load_program
from aiobpf.kernel import test_run as run_program
from aiobpf.stream import RingBuffer, merge
from aiobpf.uapi import MapType, ProgramType
from tests.endurance.events import EventMap, LostMap
from tests.endurance.memory import Memory

if TYPE_CHECKING:
    import argparse

KTIME_GET_NS, RINGBUF_OUTPUT = 5, 130
EVENT_BYTES = 16
RING_BYTES = 1 << 20
QUIET_PAUSE_S = 0.01
SLACK_BYTES = 4 << 20

U64 = Int("unsigned long long", 8, 64)
U32 = Int("unsigned int", 4, 32)
U8 = Int("unsigned char", 1, 8)
EVENT = Struct("event", EVENT_BYTES, [Member("time_ns", U64, 0), Member("rest", Array(U8, U32, 8), 64)])


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--streams", type=int, default=64, help="ring buffers (64)")
    parser.add_argument("--flooded", type=int, default=2, help="how many of them never rest (2)")
    parser.add_argument("--seconds", type=float, default=60, help="how long (60)")
    parser.add_argument("--patience", type=float, default=1, help="the longest that an event may wait, in seconds (1)")
    parser.add_argument("--merged", action="store_true", help="one task reads all, instead of a task for each")


@define
class Ring:
    """A ring buffer, and a program that submits the time to it."""

    map: EventMap
    lost: LostMap
    program: OwnedFd
    produced: int = 0
    delivered: int = 0
    longest_ns: int = 0
    stream: RingBuffer[Any] = field(init=False)

    @classmethod
    def open(cls) -> Ring:
        fd = create_map(MapType.RINGBUF, 0, 0, RING_BYTES, name="events")
        lost = create_map(MapType.ARRAY, 4, 8, 1, name="events_lost")
        code = [
            asm.call_helper(KTIME_GET_NS),
            asm.stx(asm.DW, asm.R10, asm.R0, -16),
            asm.st(asm.DW, asm.R10, -8, 0),
            asm.load_map_ptr(asm.R1, "events", fd=fd.fileno()),
            asm.mov(asm.R2, asm.R10),
            asm.add(asm.R2, -16),
            asm.mov(asm.R3, EVENT_BYTES),
            asm.mov(asm.R4, 0),
            asm.call_helper(RINGBUF_OUTPUT),
            asm.jeq(asm.R0, 0, "end"),
            *asm.count_lost("events_lost", fd=lost.fileno(), stack=-24),
            asm.mov(asm.R0, 0).with_symbol("end"),
            asm.exit_(),
        ]
        program = load_program(ProgramType.SOCKET_FILTER, asm.Instructions(code).encode(), name="submit")
        ring = cls(
            EventMap(fd, MapType.RINGBUF, RING_BYTES, EVENT),
            LostMap(lost, MapElements(lost, 4, 8), MapType.ARRAY),
            program,
        )
        ring.stream = RingBuffer(ring.map, lost=ring.lost)
        return ring

    def submit(self, count: int) -> None:
        for _ in range(count):  # one by one: a signal that ends a longer run tells not how many there were
            run_program(self.program, bytes(64))
        self.produced += count

    def take(self, batch: Any) -> None:
        first: int = struct.unpack_from("=Q", batch.raw()[0])[0]
        self.longest_ns = max(self.longest_ns, time.monotonic_ns() - first)
        self.delivered += len(batch)

    def close(self) -> None:
        self.program.close()
        self.lost.fd.close()
        self.map.fd.close()


async def check(options: argparse.Namespace) -> list[str]:
    """Produce in threads, read until nothing is left, then count and compare waits."""
    rings = [Ring.open() for _ in range(options.streams)]
    flooded, quiet = rings[: options.flooded], rings[options.flooded :]
    ends = threading.Event()
    samples: list[Memory] = []

    def flood() -> None:
        while not ends.is_set():
            for ring in flooded:
                ring.submit(100)

    def trickle() -> None:
        while not ends.wait(QUIET_PAUSE_S):
            for ring in quiet:
                ring.submit(1)

    async def read(ring: Ring) -> None:
        async for batch in ring.stream.batches():
            ring.take(batch)

    async def read_all(merged: Any) -> None:
        by_stream = {ring.stream: ring for ring in rings}
        async for stream, batch in merged.batches():
            by_stream[stream].take(batch)

    threads = [threading.Thread(target=flood), threading.Thread(target=trickle)]
    merged = merge(*(ring.stream for ring in rings))
    try:
        for ring in rings:
            await ring.stream.open()
        if options.merged:
            await merged.open()
        async with anyio.create_task_group() as tasks:
            if options.merged:
                tasks.start_soon(read_all, merged)
            else:
                for ring in rings:
                    tasks.start_soon(read, ring)
            for thread in threads:
                thread.start()
            until = time.monotonic() + options.seconds
            while time.monotonic() < until:
                await anyio.sleep(min(1, options.seconds / 10))
                samples.append(Memory())
            ends.set()
            for thread in threads:
                thread.join()
            merged.finish()
            for ring in rings:
                ring.stream.finish()
        lost = sum(ring.stream.stats.lost for ring in rings)
    finally:
        ends.set()
        await merged.aclose()
        for ring in rings:
            ring.close()
    longest = max(ring.longest_ns for ring in quiet) / 1e9
    counts = [ring.delivered for ring in quiet]
    settled = samples[len(samples) // 5 :]
    growth = settled[-1].rss - settled[0].rss
    lines = [
        f"{len(rings)} streams, {len(flooded)} flooded with {sum(ring.delivered for ring in flooded)} events; the "
        f"others had {min(counts)} to {max(counts)} each and waited {longest * 1e3:.1f} ms at most; "
        f"{lost} lost and counted",
        f"memory: {settled[0]}, then {settled[-1]}",
    ]
    report = "\n".join(lines)
    for ring in rings:
        assert ring.produced == ring.delivered + ring.stream.stats.lost, f"events are missing:\n{report}"
    assert longest < options.patience, f"a quiet stream waited {longest:.2f} s:\n{report}"
    assert growth < SLACK_BYTES, f"memory grew by {growth} bytes:\n{report}"
    return lines
