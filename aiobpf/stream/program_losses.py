"""Losses that the program counts itself, since nobody else does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias, final

from aiobpf.errors import SpecError
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from aiobpf.stream.stats import StreamStats

COUNTER_BYTES = 8
FIRST_KEY = bytes(4)


class Elements(Protocol):
    def lookup(self, key: bytes, flags: int = 0) -> bytes | None: ...


class LossMap(Protocol):
    """What is needed of a map that counts; `aiobpf.Map` has it."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> MapType: ...
    @property
    def value_size(self) -> int: ...
    @property
    def elements(self) -> Elements: ...


class LossVariable(Protocol):
    """What is needed of a global variable that counts; `aiobpf.Variable` has it."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> int: ...


LossCounter: TypeAlias = LossMap | LossVariable


@final
class ProgramLosses:
    """Element 0, a u64, of an array or per-CPU array, or a global variable: the difference to when this was made."""

    __slots__ = ("_before", "_counter")

    def __init__(self, counter: LossCounter) -> None:
        self._counter = counter
        self._before = self._total()

    def add_to(self, stats: StreamStats) -> None:
        """Bring `StreamStats.lost` up to date."""
        now = self._total() - self._before
        stats.lost += now - stats.lost_by_program
        stats.lost_by_program = now

    def _total(self) -> int:
        counter = self._counter
        if not _is_map(counter):
            return counter.value
        raw = counter.elements.lookup(FIRST_KEY) or b""
        if counter.type == MapType.ARRAY:
            raw = raw[:COUNTER_BYTES]
        return sum(memoryview(raw).cast("Q"))


def _is_map(counter: LossCounter) -> TypeIs[LossMap]:
    return hasattr(counter, "elements")


def check_counter(counter: object, what: str) -> None:
    """SpecError unless it can count losses."""
    if not hasattr(counter, "elements"):
        if not hasattr(counter, "value"):
            raise SpecError(f"{what}: lost= is a map or a variable that the program counts in, not {counter!r}")
        return
    kind, size = getattr(counter, "type", None), getattr(counter, "value_size", 0)
    if (
        kind not in {MapType.ARRAY, MapType.PERCPU_ARRAY}
        or size < COUNTER_BYTES
        or (kind == MapType.PERCPU_ARRAY and size != COUNTER_BYTES)
    ):
        raise SpecError(
            f"{what}: {getattr(counter, 'name', counter)!r} does not count losses: an ARRAY or PERCPU_ARRAY of u64 "
            "values does"
        )
