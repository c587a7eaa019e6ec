"""The events of a perf event array."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, cast, final, overload

from aiobpf.errors import SpecError
from aiobpf.stream.event_stream import EventStream
from aiobpf.stream.perf_source import PAGE, PerfSource
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Sequence
    from typing import Unpack

    from aiobpf.btf import Type
    from aiobpf.kernel.fd import OwnedFd
    from aiobpf.stream.event_type import EventMap
    from aiobpf.stream.options import PerfOptions, StreamOptions

T = TypeVar("T")

DEFAULT_PAGES: Final = 64
DEFAULT_LOOK_S: Final = 0.2


@final
class PerfBuffer(EventStream[T]):
    """The events of a BPF_MAP_TYPE_PERF_EVENT_ARRAY map, from a buffer of its own on each CPU.

    In order on each CPU, in none across CPUs (`Batch.cpus` tells which); a ring buffer (5.8) keeps it. *pages* is the
    size of each CPU's buffer, rounded up to a power of two; it counts as locked memory. The kernel wakes the reader
    every *wakeup_events* records of a CPU, and the reader looks by itself every *flush_interval* seconds: with fewer
    wake-ups the program runs faster and the events come later.

    The stream takes the map's slots of all online CPUs while it is open; a CPU that comes online later is taken in
    within a second. Losses are counted by CPU (`StreamStats.lost_by_cpu`); before Linux 6.0 those after the last
    record that found room are not known. A record may come up to 7 bytes longer than it was written.

    *type* and the other options are those of `RingBuffer`. NotSupportedError if no online CPU has a slot.
    """

    _no_cpus: ClassVar[Sequence[int] | None] = ()

    @overload
    def __init__(
        self: PerfBuffer[bytes], map: EventMap, type: builtins.type[bytes], **options: Unpack[PerfOptions]
    ) -> None: ...
    @overload
    def __init__(self, map: EventMap, type: builtins.type[T], **options: Unpack[PerfOptions]) -> None: ...
    @overload
    def __init__(
        self: PerfBuffer[Any], map: EventMap, type: Type | str | None = None, **options: Unpack[PerfOptions]
    ) -> None: ...
    def __init__(
        self,
        map: EventMap,  # noqa: A002 - the field's own word
        type: Type | str | builtins.type[Any] | None = None,  # noqa: A002
        **options: Unpack[PerfOptions],
    ) -> None:
        pages = options.pop("pages", DEFAULT_PAGES)
        wakeup_events = options.pop("wakeup_events", 1)
        options.setdefault("flush_interval", DEFAULT_LOOK_S)
        shared = cast("StreamOptions", options)
        if map.type != MapType.PERF_EVENT_ARRAY:
            raise SpecError(f"map {map.name!r} is a {map.type.name} map, no PERF_EVENT_ARRAY")
        if not 1 <= pages <= 1 << 20:
            raise SpecError(f"stream of map {map.name!r}: a perf buffer has 1 to 2**20 pages, not {pages}")
        if wakeup_events < 1:
            raise SpecError(f"stream of map {map.name!r}: wakeup_events has to be positive")
        super().__init__(map, type, **shared)
        self._pages = 1 << (pages - 1).bit_length()
        self._wakeup_events = wakeup_events
        self._stats.capacity = self._pages * PAGE

    def _opener(self) -> Callable[[OwnedFd], PerfSource]:
        return partial(
            PerfSource.open, slots=self._map.max_entries, pages=self._pages, wakeup_events=self._wakeup_events
        )

    @property
    def cpus(self) -> list[int]:
        """The CPUs that have a buffer; ClosedError unless open."""
        source: Any = self._open_or_raise()
        found: list[int] = source.cpus
        return found
