"""How long a reader sleeps on while records keep coming, to take more of them at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiobpf.stream.source import Drained

DEFAULT_MAX_DELAY_S: Final = 0.0005
LONGEST_DELAY_S: Final = 1.0

WINDOW_S: Final = 0.001
"""Over what the rate is measured, at least: so long records have to keep coming before the first pause."""

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
    nothing comes is the last.
    """

    __slots__ = ("_began", "_bytes", "_delay", "_max_delay", "_records", "due")

    def __init__(self, max_delay: float | None) -> None:
        self._max_delay = max_delay or 0.0
        self._began = 0.0
        self._records = 0
        self._bytes = 0
        self._delay = 0.0
        self.due = 0.0
        """When the next drain is due, on the clock of time.monotonic(); 0.0 as soon as there is something."""

    def drained(self, drained: Drained, limit: int, room: int, capacity: int) -> None:
        """What a drain of at most *limit* records and *room* bytes took just now from a buffer of *capacity* bytes."""
        if not self._max_delay:
            return
        count = drained.count
        self.due = 0.0
        if not count:
            self._delay = 0.0
            return
        now = time.monotonic()
        self._records += count
        self._bytes += drained.room + 8 * count
        if (age := now - self._began) >= WINDOW_S:
            self._delay = self._delay_at(self._records / age, self._bytes / age, capacity)
            self._began = now
            self._records = self._bytes = 0
        # What the budget left there, or a program still writes, is not to wait.
        took_all = count < limit and drained.room * (count + 1) <= room * count
        if self._delay and took_all and not drained.is_busy and not drained.is_short:
            self.due = now + self._delay

    def _delay_at(self, records_s: float, bytes_s: float, capacity: int) -> float:
        delay = min(self._max_delay, capacity / FASTEST, capacity / SHARE / max(bytes_s, 1.0))
        return delay if delay >= SHORTEST_S and delay * records_s >= WORTH_IT else 0.0


def left(paces: Iterable[Pace]) -> float:
    """Seconds until the first drain of any is due; 0.0 for now, also if that is hardly worth a sleep."""
    dues = [pace.due for pace in paces if pace.due]
    if not dues:
        return 0.0
    seconds = min(dues) - time.monotonic()
    return seconds if seconds >= SHORTEST_S else 0.0
