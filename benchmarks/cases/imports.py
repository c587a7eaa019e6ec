"""Imports, each in a new interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from attrs import frozen

from benchmarks.cases.case import CaseError, Entrant
from benchmarks.interpreter import with_bytecode
from benchmarks.samples import Sample

if TYPE_CHECKING:
    from benchmarks.side import Side
    from benchmarks.workload import Workload

PLAIN = "import asyncio, anyio, attrs"
OURS = "import aiobpf"
USED = "import aiobpf and what a program uses of it"

STATEMENTS = {
    PLAIN: "import asyncio, anyio, attrs",
    OURS: "import aiobpf",
    USED: "import asyncio, aiobpf as a; a.load, a.Collection, a.Btf, a.link.Tracepoint, a.RingBuffer",
}
_PROGRAM = """
import time, json
cpu, wall = time.process_time_ns(), time.perf_counter_ns()
{statement}
wall = time.perf_counter_ns() - wall
print(json.dumps([wall, time.process_time_ns() - cpu]))
"""


@frozen
class ImportCase:
    """The interpreter's own start is not counted, nor is compiling: installed packages have their bytecode."""

    rounds: int
    cpu: int
    key: str = "import"
    title: str = "Import"
    unit: str = "import"
    entrants: tuple[Entrant, ...] = tuple(Entrant(label, "") for label in STATEMENTS)
    needs_fresh_process: bool = False
    warm_ups: int = 1

    def sample(self, side: Side | None, entrant: Entrant, workload: Workload) -> Sample:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM.format(statement=STATEMENTS[entrant.label])],
            capture_output=True,
            text=True,
            check=False,
            env=with_bytecode(),
            preexec_fn=lambda: os.sched_setaffinity(0, {self.cpu}),
        )
        if done.returncode:
            raise CaseError(done.stderr.strip().splitlines()[-1])
        wall, cpu = json.loads(done.stdout)
        return Sample(wall, cpu)
