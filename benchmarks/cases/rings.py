"""Ring buffers: how fast a full one is read, and how soon a single record is noticed."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from benchmarks.cases.case import AIOBPF, AYA, BCC, CILIUM, LIBBPF, UVLOOP, CommandCase, Entrant, checked, plain
from benchmarks.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.side import Side
    from benchmarks.sizes import Sizes
    from benchmarks.workload import Workload

NUMPY = "aiobpf, batches to numpy"
LEASE = "aiobpf, leased batches to numpy"
RECORDS = "aiobpf, batches to objects"
EVENTS = "aiobpf, one object an event"

READERS = (
    Entrant(LEASE, AIOBPF, {"mode": "lease"}),
    Entrant(NUMPY, AIOBPF, {"mode": "numpy"}),
    Entrant(RECORDS, AIOBPF, {"mode": "records"}),
    Entrant(EVENTS, AIOBPF, {"mode": "events"}),
    *plain(LIBBPF, CILIUM, AYA, BCC),
)

GAP_S = 0.002
"""Between two single records: long enough for every side to be asleep again."""


def ring_cases(sizes: Sizes) -> Iterator[CommandCase]:
    """A ring of 16 MiB, filled by a test run; reading it empty is what is timed."""
    for size, count in ((64, sizes.records_64), (512, sizes.records_512)):
        yield CommandCase(
            key=f"ring-{size}",
            title=f"Ring buffer, records of {size} bytes",
            unit="event",
            rounds=sizes.rounds,
            entrants=READERS,
            command="ring",
            arguments=partial(_arguments, size=size, count=count),
            prepare=partial(_submit, size=size, count=count),
        )


def _arguments(workload: Workload, *, size: int, count: int) -> dict[str, object]:
    return {"fd": workload.fd(f"ring_{size}"), "size": size, "count": count}


def _submit(workload: Workload, *, size: int, count: int) -> int:
    return workload.submit(size, count)


@frozen
class WakeCase:
    """From the submit in the kernel to the first line of the consumer's code, which runs on another CPU and sleeps."""

    rounds: int
    count: int
    key: str = "wake"
    title: str = "Wake-up: submit in the kernel to the consumer's code"
    unit: str = "event"
    entrants: tuple[Entrant, ...] = plain(AIOBPF, UVLOOP, LIBBPF, CILIUM, AYA, BCC)
    needs_fresh_process: bool = False
    warm_ups: int = 1

    def sample(self, side: Side, entrant: Entrant, workload: Workload) -> Sample:
        expected = 0
        side.tell("wake", {"fd": workload.fd("ring_64"), "size": 64, "count": self.count})
        checked(side.read())
        for _ in range(self.count):
            time.sleep(GAP_S)
            expected += workload.submit(64, 1)
        answer = checked(side.read(), expected)
        return Sample(answer["p50_ns"], 0, {"p99_ns": answer["p99_ns"]})
