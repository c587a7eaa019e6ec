"""``python -m benchmarks.producer``: a process that fills rings while a side reads them; asked as a side is.

``flood``: *count* records as fast as they find room. Where the ring is full it waits until there is some, so nothing
is lost. ``pace``: records at a fixed *rate*, evenly: what is due every 20 us; those that find no room are lost and
counted, but for the last one, which tells the consumer that it is the last.
"""

from __future__ import annotations

import sys
import time

from aiobpf import Program
from aiobpf.kernel.fd import duplicate
from benchmarks import commands
from benchmarks.production import produce

LOT = 16384
"""Records of one test run of `flood`: about 2 ms."""
TICK_NS = 20_000
"""Short, or the records of a fast rate would come in lumps, and a reader would need one wake-up for each lump."""
RETRY_S = 50e-6
PATIENCE_NS = 5_000_000_000
"""A ring that stays full for so long has no reader."""


class NobodyReadsError(Exception):
    """The ring stayed full."""


class Producer:
    """One of the workload's producers, by the descriptor that the harness passed."""

    def __init__(self, fd: int) -> None:
        self._program = Program.from_fd(duplicate(fd, "producer"))
        self.submitted = self.lost = self.sum = self.waits = 0

    def flood(self, first: int, count: int) -> None:
        """All of *count* records, waiting for room."""
        done = 0
        progress_ns = time.monotonic_ns()
        while done < count:
            made = produce(self._program, first + done, min(LOT, count - done))
            done += made.submitted
            self.submitted += made.submitted
            self.sum += made.sum
            if made.submitted:
                progress_ns = time.monotonic_ns()
            if made.lost:
                self.waits += 1
                if time.monotonic_ns() - progress_ns > PATIENCE_NS:
                    raise NobodyReadsError("the ring is full and nobody reads it")
                time.sleep(RETRY_S)

    def pace(self, first: int, count: int, rate: int) -> None:
        """*count* records, *rate* a second: at each tick those that are due. One late does not delay the next."""
        total = count - 1
        done = 0
        began = time.monotonic_ns()
        tick = 0
        while done < total:
            due = min(total, (time.monotonic_ns() - began) * rate // 1_000_000_000 + 1) - done
            if due > 0:
                made = produce(self._program, first + done, due, is_lossy=True)
                done += due
                self.submitted += made.submitted
                self.lost += made.lost
                self.sum += made.sum
            now = time.monotonic_ns() - began
            tick = max(tick + 1, now // TICK_NS)
            while time.monotonic_ns() - began < tick * TICK_NS:
                pass  # a sleep so short comes late: this process has the CPU for itself
        self.flood(first + total, 1)

    def close(self) -> None:
        self._program.close()


def answer(case: str, arguments: commands.Arguments) -> dict[str, object]:
    """What was produced, between which times (CLOCK_MONOTONIC), and how often there was no room."""
    producer = Producer(arguments.number("fd"))
    first, count = arguments.number("first"), arguments.number("count")
    began = time.monotonic_ns()
    try:
        if case == "flood":
            producer.flood(first, count)
        else:
            producer.pace(first, count, arguments.number("rate"))
        ended = time.monotonic_ns()
    finally:
        producer.close()
    return {
        "begin_ns": began,
        "end_ns": ended,
        "submitted": producer.submitted,
        "lost": producer.lost,
        "sum": producer.sum,
        "waits": producer.waits,
    }


def serve() -> None:
    """Answer until stdin ends."""
    commands.say({"side": "producer", "version": "", "compiler": ""})
    while line := sys.stdin.readline():
        case, arguments = commands.decode(line)
        try:
            said = answer(case, arguments)
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {error}"}
        commands.say(said)


if __name__ == "__main__":
    serve()
