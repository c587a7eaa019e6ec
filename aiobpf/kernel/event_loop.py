"""Which event loop runs."""

from __future__ import annotations

import sys


def runs_on_trio() -> bool:
    """Whether the running task is trio's; asyncio's otherwise, uvloop included.

    Trio is asked first: in its guest mode both run in one thread, and asyncio sees its loop running.
    """
    if "trio" not in sys.modules:
        return False
    import trio

    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True
