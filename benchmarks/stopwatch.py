"""Wall time and processor time of this process."""

from __future__ import annotations

import resource
import time


class Stopwatch:
    """Runs from its making until `stop`; processor time counts every thread."""

    __slots__ = ("cpu_ns", "wall_ns")

    def __init__(self) -> None:
        self.cpu_ns = time.process_time_ns()
        self.wall_ns = time.perf_counter_ns()

    def stop(self) -> Stopwatch:
        self.wall_ns = time.perf_counter_ns() - self.wall_ns
        self.cpu_ns = time.process_time_ns() - self.cpu_ns
        return self

    def answer(self, count: int, total: int, **more: object) -> dict[str, object]:
        """The answer of a side: how long *count* took, and the sum that proves it was done."""
        return {"ns": self.wall_ns, "cpu_ns": self.cpu_ns, "count": count, "sum": total, **more}


def percentiles(latencies_ns: list[int], total: int) -> dict[str, object]:
    """The middle and the worst hundredth, as part of an answer."""
    ordered = sorted(latencies_ns)
    return {
        "p50_ns": ordered[len(ordered) // 2],
        "p99_ns": ordered[len(ordered) * 99 // 100],
        "count": len(ordered),
        "sum": total,
    }


def sleeps() -> int:
    """How often a thread of this process gave its CPU away to wait: what a wake-up ends."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


def resident_kib() -> tuple[int, int]:
    """KiB of this process in memory: everything, and what no file stands behind."""
    found = {"VmRSS": 0, "RssAnon": 0}
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            key, _, value = line.partition(":")
            if key in found:
                found[key] = int(value.split()[0])
    return found["VmRSS"], found["RssAnon"]
