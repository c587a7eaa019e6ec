"""How a uprobe gets onto a place in a file: found by name, then through the PMU or tracefs."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf.errors import KernelError, NotSupportedError, kernel_error
from aiobpf.kernel import perf_events
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.library_path import resolve_binary
from aiobpf.link.perf_link import hang_on_event
from aiobpf.link.probe_events import hang_on_probe_event
from aiobpf.link.probe_mode import ProbeMode
from aiobpf.link.uprobe_symbols import absolute_offset, function_offset
from aiobpf.symbols.archive import split_archive

if TYPE_CHECKING:
    from aiobpf.runtime.program import Program


@frozen
class UserProbe:
    """A place in an executable or library, as the user names it; see `aiobpf.link.Uprobe` for each field."""

    binary: str
    symbol: str
    offset: int
    pid: int | None
    ref_ctr_offset: int
    is_return: bool

    def __str__(self) -> str:
        word = "uretprobe" if self.is_return else "uprobe"
        place = self.symbol or hex(self.offset)
        if self.symbol and self.offset:
            place += f"+{self.offset:#x}"
        return f"{word} {self.binary}:{place}"


def attach_user_probe(probe: UserProbe, program: Program, cookie: int, mode: ProbeMode) -> Attachment:
    """Put *program* on *probe*; blocks. Raises as `aiobpf.link.Uprobe.attach_program` says."""
    path = resolve_binary(probe.binary, probe.pid)
    place = function_offset(path, probe.symbol, probe.offset) if probe.symbol else absolute_offset(path, probe.offset)
    path, _ = split_archive(path)
    subject = f"program {program.name!r} on {probe}"
    # Not 0: the kernel would take the worker thread that asks, which may end before the probe does.
    pid = -1 if probe.pid is None else probe.pid or os.getpid()
    try:
        return _attach(probe, path, place, pid, program, cookie, mode, subject)
    except KernelError as error:
        if error.errno == errno.ESRCH:
            raise kernel_error(errno.ESRCH, error.operation, subject, f"There is no process {pid}") from error
        if error.errno == errno.EINVAL and error.hint is None:
            raise kernel_error(
                errno.EINVAL,
                error.operation,
                subject,
                f"{path!r} has no code at {place:#x}, or its file system cannot be probed",
            ) from error
        raise


def _attach(
    probe: UserProbe, path: str, place: int, pid: int, program: Program, cookie: int, mode: ProbeMode, subject: str
) -> Attachment:
    with building() as attachment:
        if mode is not ProbeMode.TRACEFS:
            try:
                event = perf_events.open_uprobe(
                    os.fsencode(path),
                    place,
                    pid=pid,
                    is_return=probe.is_return,
                    semaphore=probe.ref_ctr_offset,
                    subject=subject,
                )
            except NotSupportedError:
                if mode is not ProbeMode.AUTO:
                    raise
            else:
                attachment.events.append(event)
                hang_on_event(attachment, program, event, cookie=cookie, mode=mode, subject=subject)
                return attachment
        if any(character.isspace() for character in path):
            raise NotSupportedError(f"{subject}: tracefs takes no path with a space ({path!r})")
        counter = f"({probe.ref_ctr_offset:#x})" if probe.ref_ctr_offset else ""
        hang_on_probe_event(
            attachment,
            program,
            "uprobe",
            f"{os.path.basename(path)}_{probe.symbol}",
            f"{path}:{place:#x}{counter}",
            is_return=probe.is_return,
            pid=pid,
            cookie=cookie,
            subject=subject,
        )
        return attachment
