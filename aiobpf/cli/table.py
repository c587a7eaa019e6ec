"""The live table: the latest rows of each map, totals below, as large as the terminal is now.

It is drawn on the terminal's alternate screen, where a change of size leaves no debris behind; the last one stays on
the ordinary screen when it ends. Needs rich.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from attrs import define, field
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from rich.console import RenderableType

    from aiobpf.cli.formats import Format, Row
    from aiobpf.cli.tally import Tally

KEPT_ROWS = 500
"""As many rows as the tallest terminal shows."""
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
        self._console.print(self.render(tally, self._console.height - 2))

    def render(self, tally: Tally, height: int) -> RenderableType:
        """Everything, in at most *height* lines."""
        parts: list[RenderableType] = [self._header(tally)]
        room = max(height - _AROUND, 0)
        tables = list(self._rows.items())
        for i, (name, rows) in enumerate(tables):
            # What an earlier table does not need, the later ones share.
            share = room // (len(tables) - i)
            latest = rows.latest(share - _PER_TABLE)
            parts += [Text(name, style="bold cyan") if len(tables) > 1 else Text(), self._table(rows.format, latest)]
            room -= len(latest) + _PER_TABLE
        parts += [Text(), self._footer(tally)]
        return Group(*parts)

    def _header(self, tally: Tally) -> Text:
        elapsed = round(time.monotonic() - tally.started)
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append("aiobpf run", style="bold").append(f"  {self._title}  ")
        return text.append(f"{elapsed // 60:02}:{elapsed % 60:02}", style="dim").append("  ctrl-C ends it", style="dim")

    def _table(self, form: Format, rows: Sequence[Sequence[str]]) -> Table:
        table = Table(box=None, expand=True, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
        columns = form.columns
        for i, column in enumerate(columns):
            table.add_column(
                Text(column.name),
                justify="right" if column.is_number else "left",
                no_wrap=True,
                overflow="ellipsis",
                min_width=min(column.width, 8) or None,
                ratio=1 if i == len(columns) - 1 else None,  # the last one takes what is left
            )
        for row in rows:
            table.add_row(*(Text(text, no_wrap=True, overflow="ellipsis") for text in row))
        return table

    def _footer(self, tally: Tally) -> Text:
        now = time.monotonic()
        text = Text(no_wrap=True, overflow="ellipsis")
        for name, count in tally.counts.items():
            text.append(f"{count.events:,} {name}", style="bold").append(f"  {count.rate(now):,.0f}/s  ")
            text.append(f"{count.lost:,} lost", style="bold red" if count.lost else "dim").append("    ")
        return text
