"""The values of a per-CPU map's element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar, final, overload

V = TypeVar("V")


@final
class PerCpu(Sequence[V], Generic[V]):
    """One value for each possible CPU, by CPU number; an update may give one for all of them instead.

    The kernel sizes per-CPU maps by *possible* CPUs (/sys/devices/system/cpu/possible), so a CPU that is offline or
    absent has its place, with whatever it last wrote (zero if it never ran).
    """

    __slots__ = ("_values",)

    def __init__(self, values: Sequence[V]) -> None:
        self._values = tuple(values)

    @overload
    def __getitem__(self, cpu: int) -> V: ...
    @overload
    def __getitem__(self, cpu: slice) -> Sequence[V]: ...
    def __getitem__(self, cpu: int | slice) -> V | Sequence[V]:
        return self._values[cpu]

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PerCpu):
            return bool(self._values == other._values)
        if isinstance(other, (list, tuple)):
            return list(self._values) == list(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._values)

    def __repr__(self) -> str:
        return f"PerCpu({list(self._values)!r})"

    def sum(self) -> Any:
        """All CPUs' values added up; a struct's members and an array's elements each for itself."""
        return _reduce(self._values, sum)

    def max(self) -> Any:
        """The largest value of any CPU, a struct's members each for itself."""
        return _reduce(self._values, max)

    def min(self) -> Any:
        """The smallest value of any CPU, a struct's members each for itself."""
        return _reduce(self._values, min)


def _reduce(values: Sequence[Any], reducer: Any) -> Any:
    first: Any = values[0]
    if isinstance(first, (int, float)):
        return reducer(values)
    if isinstance(first, list):
        return [_reduce(each, reducer) for each in zip(*values, strict=True)]
    names = getattr(type(first), "__match_args__", None)
    if not names:
        raise TypeError(f"values of type {type(first).__name__} cannot be reduced: only numbers and structs of numbers")
    return type(first)(**{name: _reduce([getattr(value, name) for value in values], reducer) for name in names})
