"""A case: one question, and who is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

from benchmarks.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.side import Side
    from benchmarks.workload import Workload

AIOBPF = "aiobpf"
LIBBPF = "libbpf (C)"
CILIUM = "cilium/ebpf (Go)"
AYA = "aya (Rust)"
BCC = "BCC style (ctypes)"
UVLOOP = "aiobpf on uvloop"


class CaseError(Exception):
    """An entrant that cannot do the case; not the fault of the harness."""


@frozen
class Entrant:
    """A side in a case: what it is called there, the program that runs, what it is told beyond the others."""

    label: str
    program: str
    arguments: dict[str, object] = field(factory=dict)


def plain(*programs: str) -> tuple[Entrant, ...]:
    return tuple(Entrant(program, program) for program in programs)


class Case(Protocol):
    """What the run needs of a case."""

    @property
    def key(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def rounds(self) -> int: ...
    @property
    def entrants(self) -> tuple[Entrant, ...]: ...
    @property
    def needs_fresh_process(self) -> bool: ...
    @property
    def warm_ups(self) -> int:
        """Turns before the first that counts."""
        ...

    def sample(self, side: Side, entrant: Entrant, workload: Workload) -> Sample:
        """Prepare, which is not timed, and ask. CaseError where the entrant cannot."""
        ...


def checked(answer: dict[str, Any], expected: int | None = None) -> dict[str, Any]:
    """The answer, if it is one and proves what it should; else CaseError."""
    if "error" in answer:
        raise CaseError(str(answer["error"]).strip().splitlines()[0][:300])
    if "unsupported" in answer:
        raise CaseError("does not do this")
    if expected is not None and answer["sum"] != expected:
        raise CaseError(f"answers {answer['sum']} where {expected} is right: something was lost or misread")
    return answer


def timed(answer: dict[str, Any], *more: str) -> Sample:
    """Times of one operation, and what else of the answer is of interest."""
    count = answer["count"]
    return Sample(answer["ns"] / count, answer["cpu_ns"] / count, {key: float(answer[key]) for key in more})


@frozen
class CommandCase:
    """A case that is one command. *prepare* readies the input and says which sum proves the work; None: any."""

    key: str
    title: str
    unit: str
    rounds: int
    entrants: tuple[Entrant, ...]
    command: str
    arguments: Callable[[Workload], dict[str, object]]
    prepare: Callable[[Workload], int | None] = lambda workload: None
    keep: tuple[str, ...] = ()
    needs_fresh_process: bool = False
    warm_ups: int = 1

    def sample(self, side: Side, entrant: Entrant, workload: Workload) -> Sample:
        expected = self.prepare(workload)
        answer = side.ask(self.command, {**self.arguments(workload), **entrant.arguments})
        return timed(checked(answer, expected), *self.keep)
