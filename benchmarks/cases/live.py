"""Ring buffers read while a process on the other CPU fills them: as fast as they take it, and at fixed rates."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from attrs import frozen

from benchmarks.cases.case import AIOBPF, AYA, BCC, CILIUM, LIBBPF, UVLOOP, CaseError, Entrant, checked, plain
from benchmarks.cases.rings import EVENTS, LEASE, NUMPY, RECORDS
from benchmarks.samples import Sample
from benchmarks.side import SideError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.side import Side
    from benchmarks.sizes import Sizes
    from benchmarks.workload import Workload

LIVE = "live-"

CONSUMERS = (
    Entrant(LEASE, AIOBPF, {"mode": "lease"}),
    Entrant(NUMPY, AIOBPF, {"mode": "numpy"}),
    Entrant(f"{NUMPY}, max_delay=0", AIOBPF, {"mode": "numpy", "max_delay": 0}),
    Entrant(f"{NUMPY}, uvloop", UVLOOP, {"mode": "numpy"}),
    Entrant(RECORDS, AIOBPF, {"mode": "records"}),
    Entrant(EVENTS, AIOBPF, {"mode": "events"}),
    Entrant(f"{EVENTS}, uvloop", UVLOOP, {"mode": "events"}),
    *plain(LIBBPF, CILIUM, AYA, BCC),
)

RATES = (10_000, 100_000, 1_000_000)
"""Records a second."""

NOTED = 8192
"""About so many records of a sample have their latency noted, at least."""

SETTLE_S = 0.003
"""From "ready" to the first record: a consumer sleeps by then."""


def live_key(rate: int | None, size: int) -> str:
    return f"{LIVE}{rate or 'flood'}-{size}"


@frozen
class LiveCase:
    """Records numbered in a row; the consumer reads until the last one, which always comes.

    Without a *rate* the producer waits where the ring is full, and each record has to be read. With one, those that
    found no room are lost: what is read has to be what the producer's program says that it submitted.
    """

    producer: Side
    size: int
    rate: int | None
    count: int
    rounds: int
    unit: str = "record"
    entrants: tuple[Entrant, ...] = CONSUMERS
    needs_fresh_process: bool = False

    @property
    def key(self) -> str:
        return live_key(self.rate, self.size)

    @property
    def warm_ups(self) -> int:
        """The flood, which comes first, warms up for the rates too."""
        return 1 if self.rate is None else 0

    @property
    def title(self) -> str:
        how = "as fast as the ring takes them" if self.rate is None else f"{self.rate:,} a second"
        return f"Live ring buffer, records of {self.size} bytes, {how}"

    def sample(self, side: Side, entrant: Entrant, workload: Workload) -> Sample:
        first = workload.take_numbers(self.count)
        wanted: dict[str, object] = {"fd": workload.fd(f"ring_{self.size}"), "size": self.size, "count": self.count}
        wanted |= {"last": first + self.count - 1, "mask": mask_for(self.count)}
        side.tell("live", {**wanted, **entrant.arguments})
        checked(side.read())
        time.sleep(SETTLE_S)
        made = self._produce(workload, first)
        answer = checked(side.read(), made["sum"])
        if answer["count"] != made["submitted"]:
            raise CaseError(f"read {answer['count']} records where {made['submitted']} were submitted")
        wall_ns = answer["end_ns"] - made["begin_ns"]
        more = {
            "submitted": made["submitted"],
            "lost": made["lost"] if self.rate else 0,
            "waits": made["waits"],
            "rate": self.count * 1e9 / (made["end_ns"] - made["begin_ns"]),
            "sleeps": answer["sleeps"] * 1e9 / wall_ns,
            "p50_ns": answer["p50_ns"],
            "p99_ns": answer["p99_ns"],
        }
        count = answer["count"]
        return Sample(wall_ns / count, answer["cpu_ns"] / count, {key: float(each) for key, each in more.items()})

    def _produce(self, workload: Workload, first: int) -> dict[str, int]:
        asked: dict[str, object] = {"fd": workload.producer_fd(self.size), "first": first, "count": self.count}
        if self.rate is None:
            made = self.producer.ask("flood", asked)
        else:
            made = self.producer.ask("pace", {**asked, "rate": self.rate})
        if "error" in made:
            raise SideError(str(made["error"]))
        if self.rate is None and made["submitted"] != self.count:
            raise CaseError(f"the producer submitted {made['submitted']} of {self.count} records")
        return made


def mask_for(count: int) -> int:
    """Low bits of a sequence number, so that at least `NOTED` of *count* records have none of them; all if fewer."""
    return (1 << max((count // NOTED).bit_length() - 1, 0)) - 1


def live_cases(sizes: Sizes, producer: Side) -> Iterator[LiveCase]:
    """For each size of records: as fast as the ring takes them, then each rate."""
    for size, count in ((64, sizes.flood_64), (512, sizes.flood_512)):
        yield LiveCase(producer, size, None, count, sizes.live_rounds)
        for rate in RATES:
            yield LiveCase(producer, size, rate, max(round(rate * sizes.live_s), 2), sizes.live_rounds)
