"""BPF objects that come with aiobpf, and how to read what they report."""

from __future__ import annotations

import sys
from pathlib import Path

EXEC_MONITOR = Path(__file__).with_name("exec_monitor.bpf.o" if sys.byteorder == "little" else "exec_monitor.eb.bpf.o")
"""Every program that a process executes, and how that execution ended: the ring buffer ``events`` of ``struct event``.

Settings before load: ``only_uid`` (-1: everyone), ``min_duration_ns`` (exits of executions that took at least this
long). Live: ``enabled``; ``lost_events`` counts events that found no room.
"""


def arguments(argv: bytes, size: int) -> list[str]:
    """The argument vector as the kernel keeps it, *size* bytes of NUL-ended strings, as a list."""
    if not size:
        return []
    return [each.decode(errors="backslashreplace") for each in argv[:size].removesuffix(b"\0").split(b"\0")]
