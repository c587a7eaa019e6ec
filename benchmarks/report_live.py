"""Rings that are filled while they are read, as tables and plots."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmarks.cases.live import LIVE, RATES, live_key
from benchmarks.cases.rings import NUMPY
from benchmarks.page import plot
from benchmarks.plots import draw_bars
from benchmarks.tables import duration, table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from benchmarks.samples import Result, Sample

GROUPS: tuple[tuple[int | None, str], ...] = (
    *((rate, f"{rate:,} a second".replace(",000,000 a", " M a").replace(",000 a", " k a")) for rate in RATES),
    (None, "as fast as it goes"),
)

HEAD = ["", "records/s", "CPU s of 1 M records", f"CPU time, {NUMPY} = 1", "lost", "sleeps/s"]
HEAD += ["latency p50", "p99"]


def live_parts(results: Mapping[str, Result], plots: Path) -> list[str]:
    """The plots of all cases, then a table of each."""
    found = {key: result for key, result in results.items() if key.startswith(LIVE)}
    if not found:
        return []
    parts = ["### Live ring buffer", *_plots(found, plots)]
    for result in found.values():
        parts += [f"#### {result.title}", live_table(result)]
    return parts


def live_table(result: Result) -> str:
    """The medians of each consumer."""
    is_flood = result.key.startswith(f"{LIVE}flood")
    rows = []
    for entrant in result.samples:
        samples = result.good(entrant)
        if not samples:
            rows.append([entrant, f"none: {result.failures.get(entrant, 'no sample')}"])
            continue
        ratios = result.ratios(entrant, NUMPY, cpu=True)
        row = [
            entrant,
            f"{1e9 / _median(samples, lambda sample: sample.ns):,.0f}",
            f"{_median(samples, lambda sample: sample.cpu_ns) / 1e3:.3f}",
            f"{statistics.median(ratios):.2f}" if ratios else "",
            _loss(samples),
            f"{_of(samples, 'sleeps'):,.0f}",
            duration(_of(samples, "p50_ns")),
            duration(_of(samples, "p99_ns")),
        ]
        rows.append([*row, f"{_of(samples, 'waits' if is_flood else 'rate'):,.0f}"])
    return table([*HEAD, "producer waited" if is_flood else "producer, records/s"], rows)


def _median(samples: list[Sample], value: Callable[[Sample], float]) -> float:
    return statistics.median(map(value, samples))


def _of(samples: list[Sample], key: str) -> float:
    return _median(samples, lambda sample: sample.more[key])


def _loss(samples: list[Sample]) -> str:
    """Of all runs together: a loss in one of them is not to vanish in a median."""
    lost = sum(sample.more["lost"] for sample in samples)
    share = lost / (lost + sum(sample.more["submitted"] for sample in samples))
    return f"{share:.2%}" if share >= 0.00005 else f"{lost:,.0f}"


def _plots(found: Mapping[str, Result], folder: Path) -> list[str]:
    shown = [
        ("cpu", "CPU time of a record", "ns of CPU, all threads", lambda sample: sample.cpu_ns),
        ("p50", "From submit to the consumer's code, p50", "us", lambda sample: sample.more["p50_ns"] / 1e3),
        ("p99", "From submit to the consumer's code, p99", "us", lambda sample: sample.more["p99_ns"] / 1e3),
    ]
    made = []
    for name, what, unit, value in shown:
        bars = _bars(found, 64, value)
        if not any(each is not None for values in bars.values() for each in values):
            continue
        title = f"{what}; records of 64 bytes"
        draw_bars(folder / f"live-{name}.svg", [label for _, label in GROUPS], bars, title=title, y=unit)
        made.append(plot(folder, f"live-{name}.svg", title))
    return made


def _bars(found: Mapping[str, Result], size: int, value: Callable[[Sample], float]) -> dict[str, list[float | None]]:
    bars: dict[str, list[float | None]] = {}
    for entrant in dict.fromkeys(entrant for result in found.values() for entrant in result.samples):
        results = [found.get(live_key(rate, size)) for rate, _ in GROUPS]
        samples = [[] if result is None else result.good(entrant) for result in results]
        values = [_median(each, value) if each else None for each in samples]
        if any(each is not None for each in values):
            bars[entrant] = values
    return bars
