"""A ring or perf buffer at a steady rate: memory stays flat, and every event is delivered or counted as lost."""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
from attrs import define, field

from aiobpf import asm
from aiobpf.btf.types import Array, Int, Member, Struct
from aiobpf.kernel import MapElements, OwnedFd, create_map, load_program, map_info, possible_cpus, test_run
from aiobpf.stream import PerfBuffer, RingBuffer
from aiobpf.uapi import MapType, ProgramType
from tests.endurance.memory import Memory

if TYPE_CHECKING:
    import argparse

    from aiobpf.btf import Btf, Type

PERF_EVENT_OUTPUT, RINGBUF_OUTPUT = 25, 130
EVENT_BYTES = 64
BURST_S = 0.002
MOST_IN_A_BURST = 16384
SLACK_BYTES = 4 << 20
"""What resident memory may grow by after the first seconds: the allocator's own unrest, not a piece an event."""
SLACK_BLOCKS = 4000

U8 = Int("unsigned char", 1, 8)
U32 = Int("unsigned int", 4, 32)
U64 = Int("unsigned long long", 8, 64)
EVENT = Struct("event", EVENT_BYTES, [Member("number", U64, 0), Member("rest", Array(U8, U32, EVENT_BYTES - 8), 64)])


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rate", type=int, default=500_000, help="events a second (500,000)")
    parser.add_argument("--seconds", type=float, default=600, help="how long (600)")
    parser.add_argument("--buffer", choices=("ring", "perf"), default="ring")
    parser.add_argument("--bytes", type=int, default=8 << 20, help="of the buffer (8 MiB)")
    parser.add_argument("--read", choices=("numpy", "objects"), default="numpy", help="what events are made into")


@define
class EventMap:
    """What a stream needs of a map."""

    fd: OwnedFd
    type: MapType
    max_entries: int
    value_type: Type | None = EVENT
    types: Btf | None = None
    name: str = "events"

    def fileno(self) -> int:
        return self.fd.fileno()


@define
class LostMap:
    """What a stream needs of the map that the program counts its losses in."""

    fd: OwnedFd
    elements: MapElements
    type: MapType = MapType.PERCPU_ARRAY
    value_size: int = 8
    name: str = "events_lost"


@define
class Producer:
    """A program that submits events of 64 bytes, each with a number that counts from 0, and the maps it uses."""

    events: EventMap
    lost: LostMap
    attempted: MapElements
    program: OwnedFd
    _fds: list[OwnedFd] = field(factory=list)
    _ends: threading.Event = field(factory=threading.Event)
    failure: BaseException | None = None

    @classmethod
    def open(cls, kind: MapType, size: int) -> Producer:
        is_ring = kind == MapType.RINGBUF
        fds = [
            create_map(kind, 0 if is_ring else 4, 0 if is_ring else 4, size, name="events"),
            create_map(MapType.PERCPU_ARRAY, 4, 8, 1, name="events_lost"),
            create_map(MapType.ARRAY, 4, 8, 1, name="attempted"),
        ]
        events, lost, attempted = fds
        code = asm.Instructions(_submit(kind, *fds)).encode()
        fds.append(load_program(ProgramType.SOCKET_FILTER, code, name="submit"))
        return cls(
            EventMap(events, kind, size),
            LostMap(lost, MapElements(lost, 4, 8 * len(possible_cpus()))),
            MapElements(attempted, 4, 8),
            fds[-1],
            fds,
        )

    def close(self) -> None:
        for fd in self._fds:
            fd.close()

    @property
    def produced(self) -> int:
        """Events that the program made, whether they found room or not."""
        raw = self.attempted.lookup(bytes(4))
        assert raw is not None
        count: int = struct.unpack("=Q", raw)[0]
        return count

    def run(self, rate: int, seconds: float) -> None:
        """In a thread: *rate* events a second, in bursts."""
        try:
            began = time.monotonic()
            while (spent := time.monotonic() - began) < seconds and not self._ends.is_set():
                due = min(int(spent * rate) - self.produced, MOST_IN_A_BURST)
                if due > 0:
                    with contextlib.suppress(InterruptedError):  # a signal ended the burst; the program has counted
                        test_run(self.program, bytes(64), repeat=due, attempts=1)
                time.sleep(BURST_S)
        except BaseException as error:
            self.failure = error

    def stop(self) -> None:
        self._ends.set()


