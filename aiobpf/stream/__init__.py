"""Events from the kernel: `RingBuffer` and `PerfBuffer`, their batches and their counts; and what programs print."""

from __future__ import annotations

from aiobpf.stream.batch import Batch
from aiobpf.stream.event_stream import Batches, EventStream
from aiobpf.stream.log_lines import LogLine
from aiobpf.stream.log_routing import log_to
from aiobpf.stream.merge import Merged, MergedBatches, merge
from aiobpf.stream.perf_buffer import PerfBuffer
from aiobpf.stream.perf_history import PerfHistory
from aiobpf.stream.program_output import ProgramOutput
from aiobpf.stream.relay import Overflow, Relay, RelayStats
from aiobpf.stream.ring_buffer import RingBuffer
from aiobpf.stream.rows import RowBatches, Rows
from aiobpf.stream.stats import StreamStats
from aiobpf.stream.trace_pipe import TracePipe
from aiobpf.stream.user_ring_buffer import Reservation, UserRingBuffer, UserRingStats
from aiobpf.stream.xsk_socket import XskBatches, XskMode, XskSocket

__all__ = [
    "Batch",
    "Batches",
    "EventStream",
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
