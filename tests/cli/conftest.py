"""A run of the command in the background."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-X", "dev", "-W", "error", "-m", "aiobpf", "run"]
READY = "attached program 'on_exit'"
TIMEOUT_S = 60


class Running:
    """A run that has attached its programs; what it says on stderr goes to a file, which can be looked at meanwhile."""

    def __init__(self, stderr: Path, arguments: tuple[str, ...]) -> None:
        self._stderr = stderr
        with stderr.open("w") as file:
            self.process = subprocess.Popen(
                [*COMMAND, "-v", *arguments], stdout=subprocess.PIPE, stderr=file, text=True, bufsize=1
            )
        assert self.process.stdout is not None
        self.out = self.process.stdout

    def wait_until(self, ready: str) -> None:
        """Until it has said *ready* on stderr."""
        deadline = time.monotonic() + TIMEOUT_S
        while ready not in self.err:
            assert self.process.poll() is None, self.err
            assert time.monotonic() < deadline, self.err
            time.sleep(0.01)

    @property
    def err(self) -> str:
        return self._stderr.read_text()

    def next(self) -> Any:
        return json.loads(self.out.readline())

    def end(self, how: int = signal.SIGINT) -> tuple[str, str]:
        """Its last words on stdout, and all of stderr."""
        self.process.send_signal(how)
        out, _ = self.process.communicate(timeout=TIMEOUT_S)
        assert self.process.returncode == 0, self.err
        assert "Traceback" not in self.err
        return out, self.err


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """``start(*arguments, ready=...)``: a run in the background, killed after the test if it has not ended."""
    runs: list[Running] = []

    def start(*arguments: str, ready: str = READY) -> Running:
        runs.append(Running(tmp_path / f"stderr-{len(runs)}", arguments))
        runs[-1].wait_until(ready)
        return runs[-1]

    yield start
    for each in runs:
        each.process.kill()
        each.process.wait()
        each.out.close()
