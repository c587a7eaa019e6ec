"""Reading events: what ring and perf buffers have in common."""

from __future__ import annotations

import contextlib
import operator
import time
import warnings
from abc import abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Literal, Self, TypeVar, final, overload

from aiobpf._native import ffi
from aiobpf._native._objects import EventReader
from aiobpf.errors import ClosedError, CodecError, SpecError, StreamBusyError
from aiobpf.kernel.fd import duplicate
from aiobpf.kernel.info import map_info
from aiobpf.kernel.worker import close_in_worker, in_worker
from aiobpf.stream.batch import Batch, join
from aiobpf.stream.batch_memory import BatchMemory
from aiobpf.stream.event_type import EventMap, resolve_event_type
from aiobpf.stream.leased_batch import LeasedBatch, LeasedBatches, check_lease
from aiobpf.stream.pace import DEFAULT_MAX_DELAY_S, LONGEST_DELAY_S, Pace, seconds_until
from aiobpf.stream.program_losses import ProgramLosses, check_counter
from aiobpf.stream.readers import claim, hand_over, unclaim
from aiobpf.stream.readiness import Readiness, readiness
from aiobpf.stream.scoped import Scoped
from aiobpf.stream.short_records import batches_of
from aiobpf.stream.source_opening import SourceOpening
from aiobpf.stream.stats import StreamStats

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from aiobpf.btf import Type
    from aiobpf.kernel.fd import OwnedFd
    from aiobpf.stream.program_losses import LossCounter
    from aiobpf.stream.source import Drained, Leased, Source

T = TypeVar("T")

DEFAULT_BATCH_RECORDS: Final = 4096
DEFAULT_BATCH_BYTES: Final = 256 << 10
DEFAULT_TURN_S: Final = 0.002
LEASED_BATCH_RECORDS: Final = 1 << 16
LEASED_BATCH_BYTES: Final = 2 << 20
"""Nothing is copied for a leased batch, so what it costs is by the batch. Beyond this, which is about the processor's
own cache, the consumer fetches again what was looked at, and the interpreter's code too."""

FIRST_TURN: Final = 256
SMALLEST_TURN: Final = 32
"""Events handed out one by one between two turns of the event loop: at first, and at least."""

FIRST_PAUSE_S: Final = 50e-6
LONGEST_PAUSE_S: Final = 0.02
"""At a record that is still being written: usually for less than a microsecond, but its writer may be preempted."""

FIRST_LOOK_S: Final = 200e-6
LONGEST_LOOK_S: Final = 0.01
"""Between looks for records while arrays of leases that are over keep the kernel from waking us."""

FINISH_PATIENCE_S: Final = 0.1
"""How long `EventStream.finish` lets a reader wait for a record that is being written."""

REFRESH_S: Final = 1.0

ALL: Final = (1 << 32) - 1


