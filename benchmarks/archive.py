"""Results as JSON, and back: every sample, as columns, which is a third of the size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.samples import Result, Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DIGITS = 5
"""That are kept of a number: a clock has fewer that repeat."""


def as_json(results: Mapping[str, Result]) -> dict[str, Any]:
    """By key; the samples of an entrant as ``{"ns": [...], "cpu_ns": [...], ...}``, null where a round failed."""
    return {
        key: {
            "title": result.title,
            "unit": result.unit,
            "samples": {entrant: _columns(samples) for entrant, samples in result.samples.items()},
            "failures": result.failures,
        }
        for key, result in results.items()
    }


def from_json(cases: Mapping[str, Any]) -> dict[str, Result]:
    """What `as_json` made."""
    return {
        key: Result(
            key,
            case["title"],
            case["unit"],
            {entrant: _rows(columns) for entrant, columns in case["samples"].items()},
            dict(case["failures"]),
        )
        for key, case in cases.items()
    }


def rounded(value: float) -> float:
    """*value* with `DIGITS` digits, as an int where it is one."""
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() else short


def _columns(samples: Sequence[Sample | None]) -> dict[str, list[float | None]]:
    names = list(dict.fromkeys(name for sample in samples if sample is not None for name in sample.more))
    columns: dict[str, list[float | None]] = {
        "ns": [None if sample is None else rounded(sample.ns) for sample in samples],
        "cpu_ns": [None if sample is None else rounded(sample.cpu_ns) for sample in samples],
    }
    for name in names:
        columns[name] = [
            None if sample is None or name not in sample.more else rounded(sample.more[name]) for sample in samples
        ]
    return columns


def _rows(columns: Mapping[str, Sequence[float | None]]) -> list[Sample | None]:
    more = {name: column for name, column in columns.items() if name not in {"ns", "cpu_ns"}}
    rows: list[Sample | None] = []
    for number, (ns, cpu_ns) in enumerate(zip(columns["ns"], columns["cpu_ns"], strict=True)):
        if ns is None or cpu_ns is None:
            rows.append(None)
            continue
        found = {name: value for name, column in more.items() if (value := column[number]) is not None}
        rows.append(Sample(ns, cpu_ns, found))
    return rows
