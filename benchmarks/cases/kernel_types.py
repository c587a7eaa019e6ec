"""The kernel's BTF: opened, and a struct found in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from benchmarks.cases.case import AIOBPF, AYA, CILIUM, LIBBPF, Entrant, checked, plain, timed

if TYPE_CHECKING:
    from benchmarks.samples import Sample
    from benchmarks.side import Side
    from benchmarks.workload import Workload

VMLINUX = "/sys/kernel/btf/vmlinux"
REPEATS = 3


@frozen
class BtfCase:
    """In a new process each time: the first opening tells what memory grows by, and what a program waits at its start.

    *is_first*: time the first opening; else the fastest of the few that follow it in the same process.
    """

    rounds: int
    is_first: bool
    unit: str = "open and find"
    entrants: tuple[Entrant, ...] = plain(AIOBPF, LIBBPF, CILIUM, AYA)
    needs_fresh_process: bool = True
    warm_ups: int = 1

    @property
    def key(self) -> str:
        return "btf-first" if self.is_first else "btf-again"

    @property
    def title(self) -> str:
        when = "first time in a process" if self.is_first else "again in the same process"
        return f"Kernel BTF, open and find struct sk_buff, {when}"

    def sample(self, side: Side, entrant: Entrant, workload: Workload) -> Sample:
        arguments: dict[str, object] = {"path": VMLINUX, "name": "sk_buff"}
        first = timed(checked(side.ask("btf", arguments)), "rss_kib", "anonymous_kib")
        if self.is_first:
            return first
        again = [timed(checked(side.ask("btf", arguments))) for _ in range(REPEATS)]
        return min(again, key=lambda sample: sample.ns)
