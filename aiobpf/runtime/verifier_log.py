"""What the verifier's log says: the reason of a rejection, its place, and the kernel's own advice.

The log is text for people (kernel/bpf/log.c). What is relied on has held from 5.10 to 7.3:

- a line of the walk begins with a slot: ``6: (79) r0 = ...``, ``6: R0=...``; up to 5.17 states of registers stand on
  lines of their own, later behind a semicolon on the instruction's;
- a line of source begins with ``; ``;
- the statistics at the end begin with ``processed N insns``;
- the reason is what stands unindented after the last line of the walk, one line or two ("invalid access to map value,
  value_size=8 off=8 size=8", "R0 min value is outside of the allowed memory range").

Since 7.3 a report may follow (ce7c9f6c599b): ``Verification failed:`` and the sections ``Reason:``, ``At:``,
``Causal path:`` and ``Suggestion:``, their text indented.
"""

from __future__ import annotations

import re

from attrs import frozen

_INSTRUCTION = re.compile(r"^(\d{1,9}): \([0-9a-f]{2}\) ")
_WALK = re.compile(r"^(?:\d+: |from \d+ to \d+|R\d+(?:_\w+)?=|frame\d+: )")
_NOISE = re.compile(
    r"^(?:;|processed \d+ insns|verification time|stack depth|insns processed|max_states|mark_precise|last_idx|"
    r"first_idx|parent (?:didn't|already)|regs=|propagating|func#\d+ @\d+$|Live regs before insn|topo_order\[|"
    r"subprog[# ]\d+[: ]|cur state:|old state:|stack use/def|Validating .*\(\) func#\d+|Func#\d+ |caller:|callee:|"
    r"returning from callee|to caller at \d+:|arg#\d+ reference type\('UNKNOWN)"
)
# Checks before the walk (check_cfg, jump ranges, the BTF of subprograms) name the slot in their message only.
_AT_INSTRUCTION = re.compile(r"\b(?:insn|instruction) (\d{1,9})\b")
_CONTEXT = re.compile(r"^>>> (\d{1,9}) \| \([0-9a-f]{2}\) ", re.MULTILINE)
_REPORT = "Verification failed: "
_SECTIONS = frozenset({"Reason:", "At:", "Causal path:", "Suggestion:"})
_REASON_LINES = 3


@frozen
class Verdict:
    """What the log says.

    *reason* is "" where it says nothing; *slot* is the raw slot that the verifier stopped at, or None if it names none.
    *explanation* and *suggestion* are the kernel's own (7.3), or "".
    """

    reason: str
    slot: int | None
    explanation: str = ""
    suggestion: str = ""


def read_log(log: str) -> Verdict:
    """The reason and place of a rejection; any text gives a Verdict."""
    slot: int | None = None
    reason: list[str] = []
    title = ""
    report: dict[str, list[str]] = {}
    section: str | None = None
    for line in log.splitlines():
        text = line.strip()
        if not text:
            continue
        if line.startswith(_REPORT):
            title, report, section = text.removeprefix(_REPORT), {}, ""
        elif section is not None and line in _SECTIONS:
            section = line
            report[section] = []
        elif line[0].isspace():
            if section:
                report[section].append(text)
        else:
            section = None
            if _WALK.match(line):
                reason = []
                if match := _INSTRUCTION.match(line):
                    slot = int(match[1])
            elif not _NOISE.match(line):
                reason.append(text)
    if match := _AT_INSTRUCTION.search("\n".join(reason)) or _CONTEXT.search("\n".join(report.get("At:", ()))):
        slot = int(match[1])
    return Verdict(
        "; ".join(reason[-_REASON_LINES:]) or title,
        slot,
        explanation=" ".join(report.get("Reason:", ())),
        suggestion=" ".join(report.get("Suggestion:", ())),
    )
