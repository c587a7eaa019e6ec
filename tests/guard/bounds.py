"""The bounds, in bounds.toml: by Python version, part, and name of what is counted.

A version has those that were recorded with it, else those of another release of the same minor version.
"""

from __future__ import annotations

import math
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.guard.measured import Numbers

FILE = Path(__file__).parent / "bounds.toml"
PYTHON = ".".join(map(str, sys.version_info[:3]))

YARDSTICK = "the yardstick"
"""Plain Python, without aiobpf. A Python that was compiled otherwise takes another number of instructions for the same:
bounds of instructions move with it."""

SAME_PYTHON = 0.01
NATIVE = "C: "
"""What names of things begin with that Python has no part in."""

MARGINS = {"instructions": 1.08, "allocations": 1.05, "imports": 1.05, "system calls": 1.0, "turns": 1.0}
"""What a recorded bound is, times what was measured. Calls and turns are exact."""
FILES = "files"
"""System calls that open files of code are as many as modules are imported."""

Bounds = dict[str, dict[str, dict[str, float]]]


@frozen
class Judged:
    """One line of the table."""

    part: str
    name: str
    measured: float
    bound: float | None
    """None: nothing is recorded for it, and nothing is asked."""

    @property
    def is_breach(self) -> bool:
        return self.bound is not None and self.measured > self.bound

    @property
    def is_far_below(self) -> bool:
        """So much better that the bound no longer holds what was reached."""
        return self.bound is not None and self.measured < 0.75 * self.bound and self.bound - self.measured >= 1


def read(file: Path = FILE) -> Bounds:
    found: Bounds = tomllib.loads(file.read_text()) if file.exists() else {}
    return found


def judge(
    part: str,
    measured: Numbers,
    bounds: Mapping[str, Mapping[str, Mapping[str, float]]],
    python: str = PYTHON,
    *,
    is_complete: bool = True,
) -> Iterator[Judged]:
    """Each number beside its bound. A bound of which there is no number any more is a breach where *is_complete*."""
    recorded = bounds.get(chosen(part, measured, bounds, python), {}).get(part, {})
    scale = 1.0
    if YARDSTICK in measured and YARDSTICK in recorded:
        scale = measured[YARDSTICK] / recorded[YARDSTICK]
    if scale < 1 + SAME_PYTHON:  # one that takes less for plain Python takes no less for what is in C
        scale = 1.0
    for name, value in measured.items():
        if name == YARDSTICK:
            yield Judged(part, name, value, None)
        else:
            bound = recorded.get(name)
            moves = not name.startswith(NATIVE)
            yield Judged(part, name, value, None if bound is None else bound * scale if moves else bound)
    for name in sorted(recorded.keys() - measured.keys()) if is_complete else ():
        yield Judged(part, name, math.inf, recorded[name])


def chosen(part: str, measured: Numbers, bounds: Mapping[str, Mapping[str, Mapping[str, float]]], python: str) -> str:
    """The version whose bounds count for *python*: itself, or of its minor version what has the nearest yardstick."""
    if part in bounds.get(python, {}):
        return python
    minor = python.rpartition(".")[0]
    others = [each for each in bounds if each.rpartition(".")[0] == minor and part in bounds[each]]
    here = measured.get(YARDSTICK, 0)
    return min(others, key=lambda each: abs(bounds[each][part].get(YARDSTICK, here) - here), default=python)


def bound_for(part: str, name: str, measured: float) -> float:
    """The bound that is recorded for *measured*: with its margin, and then in few digits."""
    margin = MARGINS["imports" if FILES in name else part]
    if margin == 1.0 or measured == 0:
        return measured
    value = measured * margin
    if margin == MARGINS["imports"] and measured == int(measured):
        return math.floor(value)
    digit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return round(math.ceil(value / digit) * digit, 3)


def record(part: str, measured: Numbers, file: Path = FILE, python: str = PYTHON) -> None:
    """Make *measured* the bounds of *part* for this Python; all others stay."""
    bounds = read(file)
    bounds.setdefault(python, {})[part] = {
        name: value if name == YARDSTICK else bound_for(part, name, value) for name, value in measured.items()
    }
    file.write_text("".join(_toml(bounds)))


def _toml(bounds: Bounds) -> Iterable[str]:
    yield "# The most that may be counted of each; written by `python -m tests.guard --record` (docs/guard.md).\n"
    for python, parts in sorted(bounds.items()):
        for part, names in parts.items():
            yield f'\n["{python}"."{part}"]\n'
            for name, bound in names.items():
                yield f'"{name}" = {number(bound, "_")}\n'


def number(value: float, separator: str = ",") -> str:
    """As it is written: whole where it is whole, else to three places."""
    if math.isinf(value):
        return "not measured"
    text = f"{value:,.0f}" if value == int(value) else f"{value:,.3f}".rstrip("0")
    return text.replace(",", separator)
