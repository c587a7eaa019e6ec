"""The metadata of a whole program: one sorted column a key.

A program's source lines alone are more entries than everything else together, they come decoded once per ELF section,
and they are then cut and joined with their functions. So a column keeps two tiers: *runs*, immutable windows into what
was attached in bulk (cut and moved without touching an entry, decoded only when looked at), and a small sorted list of
values set one by one. Places are raw slots, which cutting and joining shift by whole blocks.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from itertools import islice
from operator import lt
from typing import TYPE_CHECKING, Generic, TypeVar, final

from aiobpf.errors import AsmError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")


@final
class Run(Generic[T]):
    """Entries *lo* to *hi* of *values*, entry i at slot ``base + slots[i]``. Never empty, never changed."""

    __slots__ = ("base", "hi", "lo", "slots", "values")

    def __init__(self, base: int, slots: array[int], values: Sequence[T], lo: int, hi: int) -> None:
        self.base = base
        self.slots = slots
        self.values = values
        self.lo = lo
        self.hi = hi

    @property
    def first(self) -> int:
        return self.base + self.slots[self.lo]

    @property
    def last(self) -> int:
        return self.base + self.slots[self.hi - 1]

    def place(self, slot: int) -> int:
        """The entry of the first place at or after *slot*."""
        return bisect_left(self.slots, slot - self.base, self.lo, self.hi)

    def cut(self, lo: int, hi: int, base: int) -> Iterator[Run[T]]:
        """Entries *lo* to *hi* with another base: one run, or none."""
        if lo < hi:
            yield Run(base, self.slots, self.values, lo, hi)

    def items(self) -> Iterator[tuple[int, T]]:
        base, slots, values = self.base, self.slots, self.values
        for i in range(self.lo, self.hi):
            yield base + slots[i], values[i]


@final
class Column(Generic[T]):
    """The values of one key by raw slot, in order."""

    __slots__ = ("_runs", "_slots", "_values")

    def __init__(self) -> None:
        self._runs: list[Run[T]] = []  # ascending, not overlapping
        self._slots: array[int] = array("I")  # ascending; none of them is in a run
        self._values: list[T] = []

    def __len__(self) -> int:
        return len(self._values) + sum(run.hi - run.lo for run in self._runs)

    @property
    def is_empty(self) -> bool:
        return not self._values and not self._runs

    def copy(self) -> Column[T]:
        other: Column[T] = Column()
        other._runs = self._runs[:]
        other._slots = self._slots[:]
        other._values = self._values[:]
        return other

    # --- reading ------------------------------------------------------------------------------------------------------

    def get(self, slot: int) -> T | None:
        slots = self._slots
        i = bisect_left(slots, slot)
        if i < len(slots) and slots[i] == slot:
            return self._values[i]
        found = self._find_run(slot)
        return None if found is None else found[1].values[found[2]]

    def items(self) -> Iterator[tuple[int, T]]:
        """(slot, value) in order, as they are now: a change on the way is not seen."""
        if not self._runs:
            return zip(self._slots[:], self._values[:], strict=True)
        if not self._slots:
            return _chain(self._runs[:])
        return _merge(_chain(self._runs[:]), zip(self._slots[:], self._values[:], strict=True))

    def windows(self) -> list[Run[T]] | None:
        """What was attached in bulk and never touched, in order; None if values were set one by one as well."""
        return None if self._values else self._runs[:]

    def _find_run(self, slot: int) -> tuple[int, Run[T], int] | None:
        """Which run has *slot*, and at which entry."""
        at = bisect_right(self._runs, slot, key=_first) - 1
        if at < 0:
            return None
        run = self._runs[at]
        i = run.place(slot)
        if i < run.hi and run.slots[i] == slot - run.base:
            return at, run, i
        return None

    # --- changing -----------------------------------------------------------------------------------------------------

    def set(self, slot: int, value: T) -> None:
        slots = self._slots
        i = len(slots) if not slots or slots[-1] < slot else bisect_left(slots, slot)
        if i < len(slots) and slots[i] == slot:
            self._values[i] = value
            return
        self._remove_from_run(slot)
        slots.insert(i, slot)
        self._values.insert(i, value)

    def discard(self, slot: int) -> None:
        i = bisect_left(self._slots, slot)
        if i < len(self._slots) and self._slots[i] == slot:
            del self._slots[i], self._values[i]
        else:
            self._remove_from_run(slot)

    def _remove_from_run(self, slot: int) -> None:
        found = self._find_run(slot)
        if found is not None:
            at, run, i = found
            self._runs[at : at + 1] = [*run.cut(run.lo, i, run.base), *run.cut(i + 1, run.hi, run.base)]

    def attach(self, base: int, slots: array[int], values: Sequence[T], lo: int, hi: int) -> None:
        """Put entries *lo* to *hi* of (*slots*, *values*) at ``base + slot``, over what is there.

        There is at least one, and neither sequence may change afterwards. Raises AsmError unless the slots ascend.
        """
        if not all(map(lt, islice(slots, lo, hi - 1), islice(slots, lo + 1, hi))):
            raise AsmError("the places of attached metadata do not ascend")
        run = Run(base, slots, values, lo, hi)
        if run.first > max(self._slots[-1] if self._slots else -1, self._runs[-1].last if self._runs else -1):
            self._runs.append(run)
            return
        for slot, value in run.items():
            self.set(slot, value)

    def splice(self, lo: int, hi: int, delta: int) -> None:
        """Drop what is at slots *lo* to *hi* and move what is behind by *delta*."""
        first, behind = bisect_left(self._slots, lo), bisect_left(self._slots, hi)
        if first < len(self._slots):
            self._slots[first:] = array("I", [slot + delta for slot in self._slots[behind:]])
            del self._values[first:behind]
        if self._runs and self._runs[-1].last >= lo:
            runs: list[Run[T]] = []
            for run in self._runs:
                i, j = run.place(lo), run.place(hi)
                runs.extend(run.cut(run.lo, i, run.base))
                runs.extend(run.cut(j, run.hi, run.base + delta))
            self._runs = runs

    def insert(self, at: int, other: Column[T]) -> None:
        """Put all of *other*, moved by *at*, into the free place that `splice` made there."""
        i = bisect_left(self._slots, at)
        self._slots[i:i] = array("I", [slot + at for slot in other._slots]) if at else other._slots
        self._values[i:i] = other._values
        j = bisect_left(self._runs, at, key=_first)
        self._runs[j:j] = [Run(run.base + at, run.slots, run.values, run.lo, run.hi) for run in other._runs]

    def extract(self, lo: int, hi: int) -> Column[T]:
        """What is at slots *lo* to *hi*, moved to begin at 0."""
        other: Column[T] = Column()
        i, j = bisect_left(self._slots, lo), bisect_left(self._slots, hi)
        other._slots = array("I", [slot - lo for slot in self._slots[i:j]])
        other._values = self._values[i:j]
        for run in self._runs:
            other._runs.extend(run.cut(run.place(lo), run.place(hi), run.base - lo))
        return other


def _first(run: Run[T]) -> int:
    return run.first


def _chain(runs: list[Run[T]]) -> Iterator[tuple[int, T]]:
    for run in runs:
        yield from run.items()


def _merge(left: Iterator[tuple[int, T]], right: Iterator[tuple[int, T]]) -> Iterator[tuple[int, T]]:
    """Two ascending streams as one; their slots are distinct."""
    end: tuple[int, None] = (1 << 62, None)
    a: tuple[int, T] | tuple[int, None] = next(left, end)
    b: tuple[int, T] | tuple[int, None] = next(right, end)
    while a is not end or b is not end:
        if a[0] < b[0]:
            yield a  # type: ignore[misc]
            a = next(left, end)
        else:
            yield b  # type: ignore[misc]
            b = next(right, end)
