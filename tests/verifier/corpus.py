"""The logs that kernels wrote about the programs of tests/runtime/refused.py, as record.py wrote them down."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.runtime.refused import PROGRAMS

if TYPE_CHECKING:
    from tests.runtime.refused import Refused

FOLDER = Path(__file__).parent.parent / "runtime" / "verifier_logs"
KERNELS = ("5.10", "6.1", "6.12", "6.18", "7.3")
BY_NAME: dict[str, Refused] = {program.name: program for program in PROGRAMS}


def read() -> dict[tuple[str, str, int], str]:
    found = {}
    for kernel in KERNELS:
        for entry in (FOLDER / f"{kernel}.txt").read_text().split("=== ")[1:]:
            title, log = entry.split("\n", 1)
            name, level = title.split(", level ")
            found[kernel, name, int(level)] = log
    return found


LOGS = read()
"""By kernel, program and level."""
