"""What was lost on the way: counted by the kernel for a perf buffer, by the program itself for a ring buffer.

A full ring buffer drops events without a trace in the kernel, so a program that cares counts them in a global variable.
One named ``lost_MAP`` or ``dropped_MAP`` is taken for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiobpf.cli.tally import Tally
    from aiobpf.collection import Collection
    from aiobpf.stream import PerfBuffer, RingBuffer

COUNTERS = ("lost_{}", "dropped_{}")


def count_losses(coll: Collection, streams: Mapping[str, RingBuffer[Any] | PerfBuffer[Any]], tally: Tally) -> None:
    """Bring the tally's losses up to date."""
    for name, stream in streams.items():
        tally.counts[name].lost = stream.stats.lost + counted(coll, name)


def counted(coll: Collection, name: str) -> int:
    total = 0
    for pattern in COUNTERS:
        variable = coll.variables.get(pattern.format(name))
        value = variable.value if variable is not None else 0
        if isinstance(value, int):
            total += value
    return total
