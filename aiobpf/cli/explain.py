"""Explain a verifier log: what was refused and why, the way there, and where the offending values came from.

The log may be any loader's, of Linux 5.10 or newer: what libbpf, bpftool, tc or Go's loader printed, in a file or on
stdin. Its lines of source are shown where it has some (compile with -g). Level 1 is enough; before 5.18 only level 2
has the registers.
"""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from io import TextIOWrapper
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from aiobpf.verifier import Refusal

_BEGIN, _END = "BEGIN PROG LOAD LOG --", "-- END PROG LOAD LOG"


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is no number of steps")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("log", nargs="?", default="-", metavar="LOG", help="the file that holds the log; - or nothing for stdin")
    add("--steps", type=_count, default=20, metavar="N", help="how many of the last instructions to show (20)")


def run(options: argparse.Namespace) -> int:
    from aiobpf.cli.formats import printable
    from aiobpf.errors import BpfError
    from aiobpf.verifier import Refusal

    if options.log == "-":
        if isinstance(sys.stdin, TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")
        text = sys.stdin.read()
    else:
        with open(options.log, encoding="utf-8", errors="replace") as file:
            text = file.read()
    refusal = Refusal(log_in(text))
    verdict = refusal.verdict
    # Any text ends in some line. A log has instructions or statistics too, and a reason on its own is a known one.
    is_log = refusal.path.steps or verdict.statistics is not None or refusal.diagnosis is not None
    if not verdict.reason or not is_log:
        raise BpfError(f"{options.log}: no refusal of the verifier is in it")
    for line in (*summary(refusal), "", *refusal.explain(options.steps).split("\n")):
        print(printable(line))  # a log quotes the program's source, which may be anything
    return 0


def log_in(text: str) -> str:
    """The verifier's own lines: libbpf says where they begin and end. The last log counts."""
    begin = text.rfind(_BEGIN)
    if begin < 0:
        return text
    start = text.find("\n", begin) + 1
    end = text.find(_END, start)
    # The line of the marker itself begins with who says it ("libbpf: prog 'x': -- END ...").
    return text[start:] if end < 0 else text[start : text.rfind("\n", 0, end) + 1]


def summary(refusal: Refusal) -> list[str]:
    verdict, step, diagnosis = refusal.verdict, refusal.step, refusal.diagnosis
    place = (
        ""
        if verdict.slot is None or verdict.reason.endswith(f" insn {verdict.slot}")
        else (f" at instruction {verdict.slot}")
    )
    lines = [f"{verdict.reason}{place}"]
    if step is not None and (source := refusal.source_of(step)):
        lines.append(f"  {source}")
    lines += [f"  {line}" for line in refusal.short_lines()]
    if diagnosis is not None:
        lines += [f"  {diagnosis.explanation}", f"  {diagnosis.hint}"]
    return lines
