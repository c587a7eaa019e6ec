"""A program's own output and errors (6.17)."""

from __future__ import annotations

import logging
from typing import Literal, Protocol, final

from aiobpf.errors import SpecError
from aiobpf.kernel.program_output import STDERR, STDOUT, read_program_output
from aiobpf.kernel.worker import in_worker
from aiobpf.stream.line_reader import INTERVAL_S, LineReader
from aiobpf.stream.log_lines import LogLine, leveled

_STREAMS = {"stdout": (STDOUT, logging.INFO), "stderr": (STDERR, logging.ERROR)}


class Printing(Protocol):
    """What is needed of a program; `aiobpf.Program` has it."""

    @property
    def name(self) -> str: ...
    def fileno(self) -> int: ...


@final
class ProgramOutput(LineReader):
    """What *program* prints with bpf_stream_printk, line by line; on "stderr" the kernel adds its words on faults of an
    arena, on locks and loops that took too long, with a stack.

    ``async with ProgramOutput(program, "stderr") as lines: async for line in lines``. The kernel announces nothing: it
    is asked every *interval* seconds. It keeps 100,000 bytes; what does not fit it drops without a count. Lines of
    "stdout" are of level INFO, those of "stderr" of ERROR, unless they begin with the kernel's "<4>".

    NotSupportedError before 6.17, when it is opened.
    """

    def __init__(
        self, program: Printing, stream: Literal["stdout", "stderr"] = "stdout", *, interval: float = INTERVAL_S
    ) -> None:
        super().__init__(f"{stream} of program {program.name!r}", interval)
        if stream not in _STREAMS:
            raise SpecError(f"a program has stdout and stderr, not {stream!r}")
        self._program = program
        self._stream, self._level = _STREAMS[stream]

    async def _open(self) -> None:
        self._take(await in_worker(self._take_bytes))

    def _close(self) -> None:
        pass  # the program is not this one's

    def _take_bytes(self) -> str:
        return read_program_output(self._program, self._stream, subject=self._what).decode(errors="replace")

    def _read(self) -> str:
        return self._take_bytes()

    def _add(self, line: str) -> None:
        message, level = leveled(line, self._level)
        self._lines.append(LogLine(message, level))
