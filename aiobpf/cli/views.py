"""Where events go: JSON lines or aligned plain lines on stdout. (The live table is in `aiobpf.cli.table`.)

A view writes whole lines and flushes them before it returns, so that a reader of the pipe has each event at once.
A reader that went away is a BrokenPipeError, which ends the run quietly.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Protocol

from aiobpf.cli.formats import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TextIO

    from aiobpf.cli.formats import Column, Format
    from aiobpf.cli.tally import Tally

WIDEST = 40
"""A column of plain lines grows no wider than this; a longer value pushes the rest of its line to the right."""


class View(Protocol):
    """What `aiobpf run` tells about events. *refresh_s*: how often it wants `refresh`; None: never."""

    refresh_s: float | None

    def open(self) -> None: ...

    def show(self, name: str, events: Iterable[Any]) -> None:
        """Events of the map *name*, oldest first."""
        ...

    def refresh(self, tally: Tally) -> None: ...

    def close(self, tally: Tally) -> None:
        """The end, after the last event."""
        ...


class Lines:
    """What the views of lines share."""

    refresh_s: float | None = None

    def __init__(self, formats: Mapping[str, Format], out: TextIO | None = None) -> None:
        self._formats = formats
        self._out = sys.stdout if out is None else out

    def open(self) -> None:
        pass

    def refresh(self, tally: Tally) -> None:
        pass

    def close(self, tally: Tally) -> None:
        pass

    def _write(self, lines: Sequence[str]) -> None:
        if lines:
            self._out.write("\n".join(lines) + "\n")
            self._out.flush()  # the whole batch has been read by now: no event waits for another


class JsonLines(Lines):
    """One JSON object a line, ASCII only; ``map`` is the name of the event's map, so a member so named is ``map_``."""

    def show(self, name: str, events: Iterable[Any]) -> None:
        record = self._formats[name].record
        self._write([json.dumps(_with_map(name, record(event))) for event in events])


def _with_map(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    if "map" in record:
        record = {"map_" if key == "map" else key: value for key, value in record.items()}
    return {"map": name, **record}


class PlainLines(Lines):
    """Aligned columns under a header, which comes again when the columns do not fit the line before.

    With several maps, the first column says which one.
    """

    def __init__(self, formats: Mapping[str, Format], out: TextIO | None = None) -> None:
        super().__init__(formats, out)
        self._widths: dict[str, list[int]] = {}
        self._headed: Sequence[Column] | None = None
        self._name_width = max(map(len, formats)) if len(formats) > 1 else 0

    def show(self, name: str, events: Iterable[Any]) -> None:
        form = self._formats[name]
        rows = [form.row(event).cells for event in events]
        if not rows:
            return
        columns = form.columns
        widths = self._widths.setdefault(name, [max(column.width, len(column.name)) for column in columns])
        for i in range(len(columns)):
            widths[i] = max(widths[i], min(max(len(cells[i]) for cells in rows), WIDEST))
        lines = []
        if self._headed != columns:
            self._headed = columns
            lines.append(self._line("MAP", [column.name for column in columns], columns, widths))
        lines += [self._line(printable(name), cells, columns, widths) for cells in rows]
        self._write(lines)

    def _line(self, name: str, cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
        parts = [name.ljust(self._name_width)] if self._name_width else []
        for text, column, width in zip(cells, columns, widths, strict=True):
            parts.append(text.rjust(width) if column.is_number else text.ljust(width))
        return "  ".join(parts).rstrip()
