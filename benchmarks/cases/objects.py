"""Object files that others compiled: to a spec, and to a loaded collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from benchmarks.cases.case import AIOBPF, AYA, CILIUM, LIBBPF, CaseError, CommandCase, Entrant, checked, plain
from benchmarks.samples import Sample
from benchmarks.side import SideError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from benchmarks.side import Side
    from benchmarks.sizes import Sizes
    from benchmarks.workload import Workload

ENTRANTS = plain(AIOBPF, LIBBPF, CILIUM, AYA)
OPEN = "open/"
LOAD = "load/"
FOOTPRINT = "footprint/"


def open_cases(objects: Mapping[str, Path], sizes: Sizes) -> Iterator[CommandCase]:
    """One for each object."""
    for name, path in objects.items():
        yield _case(OPEN, "Object to spec", name, path, sizes.rounds, "open", repeat=1)


def load_cases(objects: Mapping[str, Path], sides: Mapping[str, Side], sizes: Sizes) -> Iterator[CommandCase]:
    """One for each object that loads here: under libbpf, or where that is not there, under aiobpf."""
    judge = sides.get(LIBBPF, sides[AIOBPF])
    found = 0
    for name, path in objects.items():
        try:
            checked(judge.ask("load", {"path": path}))
        except (CaseError, SideError):
            continue
        yield _case(LOAD, "Object to loaded collection", name, path, sizes.loads, "load")
        found += 1
        if found == sizes.objects:
            return


def _case(group: str, title: str, name: str, path: Path, rounds: int, command: str, **arguments: object) -> CommandCase:
    return CommandCase(
        key=group + name,
        title=f"{title}: {name}",
        unit=command,
        rounds=rounds,
        entrants=ENTRANTS,
        command=command,
        arguments=lambda workload: {"path": path, **arguments},
        keep=("sum",),
    )


@frozen
class FootprintCase:
    """Bytes of memory an instruction of a spec: no time, but it is a number of the table too."""

    name: str
    path: Path
    rounds: int = 1
    unit: str = "instruction"
    entrants: tuple[Entrant, ...] = plain(AIOBPF)
    needs_fresh_process: bool = False
    warm_ups: int = 1

    @property
    def key(self) -> str:
        return FOOTPRINT + self.name

    @property
    def title(self) -> str:
        return f"Bytes an instruction: {self.name}"

    def sample(self, side: Side, entrant: Entrant, workload: Workload) -> Sample:
        answer = checked(side.ask("footprint", {"path": self.path}))
        if not answer["count"]:
            raise CaseError("has no instructions")
        return Sample(answer["bytes"] / answer["count"], 0, {"instructions": float(answer["count"])})
