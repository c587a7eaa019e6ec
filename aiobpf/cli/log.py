"""Show what programs print: bpf_printk of all of them, or the output and errors of one (6.17).

What is shown here, another reader does not get.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("program", nargs="?", metavar="ID|PIN|NAME", help="its own output and errors; without it, the trace of all")
    add("--all", action="store_true", help="events of the trace that are of no program, too")
    add("--level", choices=("error", "warning", "info", "debug"), default="debug", help="nothing below this (debug)")
    add("--duration", type=float, metavar="SECONDS", help="end after this long; without it, at ctrl-C")
    add("--json", action="store_true", help="one JSON object a line")


def run(options: argparse.Namespace) -> int:
    import anyio

    from aiobpf.cli.commands import OK
    from aiobpf.cli.log_session import show_log

    anyio.run(show_log, options)
    return OK
