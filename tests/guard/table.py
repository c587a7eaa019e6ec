"""The table of what was counted, on a terminal and in docs/guard.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.guard.bounds import PYTHON, YARDSTICK, number
from tests.guard.measured import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.guard.bounds import Bounds, Judged

DOCUMENT = REPOSITORY / "docs" / "guard.md"
BEGIN, END = "<!-- bounds: begin; written by `python -m tests.guard --record` -->", "<!-- bounds: end -->"


def lines(judged: Sequence[Judged]) -> Iterator[str]:
    """For a terminal; what is wrong, or so much better that it should be recorded, says so."""
    width = max((len(each.name) for each in judged), default=0)
    part = ""
    for each in judged:
        if each.part != part:
            part = each.part
            yield f"\n{part:<{width}}  {'measured':>14}  {'bound':>14}"
        bound = "" if each.bound is None else number(round(each.bound, 3))
        note = "  TOO MANY" if each.is_breach else "  far fewer: record it" if each.is_far_below else ""
        yield f"{each.name:<{width}}  {number(each.measured):>14}  {bound:>14}{note}"


def write(bounds: Bounds, python: str = PYTHON) -> None:
    """Make the document's table anew, of the bounds of *python*."""
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    rows: list[str] = []
    for part, names in bounds[python].items():
        rows += [f"\n### {part[0].upper()}{part[1:]}\n", "| what | at most |", "| --- | ---: |"]
        rows += [f"| {name} | {number(bound)} |" for name, bound in names.items() if name != YARDSTICK]
    DOCUMENT.write_text(f"{before}{BEGIN}\n\nWith Python {python}:\n" + "\n".join(rows) + f"\n\n{END}{after}")
