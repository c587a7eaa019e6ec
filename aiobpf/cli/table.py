"""The live table: the latest rows of each map, totals below, as large as the terminal is now.

It is drawn on the terminal's alternate screen, where a change of size leaves no debris behind; the last one stays on
the ordinary screen when it ends. Needs rich.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from attrs import define, field
from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from aiobpf.cli.formats import printable

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from rich.console import RenderableType

    from aiobpf.cli.formats import Column, Format, Row
    from aiobpf.cli.tally import Tally

KEPT_ROWS = 500
"""As many rows as the tallest terminal shows."""
WIDEST = 40
"""No column but the last one takes more."""
LAST_AT_LEAST = 30
_GAP = "  "
_AROUND = 3
"""Lines that are no table: the title, an empty one, the totals."""
_PER_TABLE = 2
"""Lines of a table that are no rows: its header, and an empty line or its name above."""


@define
class Rows:
    """The latest rows of one map, oldest first; those with a key, each key once."""

    format: Format
    rows: OrderedDict[Hashable, list[str]] = field(factory=OrderedDict)
    _serial: int = 0

    def put(self, row: Row) -> None:
        key: Hashable = row.key
        if row.fills:
            shown = self.rows.get(("key", key))
            if shown is not None:
                for i in row.fills:
                    shown[i] = row.cells[i]
            return
        if key is None:
            self._serial += 1
            self.rows[self._serial] = list(row.cells)
        else:
            self.rows[("key", key)] = list(row.cells)
            self.rows.move_to_end(("key", key))
        while len(self.rows) > KEPT_ROWS:
            self.rows.popitem(last=False)

    def latest(self, count: int) -> Sequence[Sequence[str]]:
        return list(self.rows.values())[-count:] if count > 0 else []


class LiveTable:
    """A `View` on a terminal."""

    refresh_s: float | None = 0.2

    def __init__(self, title: str, formats: Mapping[str, Format], console: Console | None = None) -> None:
        self._title = title
        self._console = console or Console(highlight=False)
        self._rows = {name: Rows(form) for name, form in formats.items()}
        self._live = Live(
            console=self._console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )

    def open(self) -> None:
        self._live.start()

    def show(self, name: str, events: Iterable[Any]) -> None:
        rows = self._rows[name]
        for event in events:
            rows.put(rows.format.row(event))

    def refresh(self, tally: Tally) -> None:
        self._live.update(self.render(tally, self._console.height), refresh=True)

    def close(self, tally: Tally) -> None:
        self._live.stop()
        # One line is the shell's prompt, one the totals on stderr.
        self._console.print(self.render(tally, self._console.height - 2, is_over=True))

    def render(self, tally: Tally, height: int, *, is_over: bool = False) -> RenderableType:
        """Everything, in at most *height* lines."""
        parts: list[RenderableType] = [self._header(tally, is_over=is_over)]
        room = max(height - _AROUND, 0)
        tables = list(self._rows.items())
        for i, (name, rows) in enumerate(tables):
            # What an earlier table does not need, the later ones share.
            share = room // (len(tables) - i)
            latest = rows.latest(share - _PER_TABLE)
            parts.append(Text(printable(name), style="bold cyan") if len(tables) > 1 else Text())
            parts += table_lines(rows.format.columns, latest, self._console.width)
            room -= len(latest) + _PER_TABLE
        parts += [Text(), self._footer(tally)]
        return Group(*parts)

    def _header(self, tally: Tally, *, is_over: bool) -> Text:
        elapsed = round(time.monotonic() - tally.started)
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append("aiobpf run", style="bold").append(f"  {self._title}  ")
        text.append(f"{elapsed // 60:02}:{elapsed % 60:02}", style="dim")
        return text if is_over else text.append("  ctrl-C ends it", style="dim")

    def _footer(self, tally: Tally) -> Text:
        now = time.monotonic()
        text = Text(no_wrap=True, overflow="ellipsis")
        for name, count in tally.counts.items():
            text.append(f"{count.events:,} {printable(name)}", style="bold").append(f"  {count.rate(now):,.0f}/s  ")
            text.append(f"{count.lost:,} lost", style="bold red" if count.lost else "dim").append("    ")
        return text


def table_lines(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[Text]:
    """A header and *rows*, none longer than *width*; always the header, empty as long as the columns are not known."""
    fitted = fit(columns, rows, width)
    lines = [Text(no_wrap=True, overflow="crop", style="bold")]
    lines += [Text(no_wrap=True, overflow="crop") for _ in rows]
    for i, room in fitted:
        texts = [columns[i].name, *(row[i] for row in rows)]
        for line, text in zip(lines, texts, strict=True):
            line.append(shortened(text, room, to_right=columns[i].is_number))
            line.append(_GAP)
    return lines


def fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[tuple[int, int]]:
    """(index, width) of the columns to show: as wide as they need be, but for the last, which has what is left.

    Those that can be spared go first if that would be too little; what does not fit even then is cut off.
    """
    needed = {
        i: min(max(column.width, cell_len(column.name), *(cell_len(row[i]) for row in rows), 1), WIDEST)
        for i, column in enumerate(columns[:-1])
    }
    spared = sorted((i for i in needed if columns[i].spare), key=lambda i: columns[i].spare)
    while spared and sum(needed.values()) + len(_GAP) * len(needed) + LAST_AT_LEAST > width:
        del needed[spared.pop()]
    left = width - sum(needed.values()) - len(_GAP) * len(needed)
    return [*needed.items(), (len(columns) - 1, max(left, 1))] if columns else []


def shortened(text: str, room: int, *, to_right: bool) -> str:
    """*text* in exactly *room* cells, with an ellipsis where it was cut."""
    length = cell_len(text)
    if length > room:
        return set_cell_size(text, room - 1) + "…"
    padding = " " * (room - length)
    return padding + text if to_right else text + padding
