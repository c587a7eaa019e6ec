"""What a check found: for each kernel, each thing that an object needs of it, and whether it is there."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Need(Enum):
    """What kind of thing is needed."""

    BYTE_ORDER = "byte order"
    PROGRAM_TYPE = "program type"
    ATTACH_TYPE = "attach type"
    ATTACH_TARGET = "attach target"
    PROGRAM_FLAG = "program flag"
    MAP_TYPE = "map type"
    MAP_FLAG = "map flag"
    HELPER = "helper"
    INSTRUCTION = "instruction"
    RELOCATION = "relocation"
    KFUNC = "kfunc"
    KSYM = "ksym"
    KCONFIG = "kconfig"
    SYMBOL = "symbol"
    """Of another object: it must be linked first."""


class Status(Enum):
    """Whether it is there."""

    RESOLVED = "resolved"
    ABSENT = "absent"
    """It is not there, which is an answer: a field_exists of 0, a weak symbol that is missing."""
    GUARDED = "guarded"
    """It is not there, and the code that needs it is never reached in this kernel."""
    UNKNOWN = "unknown"
    """What is known of the kernel does not tell."""
    MISSING = "missing"
    """It is not there, and needed."""


class Verdict(Enum):
    """Whether a program, or an object, would load."""

    LOADS = "loads"
    UNKNOWN = "unknown"
    """Nothing that is known is against it, but something that it needs is not known."""
    REFUSED = "refused"


class Stage(Enum):
    """What fails where a thing is missing."""

    LOAD = "load"
    ATTACH = "attach"
    """The program loads, but cannot hang where its section says."""
    NOTHING = "nothing"
    """The program reads 0, and goes on."""


@frozen
class Finding:
    """One thing that is needed, and what a kernel says to it.

    *subject* names it ("field struct task_struct.exit_code"), *question* is what a relocation asks about it ("offset",
    "existence"), *answer* what that comes to there ("2132"), *reason* says why it is missing or not known. *program* or
    *map* needs it; *slot* is the instruction, counted in slots of eight bytes as the verifier does, and *source* its
    line.
    """

    need: Need
    subject: str
    status: Status
    stage: Stage = Stage.LOAD
    question: str = ""
    answer: str = ""
    reason: str = ""
    program: str | None = None
    map: str | None = None
    slot: int | None = None
    source: str | None = None

    @property
    def verdict(self) -> Verdict:
        """What it says about loading."""
        if self.stage is Stage.LOAD and self.status is Status.MISSING:
            return Verdict.REFUSED
        if self.stage is Stage.LOAD and self.status is Status.UNKNOWN:
            return Verdict.UNKNOWN
        return Verdict.LOADS


@frozen
class KernelReport:
    """One kernel's answers; *programs* has the verdict on each program that was checked."""

    kernel: str
    version: tuple[int, int, int] | None
    byte_order: str
    programs: Mapping[str, Verdict]
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """Whether the object loads as a whole: one program or map that is refused refuses all."""
        return worst(finding.verdict for finding in self.findings)


@frozen
class Report:
    """The kernels' answers, in the order in which they were asked."""

    kernels: tuple[KernelReport, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of all kernels."""
        return worst(each.verdict for each in self.kernels)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """REFUSED before UNKNOWN before LOADS."""
    found = set(verdicts)
    return next((each for each in (Verdict.REFUSED, Verdict.UNKNOWN) if each in found), Verdict.LOADS)
