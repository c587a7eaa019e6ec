"""``python -m tests.guard [PART ...] [--record]``, as root (or ``nox -s guard``): what is counted beside its bound.

Parts: instructions (callgrind), system calls (strace), allocations, turns (of the event loop, and jobs in worker
threads), imports; default all. Exit status 1 where a bound is broken. ``--record`` makes what is counted now the
bounds of this Python (tests/guard/bounds.toml) and writes the table of docs/guard.md.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from tests.guard import bounds, instructions, system_calls, table
from tests.guard.measured import MeasuringError, numbers
from tests.kernel_probes import may_use_bpf

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.guard.measured import Numbers

PARTS: dict[str, Callable[[], Numbers]] = {
    "imports": lambda: numbers("tests.guard.imports"),
    "turns": lambda: numbers("tests.guard.turns"),
    "allocations": lambda: numbers("tests.guard.allocations"),
    "system calls": system_calls.measure,
    "instructions": instructions.measure,
}
"""Each measures in a process of its own, where nothing else has been imported, loaded or allocated."""

NEED_ROOT = {"turns", "allocations", "system calls"}

WHY = {
    "imports": "python -X importtime -c 'import aiobpf; ...' (tests/guard/imports.py has the statements)",
    "turns": "python -m tests.guard.turns; asyncio's debug log tells callbacks",
    "allocations": "python -m tests.guard.allocations with tracemalloc.take_snapshot() before and after",
    "system calls": system_calls.HOW,
    "instructions": instructions.HOW,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.guard", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--record", action="store_true", help="make what is counted now the bounds")
    options = parser.parse_args(arguments)
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part {', '.join(unknown)}: {', '.join(PARTS)}")
    judged: list[bounds.Judged] = []
    for part in options.parts or PARTS:
        if part in NEED_ROOT and not may_use_bpf():
            print(f"{part}: not counted, as that needs root")
            continue
        try:
            measured = PARTS[part]()
        except MeasuringError as error:
            print(f"{part}: {error}", file=sys.stderr)
            return 1
        if options.record:
            bounds.record(part, measured)
        judged += bounds.judge(part, measured, bounds.read(), is_complete=may_use_bpf())
    print("\n".join(table.lines(judged)))
    if options.record:
        table.write(bounds.read())
    if all(each.bound is None for each in judged):
        print(f"\nNothing is recorded for Python {bounds.PYTHON}: nothing is judged.")
    broken = [each for each in judged if each.is_breach]
    for each in broken:
        print(
            f"\n{each.part}, {each.name}: {bounds.number(each.measured)}, and at most {bounds.number(each.bound or 0)} "
            f"are allowed.\n  To see why: {WHY[each.part]}",
            file=sys.stderr,
        )
    if broken:
        print("\nWhere more is meant: python -m tests.guard --record PART, and say why.", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
