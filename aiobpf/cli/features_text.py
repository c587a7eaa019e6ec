"""The features of a kernel as lines for people."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from aiobpf.cli.styled import make_printer, terminal_width
from aiobpf.kernel.features import Answer, Inconclusive, Supported, Unsupported
from aiobpf.kernel.release import kernel_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from aiobpf.kernel.feature_report import FeatureReport
    from aiobpf.uapi import ProgramType

_WIDTH = 100
_MARGIN = "           "


def print_report(report: FeatureReport, helpers_of: Sequence[ProgramType]) -> None:
    printer = make_printer()
    if helpers_of:
        for kind in helpers_of:
            names = [f"bpf_{helper.name.lower()}" for helper in report.helpers_of(kind)]
            printer((f"{kind.name.lower()}: {len(names)} helpers", "bold"))
            _print_names(printer, "", "", names or [_why_none(report, kind)])
        return
    printer((f"Linux {report.release} on {report.machine}", "bold"))
    for title, answers in (
        ("program types", report.program_types),
        ("map types", report.map_types),
        ("map flags", report.map_flags),
        ("places to attach to", report.attach_types),
        ("link types", report.link_types),
        ("loading", report.features),
        ("BTF", report.btf_features),
    ):
        _print_answers(printer, title, answers)
    if not report.is_complete:
        printer()
        printer("What is unknown the kernel would not say, for want of a privilege most often: --json tells why.")
    printer()
    printer(("helpers", "bold cyan"))
    counts = [f"{kind.name.lower()} {len(report.helpers_of(kind))}" for kind in report.helpers]
    _print_names(printer, "number", "", counts)
    printer()
    printer(("settings", "bold cyan"))
    _print_names(
        printer, "", "", [f"{name}={'?' if value is None else value}" for name, value in report.settings.items()]
    )


def _print_answers(printer: Callable[..., None], title: str, answers: Mapping[Any, Answer]) -> None:
    printer()
    printer((title, "bold cyan"))
    yes: list[str] = []
    no: list[str] = []
    unknown: list[str] = []
    for question, answer in answers.items():
        name = question.name.lower()
        match answer:
            case Supported():
                yes.append(name)
            case Unsupported(since):
                no.append(name + _since(since))
            case Inconclusive():
                unknown.append(name)
    _print_names(printer, "yes", "green", yes)
    _print_names(printer, "no", "red", no)
    _print_names(printer, "unknown", "yellow", unknown)


def _since(since: str | None) -> str:
    if since is None:
        return ""
    if kernel_release() >= tuple(map(int, since.split("."))):
        return " (left out)"  # the kernel is new enough, and was built or is run without it
    return f" (since {since})"


def _print_names(printer: Callable[..., None], label: str, style: str, names: Iterable[str]) -> None:
    # A name and what is said of it stay together on a line.
    text = "  ".join(name.replace(" ", "\N{NO-BREAK SPACE}") for name in names)
    if not text:
        return
    width = (terminal_width() or _WIDTH) - len(_MARGIN)
    lines = textwrap.wrap(text, max(width, 20), break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        head = f"  {label}" if number == 0 else ""
        printer((head.ljust(len(_MARGIN)), style), line.replace("\N{NO-BREAK SPACE}", " "))


def _why_none(report: FeatureReport, kind: ProgramType) -> str:
    answer = next(iter(report.helpers[kind].values()))
    return answer.why if isinstance(answer, Inconclusive) else "none: this kernel has no such programs"