class EventStream(EventReader, Scoped, Generic[T]):
    """The events of one map, in order: ``async for event in stream``, or ``async for batch in stream.batches()``.

    Open from entering ``async with`` (or `open`) until its end (or `aclose`). One task reads at a time; a second one
    gets StreamBusyError. Reading waits for the kernel to announce data, takes what is there up to the budget, and lets
    the event loop have a turn before each batch, single events included. It can be cancelled at any time and gone on
    with: nothing is taken from the kernel before the wait is over.

    A record too short for the event type raises CodecError in its place (*on_short* "skip" only counts it); reading
    goes on behind it when asked again.
    """

    _no_cpus: ClassVar[Sequence[int] | None] = None

    def __init__(
        self,
        map: EventMap,  # noqa: A002 - the field's own word
        type: Type | str | type[Any] | None = None,  # noqa: A002
        *,
        batch_records: int | None = None,
        batch_bytes: int | None = None,
        turn_s: float = DEFAULT_TURN_S,
        max_delay: float | None = DEFAULT_MAX_DELAY_S,
        flush_interval: float | None = None,
        on_short: Literal["raise", "skip"] = "raise",
        lost: LossCounter | None = None,
    ) -> None:
        self._leased_records = batch_records or LEASED_BATCH_RECORDS
        self._leased_bytes = batch_bytes or LEASED_BATCH_BYTES
        batch_records = DEFAULT_BATCH_RECORDS if batch_records is None else batch_records
        batch_bytes = DEFAULT_BATCH_BYTES if batch_bytes is None else batch_bytes
        if batch_records < 1 or batch_bytes < 1 or turn_s <= 0:
            raise SpecError(f"stream of map {map.name!r}: the budget of a batch has to be positive")
        if flush_interval is not None and flush_interval <= 0:
            raise SpecError(f"stream of map {map.name!r}: flush_interval has to be positive, or None")
        if max_delay is not None and not 0 <= max_delay <= LONGEST_DELAY_S:
            raise SpecError(f"stream of map {map.name!r}: max_delay is 0 to {LONGEST_DELAY_S} seconds, or None")
        if on_short not in {"raise", "skip"}:
            raise SpecError(f"stream of map {map.name!r}: on_short is 'raise' or 'skip', not {on_short!r}")
        if lost is not None:
            check_counter(lost, f"stream of map {map.name!r}")
        self._map = map
        self._what = f"map {map.name!r}"
        self._lost = lost
        self._losses: ProgramLosses | None = None
        self._event_type = resolve_event_type(map, type)
        self._stats = StreamStats()
        self._batch_records = batch_records
        self._batch_bytes = batch_bytes
        self._turn_s = turn_s
        self._flush_interval = flush_interval
        self._pace = Pace(max_delay)
        self._skip_short = on_short == "skip"
        self._memory = BatchMemory(max(batch_bytes, self._event_type.size))
        self._source: Source | None = None
        self._ready: Readiness | None = None
        self._claimed: int | None = None
        self._is_finishing = False
        self._is_reading = False
        self._meets_short = False
        self._refresh_at = 0.0
        self._leased: LeasedBatch[T] | None = None
        self._segments: deque[Batch[T] | CodecError] = deque()
        # The batch that single events come from, and what is left of it: an iterator, so that an event costs one step
        # of it. `_left` has as many steps left and can tell how many.
        self._current: Batch[T] | None = None
        self._events: Iterator[T] = iter(())
        self._left: Iterator[Any] = self._events
        self._turn = min(FIRST_TURN, batch_records)
        self._turn_began = 0.0
        self._turn_was_full = False

    # --- lifetime -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def _opener(self) -> Callable[[OwnedFd], Source]:
        """What maps the buffers, in a worker thread; the descriptor goes over to it.

        It does not refer to the stream: a worker thread keeps its last job, thus a forgotten stream, from being
        collected.
        """

    async def open(self) -> Self:
        """Map the buffers; what ``async with`` does first. SpecError when another stream of this process has the map.

        KernelError (EPERM, ENOMEM) names the map.
        """
        if self._is_closed:
            raise ClosedError(f"the stream of {self._what} is closed")
        if self._claimed is not None:
            raise SpecError(f"the stream of {self._what} is open already")
        # A descriptor of our own: the user's registrations on the map's do not meet ours, and closing the map under us
        # leaves no number that the kernel could give to somebody else.
        fd = duplicate(self._map, self._what)
        opening = SourceOpening(fd, self._opener())
        try:
            self._claim(map_info(fd, subject=self._what).id)
            losses = None if self._lost is None else ProgramLosses(self._lost)
            source = await in_worker(opening.run, dispose=lambda source: source.close())
        except BaseException:
            self._unclaim()
            opening.give_up()
            raise
        self._source = source
        self._losses = losses
        self._ready = readiness(
            source.fileno(), source.has_data, keeps_ready=source.keeps_ready, interval=self._flush_interval
        )
        return self

    def _claim(self, map_id: int) -> None:
        claim(map_id, self, self._what)
        self._claimed = map_id

    def _unclaim(self, holder: object | None = None) -> None:
        unclaim(self._claimed, self)
        if holder is not None:  # arrays of leased batches, which give back room when they go: no other reader before
            hand_over(self._claimed, holder)
        self._claimed = None

    async def aclose(self) -> None:
        """Unmap and close; again, nothing. A reader that waits comes to the end of its iteration.

        Records still in the kernel's buffer stay there (a ring buffer) or are gone (a perf buffer): `drain` before, or
        let the reader take them with `finish`.
        """
        self._is_closed = True
        self._end_lease()
        if self._source is not None:
            self._count_losses(self._source)  # the last time
        source, self._source = self._source, None
        if self._ready is not None:
            self._ready.close()
        if source is not None:
            holder = source.holder()
            try:
                await close_in_worker(source)
            finally:
                self._unclaim(holder)

    def __del__(self) -> None:
        source: Source | None = getattr(self, "_source", None)
        if source is not None:
            self._source = None
            if self._ready is not None:
                self._ready.close()
            holder = source.holder()
            source.close()
            self._unclaim(holder)
            warnings.warn(f"the stream of {self._what} was never closed", ResourceWarning, stacklevel=2, source=self)

    def _open_or_raise(self) -> Source:
        if self._source is None:
            state = "closed" if self._is_closed else "not open yet: use it in 'async with'"
            raise ClosedError(f"the stream of {self._what} is {state}")
        return self._source

    # --- events -------------------------------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        self._open_or_raise()
        return self

    if TYPE_CHECKING:

        def __anext__(self) -> Coroutine[Any, Any, T]: ...

    async def _next_event(self) -> T:
        while True:
            self._current = None
            if self._turn_was_full:
                # Decoding the events and what was done with them took this long; it is the loop's turn now.
                spent = time.monotonic() - self._turn_began
                if spent > self._turn_s:
                    self._turn = max(self._turn // 2, min(SMALLEST_TURN, self._batch_records))
                elif spent < self._turn_s / 4:
                    self._turn = min(self._turn * 2, self._batch_records)
            batch = await self._next_batch(self._turn)
            self._turn_was_full = len(batch) >= self._turn
            if self._turn_was_full:
                self._turn_began = time.monotonic()
            self._current = batch
            try:
                self._events = self._left = iter(batch)
            except Exception:  # a class of the user's refused one: that one raises, those around it are still events
                self._events, self._left = batch.decoding()
            for event in self._events:
                return event

    @overload
    def batches(self, *, lease: Literal[False] = False) -> Batches[T]: ...
    @overload
    def batches(self, *, lease: Literal[True]) -> LeasedBatches[T]: ...
    def batches(self, *, lease: bool = False) -> Batches[T] | LeasedBatches[T]:
        """Iterate batches instead of events: ``async for batch in stream.batches()``. The two may take turns.

        With *lease* nothing is copied: a batch's memory is the ring's, until the next step; see `LeasedBatch`. All
        records of such a batch have one length; it is of up to 65,536 of them, 2 MiB and a quarter of the ring, unless
        *batch_records* and *batch_bytes* were given. SpecError for a perf buffer, a ring that overwrites, and a type
        that ends in a flexible array.
        """
        source = self._open_or_raise()
        if not lease:
            return Batches(self)
        check_lease(source, self._event_type, self._what)
        return LeasedBatches(self)

    def drain(self) -> Batch[T]:
        """All that is there now, without waiting; an empty batch if nothing is.

        For records that nobody announces (BPF_RB_NO_WAKEUP), and for the last ones before closing. CodecError for a
        record too short for the event type once it is the first one.
        """
        source = self._open_or_raise()
        self._give_back_events()
        taken: list[Batch[T]] = []
        left = source.backlog()
        while True:
            while self._segments and not (taken and isinstance(self._segments[0], CodecError)):
                taken.append(self._pop())
            if self._segments or left <= 0:
                break
            drained = self._drain(source, ALL, left)
            if not drained.count and not drained.has_skipped:
                break
            # Without headers this is less than what the buffer got free, so a few rounds may follow, each smaller: the
            # end comes even if producers never rest.
            left -= max(drained.room, 8)
        if taken:
            return join(self._event_type, taken)
        offsets: Sequence[int] | None = None if self._event_type.stride else ()
        return Batch(self._event_type, memoryview(b""), 0, offsets=offsets, lengths=offsets, cpus=self._no_cpus)

    def finish(self) -> None:
        """Let the reader take what is there and come to its end, as if the program had ended.

        For a clean stop: detach the programs, `finish`, and the loop that reads ends by itself with nothing left.
        """
        self._is_finishing = True
        if self._ready is not None:
            self._ready.wake()

    @property
    def stats(self) -> StreamStats:
        """What was counted so far, and goes on being counted."""
        if self._source is not None:
            self._count_losses(self._source)
        return self._stats

    def _count_losses(self, source: Source) -> None:
        source.count_losses(self._stats)
        if self._losses is not None:
            with contextlib.suppress(ClosedError):  # the counter's map was closed before the stream
                self._losses.add_to(self._stats)

    @property
    def event_type_name(self) -> str:
        """What an event is, in C's words ("struct event"), or "bytes"."""
        return self._event_type.name

    # --- one batch ----------------------------------------------------------------------------------------------------

    async def _next_batch(self, limit: int, *, lease: bool = False) -> Batch[T]:
        if self._is_reading:
            raise StreamBusyError(f"the stream of {self._what} is being read by another task")
        if self._source is None or self._ready is None:
            if self._is_closed:
                raise StopAsyncIteration
            self._open_or_raise()
            raise AssertionError
        self._is_reading = True
        try:
            return await self._read(self._ready, limit, lease)
        finally:
            self._is_reading = False

    async def _read(self, ready: Readiness, limit: int, lease: bool) -> Batch[T]:
        self._end_lease()
        self._give_back_events()
        stats = self._stats
        had_a_turn = False
        pauses = looks = 0
        while (source := self._source) is not None:
            if not had_a_turn:
                # Before anything is taken: a cancellation here loses nothing.
                if self._segments:
                    await ready.checkpoint()
                elif (due := self._pace.due(stats.capacity)) and (seconds := seconds_until(due)):
                    stats.coalesced += 1
                    await ready.pause(seconds)
                elif source.has_data():
                    await ready.checkpoint()
                elif self._is_finishing:
                    break
                elif source.is_held:
                    await ready.pause(min(FIRST_LOOK_S * 2 ** min(looks, 16), LONGEST_LOOK_S))
                    looks += 1
                    continue
                elif await ready.wait():
                    stats.wake_ups += 1
                had_a_turn = True
                continue
            if self._segments:
                return self._pop()
            drained = self._lease(source) if lease else self._drain(source, limit, self._batch_bytes)
            if self._segments:
                return self._pop()
            if drained.is_busy:
                pauses += 1
                if self._is_finishing and pauses * LONGEST_PAUSE_S > FINISH_PATIENCE_S:
                    break
                await self._pause(ready, pauses)
            else:
                had_a_turn = False  # nothing there, or records that were skipped, which took its time too
        raise StopAsyncIteration

    async def _pause(self, ready: Readiness, pauses: int) -> None:
        self._stats.busy_pauses += 1
        await ready.pause(min(FIRST_PAUSE_S * 2 ** min(pauses - 1, 16), LONGEST_PAUSE_S))

    def _drain(self, source: Source, limit: int, room: int) -> Drained:
        """Take records from the kernel, to `_segments`."""
        stats = self._stats
        event_type = self._event_type
        if not source.keeps_ready:
            self._refresh(source)
        stride = 0 if self._meets_short else event_type.stride
        drained = source.drain(stride, limit, room, self._memory, stats)
        if drained.is_short and not drained.count:
            self._meets_short = True
            drained = source.drain(0, limit, room, self._memory, stats)
        elif self._meets_short and drained.lengths and min(drained.lengths) >= event_type.size:
            self._meets_short = False  # rows again
        self._pace.drained(drained, limit, room)
        if not drained.count:
            return drained
        data = memoryview(ffi.buffer(drained.memory, drained.room))
        if drained.lengths is None:
            self._segments.append(Batch(event_type, data, drained.count, cpus=drained.cpus))
            return drained
        for segment in batches_of(drained, data, event_type, self._what):
            if isinstance(segment, CodecError):
                stats.decode_errors += 1
                if self._skip_short:
                    continue
            self._segments.append(segment)
        return drained

    def _lease(self, source: Source) -> Leased | Drained:
        """A leased batch to `_segments`; copies of records that are too short for the event type."""
        event_type = self._event_type
        leased = source.lease(event_type.size, self._leased_records, self._leased_bytes, self._stats)
        if leased.is_short:
            return self._drain(source, self._batch_records, self._batch_bytes)
        self._pace.drained(leased, self._leased_records, self._leased_bytes)
        if leased.lease is not None:
            batch: LeasedBatch[T] = LeasedBatch(event_type, leased, self._what)
            self._leased = batch
            self._segments.append(batch)
        return leased

    def _end_lease(self) -> None:
        if self._leased is not None:
            self._leased.release()
            self._leased = None

    def _pop(self) -> Batch[T]:
        segment = self._segments.popleft()
        if isinstance(segment, CodecError):
            raise segment
        self._stats.batches += 1
        return segment

    def _give_back_events(self) -> None:
        """Events decoded but not handed out one by one are the next batch's."""
        if self._current is not None:
            left = operator.length_hint(self._left)
            if left:
                self._segments.appendleft(self._current.tail(len(self._current) - left))
            self._current = None
            self._events = self._left = iter(())

    def _refresh(self, source: Source) -> None:
        now = time.monotonic()
        if now >= self._refresh_at:
            self._refresh_at = now + REFRESH_S
            source.refresh()

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "open" if self._source is not None else "new"
        return f"<{state} {type(self).__name__} of {self._what}: {self._event_type.name}>"


@final
class Batches(Generic[T]):
    """What `EventStream.batches` iterates."""

    __slots__ = ("_stream",)

    def __init__(self, stream: EventStream[T]) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch[T]:
        stream = self._stream
        return await stream._next_batch(stream._batch_records)
