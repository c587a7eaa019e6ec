"""What the samples say, as numbers and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import evolve

from benchmarks.cases.case import AIOBPF, CILIUM, LIBBPF
from benchmarks.cases.live import live_key
from benchmarks.cases.objects import FOOTPRINT, OPEN
from benchmarks.cases.rings import LEASE, NUMPY
from benchmarks.commands import decode, encode
from benchmarks.report import markdown
from benchmarks.samples import Result, Sample, Spread, geometric_mean
from benchmarks.stopwatch import Stopwatch, percentiles
from benchmarks.tables import duration
from benchmarks.targets import TARGETS, Target, bytes_an_instruction, rss_kib, verdicts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ABOUT = {
    "environment": {
        "date": "2026-01-01", "kernel": "6.18", "processor": "some", "cpus": 2, "side_cpu": 1, "harness_cpu": 0,
        "python": "3.11.2", "libbpf": "1.1", "load_before": 0.5, "load_after": 0.6,
    },
    "sides": {AIOBPF: "0.1"},
    "unbuilt": {"aya (Rust)": "there is no cargo here"},
}  # fmt: skip


def result(key: str, samples: Mapping[str, Sequence[float | None]]) -> Result:
    """Entrants by name, each with the times of its rounds."""
    made = Result(key, f"The title of {key}", "event")
    for entrant, times in samples.items():
        made.samples[entrant] = [None if time is None else Sample(time, time * 2) for time in times]
    return made


def test_ratios_are_of_pairs_of_the_same_round() -> None:
    made = result("x", {"a": [10, None, 30], "b": [5, 1, 10]})
    assert made.ratios("a", "b") == [2, 3]
    assert made.ratios("a", "b", cpu=True) == [2, 3]
    assert made.ratios("a", "nobody") == []


def test_a_spread_is_the_median_and_the_quarters() -> None:
    assert Spread.of([4, 1, 3, 2, 5]) == Spread(3, 2, 4)
    assert Spread.of([7]) == Spread(7, 7, 7)
    assert result("x", {"a": [None]}).spread("a") is None


def test_the_geometric_mean() -> None:
    assert geometric_mean([1, 4]) == pytest.approx(2)
    with pytest.raises(ValueError, match="of nothing"):
        geometric_mean([])


TIME = Target("it", "at most 2", "x", AIOBPF, (LIBBPF, CILIUM), "time", 2.0)


def test_a_target_is_beside_the_best_peer() -> None:
    found = TIME.compare({"x": result("x", {AIOBPF: [30], LIBBPF: [10], CILIUM: [20]})})
    assert found is not None
    assert found.value == pytest.approx(3)
    assert (found.is_met, found.detail) == (False, LIBBPF)
    speed = evolve(TIME, measure="speed", bound=0.3)
    found = speed.compare({"x": result("x", {AIOBPF: [30], LIBBPF: [10], CILIUM: [20]})})
    assert found is not None
    assert found.value == pytest.approx(1 / 3)
    assert found.is_met


def test_a_target_that_says_faster_is_missed_by_a_draw() -> None:
    results = {"x": result("x", {AIOBPF: [10], LIBBPF: [10]})}
    draw = evolve(TIME, bound=1.0).compare(results)
    strict = evolve(TIME, bound=1.0, is_strict=True).compare(results)
    assert draw is not None
    assert draw.is_met
    assert strict is not None
    assert not strict.is_met


def test_what_has_no_bound_has_no_verdict(tmp_path: Path) -> None:
    text = markdown({"ring-64": result("ring-64", {NUMPY: [20], LIBBPF: [10]})}, ABOUT, tmp_path)
    assert f"| 0.50x | 0.50x |  | {LIBBPF} |" in text
    assert "to numpy | at least 1.5 times the events/s of the best of libbpf, cilium/ebpf, aya | not measured |" in text


def test_a_verdict_by_the_clock_may_differ_from_that_by_cpu_time(tmp_path: Path) -> None:
    made = Result("lookup", "Lookup", "lookup")
    made.samples = {AIOBPF: [Sample(30, 10)], CILIUM: [Sample(10, 10)]}
    found = evolve(TIME, key="lookup", peers=(CILIUM,)).compare({"lookup": made})
    assert found is not None
    assert (found.is_met, found.is_met_by_cpu) == (False, True)
    assert "| 3.00x | 1.00x | **missed** by the clock, met by CPU time |" in markdown({"lookup": made}, ABOUT, tmp_path)


def test_a_target_over_objects_is_their_geometric_mean() -> None:
    results = {
        key: result(key, {AIOBPF: [time], CILIUM: [10]}) for key, time in ((f"{OPEN}a", 20.0), (f"{OPEN}b", 80.0))
    }
    found = evolve(TIME, key=OPEN, peers=(CILIUM,), bound=4.1).compare(results)
    assert found is not None
    assert found.value == pytest.approx(4)
    assert (found.is_met, found.detail) == (True, "2 objects")


def test_what_was_not_measured_has_no_verdict() -> None:
    assert all(target.compare({}) is None for target in TARGETS)
    assert rss_kib({}) is None
    assert bytes_an_instruction({}) is None


def test_every_target_is_told_in_json() -> None:
    told = verdicts({"lookup": result("lookup", {AIOBPF: [30], CILIUM: [20]})})
    assert len(told) == len(TARGETS)
    (found,) = [each["found"] for each in told if each["target"]["key"] == "lookup"]
    assert found["value"] == pytest.approx(1.5)
    assert [each["found"] for each in told if each["target"]["key"] != "lookup"] == [None] * (len(TARGETS) - 1)


def test_bytes_an_instruction_are_over_all_instructions() -> None:
    results = {}
    for name, size, count in (("a", 100.0, 10.0), ("b", 20.0, 90.0)):
        made = results[f"{FOOTPRINT}{name}"] = Result(f"{FOOTPRINT}{name}", "", "instruction")
        made.samples[AIOBPF] = [Sample(size, 0, {"instructions": count})]
    found = bytes_an_instruction(results)
    assert found is not None
    assert found.value == pytest.approx(28)
    assert found.is_met


def test_durations_have_a_unit_that_fits() -> None:
    assert [duration(ns) for ns in (3.25, 999.6, 1500, 2.5e6, 3e9)] == ["3.25 ns", "1 us", "1.5 us", "2.5 ms", "3 s"]


def test_tables_name_the_missing_and_the_missed(tmp_path: Path) -> None:
    results = {
        "ring-64": result("ring-64", {LEASE: [20], LIBBPF: [10], CILIUM: [None]}),
        f"{OPEN}a": result(f"{OPEN}a", {AIOBPF: [20], CILIUM: [10]}),
    }
    results["ring-64"].failures[CILIUM] = "it broke"
    text = markdown(results, ABOUT, tmp_path)
    assert "aya (Rust): **not measured**: there is no cargo here" in text
    assert "| 0.50x | 0.50x | **missed** | libbpf (C) |" in text
    assert f"| {CILIUM} | none: it broke |" in text
    assert "| a | 20 ns | 10 ns | 2.00 |" in text
    widths = {line.count("|") for line in text.partition("## The title")[2].splitlines() if line.startswith("|")}
    assert len(widths) <= 2  # one table of the case, one of the objects; no row is shorter than its head


def test_live_tables_tell_every_loss_and_have_plots(tmp_path: Path) -> None:
    more = {"rate": 9.9e5, "submitted": 99.0, "lost": 0.0, "waits": 3.0, "sleeps": 1000.0, "p50_ns": 2e4, "p99_ns": 5e5}
    flood, paced = (Result(live_key(rate, 64), "Live", "record") for rate in (None, 1_000_000))
    flood.samples = {NUMPY: [Sample(10, 8, more)], CILIUM: [Sample(40, 32, more)], LEASE: [None]}
    paced.samples = {NUMPY: [Sample(1000, 8, more), Sample(1000, 8, more), Sample(1000, 8, {**more, "lost": 3.0})]}
    flood.failures = {LEASE: "does not do this"}
    text = markdown({result.key: result for result in (flood, paced)}, ABOUT, tmp_path / "performance")
    assert f"| {NUMPY} | 100,000,000 | 0.008 | 1.00 | 0 | 1,000 | 20 us | 500 us | 3 |" in text
    assert f"| {CILIUM} | 25,000,000 | 0.032 | 4.00 | 0 | 1,000 | 20 us | 500 us | 3 |" in text
    assert f"| {LEASE} | none: does not do this |" in text
    assert f"| {NUMPY} | 1,000,000 | 0.008 | 1.00 | 1.00% | 1,000 | 20 us | 500 us | 990,000 |" in text
    for name in ("cpu", "p50", "p99"):
        assert f"](performance/live-{name}.svg)" in text
        assert (tmp_path / "performance" / f"live-{name}.svg").exists()


def test_commands_go_there_and_back() -> None:
    case, arguments = decode(encode("ring", {"fd": 7, "path": "/a b/c=d"}))
    assert (case, arguments.number("fd"), arguments.text("path")) == ("ring", 7, "/a b/c=d")
    assert arguments.text("mode", "numpy") == "numpy"


def test_a_stopwatch_counts_and_percentiles_are_in_order() -> None:
    answer = Stopwatch().stop().answer(3, 4, more=5)
    assert {"count": 3, "sum": 4, "more": 5}.items() <= answer.items()
    assert percentiles([5, 1, 3], 9) == {"p50_ns": 3, "p99_ns": 5, "count": 3, "sum": 9}
