"""How the events of one map look: as a JSON record, and as a row under columns.

Whatever comes out of a kernel string is shown with its control characters escaped: a process may name itself anything,
and a terminal obeys escape sequences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence


@frozen
class Column:
    """A column and how wide it is at least; it grows with what it shows.

    On a terminal that is too narrow for all, the columns with the highest *spare* are left out first; 0 never is.
    """

    name: str
    is_number: bool = False
    width: int = 0
    spare: int = 0


@frozen
class Row:
    """One line's cells.

    A table shows the latest row of each *key* once: a later row with the same key puts its cells number *fills* into
    the row that is there. None: every row stands for itself.
    """

    cells: tuple[str, ...]
    key: Hashable = None
    fills: tuple[int, ...] = ()


class Format(Protocol):
    """How to show the events of one map."""

    @property
    def columns(self) -> Sequence[Column]:
        """Known once the first row was made."""
        ...

    def record(self, event: Any) -> Mapping[str, Any]:
        """The event as JSON takes it, without the name of its map."""
        ...

    def row(self, event: Any) -> Row: ...


class EventFormat:
    """For any event: a column for each field of its record, nested ones by their path (``addr.port``).

    *jsonable* is that of the event type's codec; without a type an event is bytes, shown in hex.
    """

    def __init__(self, jsonable: Callable[[Any], Any] | None = None) -> None:
        self._jsonable = jsonable or bytes.hex
        self._key = "value" if jsonable else "data"
        self._columns: tuple[Column, ...] = ()

    @property
    def columns(self) -> Sequence[Column]:
        return self._columns

    def record(self, event: Any) -> Mapping[str, Any]:
        value = self._jsonable(event)
        return value if isinstance(value, dict) else {self._key: value}

    def row(self, event: Any) -> Row:
        cells = {printable(name): value for name, value in flat(self.record(event))}  # names are the object's
        if not self._columns:
            self._columns = tuple(column_for(name, value) for name, value in cells.items())
        return Row(tuple(cell(cells.get(column.name)) for column in self._columns))


def column_for(name: str, value: Any) -> Column:
    """A column with room for values that are a little longer than this first one."""
    if isinstance(value, bool):
        return Column(name)
    if isinstance(value, (int, float)):
        return Column(name, is_number=True, width=7)
    return Column(name, width=12)


def flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def cell(value: Any) -> str:
    """A value of a record in as little room as it can be read in."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(cell(each) for each in value)
    if isinstance(value, dict):
        return " ".join(f"{name}={cell(each)}" for name, each in value.items())
    return printable(str(value))


def printable(text: str) -> str:
    """The text with everything escaped that a terminal would act upon."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def duration(ns: int) -> str:
    """A duration in three digits or so: 820us, 12.3ms, 4.56s, 3m12s, 2h05m."""
    if ns < 1_000_000:
        return f"{ns / 1e3:.0f}us"
    if ns < 1_000_000_000:
        return f"{ns / 1e6:.3g}ms" if ns < 999_500_000 else "1s"
    seconds = ns / 1e9
    if seconds < 59.95:
        return f"{seconds:.3g}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    return f"{minutes // 60}h{minutes % 60:02}m"