def _submit(kind: MapType, events: OwnedFd, lost: OwnedFd, attempted: OwnedFd) -> list[asm.Instruction]:
    room = -EVENT_BYTES
    code = [
        asm.mov(asm.R6, asm.R1),
        asm.load_map_value(asm.R1, "attempted", 0, fd=attempted.fileno()),
        asm.ldx(asm.DW, asm.R7, asm.R1, 0),  # one producer at a time: no atomic is needed, and 5.10 has none that tells
        asm.mov(asm.R0, asm.R7),
        asm.add(asm.R0, 1),
        asm.stx(asm.DW, asm.R1, asm.R0, 0),
        *(asm.st(asm.DW, asm.R10, offset, 0x5A5A5A5A) for offset in range(room + 8, 0, 8)),
        asm.stx(asm.DW, asm.R10, asm.R7, room),
    ]
    if kind == MapType.RINGBUF:
        code += [
            asm.load_map_ptr(asm.R1, "events", fd=events.fileno()),
            asm.mov(asm.R2, asm.R10),
            asm.add(asm.R2, room),
            asm.mov(asm.R3, EVENT_BYTES),
            asm.mov(asm.R4, 0),
            asm.call_helper(RINGBUF_OUTPUT),
            asm.jeq(asm.R0, 0, "end"),
            *asm.count_lost("events_lost", fd=lost.fileno(), stack=room - 8),
        ]
    else:  # the kernel counts its losses itself
        code += [
            asm.mov(asm.R1, asm.R6),
            asm.load_map_ptr(asm.R2, "events", fd=events.fileno()),
            asm.ld_imm64(asm.R3, 0xFFFFFFFF),
            asm.mov(asm.R4, asm.R10),
            asm.add(asm.R4, room),
            asm.mov(asm.R5, EVENT_BYTES),
            asm.call_helper(PERF_EVENT_OUTPUT),
        ]
    return [*code, asm.mov(asm.R0, 0).with_symbol("end"), asm.exit_()]


@define
class Seen:
    """What the reader has seen."""

    events: int = 0
    out_of_order: int = 0
    missing: int = 0
    last: int = -1
    batches: int = 0

    def take(self, numbers: Any) -> None:
        """*numbers* of events in order."""
        self.batches += 1
        first, last = int(numbers[0]), int(numbers[-1])
        steps = numbers[1:].astype("i8") - numbers[:-1].astype("i8")
        self.out_of_order += int((steps <= 0).sum()) + (first <= self.last)
        self.missing += int((steps - 1).sum()) + first - self.last - 1
        self.events += len(numbers)
        self.last = last


async def check(options: argparse.Namespace) -> list[str]:
    """Read until the producer has ended and nothing is left, then count."""
    import numpy

    kind = MapType.RINGBUF if options.buffer == "ring" else MapType.PERF_EVENT_ARRAY
    producer = Producer.open(kind, options.bytes if options.buffer == "ring" else os.cpu_count() or 1)
    seen = Seen()
    samples: list[Memory] = []
    began = time.monotonic()
    try:
        stream: Any
        if options.buffer == "ring":
            stream = RingBuffer(producer.events, lost=producer.lost)
        else:
            # What one CPU's buffer may take: a user without privileges for more asks for less.
            stream = PerfBuffer(producer.events, pages=max(options.bytes // 4096, 1))
        async with stream as events, anyio.create_task_group() as tasks:
            thread = threading.Thread(target=producer.run, args=(options.rate, options.seconds))
            thread.start()

            async def watch() -> None:
                while thread.is_alive():
                    await anyio.sleep(min(1, options.seconds / 20))
                    samples.append(Memory())
                thread.join()
                events.finish()

            tasks.start_soon(watch)
            try:
                async for batch in events.batches():
                    if options.read == "numpy":
                        seen.take(batch.numpy()["number"])
                    else:
                        seen.take(numpy.array([event.number for event in batch], dtype="u8"))
            finally:
                producer.stop()
            assert not events.drain(), "the stream came to its end with events left"
        if producer.failure is not None:
            raise producer.failure
        produced = producer.produced
        stats = stream.stats
        spent = time.monotonic() - began
        id_ = map_info(producer.events.fd).id
    finally:
        producer.stop()
        producer.close()
    settled = samples[len(samples) // 5 :]
    growth = settled[-1].rss - settled[0].rss
    blocks = settled[-1].blocks - settled[0].blocks
    lines = [
        f"{options.buffer} buffer {id_}: {produced} events of {EVENT_BYTES} bytes in {spent:.1f} s, "
        f"{produced / spent:,.0f} a second (asked: {options.rate:,})",
        f"delivered {seen.events}, lost {stats.lost}, in {seen.batches} batches, {stats.wake_ups} wake-ups; "
        f"most waiting {stats.high_water} of {stats.capacity} bytes",
        f"memory: {settled[0]}, then {settled[-1]}; at most {max(each.rss for each in settled) / (1 << 20):.1f} MiB",
    ]
    report = "\n".join(lines)
    assert seen.events == stats.records, report
    assert seen.events + stats.lost == produced, f"events are missing:\n{report}"
    if options.buffer == "ring":
        assert seen.out_of_order == 0, f"{seen.out_of_order} events out of order:\n{report}"
        assert seen.missing + (produced - 1 - seen.last) == stats.lost, f"the gaps are not the losses:\n{report}"
    assert growth < SLACK_BYTES, f"memory grew by {growth} bytes:\n{report}"
    assert blocks < SLACK_BLOCKS, f"Python's memory grew by {blocks} blocks:\n{report}"
    return lines
