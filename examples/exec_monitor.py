"""Every program that a process executes, and how it ended: `aiobpf run` in a few lines.

As root: ``python examples/exec_monitor.py``
"""

from __future__ import annotations

import asyncio
import shlex
from contextlib import suppress

import aiobpf
from aiobpf.programs import EXEC_MONITOR, arguments


async def main() -> None:
    async with aiobpf.load(EXEC_MONITOR) as coll, coll.stream("events") as events, coll.attach():
        async for event in events:
            if event.kind.name == "EXEC":
                line = f"uid {event.uid}  {shlex.join(arguments(event.argv, event.argv_size))}"
            elif event.signal:
                line = f"ended by signal {event.signal}"
            else:
                line = f"exit {event.exit_code} after {event.duration_ns / 1e6:.1f} ms"
            print(f"{event.pid:7} {event.ppid:7} {event.comm:15}  {line}", flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
