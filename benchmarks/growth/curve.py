"""A curve: what it costs, at each size; and how that grows."""

from __future__ import annotations

import math
from typing import Final

from attrs import frozen

LINEAR: Final = 1.2
"""The steepest slope that counts as linear: log n in a sort, and caches that the input outgrows, are within it; what
asks each of n things n times is not."""


@frozen
class Point:
    """The cost of one size, in the curve's unit of cost."""

    size: int
    cost: float

    @property
    def each(self) -> float:
        """For one of what is counted."""
        return self.cost / self.size


@frozen
class Curve:
    """The same work at growing sizes."""

    key: str
    title: str
    counted: str
    """What the size counts, in the plural."""
    points: tuple[Point, ...]
    is_memory: bool = False
    """Whether the cost is bytes, rather than nanoseconds of CPU time."""

    @property
    def slope(self) -> float:
        """How cost grows over the larger half of the sizes: the power of the size that it goes with, by least squares
        over the logarithms. 1 is linear; less where a part of the cost is fixed."""
        upper = self.points[len(self.points) // 2 :] if len(self.points) > 3 else self.points
        xs = [math.log(point.size) for point in upper]
        ys = [math.log(max(point.cost, 1.0)) for point in upper]
        x_mean, y_mean = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
        across = math.fsum((x - x_mean) ** 2 for x in xs)
        return math.fsum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / across

    @property
    def is_linear(self) -> bool:
        return self.slope <= LINEAR
