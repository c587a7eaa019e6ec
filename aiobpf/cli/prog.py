"""The kernel's programs: list them, show one, read its instructions back, watch how often they run.

A program is named by its id, by the path of a pin, or by its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.cli.verbs import run_verb, verbs_of

if TYPE_CHECKING:
    import argparse

SELECTOR = "ID|PIN|NAME"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = verbs_of(parser)
    add("list", "a line for each program", "aiobpf.cli.prog_verbs:list_programs")
    show = add("show", "everything that the kernel says of a program", "aiobpf.cli.prog_verbs:show")
    show.add_argument("program", metavar=SELECTOR)
    dump = add("dump", "its instructions, with symbols and source lines", "aiobpf.cli.prog_verbs:dump")
    dump.add_argument("program", metavar=SELECTOR)
    dump.add_argument("--jited", action="store_true", help="the machine code, in hex, with source lines")
    stats = add("stats", "how often programs run, and for how long", "aiobpf.cli.prog_verbs:stats")
    stats.add_argument("program", metavar=SELECTOR, nargs="*", help="these only; without any, all that run")
    stats.add_argument("--duration", type=float, default=1.0, metavar="SECONDS", help="count for this long (1)")


def run(options: argparse.Namespace) -> int:
    return run_verb(options)
