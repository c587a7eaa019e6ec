"""What ``aiobpf log`` does: lines to stdout as they come."""

from __future__ import annotations

import json
import logging
import math
import sys
from typing import TYPE_CHECKING

import anyio

from aiobpf.cli.formats import printable
from aiobpf.cli.selecting import select_program
from aiobpf.cli.styled import make_printer
from aiobpf.errors import SpecError
from aiobpf.stream import ProgramOutput, TracePipe

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from aiobpf.cli.styled import Part
    from aiobpf.stream import LogLine
    from aiobpf.stream.line_reader import LineReader

_STYLES = {logging.CRITICAL: "bold red", logging.ERROR: "red", logging.WARNING: "yellow", logging.DEBUG: "dim"}


async def show_log(options: argparse.Namespace) -> None:
    """Until ctrl-C, or the end of the duration; what was lost is told at the end."""
    duration = math.inf if options.duration is None else options.duration
    if not duration >= 0:
        raise SpecError("--duration is a number of seconds")
    least = logging.getLevelNamesMapping()[options.level.upper()]
    write = _json_writer() if options.json else _text_writer()
    if options.program is None:
        sources: dict[str, LineReader] = {"trace": TracePipe(only_programs=not options.all)}
        await _show(sources, write, least, duration)
        return
    async with await select_program(options.program) as program:
        await _show(
            {"stdout": ProgramOutput(program), "stderr": ProgramOutput(program, "stderr")}, write, least, duration
        )


async def _show(
    sources: dict[str, LineReader], write: Callable[[str, LogLine], None], least: int, duration: float
) -> None:
    async def follow(name: str, lines: LineReader) -> None:
        async with lines:
            async for line in lines:
                if line.level >= least:
                    write(name, line)

    try:
        with anyio.move_on_after(duration):
            async with anyio.create_task_group() as tasks:
                for name, lines in sources.items():
                    tasks.start_soon(follow, name, lines)
    finally:
        lost = sum(lines.lost for lines in sources.values())
        if lost:
            print(f"aiobpf: {lost:,} messages were lost", file=sys.stderr)


def _json_writer() -> Callable[[str, LogLine], None]:
    def write(name: str, line: LogLine) -> None:
        told = {
            "source": name,
            "level": logging.getLevelName(line.level).lower(),
            "message": line.message,
            "task": line.task,
            "pid": line.pid,
            "cpu": line.cpu,
            "time_ns": line.time_ns,
            "event": line.event,
        }
        print(json.dumps({key: value for key, value in told.items() if value is not None}), flush=True)

    return write


def _text_writer() -> Callable[[str, LogLine], None]:
    show = make_printer()

    def write(name: str, line: LogLine) -> None:
        parts: list[Part] = []
        if line.time_ns is not None:
            parts.append((f"{line.time_ns / 1e9:14.6f}  ", "dim"))
        if line.task is not None:
            where = f"{line.task}({line.pid})"
            parts.append((f"{printable(where):<22}  ", "cyan"))
        elif name == "stderr":
            parts.append(("stderr  ", "cyan"))
        style = _STYLES.get(line.level)
        text = printable(line.message)
        parts.append((text, style) if style else text)
        show(*parts)
        sys.stdout.flush()

    return write
