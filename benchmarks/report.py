"""The results as text: tables of the page."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from benchmarks.cases.case import AIOBPF, AYA, CILIUM, LIBBPF
from benchmarks.cases.imports import OURS
from benchmarks.cases.live import LIVE
from benchmarks.cases.objects import LOAD, OPEN
from benchmarks.cases.rings import NUMPY
from benchmarks.cases.starts import RUN
from benchmarks.report_live import live_parts
from benchmarks.tables import duration, table
from benchmarks.targets import TARGETS, bytes_an_instruction, rss_kib

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.samples import Result
    from benchmarks.targets import Comparison

RATED = {"event", "lookup", "update", "entry"}
"""What there is so much of that a rate says something."""

MORE = {"rss_kib": "RSS grows by", "anonymous_kib": "anonymous", "p99_ns": "p99", "imports_ns": "imports"}
"""What else a sample may tell."""

REFERENCE = {"ring-64": NUMPY, "ring-512": NUMPY, "import": OURS, "start": RUN}
"""The entrant that the others are compared with, where it is not plainly aiobpf."""


def markdown(results: Mapping[str, Result], about: Mapping[str, Any], plots: Path) -> str:
    """Everything between the markers; what is drawn goes to *plots*."""
    parts = [_setting(about), "### Targets", _targets(results)]
    for key, result in results.items():
        if "/" not in key and not key.startswith(LIVE):
            parts += [f"### {result.title}", _case(result)]
    parts += live_parts(results, plots)
    for group, title in ((OPEN, "Object file to spec"), (LOAD, "Object file to loaded collection, kernel BTF cold")):
        members = {key.removeprefix(group): result for key, result in results.items() if key.startswith(group)}
        if members:
            parts += [f"### {title}", _group(members)]
    return "\n\n".join(part for part in parts if part)


def _setting(about: Mapping[str, Any]) -> str:
    where = about["environment"]
    sides = [f"- {name}: {version}" for name, version in about["sides"].items()]
    sides += [f"- {name}: **not measured**: {reason}" for name, reason in about["unbuilt"].items()]
    together = "shared with the harness" if where["side_cpu"] == where["harness_cpu"] else "the harness on another"
    return "\n".join(
        [
            f"Measured {where['date']} on Linux {where['kernel']}, {where['processor']}, {where['cpus']} CPUs; "
            f"every side on CPU {where['side_cpu']}, {together}; load average {where['load_before']:.1f} before, "
            f"{where.get('load_after', 0):.1f} after.",
            "",
            f"- Python {where['python']}",
            *([f"- libbpf-dev {where['libbpf']} (Debian)"] if where["libbpf"] else []),
            *sides,
        ]
    )


def _targets(results: Mapping[str, Result]) -> str:
    rows = []
    for target in TARGETS:
        found = target.compare(results)
        rows.append([target.what, target.reach, *_verdict(found, "x")])
    rows.append(["kernel BTF: open and find sk_buff", "under 8 MiB of RSS", *_verdict(rss_kib(results), " MiB")])
    size = bytes_an_instruction(results)
    rows.append(["object file to spec", "at most 64 bytes an instruction", *_verdict(size, " B")])
    return table(["what", "to reach", "measured", "by CPU time", "", "beside"], rows)


def _verdict(found: Comparison | None, unit: str) -> list[str]:
    if found is None:
        return ["not measured", "", "", ""]
    cpu = "" if found.cpu_value is None else f"{found.cpu_value:.2f}{unit}"
    if found.is_met is None:
        return [f"{found.value:.2f}{unit}", cpu, "", found.detail]
    verdict = "met" if found.is_met else "**missed**"
    if found.is_met_by_cpu not in {None, found.is_met}:
        verdict += " by the clock, met by CPU time" if found.is_met_by_cpu else " by the clock, **missed** by CPU time"
    return [f"{found.value:.2f}{unit}", cpu, verdict, found.detail]


def _case(result: Result) -> str:
    reference = REFERENCE.get(result.key, AIOBPF)
    has_cpu = any(sample.cpu_ns for entrant in result.samples for sample in result.good(entrant))
    extra = sorted({key for entrant in result.samples for sample in result.good(entrant) for key in sample.more})
    rows = []
    for entrant in result.samples:
        spread, cpu = result.spread(entrant), result.spread(entrant, cpu=True)
        if spread is None or cpu is None:
            rows.append([entrant, f"none: {result.failures.get(entrant, 'no sample')}"])
            continue
        row = [entrant, f"{duration(spread.median)} ({duration(spread.low)} to {duration(spread.high)})"]
        ratios = result.ratios(entrant, reference)
        if has_cpu:
            row.append(duration(cpu.median))
        if result.unit in RATED and has_cpu:
            row.append(f"{1e3 / spread.median:.3g} M/s")
        row.append(f"{statistics.median(ratios):.2f}" if ratios else "")
        if has_cpu:
            cpu_ratios = result.ratios(entrant, reference, cpu=True)
            row.append(f"{statistics.median(cpu_ratios):.2f}" if cpu_ratios else "")
        row += [_more(result, entrant, key) for key in extra]
        rows.append(row)
    head = ["", f"time of one {result.unit}, median (quarters)"]
    if has_cpu:
        head.append("CPU time")
    if result.unit in RATED and has_cpu:
        head.append("rate")
    head.append(f"time, {reference} = 1")
    if has_cpu:
        head.append("CPU time, the same")
    head += [MORE.get(key, key) for key in extra]
    return table(head, rows)


def _more(result: Result, entrant: str, key: str) -> str:
    values = [sample.more[key] for sample in result.good(entrant) if key in sample.more]
    if not values:
        return ""
    value = statistics.median(values)
    return f"{value / 1024:.1f} MiB" if key.endswith("_kib") else duration(value)


def _group(members: Mapping[str, Result]) -> str:
    peers = (LIBBPF, CILIUM, AYA)
    present = [peer for peer in peers if any(peer in result.samples for result in members.values())]
    rows, notes = [], []
    for name, result in members.items():
        own = result.spread(AIOBPF)
        row = [name, duration(own.median) if own else "failed"]
        for peer in present:
            spread, ratios = result.spread(peer), result.ratios(AIOBPF, peer)
            row.append(duration(spread.median) if spread else "failed")
            row.append(f"{statistics.median(ratios):.2f}" if ratios else "")
        rows.append(row)
        notes += [f"- {name}, {who}: {why}" for who, why in result.failures.items()]
    head = ["object", "aiobpf", *[cell for peer in present for cell in (peer, "aiobpf / it")]]
    text = table(head, rows)
    return text + ("\n\nFailures:\n\n" + "\n".join(notes) if notes else "")
