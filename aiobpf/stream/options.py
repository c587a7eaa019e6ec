"""The options of streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from aiobpf.stream.program_losses import LossCounter


class StreamOptions(TypedDict, total=False):
    """The options of every stream; `RingBuffer` tells what they mean."""

    batch_records: int
    batch_bytes: int
    turn_s: float
    max_delay: float | None
    flush_interval: float | None
    on_short: Literal["raise", "skip"]
    lost: LossCounter | None


class PerfOptions(StreamOptions, total=False):
    """Those of a perf buffer."""

    pages: int
    wakeup_events: int
