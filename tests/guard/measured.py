"""What is measured, and what a measurement says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

REPOSITORY = Path(__file__).parent.parent.parent
WORK = REPOSITORY / "tests" / ".work" / "guard"
"""What the tools wrote: kept until the next run, for whoever wants to know why."""

PATIENCE_S = 240
"""Ten times what the longest part takes."""

Numbers = dict[str, float]
"""By the name of what was counted."""


class MeasuringError(Exception):
    """A measurement that could not be made; it says what is missing, or what the process that measured wrote."""


def environment() -> dict[str, str]:
    """For a process that is measured: what would differ from one to the next is fixed."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(REPOSITORY),
    }


def run(module: str, *arguments: str, tool: Sequence[str] = (), fds: Sequence[int] = ()) -> str:
    """What ``python -m module arguments`` prints, run under *tool*; MeasuringError with its errors where it fails."""
    command = [*tool, sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(
            command,
            env=environment(),
            cwd=REPOSITORY,
            pass_fds=fds,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
    except subprocess.TimeoutExpired as error:
        raise MeasuringError(f"{' '.join(command)} did not end within {PATIENCE_S} s") from error
    if done.returncode:
        raise MeasuringError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout


def numbers(module: str) -> Numbers:
    """What *module*, run as a program, prints as JSON in its last line."""
    found: Numbers = json.loads(run(module).splitlines()[-1])
    return found
