"""What the end of a log says: the reason, the place, the kernel's own report, and what the walk took.

What is relied on has held from 5.10 to 7.3:

- a line of the walk begins with a slot: ``6: (79) r0 = ...``, ``6: R0=...``; up to 5.17 states of registers stand on
  lines of their own, later behind a semicolon on the instruction's;
- a line of source begins with ``; ``;
- the statistics at the end begin with ``processed N insns``;
- the reason is what stands unindented after the last line of the walk, one line or more ("invalid access to map value,
  value_size=8 off=8 size=8", "R0 min value is outside of the allowed memory range").

Since 7.3 a report may follow (ce7c9f6c599b): ``Verification failed:`` and the sections ``Reason:``, ``At:``,
``Causal path:`` and ``Suggestion:``, their text indented.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from aiobpf.verifier.path import lines_backwards

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_INSTRUCTION = re.compile(r"(\d{1,9}): \([0-9a-f]{2}\) ")
# Where it had taken back what it wrote since a branch, the reason goes on in the branch's line (6.x, level 1).
_BEHIND = re.compile(r"\d+: \([0-9a-f]{2}\) [^;]*?\bgoto pc[+-]\d+ +(?!\d+: |;)(\S.*)")
_WALK = re.compile(r"(?:\d+: |from \d+ to \d+|R\d+(?:_\w+)?=|frame\d+: )")
_NOISE = re.compile(
    r"(?:;|processed \d+ insns|verification time|stack depth|insns processed|max_states|mark_precise|last_idx|"
    r"first_idx|parent (?:didn't|already)|regs=|propagating|func#\d+ @\d+$|Live regs before insn|topo_order\[|"
    r"subprog[# ]\d+[: ]|cur state:|old state:|stack use/def|Validating .*\(\) func#\d+|Func#\d+ |caller:|callee:|"
    r"returning from callee|to caller at \d+:|arg#\d+ reference type\('UNKNOWN)"
)
# Checks before the walk (check_cfg, jump ranges, the BTF of subprograms) name the slot in their message only.
_AT_INSTRUCTION = re.compile(r"\b(?:insn|instruction) (\d{1,9})\b")
_CONTEXT = re.compile(r"^>>> (\d{1,9}) \| \([0-9a-f]{2}\) ", re.MULTILINE)
_EVENT = re.compile(r"\| +\^-- (\w+): (.*)")
_REPORT = "Verification failed: "
_SECTIONS = frozenset({"Reason:", "At:", "Causal path:", "Suggestion:"})
_REASON_LINES = 3
_LONGEST = 1000
_PROCESSED = re.compile(r"processed (\d{1,18}) insns(?: \(limit (\d{1,18})\))?(.*)")
_COUNT = re.compile(r"(max_states_per_insn|total_states|peak_states|mark_read) (\d{1,18})")
_TIME = re.compile(r"verification time (\d{1,18}) usec")
_DEPTH = re.compile(r"stack depth (?:max )?(\d{1,9}(?:\+\d{1,9})*)")


@frozen
class CausalEvent:
    """A step of the kernel's own causal path (7.3): "R0 changed from ... to nullable map value", at *slot*."""

    slot: int | None
    kind: str
    text: str


@frozen
class Report:
    """The kernel's own report (7.3)."""

    title: str = ""
    reason: str = ""
    suggestion: str = ""
    causal_path: Sequence[CausalEvent] = ()


@frozen
class Statistics:
    """What the walk took; None for what the log does not say. *stack_depth* is bytes by function, the entry first."""

    instructions: int
    limit: int | None = None
    max_states_per_insn: int | None = None
    total_states: int | None = None
    peak_states: int | None = None
    mark_read: int | None = None
    time_us: int | None = None
    """Since 5.2 at level 4, and for a program that is too complex."""
    stack_depth: tuple[int, ...] = ()


@frozen
class Verdict:
    """What the log says of its end.

    *reason* is "" where it says nothing; *slot* is the raw slot that the verifier stopped at, or None if it names none.
    """

    reason: str
    slot: int | None
    report: Report | None = None
    statistics: Statistics | None = None


def read_verdict(log: str) -> Verdict:
    """The reason and place of a rejection; any text gives a Verdict."""
    tail, slot = _tail(log)
    reason: list[str] = []
    title = ""
    sections: dict[str, list[str]] | None = None
    section: str | None = None
    for line in tail:
        text = line.strip()
        if not text:
            continue
        if line.startswith(_REPORT):
            title, sections, section = text.removeprefix(_REPORT), {}, ""
        elif sections is not None and section is not None and line in _SECTIONS:
            section = line
            sections[section] = []
        elif line[0].isspace():
            if section and sections is not None:
                sections[section].append(text)
        else:
            section = None
            if not _NOISE.match(line):
                reason.append(text[:_LONGEST])
    report = None if sections is None else _report(title, sections)
    at = "\n".join((sections or {}).get("At:", ()))
    if match := _AT_INSTRUCTION.search("\n".join(reason)) or _CONTEXT.search(at):
        slot = int(match[1])
    return Verdict("; ".join(reason[-_REASON_LINES:]) or title, slot, report, _statistics(tail))


def _tail(log: str) -> tuple[list[str], int | None]:
    """The lines behind the walk, and the slot of its last instruction."""
    tail: list[str] = []
    is_tail = True
    for _, line in lines_backwards(log):
        if is_tail and not _WALK.match(line):
            tail.append(line)
            continue
        if is_tail and (rest := _BEHIND.match(line)):
            tail.append(rest[1])
        is_tail = False
        if match := _INSTRUCTION.match(line):
            return tail[::-1], int(match[1])
    return tail[::-1], None


def _report(title: str, sections: Mapping[str, Sequence[str]]) -> Report:
    events: list[CausalEvent] = []
    kind, words = "", ""
    for line in sections.get("Causal path:", ()):
        if match := _EVENT.match(line):
            kind, words = match[1], match[2]
        elif match := _CONTEXT.match(line):
            if kind:
                events.append(CausalEvent(int(match[1]), kind, words))
            kind = ""
        elif kind and line.startswith("|"):
            words += f" {line[1:].strip()}"
    return Report(
        title, " ".join(sections.get("Reason:", ())), " ".join(sections.get("Suggestion:", ())), tuple(events)
    )


def _statistics(tail: Iterable[str]) -> Statistics | None:
    found: Statistics | None = None
    time_us: int | None = None
    depth: tuple[int, ...] = ()
    for line in tail:
        if match := _PROCESSED.match(line):
            counts = {name: int(number) for name, number in _COUNT.findall(match[3])}
            found = Statistics(
                int(match[1]),
                int(match[2]) if match[2] else None,
                counts.get("max_states_per_insn"),
                counts.get("total_states"),
                counts.get("peak_states"),
                counts.get("mark_read"),
            )
        elif match := _TIME.match(line):
            time_us = int(match[1])
        elif match := _DEPTH.match(line):
            depth = tuple(map(int, match[1].split("+")))
    return None if found is None else evolve(found, time_us=time_us, stack_depth=depth)
