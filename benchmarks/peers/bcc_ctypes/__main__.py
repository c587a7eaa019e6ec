"""``python -m benchmarks.peers.bcc_ctypes``: answers the harness on stdin and stdout."""

from __future__ import annotations

import platform
import sys

from benchmarks import commands
from benchmarks.peers.bcc_ctypes import bulk, live, maps, rings
from benchmarks.peers.bcc_ctypes.library import lib

CASES = {
    "ring": rings.drain,
    "wake": rings.wake,
    "live": live.live,
    "lookup": maps.lookup,
    "update": maps.update,
    "scan": maps.scan,
    "bulk-lookup": bulk.lookup,
    "bulk-update": bulk.update,
    "bulk-delete": bulk.delete,
}


def serve() -> None:
    """Answer until stdin ends."""
    libbpf = lib.libbpf_version_string().decode().removeprefix("v")
    commands.say(
        {"side": "BCC style", "version": f"libbpf {libbpf}", "compiler": f"Python {platform.python_version()}"}
    )
    while line := sys.stdin.readline():
        case, arguments = commands.decode(line)
        if case not in CASES:
            commands.say({"unsupported": True})
            continue
        try:
            answer = CASES[case](arguments)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        commands.say(answer)


if __name__ == "__main__":
    serve()
