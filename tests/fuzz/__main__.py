"""``python -m tests.fuzz [TARGET ...] [--seconds N]``: fuzz each target for a while; exit 1 if anything was found.

By coverage where atheris is installed (the dependency group "fuzz"), else by chance. What is found goes to --findings,
new inputs that reach something new to --corpus; ``--keep`` makes the smallest of them the committed corpus.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from tests.fuzz.corpus import cases_of, corpus_of, write_corpus
from tests.fuzz.findings import Findings
from tests.fuzz.minimise import minimise
from tests.fuzz.random_engine import fuzz, try_input
from tests.fuzz.table import TARGETS

if TYPE_CHECKING:
    from tests.fuzz.target import Target

KEPT_BYTES = 60_000
"""Of a target's corpus, before it is packed."""
_HANG_S = 60
_STATISTICS = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)")
_EXECUTIONS = re.compile(r"stat::number_of_executed_units:\s+(\d+)")


@frozen
class Outcome:
    """What one run came to; edges and features are 0 where nobody counted."""

    executions: int
    seconds: float
    edges: int = 0
    features: int = 0
    corpus: int = 0
    findings: tuple[str, ...] = ()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=60, help="for each target (60)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the changes made")
    parser.add_argument("--engine", choices=("atheris", "random"), help="atheris where it is installed")
    parser.add_argument("--corpus", type=Path, default=Path("build/fuzz/corpus"), help="where inputs are collected")
    parser.add_argument("--findings", type=Path, default=Path("build/fuzz/findings"), help="where findings go")
    parser.add_argument("--keep", action="store_true", help="make what was collected the committed corpus")
    options = parser.parse_args()
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}: there are {', '.join(TARGETS)}")
    engine = options.engine or ("atheris" if importlib.util.find_spec("atheris") else "random")
    found = 0
    for name in options.targets or TARGETS:
        target = TARGETS[name]
        if options.keep:
            keep(target, options.corpus)
            continue
        outcome = (by_coverage if engine == "atheris" else by_chance)(target, options)
        print(
            f"{name:14} {outcome.executions:9} executions in {outcome.seconds:6.1f} s, {outcome.edges} edges, "
            f"{outcome.features} features, {outcome.corpus} inputs, {len(outcome.findings)} findings",
            flush=True,
        )
        for each in outcome.findings:
            print(f"    {each}")
        found += len(outcome.findings)
    return 1 if found else 0


def inputs_of(target: Target) -> list[bytes]:
    cases = [path.read_bytes() for path in cases_of(target.name)]
    return [*target.seeds(), *corpus_of(target.name), *cases]


def by_chance(target: Target, options: argparse.Namespace) -> Outcome:
    findings = Findings(options.findings, target)
    start = time.monotonic()
    count = fuzz(target, inputs_of(target), findings, seconds=options.seconds, seed=options.seed)
    return Outcome(count, time.monotonic() - start, findings=tuple(findings.places))


def by_coverage(target: Target, options: argparse.Namespace) -> Outcome:
    corpus = prepare(target, options.corpus)
    artifacts = options.findings / target.name
    artifacts.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "tests.fuzz.atheris_engine", target.name, str(corpus), str(options.findings),
        f"-max_total_time={options.seconds:.0f}", f"-seed={options.seed % (1 << 32)}", f"-max_len={target.max_size}",
        f"-timeout={_HANG_S}", "-rss_limit_mb=2048", "-print_final_stats=1", f"-artifact_prefix={artifacts}/",
        "-reload=0", "-verbosity=1",
    ]  # fmt: skip
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    output = done.stdout + done.stderr
    places = []
    # Slow under instrumentation is slow only if it is so without.
    for line in output.splitlines():
        if line.startswith(f"FOUND {target.name} "):
            name = line.split()[2].rstrip(":")
            answer = try_input(target, (artifacts / name).read_bytes())
            if not isinstance(answer, Exception):
                (artifacts / name).unlink()
                (artifacts / f"{name}.txt").unlink()
            else:
                places.append(line.removeprefix("FOUND "))
    if done.returncode:
        places.append(f"libFuzzer ended with {done.returncode}: {output[-2000:]}")
    last = _STATISTICS.findall(output)
    edges, features, corpus_size = map(int, last[-1]) if last else (0, 0, 0)
    executions = _EXECUTIONS.search(output)
    return Outcome(
        int(executions[1]) if executions else 0,
        time.monotonic() - start,
        edges,
        features,
        corpus_size,
        tuple(places),
    )


def prepare(target: Target, folder: Path) -> Path:
    """The directory of a target's inputs, with those that are committed in it."""
    corpus = folder / target.name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(inputs_of(target)):
        if len(data) <= target.max_size:
            (corpus / f"seed-{number}").write_bytes(data)
    return corpus


def keep(target: Target, folder: Path) -> None:
    """Commit the fewest, and of those the smallest, of the collected inputs, seeds aside."""
    collected = [path.read_bytes() for path in prepare(target, folder).iterdir()]
    kept = minimise(target, target.seeds(), collected, KEPT_BYTES)
    size = write_corpus(target.name, kept)
    print(f"{target.name:14} keeps {len(kept)} of {len(collected)} inputs, {size} bytes packed", flush=True)


if __name__ == "__main__":
    sys.exit(main())
