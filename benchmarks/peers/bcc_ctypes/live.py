"""Rings that are filled while they are read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks import commands
from benchmarks.peers.bcc_ctypes.rings import ring_of
from benchmarks.stopwatch import Stopwatch, percentiles, sleeps

if TYPE_CHECKING:
    from benchmarks.commands import Arguments


def live(arguments: Arguments) -> dict[str, object]:
    """Read until the record whose sequence number is the last."""
    ring = ring_of(arguments)
    last, mask = arguments.number("last"), arguments.number("mask")
    latencies: list[int] = []
    count = total = 0
    is_over = False

    def on_event(context: Any, data: int, size: int) -> None:
        nonlocal count, total, is_over
        event = ring.event(data)
        sequence = event.sequence
        if not sequence & mask:
            latencies.append(time.clock_gettime_ns(time.CLOCK_MONOTONIC) - event.submitted_ns)
        total += sequence
        count += 1
        if sequence >= last:
            is_over = True

    ring.start(on_event)
    commands.say({"ready": True})
    slept = sleeps()
    took = Stopwatch()
    while not is_over:
        ring.poll()
    took.stop()
    end_ns, slept = time.monotonic_ns(), sleeps() - slept
    return {**percentiles(latencies, total), **took.answer(count, total, end_ns=end_ns, sleeps=slept)}
