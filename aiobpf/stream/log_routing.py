"""From a stream of messages to the module logging."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from aiobpf.stream.log_lines import LogLine, logging_level

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

_LOGGER = "aiobpf.programs"


async def log_to(lines: AsyncIterable[Any], logger: logging.Logger | str = _LOGGER) -> None:
    """Give each message of *lines* to *logger*, until they end: as a task of its own.

    ``tasks.start_soon(log_to, lines, "my.programs")``. *lines*: a `TracePipe`, a `ProgramOutput`, or the stream of a
    ring buffer whose events have a ``message`` and perhaps a ``level`` of syslog's (0 to 7), as those of the header
    log_ring.h. What else is known of a message is an attribute of its LogRecord: ``bpf_pid``, ``bpf_cpu``,
    ``bpf_task``, ``bpf_time_ns``.
    """
    target = logging.getLogger(logger) if isinstance(logger, str) else logger
    async for line in lines:
        found = line if isinstance(line, LogLine) else _line_of(line)
        if target.isEnabledFor(found.level):
            told = {"pid": found.pid, "cpu": found.cpu, "task": found.task, "time_ns": found.time_ns}
            extra = {f"bpf_{name}": value for name, value in told.items() if value is not None}
            target.log(found.level, "%s", found.message, extra=extra)


def _line_of(event: Any) -> LogLine:
    level = getattr(event, "level", None)
    return LogLine(
        str(getattr(event, "message", event)),
        logging.INFO if level is None else logging_level(int(level)),
        pid=getattr(event, "pid", None),
        cpu=getattr(event, "cpu", None),
        time_ns=getattr(event, "time_ns", None),
    )
