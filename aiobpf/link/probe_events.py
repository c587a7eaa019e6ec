"""Probes made by name in tracefs (kprobe_events, uprobe_events): the way before 4.17, and still the only one to
max_active."""

from __future__ import annotations

import errno
import itertools
import os
import re
from typing import TYPE_CHECKING, Literal, final

from aiobpf.errors import KernelError, NotSupportedError
from aiobpf.kernel import perf_events
from aiobpf.kernel.tracefs import Tracefs
from aiobpf.link.perf_link import hang_on_event
from aiobpf.link.probe_mode import ProbeMode

if TYPE_CHECKING:
    from aiobpf.link.attachment import Attachment
    from aiobpf.runtime.program import Program

_GROUP = "aiobpf"
_MAX_NAME = 63  # MAX_EVENT_NAME_LEN with its NUL (kernel/trace/trace.h)
_numbers = itertools.count()


@final
class ProbeEvent:
    """One line of kprobe_events or uprobe_events. It outlives this process unless it is closed."""

    def __init__(self, kind: Literal["kprobe", "uprobe"], name: str) -> None:
        self.kind = kind
        self.name = name

    def close(self) -> None:
        """Take the line away; nothing if somebody did."""
        with Tracefs.open() as tracefs:
            try:
                tracefs.remove_probe(self.kind, _GROUP, self.name)
            except KernelError as error:
                if error.errno != errno.ENOENT:
                    raise

    def leak(self) -> None:
        """Leave it there."""


def hang_on_probe_event(
    attachment: Attachment,
    program: Program,
    kind: Literal["kprobe", "uprobe"],
    what: str,
    where: str,
    *,
    is_return: bool,
    max_active: int = 0,
    pid: int = -1,
    cookie: int,
    subject: str,
) -> None:
    """Make the probe *where* ("vfs_read+0", "/bin/bash:0x1234"), called after *what*, and put *program* on it.

    Raises NotSupportedError for a kernel without such probes, KernelError as the kernel answers the line.
    """
    # The process and a number: two probes of one function, here or in another process, are two events.
    tail = f"_{os.getpid()}_{next(_numbers)}"
    name = re.sub(r"[^A-Za-z0-9_]", "_", what)[: _MAX_NAME - len(tail)] + tail
    if name[0].isdigit():
        name = f"_{name}"[:_MAX_NAME]
    with Tracefs.open() as tracefs:
        try:
            number = tracefs.add_probe(kind, _GROUP, name, where, is_return=is_return, max_active=max_active)
        except KernelError as error:
            if error.errno == errno.ENOENT and error.operation == "opening":
                option = f"CONFIG_{kind.upper()}S"
                raise NotSupportedError(
                    f"{subject}: this kernel has no {kind}s",
                    hint=f"It is built without {option} or {option[:-1]}_EVENTS",
                ) from error
            raise
    attachment.undos.append(ProbeEvent(kind, name))
    event = perf_events.open_tracepoint(number, pid=pid, cpu=-1 if pid >= 0 else 0, subject=subject)
    attachment.events.append(event)
    hang_on_event(attachment, program, event, cookie=cookie, mode=ProbeMode.AUTO, subject=subject)
