"""Tables and lists of facts for people, and the same facts as JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from aiobpf.cli.formats import cell, printable
from aiobpf.cli.styled import make_printer, terminal_width

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aiobpf.cli.formats import Column

_GAP = "  "
_LEAST = 8
"""A column of text is not made narrower than this, however narrow the terminal."""


def print_json(facts: object) -> None:
    """*facts* as one line of JSON, ASCII only."""
    sys.stdout.write(json.dumps(facts) + "\n")


def print_table(columns: Sequence[Column], records: Iterable[Mapping[str, Any]], *, empty: str) -> None:
    """A line for each of *records* under a header; the *empty* text to stderr where there is none.

    A column that nothing has a value in is left out. On a terminal, lines are as long as it is wide: columns that can
    be spared go first, then the widest text is cut.
    """
    rows = [[cell(record.get(column.name)) for column in columns] for record in records]
    if not rows:
        print(f"aiobpf: {empty}", file=sys.stderr)
        return
    shown = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    widths = {i: max(len(columns[i].name), *(len(row[i]) for row in rows)) for i in shown}
    _fit(columns, widths)
    line = make_printer()
    line((_line(columns, widths, [column.name.upper() for column in columns]), "bold"))
    for row in rows:
        line(_line(columns, widths, row))


def _fit(columns: Sequence[Column], widths: dict[int, int]) -> None:
    width = terminal_width()
    if width is None:
        return

    def excess() -> int:
        return sum(widths.values()) + len(_GAP) * (len(widths) - 1) - width

    for i in sorted((i for i in widths if columns[i].spare), key=lambda i: -columns[i].spare):
        if excess() <= 0:
            return
        del widths[i]
    while excess() > 0:
        widest = max((i for i in widths if not columns[i].is_number), key=widths.__getitem__, default=None)
        if widest is None or widths[widest] <= _LEAST:
            return
        widths[widest] = max(widths[widest] - excess(), _LEAST)


def _line(columns: Sequence[Column], widths: Mapping[int, int], cells: Sequence[str]) -> str:
    parts = []
    for i, width in widths.items():
        text = cells[i] if len(cells[i]) <= width else cells[i][: width - 1] + "…"
        parts.append(text.rjust(width) if columns[i].is_number else text.ljust(width))
    return _GAP.join(parts).rstrip()


def print_facts(title: str, facts: Mapping[str, Any]) -> None:
    """*title*, and a line for each of *facts* that has a value; longer lists take a line an item."""
    line = make_printer()
    line((printable(title), "bold"))
    told = {name.replace("_", " "): value for name, value in facts.items() if value not in (None, "", [], {})}
    width = max((len(name) for name in told), default=0)
    for name, value in told.items():
        items = value if isinstance(value, list) and len(value) > 1 else [value]
        for i, item in enumerate(items):
            line((f"  {'' if i else name:<{width}}", "cyan"), f"  {cell(item)}")
