"""Events from the kernel: `RingBuffer` and `PerfBuffer`, their batches and their counts; and what programs print.

Names are imported when first used: a program that reads a ring buffer needs no sockets for packets, and no logging.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.lazy_names import lazy_names

if TYPE_CHECKING:
    from aiobpf.stream.batch import Batch as Batch
    from aiobpf.stream.event_stream import Batches as Batches
    from aiobpf.stream.event_stream import EventStream as EventStream
    from aiobpf.stream.event_type import Event as Event
    from aiobpf.stream.leased_batch import LeasedBatch as LeasedBatch
    from aiobpf.stream.leased_batch import LeasedBatches as LeasedBatches
    from aiobpf.stream.log_lines import LogLine as LogLine
    from aiobpf.stream.log_routing import log_to as log_to
    from aiobpf.stream.merged import Merged as Merged
    from aiobpf.stream.merged import MergedBatches as MergedBatches
    from aiobpf.stream.merged import merge as merge
    from aiobpf.stream.perf_buffer import PerfBuffer as PerfBuffer
    from aiobpf.stream.perf_history import PerfHistory as PerfHistory
    from aiobpf.stream.program_output import ProgramOutput as ProgramOutput
    from aiobpf.stream.relay import Overflow as Overflow
    from aiobpf.stream.relay import Relay as Relay
    from aiobpf.stream.relay import RelayStats as RelayStats
    from aiobpf.stream.ring_buffer import RingBuffer as RingBuffer
    from aiobpf.stream.rows import RowBatches as RowBatches
    from aiobpf.stream.rows import Rows as Rows
    from aiobpf.stream.stats import StreamStats as StreamStats
    from aiobpf.stream.trace_pipe import TracePipe as TracePipe
    from aiobpf.stream.user_ring_buffer import Reservation as Reservation
    from aiobpf.stream.user_ring_buffer import UserRingBuffer as UserRingBuffer
    from aiobpf.stream.user_ring_buffer import UserRingStats as UserRingStats
    from aiobpf.stream.xsk_socket import XskBatches as XskBatches
    from aiobpf.stream.xsk_socket import XskMode as XskMode
    from aiobpf.stream.xsk_socket import XskSocket as XskSocket

__all__ = [
    "Batch",
    "Batches",
    "Event",
    "EventStream",
    "LeasedBatch",
    "LeasedBatches",
    "LogLine",
    "Merged",
    "MergedBatches",
    "Overflow",
    "PerfBuffer",
    "PerfHistory",
    "ProgramOutput",
    "Relay",
    "RelayStats",
    "Reservation",
    "RingBuffer",
    "RowBatches",
    "Rows",
    "StreamStats",
    "TracePipe",
    "UserRingBuffer",
    "UserRingStats",
    "XskBatches",
    "XskMode",
    "XskSocket",
    "log_to",
    "merge",
]

_HOMES = {
    "batch": "Batch",
    "event_stream": "Batches EventStream",
    "event_type": "Event",
    "leased_batch": "LeasedBatch LeasedBatches",
    "log_lines": "LogLine",
    "log_routing": "log_to",
    "merged": "Merged MergedBatches merge",
    "perf_buffer": "PerfBuffer",
    "perf_history": "PerfHistory",
    "program_output": "ProgramOutput",
    "relay": "Overflow Relay RelayStats",
    "ring_buffer": "RingBuffer",
    "rows": "RowBatches Rows",
    "stats": "StreamStats",
    "trace_pipe": "TracePipe",
    "user_ring_buffer": "Reservation UserRingBuffer UserRingStats",
    "xsk_socket": "XskBatches XskMode XskSocket",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
