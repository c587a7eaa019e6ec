"""Ring buffers: ``b["events"].open_ring_buffer(callback)``, ``b.ring_buffer_poll()``."""

from __future__ import annotations

import ctypes as ct
import time
from typing import TYPE_CHECKING, Any

from benchmarks import commands
from benchmarks.peers.bcc_ctypes.library import RING_CALLBACK, lib
from benchmarks.stopwatch import Stopwatch, percentiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.commands import Arguments

_COMMON: list[tuple[str, type[Any]]] = [
    ("sequence", ct.c_ulonglong),
    ("submitted_ns", ct.c_ulonglong),
    ("pid", ct.c_uint),
    ("tid", ct.c_uint),
    ("uid", ct.c_uint),
    ("result", ct.c_int),
    ("comm", ct.c_char * 16),
    ("bytes", ct.c_ulonglong),
    ("duration_ns", ct.c_ulonglong),
]


class Record64(ct.Structure):
    _fields_ = _COMMON


class Record512(ct.Structure):
    _fields_ = [*_COMMON, ("path", ct.c_char * 256), ("payload", ct.c_ubyte * 192)]


EVENTS: dict[int, type[ct.Structure]] = {64: Record64, 512: Record512}


PATIENCE_S = 60.0


class Ring:
    """One ring, and the callback that it calls for now."""

    def __init__(self, fd: int, size: int) -> None:
        self._event_class = EVENTS[size]
        self.callback: Callable[[Any, int, int], int | None] = lambda context, data, size: None
        self._until = 0.0
        self._c_callback = RING_CALLBACK(self._on_record)  # ctypes does not keep it alive
        self._ring = lib.ring_buffer__new(fd, self._c_callback, None, None)
        if not self._ring:
            raise OSError(ct.get_errno(), "ring_buffer__new")

    def _on_record(self, context: Any, data: int, size: int) -> int:
        result = self.callback(context, data, size)
        try:
            return int(result)  # type: ignore[arg-type]  # None is for the except, as in BCC
        except (TypeError, ValueError):
            return 0

    def event(self, data: int) -> Any:
        """The record at *data* as the structure of its fields: BCC's ``table.event``."""
        return ct.cast(data, ct.POINTER(self._event_class)).contents

    def poll(self) -> None:
        """Hand out what is there, or wait for it; TimeoutError a minute after `start`."""
        found = lib.ring_buffer__poll(self._ring, 1000)
        if found < 0:
            raise OSError(-found, "ring_buffer__poll")
        if not found and time.monotonic() > self._until:  # none may also mean that the next is still being written
            raise TimeoutError("ring_buffer__poll")

    def start(self, callback: Callable[[Any, int, int], int | None]) -> None:
        self.callback = callback
        self._until = time.monotonic() + PATIENCE_S


_rings: dict[int, Ring] = {}


def ring_of(arguments: Arguments) -> Ring:
    fd = arguments.number("fd")
    if fd not in _rings:
        _rings[fd] = Ring(fd, arguments.number("size"))
    return _rings[fd]


def drain(arguments: Arguments) -> dict[str, object]:
    ring = ring_of(arguments)
    wanted = arguments.number("count")
    count = total = 0

    def on_event(context: Any, data: int, size: int) -> None:
        nonlocal count, total
        event = ring.event(data)
        total += event.sequence
        count += 1

    ring.start(on_event)
    took = Stopwatch()
    while count < wanted:
        ring.poll()
    return took.stop().answer(count, total)


def wake(arguments: Arguments) -> dict[str, object]:
    ring = ring_of(arguments)
    wanted = arguments.number("count")
    latencies: list[int] = []
    total = 0

    def on_event(context: Any, data: int, size: int) -> None:
        nonlocal total
        event = ring.event(data)
        latencies.append(time.clock_gettime_ns(time.CLOCK_MONOTONIC) - event.submitted_ns)
        total += event.sequence

    ring.start(on_event)
    commands.say({"ready": True})
    while len(latencies) < wanted:
        ring.poll()
    return percentiles(latencies, total)
