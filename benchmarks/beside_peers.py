"""The part of the page that shows aiobpf beside its peers: one run of all cases, then its tables and plots."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

import aiobpf
from benchmarks.archive import as_json, from_json
from benchmarks.environment import describe
from benchmarks.page import Part
from benchmarks.peers.build import build_all
from benchmarks.report import markdown
from benchmarks.run import Run, choose_cpus, names_of, own_programs
from benchmarks.targets import verdicts
from benchmarks.workload import Workload, workload_spec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.page import Options
    from benchmarks.samples import Result


async def _measure(options: Options) -> dict[str, Any]:
    built, unbuilt = build_all() if options.has_peers else ([], {})
    for name, reason in unbuilt.items():
        print(f"{name} is not measured: {reason}", file=sys.stderr)
    side_cpu, harness_cpu = choose_cpus()
    environment = describe(side_cpu, harness_cpu)
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {harness_cpu})
    results: dict[str, Result] = {}
    try:
        async with aiobpf.load(workload_spec(options.sizes.scan_entries)) as collection:
            cpus = side_cpu, harness_cpu
            run = Run([*own_programs(), *built], Workload(collection), options.sizes, cpus)
            for result in run.run(options.only):
                results[result.key] = result
                _tell(result)
    finally:
        os.sched_setaffinity(0, allowed)
    environment["load_after"] = round(os.getloadavg()[0], 2)
    return {
        "environment": environment,
        "sides": names_of(run.hellos),
        "unbuilt": {**unbuilt, **run.missing},
        "targets": verdicts(results),
        "cases": as_json(results),
    }


def _tell(result: Result) -> None:
    medians = {entrant: result.spread(entrant) for entrant in result.samples}
    shown = ", ".join(f"{entrant} {spread.median:,.0f}" for entrant, spread in medians.items() if spread)
    print(f"{result.title}: {shown} {result.failures or ''}", file=sys.stderr)


def measure(options: Options) -> dict[str, Any]:
    """One run: all samples, the verdicts on the targets, and where it took place."""
    return anyio.run(partial(_measure, options))


def render(data: Mapping[str, Any], plots: Path) -> str:
    """The tables; the plots go to *plots*."""
    return markdown(from_json(data["cases"]), data, plots)


BESIDE_PEERS = Part("results", measure, render)
