"""What the tests of one run showed of the rows, to be printed at its end and read back from there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PREFIX = "matrix: "

Told = dict[str, "Outcome"]


@frozen
class Outcome:
    """What became of a row's tests on a kernel: shown, failed, or skipped and *why*."""

    result: str
    why: str = ""


@define
class Outcomes:
    """The rows of one run. A failure outweighs what other tests of the row showed, and that outweighs a skip."""

    rows: Told = field(factory=dict)

    def add(self, row: str, outcome: Outcome) -> None:
        rank = ("skipped", "shown", "failed")
        before = self.rows.get(row)
        if before is None or rank.index(outcome.result) > rank.index(before.result):
            self.rows[row] = outcome

    def lines(self, kernel: str) -> Iterator[str]:
        """One line a row, for the end of a run's output."""
        for row, outcome in sorted(self.rows.items()):
            yield PREFIX + json.dumps([kernel, row, outcome.result, outcome.why])


def read(lines: Iterable[str]) -> dict[str, Told]:
    """By kernel and row, of the output of runs, the later ones last."""
    kernels: dict[str, Told] = {}
    for line in lines:
        if line.startswith(PREFIX):
            kernel, row, result, why = json.loads(line.removeprefix(PREFIX))
            kernels.setdefault(kernel, {})[row] = Outcome(result, why)
    return kernels
