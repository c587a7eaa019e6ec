"""What was shown and what was lost, by map: for the footer of a table and the totals at the end."""

from __future__ import annotations

import time
from collections import deque

from attrs import define, field

from aiobpf.cli.formats import printable

RATE_WINDOW_S = 5.0


@define
class Count:
    """Events of one map; *lost* is what the kernel or the program counted as not delivered."""

    events: int = 0
    lost: int = 0
    _seen: deque[tuple[float, int]] = field(factory=deque, repr=False)

    def rate(self, now: float) -> float:
        """Events a second, over the last seconds in which this was asked."""
        self._seen.append((now, self.events))
        while len(self._seen) > 2 and now - self._seen[0][0] > RATE_WINDOW_S:
            self._seen.popleft()
        then, events = self._seen[0]
        return (self.events - events) / (now - then) if now > then else 0.0


@define
class Tally:
    counts: dict[str, Count]
    started: float = field(factory=time.monotonic)

    def summary(self) -> str:
        """One line: ``3.2 s: events 120, 2 lost; other 4``."""
        parts = []
        for name, count in self.counts.items():
            lost = f", {count.lost} lost" if count.lost else ""
            parts.append(f"{count.events} {printable(name)}{lost}")
        elapsed = f"{time.monotonic() - self.started:.1f} s"
        if not any(count.lost for count in self.counts.values()) and parts:
            parts.append("none lost")
        return f"{elapsed}: {'; '.join(parts)}" if parts else elapsed
