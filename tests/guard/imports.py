"""Modules that an import loads, in a new process; run as a program this prints all of them as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.cases import imports as benchmark
from tests.guard.measured import environment

if TYPE_CHECKING:
    from tests.guard.measured import Numbers

STATEMENTS = {
    "import aiobpf": benchmark.STATEMENTS[benchmark.OURS],
    "what a program uses": benchmark.STATEMENTS[benchmark.USED],
}
"""The very ones that are timed."""


def modules(statement: str) -> tuple[int, int]:
    """How many modules *statement* imports in a new process: of aiobpf, and of others."""
    code = (
        "import sys; before = set(sys.modules)\n"
        f"{statement}\n"
        "new = set(sys.modules) - before; ours = sum(name.split('.')[0] == 'aiobpf' for name in new)\n"
        "print(ours, len(new) - ours)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    ours, others = map(int, done.stdout.split())
    return ours, others


def measure() -> Numbers:
    found: Numbers = {}
    for name, statement in STATEMENTS.items():
        found[f"{name}: modules of aiobpf"], found[f"{name}: modules of others"] = modules(statement)
    return found


if __name__ == "__main__":
    print(json.dumps(measure()))
