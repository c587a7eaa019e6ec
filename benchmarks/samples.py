"""What was measured, and what it says: medians, ratios pair by pair."""

from __future__ import annotations

import math
import re
import statistics
from typing import TYPE_CHECKING

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@frozen
class Sample:
    """One measurement of one entrant."""

    ns: float
    """Wall time of one operation (or the value itself, for what is no time)."""
    cpu_ns: float
    more: dict[str, float] = field(factory=dict)


@frozen
class Spread:
    """The middle of many, and the quarters around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@define
class Result:
    """The samples of one case, by entrant; those of one round have the same place. None: that one failed."""

    key: str
    title: str
    unit: str
    samples: dict[str, list[Sample | None]] = field(factory=dict)
    failures: dict[str, str] = field(factory=dict)
    """Why an entrant has no samples, or not all."""

    def good(self, entrant: str) -> list[Sample]:
        return [sample for sample in self.samples.get(entrant, []) if sample is not None]

    def spread(self, entrant: str, *, cpu: bool = False) -> Spread | None:
        """Of the times of *entrant*; None if it has none."""
        times = [sample.cpu_ns if cpu else sample.ns for sample in self.good(entrant)]
        return Spread.of(times) if times else None

    def ratios(self, entrant: str, peer: str, *, cpu: bool = False) -> list[float]:
        """Time of *entrant* over time of *peer*, round by round."""
        pairs = zip(self.samples.get(entrant, []), self.samples.get(peer, []), strict=False)
        both = [(one, other) for one, other in pairs if one is not None and other is not None]
        if cpu:
            return [one.cpu_ns / other.cpu_ns for one, other in both if other.cpu_ns]
        return [one.ns / other.ns for one, other in both if other.ns]


def geometric_mean(values: Iterable[float]) -> float:
    """ValueError if there are none."""
    logarithms = [math.log(value) for value in values]
    if not logarithms:
        raise ValueError("the geometric mean of nothing")
    return math.exp(statistics.fmean(logarithms))


def without_folders(words: str) -> str:
    """What a peer says, without the folders of a path in it: they are this machine's."""
    return re.sub(r"(?<!\S)/(?:[^\s/]+/)+", "", words)
