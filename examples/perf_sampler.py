"""What the CPUs are busy with: a program at each CPU's clock tick sends a sample through a perf buffer.

As root: ``python examples/perf_sampler.py --seconds 5 --frequency 99``
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from contextlib import suppress
from pathlib import Path

import aiobpf
from aiobpf.link import PerfEvent

OBJECT = Path(__file__).with_suffix(".bpf.o")


async def main(seconds: float, frequency: int) -> None:
    ticks: Counter[tuple[int, str]] = Counter()
    clock = PerfEvent(frequency=frequency)
    async with (
        aiobpf.load(OBJECT) as coll,
        coll.stream("samples", type="struct sample") as samples,
        coll.programs["on_tick"].attach(clock),
    ):
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for batch in samples.batches():
                    ticks.update((sample.pid, sample.comm) for sample in batch.records())
    total = ticks.total()
    for (pid, comm), count in ticks.most_common(10):
        print(f"{count / total:6.1%} {count:6} ticks  {pid:7} {comm}")
    print(f"{total} ticks, {samples.stats.lost} lost")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--frequency", type=int, default=99, metavar="HZ")
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(main(options.seconds, options.frequency))
