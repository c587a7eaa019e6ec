"""A program on a perf event: what kprobes, uprobes, tracepoints and sampling have in common."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError
from aiobpf.kernel import perf_events
from aiobpf.link.probe_mode import ProbeMode
from aiobpf.uapi import AttachType

if TYPE_CHECKING:
    from aiobpf.kernel import OwnedFd
    from aiobpf.link.attachment import Attachment
    from aiobpf.runtime.program import Program


def hang_on_event(
    attachment: Attachment, program: Program, event: OwnedFd, *, cookie: int, mode: ProbeMode, subject: str
) -> None:
    """Put *program* on *event*, which *attachment* owns already, and switch the event on.

    By a bpf link (5.15, b89fbfbb854c), else by the event's own ioctl. Raises NotSupportedError for a cookie or
    `ProbeMode.LINK` on a kernel that has no such link.
    """
    if mode in {ProbeMode.AUTO, ProbeMode.LINK}:
        try:
            link = kernel.link_create(program, event, AttachType.PERF_EVENT, cookie=cookie, subject=subject)
        except KernelError as error:
            # EINVAL is what a kernel without perf links says; where something else is wrong the ioctl says it again.
            if error.errno != errno.EINVAL:
                raise
            if mode is ProbeMode.LINK:
                raise NotSupportedError(f"{subject}: a bpf link over a perf event", "5.15") from error
        else:
            attachment.links.append(link)
            perf_events.enable(event, subject=subject)
            return
    if cookie:
        raise NotSupportedError(f"{subject}: a cookie", "5.15")
    perf_events.set_bpf(event, program, subject=subject)
    perf_events.enable(event, subject=subject)
