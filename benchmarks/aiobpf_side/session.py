"""The loop that answers commands."""

from __future__ import annotations

import platform
import sys
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import TYPE_CHECKING

from benchmarks import commands
from benchmarks.aiobpf_side import bulk, kernel_types, maps, objects, rings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.commands import Arguments

CASES: dict[str, Callable[[Arguments], Awaitable[dict[str, object]]]] = {
    "btf": kernel_types.find,
    "open": objects.open_object,
    "load": objects.load_object,
    "footprint": objects.footprint,
    "lookup": maps.lookup,
    "update": maps.update,
    "scan": maps.scan,
    "bulk-lookup": bulk.lookup,
    "bulk-update": bulk.update,
    "bulk-delete": bulk.delete,
}


async def serve(loop: str) -> None:
    """Answer until stdin ends. Nothing else runs in this process, so reading may block the event loop."""
    python = f"Python {platform.python_version()}, {loop}"
    commands.say({"side": "aiobpf", "version": version("aiobpf"), "compiler": python})
    async with AsyncExitStack() as stack:
        open_rings = rings.Rings(stack)
        cases = {**CASES, "ring": open_rings.drain, "wake": open_rings.wake, "live": open_rings.live}
        while line := sys.stdin.readline():
            case, arguments = commands.decode(line)
            if case not in cases:
                commands.say({"unsupported": True})
                continue
            try:
                answer = await cases[case](arguments)
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            commands.say(answer)
