"""What becomes of many kernel functions on a kernel without a link for them."""

from __future__ import annotations

from enum import Enum


class MultiMode(Enum):
    """How one program is put on many kernel functions.

    One link costs milliseconds for thousands of functions and can be pinned. A kprobe each costs as much for every one
    of them, when it is made and when it is closed, and cannot; so it is done only where it is asked for.
    """

    LINK = "link"
    """One link (5.18); NotSupportedError where the kernel has none."""
    SINGLES = "singles"
    """A kprobe on each function, as `Kprobe` makes them (4.1)."""
    EITHER = "either"
    """The link, and kprobes where the kernel has none."""
