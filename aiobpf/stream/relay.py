"""Between a stream and a reader that may be slow."""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar, final

import anyio
from attrs import define

from aiobpf.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Overflow(Enum):
    """What happens to events while the relay is full."""

    BLOCK = "block"
    """Nothing is taken from the kernel: its buffer fills up, and then the program loses what is newest, which it may
    count (`StreamStats.lost`)."""
    DROP_OLDEST = "drop_oldest"
    """The oldest that nobody has read go: the reader sees what is new."""
    DROP_NEWEST = "drop_newest"
    """Those that come go: the reader sees what led to the rush."""


@define
class RelayStats:
    """Counts of a relay; ``received == delivered + dropped`` plus what it holds."""

    received: int = 0
    """Events taken from the source."""
    delivered: int = 0
    """Events that the reader was given."""
    dropped: int = 0
    """Events that the policy dropped."""
    blocked: int = 0
    """Times that the source was left waiting."""
    high_water: int = 0
    """The most events held."""
    capacity: int = 0
    """The most events that may be held."""


class Batched(Protocol[T_co]):
    """A stream that can be read in batches: an `EventStream`, or `Rows`."""

    def batches(self) -> AsyncIterator[Iterable[T_co]]: ...


@final
class Relay(Generic[T]):
    """Reads *source* in a task of its own and holds up to *capacity* events for a reader that may be slow.

    ::

        relay = Relay(events, 10_000, "drop_oldest")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(relay.run)
            async for event in relay:
                await slow(event)

    The buffer in the kernel is the first to even out a rush, and costs nothing: a relay is for what comes after it,
    where one may choose what to lose (`Overflow`). The iteration ends when `run` has come to its end (the source's
    `finish`, or its close) and nothing is held any more. An error of the source comes out of `run`.
    """

    def __init__(self, source: Batched[T], capacity: int, overflow: Overflow | str = Overflow.BLOCK) -> None:
        if capacity < 1:
            raise SpecError("a relay holds at least one event")
        try:
            self.overflow = Overflow(overflow)
        except ValueError:
            policies = ", ".join(repr(each.value) for each in Overflow)
            raise SpecError(f"overflow is one of {policies}, not {overflow!r}") from None
        self._source = source
        self._held: deque[T] = deque()
        self._changed: anyio.Event | None = None
        self._is_over = False
        self._has_begun = False
        self.stats = RelayStats(capacity=capacity)

    async def run(self) -> None:
        """Take events from the source until it ends; once only."""
        if self._has_begun:
            raise SpecError("a relay runs once")
        self._has_begun = True
        try:
            async for batch in self._source.batches():
                await self._take(batch)
        finally:
            self._is_over = True
            self._notify()

    async def _take(self, batch: Iterable[T]) -> None:
        held, stats = self._held, self.stats
        capacity = stats.capacity
        for event in batch:
            stats.received += 1
            if len(held) >= capacity:
                if self.overflow is Overflow.DROP_NEWEST:
                    stats.dropped += 1
                    continue
                if self.overflow is Overflow.DROP_OLDEST:
                    held.popleft()
                    stats.dropped += 1
                else:
                    stats.blocked += 1
                    stats.high_water = capacity
                    self._notify()
                    while len(held) >= capacity:
                        await self._change()
            held.append(event)
        stats.high_water = max(stats.high_water, len(held))
        self._notify()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._held:
            if self._is_over:
                raise StopAsyncIteration
            await self._change()
        event = self._held.popleft()
        self.stats.delivered += 1
        if len(self._held) == self.stats.capacity - 1:
            self._notify()
        return event

    def __len__(self) -> int:
        """How many events are held."""
        return len(self._held)

    async def _change(self) -> None:
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()

    def _notify(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()

    def __repr__(self) -> str:
        return f"<Relay of {len(self._held)} events, at most {self.stats.capacity}: {self.overflow.value}>"
