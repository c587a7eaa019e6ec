"""Events from the kernel: `RingBuffer` and `PerfBuffer`, their batches and their counts; and what programs print."""

from __future__ import annotations

from aiobpf.stream.batch import Batch
from aiobpf.stream.event_stream import Batches, EventStream
from aiobpf.stream.log_lines import LogLine
from aiobpf.stream.log_routing import log_to
from aiobpf.stream.perf_buffer import PerfBuffer
from aiobpf.stream.program_output import ProgramOutput
from aiobpf.stream.ring_buffer import RingBuffer
from aiobpf.stream.stats import StreamStats
from aiobpf.stream.trace_pipe import TracePipe

__all__ = [
    "Batch",
    "Batches",
    "EventStream",
    "LogLine",
    "PerfBuffer",
    "ProgramOutput",
    "RingBuffer",
    "StreamStats",
    "TracePipe",
    "log_to",
]
