"""A ring buffer with more events than a reader gets through, and each way to read them."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Protocol

from attrs import define

from aiobpf.stream import RingBuffer
from benchmarks.workload import RingFullError, Workload, workload_spec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import Unpack

    from aiobpf.stream.options import StreamOptions

RECORD_BYTES = 64
RING = f"ring_{RECORD_BYTES}"
TYPE = f"struct record_{RECORD_BYTES}"
BURST = 20_000
NO_TURN_S = 60.0
"""As *turn_s*: how many events come between two turns of the loop then depends on no clock."""


@define
class Seen:
    """What a reader has seen; reading ends when *wanted* events are there."""

    wanted: int
    events: int = 0
    batches: int = 0
    sum: int = 0

    @property
    def is_enough(self) -> bool:
        return self.events >= self.wanted


class Way(Protocol):
    """Reads from a stream, and looks at one field of each event, as a program would."""

    async def __call__(self, stream: RingBuffer[Any], seen: Seen) -> None: ...


async def events(stream: RingBuffer[Any], seen: Seen) -> None:
    async for event in stream:
        seen.sum += event.sequence
        seen.events += 1
        if seen.is_enough:
            break


async def batches_to_objects(stream: RingBuffer[Any], seen: Seen) -> None:
    async for batch in stream.batches():
        seen.batches += 1
        for event in batch.records():
            seen.sum += event.sequence
        seen.events += len(batch)
        if seen.is_enough:
            break


async def batches_to_numpy(stream: RingBuffer[Any], seen: Seen) -> None:
    async for batch in stream.batches():
        seen.batches += 1
        seen.sum += int(batch.numpy()["sequence"].sum())
        seen.events += len(batch)
        if seen.is_enough:
            break


async def leased_batches(stream: RingBuffer[Any], seen: Seen) -> None:
    async for batch in stream.batches(lease=True):
        seen.batches += 1
        seen.sum += int(batch.numpy()["sequence"].sum())
        seen.events += len(batch)
        if seen.is_enough:
            break


WAYS: dict[str, Way] = {
    "events": events,
    "batches to objects": batches_to_objects,
    "batches to numpy": batches_to_numpy,
    "leased batches": leased_batches,
}


@contextlib.asynccontextmanager
async def loaded() -> AsyncIterator[Workload]:
    """The rings and their producers, loaded (Linux 5.17: bpf_loop)."""
    import aiobpf

    async with aiobpf.load(workload_spec(1)) as collection:
        yield Workload(collection)


def open_stream(workload: Workload, **options: Unpack[StreamOptions]) -> RingBuffer[Any]:
    """The stream of 64-byte records, to be entered."""
    return RingBuffer(workload.map(RING), TYPE, **options)


def refill(workload: Workload, count: int) -> None:
    """Submit *count* events; RingFullError where they find no room."""
    for begin in range(0, count, BURST):
        workload.submit(RECORD_BYTES, min(count - begin, BURST))


@contextlib.contextmanager
def saturated(workload: Workload) -> Iterator[None]:
    """A thread submits events without a pause, as long as this lasts; what finds no room is dropped.

    The ring is full when this begins. The thread is in the kernel nearly all the time, without the GIL.
    """
    ends = threading.Event()

    def submit() -> None:
        while not ends.is_set():
            with contextlib.suppress(RingFullError):
                workload.submit(RECORD_BYTES, BURST)

    with contextlib.suppress(RingFullError):
        while True:
            workload.submit(RECORD_BYTES, BURST)
    producer = threading.Thread(target=submit)
    producer.start()
    try:
        yield
    finally:
        ends.set()
        producer.join()
