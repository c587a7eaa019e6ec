"""A compatibility report as a table, a column for each kernel, or as JSON."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from aiobpf.cli.formats import printable
from aiobpf.cli.styled import make_printer, terminal_width
from aiobpf.compatibility import Need, Stage, Status, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aiobpf.cli.styled import Part
    from aiobpf.compatibility import Finding, Report

_WORST_FIRST = (Status.MISSING, Status.UNKNOWN, Status.GUARDED, Status.ABSENT, Status.RESOLVED)
_WORDS: Mapping[Status, Part] = {
    Status.RESOLVED: "yes",
    Status.ABSENT: ("absent", "cyan"),
    Status.GUARDED: ("guarded", "cyan"),
    Status.UNKNOWN: ("?", "yellow"),
    Status.MISSING: ("no", "bold red"),
}
_NO_HOOK: Part = ("no hook", "yellow")
_NOT_ASKED: Part = ("-", "dim")
_VERDICTS: Mapping[Verdict, Part] = {
    Verdict.LOADS: ("loads", "green"),
    Verdict.UNKNOWN: ("unknown", "yellow"),
    Verdict.REFUSED: ("refused", "bold red"),
}
_GAP = "  "


class _Row(NamedTuple):
    label: str
    cells: Sequence[Part]
    style: str = ""


def report_json(source: str, report: Report) -> str:
    """Everything, as one object."""
    return json.dumps(
        {
            "object": source,
            "verdict": report.verdict.value,
            "kernels": [
                {
                    "kernel": each.kernel,
                    "version": None if each.version is None else ".".join(map(str, each.version)),
                    "byte_order": each.byte_order,
                    "verdict": each.verdict.value,
                    "programs": {name: verdict.value for name, verdict in each.programs.items()},
                    "findings": [_as_json(finding) for finding in each.findings],
                }
                for each in report.kernels
            ],
        }
    )


def _as_json(finding: Finding) -> dict[str, Any]:
    return {
        "need": finding.need.value,
        "subject": finding.subject,
        "question": finding.question or None,
        "status": finding.status.value,
        "stage": finding.stage.value,
        "answer": finding.answer or None,
        "reason": finding.reason or None,
        "program": finding.program,
        "map": finding.map,
        "instruction": finding.slot,
        "source": finding.source,
    }


def print_report(source: str, report: Report, *, show_all: bool = False) -> None:
    """The table: a verdict for each program, below it what not every kernel has; then why."""
    line = make_printer()
    rows = list(_rows(source, report, show_all=show_all))
    names = [printable(kernel.kernel) for kernel in report.kernels]
    width = max(len(row.label) for row in rows)
    available = terminal_width()
    if available is not None and width + sum(len(_GAP) + max(len(name), 7) for name in names) > available:
        for number, name in enumerate(names, 1):
            line((f"[{number}]", "bold"), f" {name}")
        line()
        names = [f"[{number}]" for number in range(1, len(names) + 1)]
    widths = [max(len(name), 7) for name in names]
    line(" " * width, *_columns([(name, "bold") for name in names], widths))
    for row in rows:
        if row.cells:
            line((row.label.ljust(width), row.style), *_columns(row.cells, widths))
        else:
            line((row.label, row.style))
    reasons = list(_reasons(report))
    if reasons:
        line()
    for parts in reasons:
        line(*parts)


def _columns(cells: Sequence[Part], widths: Sequence[int]) -> Iterator[Part]:
    for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        text, style = (cell, "") if isinstance(cell, str) else cell
        yield _GAP
        yield (text if number == len(widths) - 1 else text.ljust(width), style)


def _rows(source: str, report: Report, *, show_all: bool) -> Iterator[_Row]:
    kernels = report.kernels
    yield _Row(printable(source.rsplit("/", 1)[-1]), [_VERDICTS[each.verdict] for each in kernels], "bold")
    programs: dict[str, None] = {}
    maps: dict[str, None] = {}
    for kernel in kernels:
        programs |= dict.fromkeys(kernel.programs)
        maps |= dict.fromkeys(finding.map for finding in kernel.findings if finding.map is not None)
    yield from _needs([[f for f in each.findings if f.program is None and f.map is None] for each in kernels], show_all)
    for name in maps:
        found = list(_needs([[f for f in each.findings if f.map == name] for each in kernels], show_all))
        if found:
            yield _Row(f"map {printable(name)}", (), "bold")
            yield from found
    for name in programs:
        yield _Row(f"program {printable(name)}", [_VERDICTS[each.programs[name]] for each in kernels], "bold")
        yield from _needs([[f for f in each.findings if f.program == name] for each in kernels], show_all)


def _needs(findings: Sequence[Sequence[Finding]], show_all: bool) -> Iterator[_Row]:
    """A row for each thing that is needed, with the worst answer of each kernel."""
    answers: OrderedDict[str, list[Finding | None]] = OrderedDict()
    for number, each in enumerate(findings):
        for finding in each:
            row = answers.setdefault(f"  {_label(finding)}", [None] * len(findings))
            known = row[number]
            if known is None or _WORST_FIRST.index(finding.status) < _WORST_FIRST.index(known.status):
                row[number] = finding
    for label, found in answers.items():
        if show_all or any(finding is not None and finding.status is not Status.RESOLVED for finding in found):
            yield _Row(label, [_NOT_ASKED if finding is None else _cell(finding) for finding in found])


def _label(finding: Finding) -> str:
    """All that a relocation may ask of one field or type is one thing to people, and says itself what it is."""
    prefix = "" if finding.need is Need.RELOCATION else f"{finding.need.value} "
    return prefix + printable(finding.subject)


def _cell(finding: Finding) -> Part:
    if finding.status is Status.MISSING and finding.stage is Stage.ATTACH:
        return _NO_HOOK
    return _WORDS[finding.status]


class _Reason(NamedTuple):
    subject: str
    reason: str
    source: str
    style: str


def _reasons(report: Report) -> Iterator[list[Part]]:
    """Why something is missing or not known: each reason once, with the programs and kernels that it holds for."""
    owners: OrderedDict[_Reason, tuple[dict[str, None], dict[str, None]]] = OrderedDict()
    for kernel in report.kernels:
        seen: set[tuple[str | None, str, str]] = set()
        for finding in kernel.findings:
            if finding.status not in {Status.MISSING, Status.UNKNOWN}:
                continue
            label = _label(finding)
            if (finding.program, label, finding.reason) in seen:
                continue
            seen.add((finding.program, label, finding.reason))
            style = "bold red" if finding.verdict is Verdict.REFUSED else "yellow"
            reason = _Reason(label, printable(finding.reason), printable(finding.source or ""), style)
            programs, kernels = owners.setdefault(reason, ({}, {}))
            if finding.program is not None:
                programs[printable(finding.program)] = None
            kernels[printable(kernel.kernel)] = None
    for reason, (programs, kernels) in owners.items():
        yield [(reason.subject, reason.style), f": {reason.reason or 'it is not there'}"]
        if programs:
            yield ["  in ", ", ".join(programs)]
        if reason.source:
            yield ["  ", (reason.source, "dim")]
        if len(report.kernels) > 1:
            yield ["  on ", ", ".join(kernels)]
