"""One run: every case, every entrant, in turns."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from benchmarks.cases.case import AIOBPF, UVLOOP, Case, CaseError
from benchmarks.cases.imports import ImportCase
from benchmarks.cases.kernel_types import BtfCase
from benchmarks.cases.live import LIVE, live_cases
from benchmarks.cases.maps import map_cases
from benchmarks.cases.objects import FootprintCase, load_cases, open_cases
from benchmarks.cases.rings import WakeCase, ring_cases
from benchmarks.cases.sizes import SIZED, sized_cases
from benchmarks.cases.starts import start_case
from benchmarks.found_objects import choose, find_objects
from benchmarks.growth.sources import NoCompilerError
from benchmarks.samples import Result, Sample, without_folders
from benchmarks.side import Program, Side, SideError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.cases.case import Entrant
    from benchmarks.sizes import Sizes
    from benchmarks.workload import Workload


PRODUCER = Program("producer", (sys.executable, "-m", "benchmarks.producer"))


def own_programs() -> list[Program]:
    """aiobpf itself, on each event loop that is measured and installed."""
    side = (sys.executable, "-m", "benchmarks.aiobpf_side")
    found = [Program(AIOBPF, (*side, "asyncio"))]
    if find_spec("uvloop") is not None:
        found.append(Program(UVLOOP, (*side, "uvloop")))
    return found


def choose_cpus() -> tuple[int, int]:
    """The CPU of all sides, and the harness's, which is another where there is one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[-1], allowed[0]


class Run:
    """The sides of a run, and its results."""

    def __init__(self, programs: Sequence[Program], workload: Workload, sizes: Sizes, cpus: tuple[int, int]) -> None:
        """*cpus*: that of all sides, and the harness's, where what fills their rings runs too."""
        self._programs = {program.name: program for program in programs}
        self._workload = workload
        self._sizes = sizes
        self._cpu, self._harness_cpu = cpus
        self._sides: dict[str, Side] = {}
        self.missing: dict[str, str] = {}
        """What could not be measured at all, and why."""
        self.hellos: dict[str, dict[str, str]] = {}

    def run(self, only: Sequence[str] = ()) -> Iterator[Result]:
        """Each case's result as soon as it is there; *only* those whose key begins so."""
        try:
            for name, program in self._programs.items():
                self._sides[name] = Side(program, self._cpu, self._workload.fds)
                self.hellos[name] = self._sides[name].hello
            for case in self._cases(only):
                yield self._measure(case)
        finally:
            for side in self._sides.values():
                side.close()

    def _cases(self, only: Sequence[str]) -> Iterator[Case]:
        def is_wanted(key: str) -> bool:
            return not only or any(key.startswith(prefix) or prefix.startswith(key) for prefix in only)

        sizes = self._sizes
        own: list[Case] = [
            *ring_cases(sizes),
            WakeCase(sizes.loads, sizes.wake_ups),
            BtfCase(sizes.loads, is_first=True),
            BtfCase(sizes.loads, is_first=False),
            *map_cases(sizes),
            ImportCase(sizes.rounds, self._cpu),
        ]
        if is_wanted("start"):
            own.append(start_case(sizes.loads, self._cpu))
        yield from (case for case in own if is_wanted(case.key))
        if is_wanted(LIVE):
            with Side(PRODUCER, self._harness_cpu, self._workload.producer_fds) as producer:
                yield from (case for case in live_cases(sizes, producer) if is_wanted(case.key))
        if is_wanted(SIZED):
            try:
                yield from (case for case in sized_cases(sizes) if is_wanted(case.key))
            except NoCompilerError as error:
                self.missing["objects of a known size"] = str(error)
        objects = find_objects() if any(map(is_wanted, ("open/", "load/", "footprint/"))) else {}
        chosen = choose(objects, sizes.objects)
        if is_wanted("open/"):
            yield from open_cases(chosen, sizes)
        if is_wanted("footprint/"):
            yield from (FootprintCase(name, path) for name, path in chosen.items())
        if is_wanted("load/"):
            spread = choose(objects, len(objects) if sizes.objects > 8 else sizes.objects)
            yield from load_cases(spread, self._sides, sizes)

    def _measure(self, case: Case) -> Result:
        result = Result(case.key, case.title, case.unit)
        entrants = [each for each in case.entrants if each.program in self._programs or not each.program]
        result.samples = {entrant.label: [] for entrant in entrants}
        # The first turn warms up. Who begins changes, so that nobody always runs behind the same one.
        for turn in range(-case.warm_ups, case.rounds):
            at = turn % len(entrants)
            for entrant in entrants[at:] + entrants[:at]:
                sample = self._sample(case, entrant, result)
                if turn >= 0:
                    result.samples[entrant.label].append(sample)
        return result

    def _sample(self, case: Case, entrant: Entrant, result: Result) -> Sample | None:
        if entrant.label in result.failures:
            return None
        try:
            if case.needs_fresh_process:
                with Side(self._programs[entrant.program], self._cpu, self._workload.fds) as side:
                    return case.sample(side, entrant, self._workload)
            return case.sample(self._sides[entrant.program or AIOBPF], entrant, self._workload)
        except CaseError as error:
            result.failures[entrant.label] = without_folders(str(error))
        except SideError as error:
            result.failures[entrant.label] = without_folders(str(error))
            if not case.needs_fresh_process:
                self._restart(entrant.program)
        self._workload.discard_left()
        return None

    def _restart(self, name: str) -> None:
        """A side that died or hangs is started anew for the cases to come."""
        self._sides[name].close()
        self._sides[name] = Side(self._programs[name], self._cpu, self._workload.fds)


def names_of(hellos: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """What each side said that it is."""
    return {name: f"{hello['version']}, {hello['compiler']}" for name, hello in hellos.items()}
