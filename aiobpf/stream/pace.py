"""How long a reader sleeps on while records keep coming, to take more of them at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from aiobpf.stream.source import Drained, Leased

DEFAULT_MAX_DELAY_S: Final = 0.0005
LONGEST_DELAY_S: Final = 1.0

WINDOW_S: Final = 0.001
"""Over what the rate is measured, at least: so long records have to keep coming before the first pause."""

LONGEST_WINDOW_S: Final = 0.064
"""The same after pauses that brought nothing: records that come in bursts, each read at one wake-up, need none."""

WORTH_IT: Final = 4
"""Records that a pause must promise: for fewer it saves no more than it costs."""

SHORTEST_S: Final = 0.00005
"""A pause that ends sooner costs as much as it saves."""

SHARE: Final = 8
"""A pause ends before more than one in so many bytes of the buffer are filled at the rate that was seen."""

FASTEST: Final = 1 << 30
"""Bytes a second at which producers may begin to write during a pause without filling the buffer before its end."""


@final
class Pace:
    """When the next drain of a buffer is due, from the rate at which records came.

    While nothing or little comes there is no pause: the kernel wakes the reader for each record. Once records came for
    `WINDOW_S` at a rate at which a pause would gather several, drains are so far apart as *max_delay* and the size of
    the buffer allow. A reader that takes longer than that for what it has makes no pauses. The first pause in which
    nothing or little comes is the last, and the next rate is measured over twice the time.
    """

    __slots__ = ("_at", "_began", "_bytes", "_delay", "_max_delay", "_records", "_took_all", "_window")

    def __init__(self, max_delay: float | None) -> None:
        self._max_delay = max_delay or 0.0
        self._at = 0.0
        self._began = 0.0
        self._records = 0
        self._bytes = 0
        self._delay = 0.0
        self._took_all = False
        self._window = WINDOW_S

    def drained(self, drained: Drained | Leased, limit: int, room: int) -> None:
        """What a drain of at most *limit* records and *room* bytes took just now.

        Only noted: between a wake-up and the consumer's code nothing is done that can be done before the next sleep.
        """
        count = drained.count
        if self._delay:
            if count < WORTH_IT:
                self._delay = 0.0
                self._window = min(self._window * 2, LONGEST_WINDOW_S)
            else:
                self._window = WINDOW_S
        if not count:
            return
        self._at = time.monotonic()
        self._records += count
        self._bytes += drained.room + 8 * count
        # What the budget left there, or a program still writes, is not to wait.
        self._took_all = (
            count < limit
            and drained.room * (count + 1) <= room * count
            and not drained.is_busy
            and not drained.is_short
        )

    def due(self, capacity: int) -> float:
        """When to drain a buffer of *capacity* bytes again, by time.monotonic(); 0.0: as soon as there is something."""
        age = self._at - self._began
        if age >= self._window:
            self._delay = self._delay_at(self._records / age, self._bytes / age, capacity) if self._records else 0.0
            self._began = self._at
            self._records = self._bytes = 0
        return self._at + self._delay if self._delay and self._took_all else 0.0

    def _delay_at(self, records_s: float, bytes_s: float, capacity: int) -> float:
        delay = min(self._max_delay, capacity / FASTEST, capacity / SHARE / bytes_s)
        return delay if delay >= SHORTEST_S and delay * records_s >= WORTH_IT else 0.0


def seconds_until(due: float) -> float:
    """From now to *due*; 0.0 where it is not worth a sleep."""
    seconds = due - time.monotonic()
    return seconds if seconds >= SHORTEST_S else 0.0
