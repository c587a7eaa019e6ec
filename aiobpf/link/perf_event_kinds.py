"""What perf_event_open(2) can count: the kernel's own events, the processor's, and accesses to an address."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import field, frozen, validators

from aiobpf.errors import SpecError
from aiobpf.kernel import perf_events

if TYPE_CHECKING:
    from collections.abc import Mapping


class SoftwareEvent(Enum):
    """What the kernel itself can count (enum perf_sw_ids)."""

    CPU_CLOCK = 0
    TASK_CLOCK = 1
    PAGE_FAULTS = 2
    CONTEXT_SWITCHES = 3
    CPU_MIGRATIONS = 4
    MINOR_FAULTS = 5
    MAJOR_FAULTS = 6
    ALIGNMENT_FAULTS = 7
    EMULATION_FAULTS = 8


class HardwareEvent(Enum):
    """What most processors can count (enum perf_hw_id); few virtual machines are given the counters."""

    CPU_CYCLES = 0
    INSTRUCTIONS = 1
    CACHE_REFERENCES = 2
    CACHE_MISSES = 3
    BRANCH_INSTRUCTIONS = 4
    BRANCH_MISSES = 5
    BUS_CYCLES = 6
    STALLED_CYCLES_FRONTEND = 7
    STALLED_CYCLES_BACKEND = 8
    REF_CPU_CYCLES = 9


_CACHES: Final = ("L1-dcache", "L1-icache", "LLC", "dTLB", "iTLB", "branch", "node")
_OPERATIONS: Final = ("load", "store", "prefetch")


@frozen
class CacheEvent:
    """Accesses to one of the processor's caches: ``CacheEvent("LLC", "load", misses=True)``, "LLC-load-misses" to perf.

    *cache* is L1-dcache, L1-icache, LLC, dTLB, iTLB, branch or node; *operation* is load, store or prefetch.
    """

    cache: str = field(validator=validators.in_(_CACHES))
    operation: str = field(default="load", validator=validators.in_(_OPERATIONS))
    misses: bool = field(default=False, kw_only=True)

    @property
    def config(self) -> int:
        """The number that the kernel knows it by: cache, operation and result in a byte each."""
        return _CACHES.index(self.cache) | _OPERATIONS.index(self.operation) << 8 | self.misses << 16


@frozen
class RawEvent:
    """An event by the number that the processor's manual has for it ("r1a8" to perf)."""

    config: int = field(validator=validators.in_(range(1 << 64)))


@frozen
class PmuEvent:
    """An event of a source in /sys/bus/event_source/devices ("msr", "power", "amd_df"), by its number there."""

    source: str = field(validator=validators.matches_re(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*"))
    config: int = field(validator=validators.in_(range(1 << 64)))


_ACCESS: Final[Mapping[str, int]] = {"r": 1, "w": 2, "rw": 3, "x": 4}


@frozen
class Breakpoint:
    """Each access to *length* bytes (1, 2, 4 or 8) at *address*, of the kernel or of a process.

    *access* is "w" (written), "rw" (read or written), "r" (read: not on x86) or "x" (executed: *length* 8 there).
    """

    address: int = field(validator=validators.in_(range(1 << 64)), repr=hex)
    length: int = field(default=8, validator=validators.in_((1, 2, 4, 8)))
    access: str = field(default="w", validator=validators.in_(_ACCESS))

    @property
    def access_bits(self) -> int:
        """HW_BREAKPOINT_R, _W and _X."""
        return _ACCESS[self.access]


Event: TypeAlias = "SoftwareEvent | HardwareEvent | CacheEvent | RawEvent | PmuEvent | Breakpoint"

_ALIASES: Final = {
    "cycles": "cpu-cycles",
    "branches": "branch-instructions",
    "faults": "page-faults",
    "cs": "context-switches",
}
_CACHE_NAME: Final = re.compile(
    rf"(?P<cache>{'|'.join(_CACHES)})-(?P<operation>load|store|prefetch)(?P<result>s|es|-misses)", re.IGNORECASE
)
_RAW_NAME: Final = re.compile(r"r(?P<config>[0-9a-f]{1,16})")


def event_named(event: Event | str) -> Event:
    """The event that perf(1) calls *event*: "cpu-clock", "cycles", "LLC-load-misses", "r1a8". Else a SpecError."""
    if not isinstance(event, str):
        return event
    name = _ALIASES.get(event, event).upper().replace("-", "_")
    for kind in (SoftwareEvent, HardwareEvent):
        if name in kind.__members__:
            return kind[name]
    if match := _CACHE_NAME.fullmatch(event):
        cache = next(cache for cache in _CACHES if cache.lower() == match["cache"].lower())
        return CacheEvent(cache, match["operation"].lower(), misses=match["result"].lower() == "-misses")
    if match := _RAW_NAME.fullmatch(event):
        return RawEvent(int(match["config"], 16))
    known = ", ".join(each.name.lower().replace("_", "-") for each in (*SoftwareEvent, *HardwareEvent))
    raise SpecError(
        f"there is no event {event!r}; there are {known}, those of caches (LLC-load-misses), and raw ones (r1a8)"
    )


def name_of(event: Event) -> str:
    """How errors name it."""
    if isinstance(event, (SoftwareEvent, HardwareEvent)):
        return event.name.lower()
    if isinstance(event, CacheEvent):
        return f"{event.cache}-{event.operation}{'-misses' if event.misses else 's'}"
    if isinstance(event, RawEvent):
        return f"r{event.config:x}"
    if isinstance(event, PmuEvent):
        return f"{event.source}/{event.config:#x}"
    return f"breakpoint at {event.address:#x} ({event.access})"


def numbers_of(event: Event) -> tuple[int, int]:
    """Its type and its number there, as perf_event_open takes them; NotSupportedError: there is no such source."""
    if isinstance(event, SoftwareEvent):
        return perf_events.TYPE_SOFTWARE, event.value
    if isinstance(event, HardwareEvent):
        return perf_events.TYPE_HARDWARE, event.value
    if isinstance(event, CacheEvent):
        return perf_events.TYPE_HW_CACHE, event.config
    if isinstance(event, RawEvent):
        return perf_events.TYPE_RAW, event.config
    if isinstance(event, PmuEvent):
        return perf_events.event_source(event.source).type, event.config
    return perf_events.TYPE_BREAKPOINT, 0
