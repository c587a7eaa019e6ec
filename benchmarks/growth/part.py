"""The part of the page that shows how cost grows: measured in this process, on one CPU, without peers."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio

from benchmarks.archive import rounded
from benchmarks.environment import describe
from benchmarks.growth import objects, streams
from benchmarks.growth.curve import LINEAR, Curve, Point
from benchmarks.growth.sources import NoCompilerError
from benchmarks.page import Part, plot
from benchmarks.plots import Series, draw_lines
from benchmarks.run import choose_cpus
from benchmarks.tables import duration, table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.page import Options

QUICK: Final = 3
"""Sizes of each curve, where it is only to be seen that everything runs."""

_PLOTS: Final = {
    "read": "Object file to spec",
    "load": "Spec to loaded collection, without the kernel's share",
    "hold": "Memory",
    "ring": "A full ring",
    "drain": "Many streams",
}
"""What is drawn together, by the first part of the keys; the plot is named by it."""
_WITH: Final = {"refuse": "load", "wake": "drain"}


def measure(options: Options) -> dict[str, Any]:
    """Every curve, as JSON can hold it."""
    cpu, harness = choose_cpus()
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        environment = describe(cpu, harness)
        found = anyio.run(partial(_curves, options))
    finally:
        os.sched_setaffinity(0, allowed)
    return {"environment": environment, "curves": {curve.key: as_json(curve) for curve in found}}


async def _curves(options: Options) -> list[Curve]:
    def is_wanted(key: str) -> bool:
        return not options.only or any(key.startswith(prefix) for prefix in options.only)

    most = QUICK if options.is_quick else None
    found: list[Curve] = []
    try:
        for curve in objects.curves(is_wanted, most):
            found.append(curve)
            _tell(curve)
    except NoCompilerError as error:
        print(error, file=sys.stderr)
    async for curve in streams.curves(is_wanted, most):
        found.append(curve)
        _tell(curve)
    return found


def _tell(curve: Curve) -> None:
    print(f"{curve.title}, by {curve.counted}: power {curve.slope:.2f}", file=sys.stderr)


def as_json(curve: Curve) -> dict[str, Any]:
    return {
        "title": curve.title,
        "counted": curve.counted,
        "is_memory": curve.is_memory,
        "points": [[point.size, rounded(point.cost)] for point in curve.points],
    }


def from_json(key: str, data: Mapping[str, Any]) -> Curve:
    """What `as_json` made."""
    points = tuple(Point(size, cost) for size, cost in data["points"])
    return Curve(key, data["title"], data["counted"], points, data["is_memory"])


def render(data: Mapping[str, Any], plots: Path) -> str:
    """The table and the plots, which go to *plots*."""
    curves = [from_json(key, each) for key, each in data["curves"].items()]
    if not curves:
        return "Nothing was measured."
    environment = data["environment"]
    worst = max(curves, key=lambda curve: curve.slope)
    lines = [
        f"Measured {environment['date']} on Linux {environment['kernel']}, {environment['processor']}, Python "
        f"{environment['python']}. The steepest of these curves has power {worst.slope:.2f} ({worst.title.lower()}, by "
        f"{worst.counted}); up to {LINEAR} counts as linear.",
        table(
            ["what", "by", "power", "cost of one, at each size"],
            [[curve.title, curve.counted, f"{curve.slope:.2f}", _each(curve)] for curve in curves],
        ),
    ]
    for name, title in _PLOTS.items():
        drawn = [curve for curve in curves if _plot_of(curve) == name]
        if drawn:
            _draw(plots / f"growth-{name}.svg", title, drawn)
            lines.append(plot(plots, f"growth-{name}.svg", f"{title}: cost by size, on logarithmic axes"))
    return "\n\n".join(lines)


def _plot_of(curve: Curve) -> str:
    stage = curve.key.partition("/")[0]
    return _WITH.get(stage, stage)


def _each(curve: Curve) -> str:
    return ", ".join(f"{point.size:,}: {_amount(point.each, curve)}" for point in curve.points)


def _amount(value: float, curve: Curve) -> str:
    return f"{value:,.0f} B" if curve.is_memory else duration(value)


def _draw(path: Path, title: str, curves: list[Curve]) -> None:
    is_memory = curves[0].is_memory
    unit = 1024 if is_memory else 1e6
    names = {curve.key: curve.counted for curve in curves}
    if len(set(names.values())) < len(names):
        names = {curve.key: f"{curve.counted}: {curve.title.lower()}" for curve in curves}
    series = [
        Series(names[curve.key], [point.size for point in curve.points], [point.cost / unit for point in curve.points])
        for curve in curves
    ]
    longest = max(curves, key=lambda curve: curve.points[-1].size / curve.points[0].size)
    first, last = longest.points[0].size, longest.points[-1].size
    end = longest.points[-1].cost / unit
    series.append(Series("linear", [first, last], [end * first / last, end], is_dashed=True))
    draw_lines(path, series, title=title, x="size", y="KiB" if is_memory else "CPU time, ms")


GROWTH = Part("growth", measure, render)
