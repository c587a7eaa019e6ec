"""Lines of the kernel's logs of programs: what they say, of which level, from where."""

from __future__ import annotations

import logging
import re
from typing import Final

from attrs import frozen

_TRACE: Final = re.compile(
    r"\s*(?P<task>.*?)-(?P<pid>\d+)\s+(?:\([\s\d-]*\)\s+)?\[(?P<cpu>\d+)\]\s+(?:(?P<flags>\S+)\s+)?"
    r"(?P<seconds>\d+)\.(?P<fraction>\d+):\s(?P<event>[\w.]+):\s?(?P<message>.*)"
)
_LOST: Final = re.compile(r"CPU:(\d+) \[LOST (\d+|EVENTS)[^\]]*\]")
_LEVEL: Final = re.compile(r"<([0-7])>")

# KERN_EMERG to KERN_DEBUG (include/linux/kern_levels.h), which syslog(3) has too.
_LOGGING: Final = (
    logging.CRITICAL,
    logging.CRITICAL,
    logging.CRITICAL,
    logging.ERROR,
    logging.WARNING,
    logging.INFO,
    logging.INFO,
    logging.DEBUG,
)


@frozen
class LogLine:
    """One message. What its source does not tell is None."""

    message: str
    level: int = logging.INFO
    """As the module logging has it."""
    task: str | None = None
    """comm of the thread that ran the program; at most 15 characters, "<...>" where the kernel no longer knew it."""
    pid: int | None = None
    cpu: int | None = None
    time_ns: int | None = None
    """Of the trace's clock: since boot, as a rule."""
    event: str | None = None
    """What wrote to the trace: "bpf_trace_printk"."""


def logging_level(number: int) -> int:
    """The level of logging for one of syslog's, 0 (the worst) to 7."""
    return _LOGGING[min(max(number, 0), 7)]


def leveled(message: str, default: int = logging.INFO) -> tuple[str, int]:
    """A message without the "<4>" that the kernel's own messages begin with, and the level that it stands for."""
    found = _LEVEL.match(message)
    return (message[found.end() :], logging_level(int(found[1]))) if found else (message, default)


def parse_trace_line(line: str) -> LogLine | None:
    """A line of trace_pipe; None for what is no event's (a comment, the second line of a message)."""
    found = _TRACE.fullmatch(line)
    if found is None:
        return None
    message, level = leveled(found["message"])
    return LogLine(
        message,
        level,
        found["task"].strip(),
        int(found["pid"]),
        int(found["cpu"]),
        int(found["seconds"]) * 10**9 + int(found["fraction"].ljust(9, "0")[:9]),
        found["event"],
    )


def lost_events(line: str) -> int | None:
    """How many events trace_pipe says were overwritten before they were read (1 where it gives no number)."""
    found = _LOST.match(line)
    if found is None:
        return None
    return int(found[2]) if found[2].isdigit() else 1
