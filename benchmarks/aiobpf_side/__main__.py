"""``python -m benchmarks.aiobpf_side [asyncio | uvloop | trio]``: answers the harness on stdin and stdout."""

from __future__ import annotations

import sys

import anyio

from benchmarks.aiobpf_side.session import serve

if __name__ == "__main__":
    loop = sys.argv[1] if len(sys.argv) > 1 else "asyncio"
    if loop == "uvloop":
        anyio.run(serve, loop, backend="asyncio", backend_options={"use_uvloop": True})
    else:
        anyio.run(serve, loop, backend=loop)
