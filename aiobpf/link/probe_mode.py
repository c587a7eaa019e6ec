"""The three ways to hang a program on a perf event, oldest last."""

from __future__ import annotations

from enum import Enum


class ProbeMode(Enum):
    """How a kprobe, uprobe or tracepoint is attached; all but AUTO are for tests and for odd kernels.

    AUTO takes the first that works. LINK (5.15) is a bpf link over a perf event: it has a cookie, and can be pinned.
    IOCTL puts the program on the perf event itself. TRACEFS makes the probe by name in kprobe_events or uprobe_events
    (before 4.17 there was no other way, and retprobes with *max_active* have none yet); such a probe is removed by
    `Link.aclose`, and outlives a crash.
    """

    AUTO = "auto"
    LINK = "link"
    IOCTL = "ioctl"
    TRACEFS = "tracefs"
