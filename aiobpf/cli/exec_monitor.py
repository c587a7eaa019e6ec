"""How the bundled exec monitor's events look.

An exit comes without its argument vector (see exec_monitor.bpf.c); the execution that it ends is remembered here, so
that each record of an exit is complete: who ran what, how it ended and how long it took.
"""

from __future__ import annotations

import shlex
import signal
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from attrs import frozen

from aiobpf.cli.formats import Column, Row, duration, printable
from aiobpf.programs import arguments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EXEC, EXIT = 0, 1
REMEMBERED = 32768
"""As many executions as the program itself remembers (its map ``started``)."""

COLUMNS = (
    Column("TIME", width=12, spare=1),
    Column("EVENT", spare=3),
    Column("PID", is_number=True, width=7),
    Column("PPID", is_number=True, width=7, spare=2),
    Column("UID", is_number=True, width=5, spare=4),
    Column("COMM", width=15),
    Column("EXIT", width=7),
    Column("DURATION", is_number=True, width=8),
    Column("FILENAME", width=24, spare=5),
    Column("ARGV"),
)
_OF_EXIT = (1, 5, 6, 7)
"""The columns that an exit fills in on the row of its execution."""


@frozen
class Execution:
    filename: str
    argv: list[str]
    is_truncated: bool


class ExecFormat:
    """Exec and exit events, which share a row in a table and a schema in JSON."""

    def __init__(self) -> None:
        self._running: OrderedDict[int, Execution] = OrderedDict()
        # Since the monitor shows events as they happen, what the clocks differ by now is what they differed by then.
        self._epoch_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    @property
    def columns(self) -> Sequence[Column]:
        return COLUMNS

    def record(self, event: Any) -> Mapping[str, Any]:
        is_exit = event.kind == EXIT
        execution = self._execution(event)
        return {
            "kind": "exit" if is_exit else "exec",
            "time": self._time(event.time_ns),
            "pid": event.pid,
            "ppid": event.ppid,
            "uid": event.uid,
            "comm": event.comm,
            "filename": execution.filename if execution else None,
            "argv": execution.argv if execution else None,
            "argv_truncated": execution.is_truncated if execution else None,
            "exit_code": event.exit_code if is_exit else None,
            "signal": event.signal if is_exit else None,
            "core_dumped": event.core_dumped if is_exit else None,
            "duration_ns": event.duration_ns if is_exit else None,
        }

    def row(self, event: Any) -> Row:
        is_exit = event.kind == EXIT
        execution = self._execution(event)
        return Row(
            (
                self._clock(event.time_ns),
                "exit" if is_exit else "exec",
                str(event.pid),
                str(event.ppid),
                str(event.uid),
                printable(event.comm),
                how_it_ended(event) if is_exit else "",
                duration(event.duration_ns) if is_exit else "",
                printable(execution.filename) if execution else "",
                command_line(execution) if execution else "",
            ),
            key=event.pid,
            fills=_OF_EXIT if is_exit else (),
        )

    def _execution(self, event: Any) -> Execution | None:
        if event.kind == EXIT:
            return self._running.pop(event.pid, None)
        execution = Execution(event.filename, arguments(event.argv, event.argv_size), event.argv_truncated)
        self._running[event.pid] = execution
        self._running.move_to_end(event.pid)
        if len(self._running) > REMEMBERED:
            self._running.popitem(last=False)
        return execution

    def _time(self, time_ns: int) -> str:
        seconds, ns = divmod(self._epoch_ns + time_ns, 10**9)
        return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{ns // 1000:06}Z"

    def _clock(self, time_ns: int) -> str:
        seconds, ns = divmod(self._epoch_ns + time_ns, 10**9)
        return f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{ns // 10**6:03}"


def how_it_ended(event: Any) -> str:
    """The exit code, or the signal's name."""
    if not event.signal:
        return str(event.exit_code)
    try:
        name = signal.Signals(event.signal).name
    except ValueError:  # a real-time signal
        name = f"SIG{event.signal}"
    return f"{name}+core" if event.core_dumped else name


def command_line(execution: Execution) -> str:
    """What a shell would be given; dots where the kernel's had more."""
    return printable(shlex.join(execution.argv)) + (" ..." if execution.is_truncated else "")
