"""The events of a ring buffer map."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, final, overload

from aiobpf.errors import SpecError
from aiobpf.stream.event_stream import EventStream
from aiobpf.stream.ring_source import RingSource
from aiobpf.uapi import MapFlags, MapType

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable
    from typing import Unpack

    from aiobpf.btf import Type
    from aiobpf.kernel.fd import OwnedFd
    from aiobpf.stream.event_type import EventMap
    from aiobpf.stream.options import StreamOptions

T = TypeVar("T")

OVERWRITTEN_LOOK_S: Final = 0.2


@final
class RingBuffer(EventStream[T]):
    """The events of a BPF_MAP_TYPE_RINGBUF map (Linux 5.8), in the order in which they were reserved, from all CPUs.

    *type* says what an event is: a BTF type, the name of one in the map's object ("struct event"), a class whose fields
    are filled by name, or ``bytes``; None is the BTF type of the map's values, or bytes where it has none.

    *batch_records* and *batch_bytes* are the most that is taken at a time, *turn_s* about how long single events are
    handed out (with what the caller does to them) before the event loop has its turn; batches are not cut by time.
    *max_delay* (seconds) is how much later a record may be read while records keep coming, so that the reader takes
    many at a time instead of waking for each (docs/events.md tells when); 0 or None: never later. *flush_interval*
    (seconds) looks for records even if nobody announced them (BPF_RB_NO_WAKEUP). *on_short* says whether a record too
    short for *type* raises CodecError or is only counted ("skip"). *lost* is where the program counts what it found no
    room for, which else is lost without a trace: a Map (element 0 of an array or per-CPU array, a u64) or a Variable;
    ``coll.stream("events")`` takes the one named "events_lost".

    A ring that overwrites (BPF_F_RB_OVERWRITE, 6.19) keeps what is newest: what was overwritten before it was read is
    counted in bytes (`StreamStats.overwritten`), and the stream looks every 0.2 s by itself, as a reader that was
    overtaken is not woken.

    A ring has one reader: SpecError while another stream of this process is open on the map.

    SpecError if the map is of another kind or no type is found; see `EventStream` for reading.
    """

    @overload
    def __init__(
        self: RingBuffer[bytes], map: EventMap, type: builtins.type[bytes], **options: Unpack[StreamOptions]
    ) -> None: ...
    @overload
    def __init__(self, map: EventMap, type: builtins.type[T], **options: Unpack[StreamOptions]) -> None: ...
    @overload
    def __init__(
        self: RingBuffer[Any], map: EventMap, type: Type | str | None = None, **options: Unpack[StreamOptions]
    ) -> None: ...
    def __init__(
        self,
        map: EventMap,  # noqa: A002 - the field's own word
        type: Type | str | builtins.type[Any] | None = None,  # noqa: A002
        **options: Unpack[StreamOptions],
    ) -> None:
        if map.type != MapType.RINGBUF:
            raise SpecError(f"map {map.name!r} is a {map.type.name} map, no RINGBUF")
        if getattr(map, "flags", 0) & MapFlags.RB_OVERWRITE and options.get("flush_interval") is None:
            options["flush_interval"] = OVERWRITTEN_LOOK_S
        super().__init__(map, type, **options)
        self._stats.capacity = map.max_entries

    def _opener(self) -> Callable[[OwnedFd], RingSource]:
        return partial(RingSource.open, size=self._map.max_entries)
