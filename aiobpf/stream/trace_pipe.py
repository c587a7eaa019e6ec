"""``trace_pipe``: where bpf_printk of all programs goes, and the trace events that somebody switched on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, final

from attrs import evolve

from aiobpf.errors import kernel_error
from aiobpf.kernel.tracefs import Tracefs
from aiobpf.kernel.worker import in_worker
from aiobpf.stream.line_reader import INTERVAL_S, LineReader
from aiobpf.stream.log_lines import leveled, lost_events, parse_trace_line

if TYPE_CHECKING:
    from aiobpf.kernel.fd import OwnedFd

_SIZE = 1 << 16
_PRINTK = "bpf_trace_printk"


@final
class TracePipe(LineReader):
    """What programs say with bpf_printk, line by line: ``async with TracePipe() as lines: async for line in lines``.

    There is one for the whole machine: what is read here, another reader (`bpftool prog tracelog`) does not get. A line
    of a message beyond the first is a `LogLine` of its own, from the same place. *only_programs*: leave out trace
    events that are not of a program. *instance*: a trace instance's pipe; bpf_printk never goes to one.

    It is looked at every *interval* seconds: poll(2) wakes a reader only when the buffer is half full
    (ring_buffer_poll_wait and buffer_percent, since 6.2), and a read that waits could not be cancelled.

    A message may begin with the kernel's "<4>" for its level. `lost` counts what was overwritten unread, as far as the
    kernel tells. MissingPrivilegeError, NotSupportedError where there is no tracefs.
    """

    def __init__(
        self, *, only_programs: bool = True, instance: str | None = None, interval: float = INTERVAL_S
    ) -> None:
        super().__init__("trace_pipe", interval)
        self._only_programs = only_programs
        self._instance = instance
        self._fd: OwnedFd | None = None
        self._last_is_shown = False

    async def _open(self) -> None:
        def open_pipe(instance: str | None = self._instance) -> OwnedFd:
            with Tracefs.open() as tracefs:
                return tracefs.open_pipe(instance)

        self._fd = await in_worker(open_pipe)

    def _close(self) -> None:
        if self._fd is not None:
            self._fd.close()

    def _read(self) -> str:
        assert self._fd is not None
        try:
            return os.read(self._fd.fileno(), _SIZE).decode(errors="replace")
        except BlockingIOError:
            return ""
        except OSError as error:
            raise kernel_error(error.errno or 0, "reading", "trace_pipe") from error

    def _add(self, line: str) -> None:
        lost = lost_events(line)
        if lost is not None:
            self.lost += lost
            return
        found = parse_trace_line(line)
        if found is not None:
            self._last_is_shown = not self._only_programs or found.event == _PRINTK
            if self._last_is_shown:
                self._last = found
                self._lines.append(found)
        elif line and self._last_is_shown and not line.startswith("#"):
            message, level = leveled(line, self._last.level)
            self._lines.append(evolve(self._last, message=message, level=level))
