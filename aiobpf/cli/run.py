"""Load BPF programs, attach each where its section says, and show their typed events as they arrive.

Without an argument: the bundled exec monitor, every program that a process executes and how it ended.
With an object file: every ring buffer and perf array in it. With a C source: the same, compiled first.

A ring buffer does not count what it had no room for; a program that does so in a variable lost_MAP or dropped_MAP has
its losses in the totals.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from typing import NamedTuple

NAME = re.compile(r"[A-Za-z_.][\w.]*")


class MapChoice(NamedTuple):
    """--map: one map to show, and the BTF type of its events if it was given."""

    name: str
    type: str | None


class Setting(NamedTuple):
    """--set: a global variable and the text of its value."""

    variable: str
    text: str


class RunOptions(NamedTuple):
    source: str | None = None
    as_json: bool = False
    duration_s: float | None = None
    maps: tuple[MapChoice, ...] = ()
    settings: tuple[Setting, ...] = ()
    programs: tuple[str, ...] = ()
    pin_path: str | None = None
    is_plain: bool = False
    verbose: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", nargs="?", metavar="OBJECT|SOURCE.c", help="what to load; without it, the exec monitor")
    add("--json", action="store_true", help="one JSON object a line; its key 'map' names the source")
    add("--duration", type=seconds, metavar="SECONDS", help="end after this long; without it, at ctrl-C")
    add("--map", type=map_choice, action="append", default=[], metavar="NAME[:TYPE]",
        help="show this map only, its events being of this type: one that the object has, a struct as C declares it "
        "('events:__u32 pid; char comm[16]'), or bytes; repeatable")  # fmt: skip
    add("--set", type=setting, action="append", default=[], metavar="VARIABLE=VALUE",
        help="give a global variable its value before loading; repeatable")  # fmt: skip
    add("--program", action="append", default=[], metavar="NAME", help="load and attach this program only; repeatable")
    add(
        "--pin-path",
        metavar="DIRECTORY",
        help="the bpffs folder of maps pinned by name (/sys/fs/bpf)",
    )
    add("--plain", action="store_true", help="plain lines on a terminal too")
    add("-v", "--verbose", action="store_true", help="say what attaches, and why the verifier rejects")


def run(options: argparse.Namespace) -> int:
    from aiobpf.cli.session import run_session

    return run_session(
        RunOptions(
            source=options.source,
            as_json=options.json,
            duration_s=options.duration,
            maps=tuple(options.map),
            settings=tuple(options.set),
            programs=tuple(options.program),
            pin_path=options.pin_path,
            is_plain=options.plain or not sys.stdout.isatty(),
            verbose=options.verbose,
        )
    )


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value


def map_choice(text: str) -> MapChoice:
    name, colon, kind = text.partition(":")
    if not NAME.fullmatch(name) or (colon and not kind.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME or NAME:TYPE")
    return MapChoice(name, kind.strip() or None)


def setting(text: str) -> Setting:
    name, equals, value = text.partition("=")
    if not NAME.fullmatch(name) or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not VARIABLE=VALUE")
    return Setting(name, value)
