"""A side as a process: pinned, asked on stdin, answering on stdout."""

from __future__ import annotations

import json
import os
import select
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from attrs import frozen

from benchmarks import commands

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).parent.parent
TIMEOUT_S = 120.0


class SideError(Exception):
    """A side that does not answer, or not with what it should."""


@frozen
class Program:
    """How a side is started."""

    name: str
    command: tuple[str, ...]


@final
class Side:
    """A running side. ``with`` ends it."""

    def __init__(self, program: Program, cpu: int, fds: tuple[int, ...] = ()) -> None:
        """Start *program* on *cpu* alone, with the descriptors *fds* under the numbers that they have here."""
        self.program = program
        self._process = subprocess.Popen(
            program.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            pass_fds=fds,
            preexec_fn=lambda: os.sched_setaffinity(0, {cpu}),  # noqa: PLW1509 - this process has no other thread
        )
        self._rest = b""
        try:
            self.hello = self.read()
        except BaseException:
            self.close()
            raise

    def ask(self, case: str, arguments: dict[str, object]) -> dict[str, Any]:
        """The answer to a command; SideError if none comes. An answer may say ``error`` or ``unsupported``."""
        self.tell(case, arguments)
        return self.read()

    def tell(self, case: str, arguments: dict[str, object]) -> None:
        """Give a command whose answers the caller reads."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(commands.encode(case, arguments).encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise SideError(f"{self.program.name} has ended: status {self._process.wait()}") from None

    def read(self) -> dict[str, Any]:
        """The next answer."""
        assert self._process.stdout is not None
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._process.stdout], [], [], TIMEOUT_S)
            if not ready:
                raise SideError(f"{self.program.name} did not answer within {TIMEOUT_S:.0f} s")
            data = os.read(self._process.stdout.fileno(), 1 << 16)
            if not data:
                raise SideError(f"{self.program.name} has ended: status {self._process.wait()}")
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process, by the end of its input; by force if it does not go."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Side:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
