"""``python -m benchmarks``: measure, print, write."""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from attrs import evolve

import aiobpf
from benchmarks.environment import describe
from benchmarks.peers.build import build_all
from benchmarks.report import as_json, markdown, write_document
from benchmarks.run import Run, choose_cpus, names_of, own_programs
from benchmarks.sizes import FULL, QUICK
from benchmarks.workload import Workload, workload_spec

if TYPE_CHECKING:
    from benchmarks.samples import Result

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "docs" / "performance.md"


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", type=Path, default=HERE / "results.json", help="where all samples go")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs; no document")
    parser.add_argument(
        "--only", action="append", default=[], metavar="CASE", help="only cases that begin so; no document"
    )
    parser.add_argument("--rounds", type=int, help="samples of each side in each case")
    parser.add_argument("--no-peers", action="store_true", help="aiobpf alone; no document")
    return parser.parse_args(arguments)


async def measure(options: argparse.Namespace) -> tuple[dict[str, Result], dict[str, Any]]:
    """The results by key, and all that there is to know about the run."""
    sizes = QUICK if options.quick else FULL
    if options.rounds:
        sizes = evolve(sizes, rounds=options.rounds, loads=options.rounds)
    built, unbuilt = ([], {}) if options.no_peers else build_all()
    for name, reason in unbuilt.items():
        print(f"{name} is not measured: {reason}", file=sys.stderr)
    side_cpu, harness_cpu = choose_cpus()
    environment = describe(side_cpu, harness_cpu)
    os.sched_setaffinity(0, {harness_cpu})
    results: dict[str, Result] = {}
    async with aiobpf.load(workload_spec(sizes.scan_entries)) as collection:
        run = Run([*own_programs(), *built], Workload(collection), sizes, side_cpu)
        for result in run.run(options.only):
            results[result.key] = result
            medians = {entrant: result.spread(entrant) for entrant in result.samples}
            shown = ", ".join(f"{entrant} {spread.median:,.0f}" for entrant, spread in medians.items() if spread)
            print(f"{result.title}: {shown} {result.failures or ''}", file=sys.stderr)
    environment["load_after"] = os.getloadavg()[0]
    return results, {"environment": environment, "sides": names_of(run.hellos), "unbuilt": unbuilt}


def main(arguments: list[str] | None = None) -> int:
    options = parse(sys.argv[1:] if arguments is None else arguments)
    results, about = anyio.run(partial(measure, options))
    text = markdown(results, about)
    print(text)
    options.json.write_text(json.dumps(as_json(results, about), indent=1) + "\n", encoding="utf-8")
    if not (options.quick or options.only or options.no_peers):
        write_document(DOCUMENT, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
