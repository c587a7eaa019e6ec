"""Many streams as one."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Any, Final, Self, final

from aiobpf.errors import ClosedError, CodecError, LeaseError, SpecError, StreamBusyError
from aiobpf.stream.event_stream import ALL, FINISH_PATIENCE_S, FIRST_PAUSE_S, LONGEST_PAUSE_S, EventStream
from aiobpf.stream.pace import seconds_until
from aiobpf.stream.readiness import Readiness, readiness
from aiobpf.stream.scoped import Scoped
from aiobpf.stream.time_order import Order, TimeOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aiobpf.stream.batch import Batch

DEFAULT_LATENESS_S: Final = 0.01
DEFAULT_HELD: Final = 100_000

EVENTS_A_TURN: Final = 256
"""Single events that are handed out between two turns of the event loop, from each stream."""


def merge(
    *streams: EventStream[Any],
    order_by: str | Callable[[Any], int] | None = None,
    lateness_s: float = DEFAULT_LATENESS_S,
    held: int = DEFAULT_HELD,
) -> Merged:
    """The events of many buffers: ``async with merge(a, b) as events: async for stream, event in events``.

    One task waits for all of them. In each round every stream with events gives one batch of at most its own
    *batch_records* and *batch_bytes*, the round beginning with another one each time: a stream that never rests takes
    no turn of the others'. Each keeps its own `EventStream.stats`.

    *order_by* sorts by time across streams: the name of a member, or a function of an event, that gives nanoseconds of
    CLOCK_MONOTONIC (bpf_ktime_get_ns). An event is then held until nothing earlier is to be expected: until every
    stream was read empty *lateness_s* after its time, or gave an event that much later. One that still comes too late
    is given at once and counted (`Merged.late`). At most *held* events are held; beyond that the earliest go before
    their time (`Merged.early`).

    Streams that are not open are opened; all are closed at the end. SpecError for no stream, or one twice.
    """
    order = None
    if order_by is not None:
        order = Order(order_by, round(lateness_s * 1e9), held)
    return Merged(streams, order)


@final
class Merged(Scoped):
    """What `merge` makes: iterates pairs of a stream and an event, or with `batches` of a stream and a batch.

    One task reads at a time. It can be cancelled and gone on with: nothing is lost. A record too short for its stream's
    type raises CodecError in its place.
    """

    def __init__(self, streams: Sequence[EventStream[Any]], order: Order | None) -> None:
        if not streams:
            raise SpecError("merge() needs streams")
        if len(set(streams)) != len(streams):
            raise SpecError("merge() was given a stream twice")
        self.streams: tuple[EventStream[Any], ...] = tuple(streams)
        self._order = TimeOrder(order, len(streams)) if order is not None else None
        self._epoll: select.epoll | None = None
        self._ready: Readiness | None = None
        self._is_finishing = False
        self._is_reading = False
        self._first = 0
        self._turn: list[int] = []
        self._asks_all = True
        self._by_fd: dict[int, int] = {}
        self._unread: set[int] = set()
        """The places of streams that have more than was taken of them."""
        self._paced: dict[int, float] = {}
        """Those of this round's streams whose next drain may wait a little for more, and until when (`Pace`)."""
        self._until_all = 0
        self._events: Iterator[Any] = iter(())
        self._stream = streams[0]
        self._pauses = 0
        self._most = ALL

    # --- lifetime -----------------------------------------------------------------------------------------------------

    async def open(self) -> Self:
        """Open what is not open yet; all or none."""
        if self._is_closed:
            raise ClosedError("the merged stream is closed")
        if self._epoll is not None:
            raise SpecError("the merged stream is open already")
        opened = []
        try:
            for stream in self.streams:
                if stream._source is None:
                    await stream.open()
                    opened.append(stream)
            for stream in self.streams:
                if stream._is_reading:
                    raise StreamBusyError(f"{stream!r} is being read by another task")
                stream._end_lease()
                if stream._open_or_raise().holder() is not None:  # the descriptor tells nothing then
                    raise LeaseError(f"{stream!r}: arrays of leased batches lie in its ring: let go of them")
            self._epoll = epoll = select.epoll()
            sources = [stream._open_or_raise() for stream in self.streams]
            for source in sources:
                epoll.register(source.fileno(), select.EPOLLIN)
        except BaseException:
            for stream in opened:
                await stream.aclose()
            if self._epoll is not None:
                self._epoll.close()
                self._epoll = None
            raise
        intervals = [stream._flush_interval for stream in self.streams if stream._flush_interval is not None]
        for stream in self.streams:
            stream._is_reading = True  # by this
        self._by_fd = {source.fileno(): index for index, source in enumerate(sources)}
        keeps_ready = all(source.keeps_ready for source in sources)
        self._asks_all = not keeps_ready or self._order is not None
        # An epoll set of epoll sets or perf events consumes their readiness as its members do.
        self._ready = readiness(
            epoll.fileno(),
            self._has_data if self._asks_all else self._is_announced,
            keeps_ready=keeps_ready,
            interval=min(intervals, default=None),
        )
        return self

    async def aclose(self) -> None:
        """Close all streams; again, nothing. A reader that waits comes to the end of its iteration."""
        self._is_closed = True
        if self._ready is not None:
            self._ready.close()
            self._ready = None
        epoll, self._epoll = self._epoll, None
        if epoll is not None:
            epoll.close()
        failure: BaseException | None = None
        for stream in self.streams:
            stream._is_reading = False
            try:
                await stream.aclose()
            except BaseException as error:  # the others have to be closed too
                failure = failure or error
        if failure is not None:
            raise failure

    def finish(self) -> None:
        """Let the reader take what is there and come to its end; see `EventStream.finish`."""
        self._is_finishing = True
        if self._ready is not None:
            self._ready.wake()

    @property
    def late(self) -> int:
        """Events that came after later ones had been given already; 0 without *order_by*."""
        return 0 if self._order is None else self._order.late

    @property
    def early(self) -> int:
        """Events that were given before their time, as too many were held."""
        return 0 if self._order is None else self._order.early

    # --- events -------------------------------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        self._open_or_raise()
        return self

    async def __anext__(self) -> tuple[EventStream[Any], Any]:
        if self._order is not None:
            return await self._next_in_order(self._order)
        while True:
            for event in self._events:
                return self._stream, event
            self._most = EVENTS_A_TURN
            index, batch = await self._next_batch()
            self._stream, self._events = self.streams[index], iter(batch)

    def batches(self) -> MergedBatches:
        """Iterate pairs of a stream and a `Batch`. SpecError with *order_by*: an order is one of events."""
        self._open_or_raise()
        if self._order is not None:
            raise SpecError("a merged stream that is ordered by time gives events, no batches")
        return MergedBatches(self)

    async def _next_in_order(self, order: TimeOrder) -> tuple[EventStream[Any], Any]:
        while True:
            found = order.next()
            if found is not None:
                return self.streams[found[0]], found[1]
            if self._is_closed:
                raise StopAsyncIteration
            if self._is_finishing and not self._has_data() and not self._turn:
                found = order.rest()
                if found is not None:
                    return self.streams[found[0]], found[1]
            began = time.monotonic_ns()
            await self._round(order)
            for index, stream in enumerate(self.streams):
                source = stream._source
                if source is not None and not stream._segments and not source.has_data():
                    order.is_empty(index, began)

    async def _round(self, order: TimeOrder) -> None:
        """A batch of each stream that has one; or a pause, where nothing comes and events that are held may be due."""
        if order.held_s is not None and not self._has_data():
            await self._open_or_raise().pause(order.held_s)
            return
        pair: tuple[int, Batch[Any]] | None = await self._next_batch()
        while True:
            if pair is not None:
                order.add(*pair)
            if not self._turn:
                return
            pair = self._take_one()

    # --- one batch ----------------------------------------------------------------------------------------------------

    async def _next_batch(self) -> tuple[int, Batch[Any]]:
        """The place of a stream, and its batch."""
        if self._is_reading:
            raise StreamBusyError("the merged stream is being read by another task")
        if self._is_closed:
            raise StopAsyncIteration
        self._is_reading = True
        try:
            return await self._read(self._open_or_raise())
        finally:
            self._is_reading = False

    async def _read(self, ready: Readiness) -> tuple[int, Batch[Any]]:
        while not self._is_closed:
            while self._turn:
                pair = self._take_one()
                if pair is not None:
                    self._pauses = 0
                    return pair
            # A round is over: the event loop has its turn before anything of the next one is taken.
            seconds = self._seconds_left()
            if seconds:
                await ready.pause(seconds)
            if found := self._look():
                if self._pauses:
                    await ready.pause(min(FIRST_PAUSE_S * 2 ** min(self._pauses - 1, 16), LONGEST_PAUSE_S))
                    if self._is_finishing and self._pauses * LONGEST_PAUSE_S > FINISH_PATIENCE_S:
                        break
                elif not seconds:
                    await ready.checkpoint()
                self._pauses += 1  # unless a batch comes of it, all that is there is still being written
                self._begin_round(found)
            elif self._is_finishing:
                break
            elif await ready.wait():
                for index in self._look():
                    self.streams[index]._stats.wake_ups += 1
            else:
                self._until_all = 0  # nobody announced anything: look for what came all the same
        raise StopAsyncIteration

    def _seconds_left(self) -> float:
        """How long to sleep on for more records of streams that keep giving some; 0.0 for not at all."""
        if not self._paced:
            return 0.0
        seconds = 0.0
        if not self._is_finishing and self._unread <= self._paced.keys():
            seconds = seconds_until(min(self._paced.values()))
        for index in self._paced if seconds else ():
            self.streams[index]._stats.coalesced += 1
        self._paced.clear()
        return seconds

    def _look(self) -> set[int]:
        """The places of the streams that have events.

        The kernel tells which ones it woke us for: with 64 streams, asking each of them costs far more than reading the
        one that has an event. What nobody announces (BPF_RB_NO_WAKEUP) shows only when a stream is asked, so now and
        then all are: once in as many looks as there are streams, and the cost of a look does not grow with them.
        """
        if self._epoll is None:
            return set()
        self._until_all -= 1
        if self._asks_all or self._is_finishing or self._until_all < 0:
            self._until_all = len(self.streams)
            self._unread = {index for index, stream in enumerate(self.streams) if _has_events(stream)}
            return self._unread
        announced = {self._by_fd[fd] for fd, _ in self._epoll.poll(0, len(self.streams))}
        return announced | self._unread

    def _is_announced(self) -> bool:
        return bool(self._unread) or (self._epoll is not None and bool(self._epoll.poll(0, 1)))

    def _begin_round(self, found: set[int]) -> None:
        """A turn for each stream in *found*, beginning with another one than the last time."""
        first, count = self._first, len(self.streams)
        self._turn = sorted(found, key=lambda index: (first - index) % count)
        self._first = (first + 1) % count

    def _take_one(self) -> tuple[int, Batch[Any]] | None:
        """The batch of the next stream of this round; None if it has none."""
        index = self._turn.pop()
        self._unread.discard(index)
        stream = self.streams[index]
        source = stream._source
        if source is None:  # closed by somebody
            return None
        stream._give_back_events()
        if not stream._segments and source.has_data():
            stream._drain(source, min(stream._batch_records, self._most), stream._batch_bytes)
            if due := stream._pace.due(stream._stats.capacity):
                self._paced[index] = due
        segments = len(stream._segments)
        if segments > 1 or source.has_data():
            # What is left in the ring is not announced again: its producers wake nobody before the reader caught up.
            self._unread.add(index)
        if not segments:
            return None
        if isinstance(stream._segments[0], CodecError) or segments > 1:
            self._turn.append(index)  # what is around a record that is too short belongs to this turn
        return index, stream._pop()

    def _has_data(self) -> bool:
        return any(map(_has_events, self.streams))

    def _open_or_raise(self) -> Readiness:
        if self._ready is None:
            state = "closed" if self._is_closed else "not open yet: use it in 'async with'"
            raise ClosedError(f"the merged stream is {state}")
        return self._ready

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "open" if self._ready is not None else "new"
        return f"<{state} merge of {len(self.streams)} streams>"


@final
class MergedBatches:
    """What `Merged.batches` iterates."""

    __slots__ = ("_merged",)

    def __init__(self, merged: Merged) -> None:
        self._merged = merged

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[EventStream[Any], Batch[Any]]:
        merged = self._merged
        merged._most = ALL
        index, batch = await merged._next_batch()
        return merged.streams[index], batch


def _has_events(stream: EventStream[Any]) -> bool:
    source = stream._source
    return bool(stream._segments) or (source is not None and source.has_data())
