"""Where the CPUs spend their time: stacks, folded, one a line with how often it was met, as flame graphs are made of.

A process is captured when it is first met, so that what ended meanwhile has its names too.
As root: ``python examples/flame_graph.py --seconds 5 > stacks.folded``
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

import aiobpf
from aiobpf.errors import MapKeyError
from aiobpf.link import PerfEvent
from aiobpf.symbols import Frame, Symbolizer, folded

if TYPE_CHECKING:
    from aiobpf import Collection

OBJECT = Path(__file__).with_suffix(".bpf.o")


async def capture(symbolizer: Symbolizer, newcomers: Any) -> None:
    async for newcomer in newcomers:
        await symbolizer.capture(newcomer.pid)


async def frames(symbolizer: Symbolizer, coll: Collection, stack_id: int, pid: int | None) -> list[Frame]:
    if stack_id < 0:  # there was no such stack, or no room for it
        return []
    try:
        return await symbolizer.stack(coll.maps["stacks"], stack_id, pid=pid)
    except MapKeyError:
        return [Frame(0, "[lost]")]


async def main(seconds: float, frequency: int) -> None:
    async with aiobpf.load(OBJECT) as coll, Symbolizer() as symbolizer, coll.stream("newcomers") as newcomers:
        async with coll.programs["on_tick"].attach(PerfEvent(frequency=frequency)):
            with anyio.move_on_after(seconds):
                await capture(symbolizer, newcomers)
        lines: Counter[str] = Counter()
        for key, count in coll.maps["counts"].items():
            kernel = await frames(symbolizer, coll, key.kernel, None)
            user = await frames(symbolizer, coll, key.user, key.pid)
            lines[folded(kernel, user, root=key.comm)] += count
    for line, count in lines.most_common():
        print(line, count)
    print(f"{lines.total()} samples, {newcomers.stats.lost} newcomers missed", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--frequency", type=int, default=99, metavar="HZ")
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        anyio.run(main, options.seconds, options.frequency)
