"""The numbers that aiobpf is to reach, and whether a run shows them."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Literal

from attrs import asdict, frozen

from benchmarks.cases.case import AIOBPF, AYA, BCC, CILIUM, LIBBPF
from benchmarks.cases.imports import OURS, PLAIN
from benchmarks.cases.objects import FOOTPRINT, LOAD, OPEN
from benchmarks.cases.rings import EVENTS, LEASE, NUMPY
from benchmarks.samples import geometric_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.samples import Result


@frozen
class Comparison:
    """A number beside its bound, by wall time and by processor time (None: not known).

    Where others work on the machine, their time is in the first and not in the second.
    """

    value: float
    cpu_value: float | None
    is_met: bool | None
    """None: there is no bound."""
    is_met_by_cpu: bool | None = None
    detail: str = ""


@frozen
class Target:
    """*entrant* beside the best of *peers*, in the case *key*, or in the geometric mean over all cases under it.

    "speed": the peer's time over ours, to be at least *bound*. "time": ours over the peer's, to be at most *bound*.
    """

    what: str
    reach: str
    key: str
    entrant: str
    peers: tuple[str, ...]
    measure: Literal["speed", "time"]
    bound: float | None
    """None: not to be reached, but shown beside a target."""
    is_strict: bool = False

    def compare(self, results: Mapping[str, Result]) -> Comparison | None:
        """None where the run has not what it needs."""
        found = [result for key, result in results.items() if key == self.key or self._is_group_of(key)]
        wall = {peer: value for peer in self.peers if (value := _ratio(found, self.entrant, peer, cpu=False))}
        if not wall:
            return None
        # The best peer is the one that our time is the largest multiple of.
        best = max(wall, key=lambda peer: wall[peer])
        time = wall[best]
        cpu = _ratio(found, self.entrant, best, cpu=True)
        value = time if self.measure == "time" else 1 / time
        cpu_value = None if not cpu else cpu if self.measure == "time" else 1 / cpu
        detail = best if len(self.peers) > 1 else ""
        if self.key.endswith("/"):
            used = sum(bool(result.ratios(self.entrant, best)) for result in found)
            detail = f"{detail} {used} objects".strip()
        is_met_by_cpu = None if cpu_value is None else self._is_met(cpu_value)
        return Comparison(value, cpu_value, self._is_met(value), is_met_by_cpu, detail)

    def _is_met(self, value: float) -> bool | None:
        if self.bound is None:
            return None
        if self.is_strict and value == self.bound:
            return False
        return value <= self.bound if self.measure == "time" else value >= self.bound

    def _is_group_of(self, key: str) -> bool:
        return self.key.endswith("/") and key.startswith(self.key)


def _ratio(results: list[Result], entrant: str, peer: str, *, cpu: bool) -> float | None:
    medians = [statistics.median(ratios) for result in results if (ratios := result.ratios(entrant, peer, cpu=cpu))]
    return geometric_mean(medians) if medians else None


TARGETS = (
    Target(
        "ring buffer, 64-byte records, batches to numpy",
        "at least 1.5 times the events/s of the best of libbpf, cilium/ebpf, aya",
        "ring-64", LEASE, (LIBBPF, CILIUM, AYA), "speed", 1.5,
    ),
    Target(
        "the same, each batch a copy that stays good",
        "no target: the events/s beside the best of them",
        "ring-64", NUMPY, (LIBBPF, CILIUM, AYA), "speed", None,
    ),
    Target(
        "ring buffer, one typed Python object per event",
        "at least 2 times the events/s of a BCC-style ctypes callback",
        "ring-64", EVENTS, (BCC,), "speed", 2.0,
    ),
    Target(
        "ring buffer, one typed Python object per event",
        "at least 0.5 times the events/s of cilium/ebpf",
        "ring-64", EVENTS, (CILIUM,), "speed", 0.5,
    ),
    Target(
        "wake-up, kernel submit to Python, p50",
        "at most 1.5 times the time of cilium/ebpf",
        "wake", AIOBPF, (CILIUM,), "time", 1.5,
    ),
    Target(
        "kernel BTF: open and find sk_buff",
        "at most 2 times the time of libbpf",
        "btf-first", AIOBPF, (LIBBPF,), "time", 2.0,
    ),
    Target(
        "kernel BTF: open and find sk_buff",
        "3 times faster than cilium/ebpf",
        "btf-first", AIOBPF, (CILIUM,), "speed", 3.0,
    ),
    Target(
        "object file to spec",
        "at most 4 times the time of cilium/ebpf (geometric mean)",
        OPEN, AIOBPF, (CILIUM,), "time", 4.0,
    ),
    Target(
        "object file to loaded collection, kernel BTF cold",
        "faster than cilium/ebpf",
        LOAD, AIOBPF, (CILIUM,), "time", 1.0, is_strict=True,
    ),
    Target(
        "object file to loaded collection, kernel BTF cold",
        "at most 1.5 times the time of libbpf",
        LOAD, AIOBPF, (LIBBPF,), "time", 1.5,
    ),
    Target(
        "map lookup, typed, one",
        "at most 2 times the time of cilium/ebpf",
        "lookup", AIOBPF, (CILIUM,), "time", 2.0,
    ),
    Target(
        "map scan of 1M entries to numpy",
        "faster than cilium/ebpf BatchLookup",
        "scan", AIOBPF, (CILIUM,), "time", 1.0, is_strict=True,
    ),
    Target(
        "import aiobpf",
        "at most 1.4 times import asyncio, anyio, attrs",
        "import", OURS, (PLAIN,), "time", 1.4,
    ),
)  # fmt: skip

RSS_BOUND_KIB = 8 * 1024
FOOTPRINT_BOUND = 64.0


def verdicts(results: Mapping[str, Result]) -> list[dict[str, Any]]:
    """Every target and what was found, for JSON."""
    found = [(target, target.compare(results)) for target in TARGETS]
    return [{"target": asdict(target), "found": None if each is None else asdict(each)} for target, each in found]


def rss_kib(results: Mapping[str, Result]) -> Comparison | None:
    """What memory grows by when the kernel's BTF is opened and a type found: the median, all of it."""
    samples = results["btf-first"].good(AIOBPF) if "btf-first" in results else []
    if not samples:
        return None
    grown = statistics.median(sample.more["rss_kib"] for sample in samples)
    anonymous = statistics.median(sample.more["anonymous_kib"] for sample in samples)
    return Comparison(grown / 1024, None, grown < RSS_BOUND_KIB, detail=f"{anonymous / 1024:.1f} MiB of it anonymous")


def bytes_an_instruction(results: Mapping[str, Result]) -> Comparison | None:
    """Over all objects: bytes that their instructions hold, over their number."""
    total = count = 0.0
    for key, result in results.items():
        if key.startswith(FOOTPRINT):
            for sample in result.good(AIOBPF):
                total += sample.ns * sample.more["instructions"]
                count += sample.more["instructions"]
    if not count:
        return None
    return Comparison(total / count, None, total / count <= FOOTPRINT_BOUND, detail=f"{count:,.0f} instructions")
