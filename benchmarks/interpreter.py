"""New interpreters, as an installed program has them."""

from __future__ import annotations

import os

from benchmarks.peers.build import WORK


def with_bytecode() -> dict[str, str]:
    """The environment, but for what would keep bytecode from being written, in the round that is not counted."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(WORK / "bytecode")}
