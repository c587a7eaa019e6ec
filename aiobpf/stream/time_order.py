"""Events of several sources in the order of their time."""

from __future__ import annotations

import heapq
from operator import attrgetter
from typing import TYPE_CHECKING, Any, final

from attrs import frozen

from aiobpf.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NEVER = -1


@frozen
class Order:
    """How events are ordered: `merge` tells what each means."""

    by: str | Callable[[Any], int]
    lateness_ns: int
    held: int

    def __attrs_post_init__(self) -> None:
        if self.lateness_ns < 0 or self.held < 1:
            raise SpecError("merge(): lateness_s may not be negative, and held has to be positive")


@final
class TimeOrder:
    """Holds events until the watermark has passed them.

    Each source has a mark, before which nothing more is expected of it: the latest time that it gave, or the moment at
    which it was found empty, less the lateness. The watermark is the earliest of the marks.
    """

    __slots__ = ("_given", "_heap", "_held", "_lateness", "_marks", "_number", "_time_of", "early", "late")

    def __init__(self, order: Order, sources: int) -> None:
        self._time_of = attrgetter(order.by) if isinstance(order.by, str) else order.by
        self._lateness = order.lateness_ns
        self._held = order.held
        self._heap: list[tuple[int, int, int, Any]] = []
        self._marks = [NEVER] * sources
        self._number = 0  # ties keep the order in which they came
        self._given = NEVER
        self.late = 0
        self.early = 0

    @property
    def held_s(self) -> float | None:
        """Seconds after which to look again for events that are due, None if none is held."""
        return max(self._lateness / 1e9, 0.0005) if self._heap else None

    def add(self, source: int, events: Iterable[Any]) -> None:
        """Events of the source of that number."""
        latest = self._marks[source]
        for event in events:
            at = self._time_of(event)
            latest = max(latest, at - self._lateness)
            heapq.heappush(self._heap, (at, self._number, source, event))
            self._number += 1
        self._marks[source] = latest

    def is_empty(self, source: int, at: int) -> None:
        """The source had nothing at the time *at*, or later."""
        self._marks[source] = max(self._marks[source], at - self._lateness)

    def next(self) -> tuple[int, Any] | None:
        """(source, event) that is due; None if there is none."""
        if not self._heap:
            return None
        if self._heap[0][0] <= min(self._marks):
            return self.rest()
        if len(self._heap) > self._held:
            self.early += 1
            return self.rest()
        return None

    def rest(self) -> tuple[int, Any] | None:
        """The earliest, due or not."""
        if not self._heap:
            return None
        at, _, source, event = heapq.heappop(self._heap)
        if at < self._given:
            self.late += 1
        self._given = max(self._given, at)
        return source, event
