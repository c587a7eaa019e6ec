"""Events from the kernel: `RingBuffer` and `PerfBuffer`, their batches and their counts."""

from __future__ import annotations

from aiobpf.stream.batch import Batch
from aiobpf.stream.event_stream import Batches, EventStream
from aiobpf.stream.perf_buffer import PerfBuffer
from aiobpf.stream.ring_buffer import RingBuffer
from aiobpf.stream.stats import StreamStats

__all__ = ["Batch", "Batches", "EventStream", "PerfBuffer", "RingBuffer", "StreamStats"]
