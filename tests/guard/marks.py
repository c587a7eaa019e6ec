"""The marks of marks.c for Python: which part of a process callgrind counts."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import final

from tests.guard.measured import WORK, MeasuringError

SOURCE = Path(__file__).parent / "marks.c"
LIBRARY = WORK / "marks.so"


def build() -> None:
    """Compile them. MeasuringError without a compiler or valgrind's header (Debian: gcc, valgrind)."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise MeasuringError("no C compiler (Debian: gcc)")
    WORK.mkdir(parents=True, exist_ok=True)
    command = [compiler, "-O2", "-shared", "-fPIC", str(SOURCE), "-o", str(LIBRARY)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise MeasuringError(f"{SOURCE.name} does not compile: {done.stderr}")


@final
class Marks:
    """For the process that is counted."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(str(LIBRARY))
        if not self._library.guard_is_counted():
            raise MeasuringError("this is for a process that runs under callgrind: python -m tests.guard instructions")

    def start(self) -> None:
        self._library.guard_start()

    def stop(self) -> None:
        self._library.guard_stop()

    def zero(self) -> None:
        """Count from here."""
        self._library.guard_zero()

    def dump(self, name: str) -> None:
        """Write what was counted, by that name, and count from here."""
        self._library.guard_dump(name.encode())
