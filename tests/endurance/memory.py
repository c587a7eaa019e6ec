"""This process's memory over time."""

from __future__ import annotations

import gc
import os
import sys

from attrs import field, frozen


def resident() -> int:
    """Bytes of resident memory of this process (proc(5), statm)."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@frozen
class Memory:
    """What is used at a moment."""

    rss: int = field(factory=resident)
    """Bytes of resident memory."""
    blocks: int = field(factory=sys.getallocatedblocks)
    """Blocks that Python's allocator has given out."""
    fds: int = field(factory=lambda: len(os.listdir("/proc/self/fd")) - 1)

    @classmethod
    def settled(cls) -> Memory:
        """After a collection of garbage."""
        gc.collect()
        return cls()

    def __str__(self) -> str:
        return f"{self.rss / (1 << 20):.1f} MiB resident, {self.blocks} blocks, {self.fds} descriptors"
