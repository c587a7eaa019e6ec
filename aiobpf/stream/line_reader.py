"""Text lines out of a descriptor or a system call, as an asynchronous iterator."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Final, Self

import anyio

from aiobpf.errors import ClosedError, SpecError, StreamBusyError

if TYPE_CHECKING:
    from types import TracebackType

    from aiobpf.stream.log_lines import LogLine

INTERVAL_S: Final = 0.1
"""Nothing announces that there is more: it is looked at this often."""
LONGEST_LINE: Final = 1 << 16
"""Characters; a line that does not end is cut there."""


class LineReader(ABC):
    """What the kernel's text streams have in common. One task reads at a time.

    Open from entering ``async with`` until its end; lines that were read when it ends are given before.
    """

    def __init__(self, what: str, interval: float) -> None:
        if not interval > 0:
            raise SpecError(f"the interval of {what} has to be positive")
        self._what = what
        self._interval = interval
        self._closing = anyio.Event()
        self._lines: deque[LogLine] = deque()
        self._rest = ""
        self._is_open = False
        self._is_closed = False
        self._is_reading = False
        self.lost = 0
        """Messages that the kernel says it dropped."""

    async def __aenter__(self) -> Self:
        if self._is_closed or self._is_open:
            raise ClosedError(f"{self._what} was {'closed' if self._is_closed else 'opened'} already")
        await self._open()
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if getattr(self, "_is_open", False) and not self._is_closed:
            self._is_closed = True
            self._close()
            warnings.warn(f"{self._what} was never closed", ResourceWarning, stacklevel=2, source=self)

    async def aclose(self) -> None:
        """Close; again, nothing. A reader that waits comes to its end."""
        if not self._is_closed:
            self._is_closed = True
            self._closing.set()
            if self._is_open:
                self._close()

    def __aiter__(self) -> Self:
        if not self._is_open:
            raise ClosedError(f"{self._what} is not open yet: use it in 'async with'")
        return self

    async def __anext__(self) -> LogLine:
        if self._is_reading:
            raise StreamBusyError(f"{self._what} is being read by another task")
        self._is_reading = True
        try:
            while not self._lines:
                if self._is_closed:
                    raise StopAsyncIteration
                text = self._read()
                if text:
                    self._take(text)
                    await anyio.lowlevel.checkpoint()
                else:
                    with anyio.move_on_after(self._interval):
                        await self._closing.wait()
            return self._lines.popleft()
        finally:
            self._is_reading = False

    def drain(self) -> list[LogLine]:
        """All that is there now, without waiting."""
        if self._is_closed:
            raise ClosedError(f"{self._what} is closed")
        while text := self._read():
            self._take(text)
        found = list(self._lines)
        self._lines.clear()
        return found

    def _take(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        if len(self._rest) > LONGEST_LINE:
            lines.append(self._rest)
            self._rest = ""
        for line in lines:
            self._add(line[:LONGEST_LINE])

    @abstractmethod
    async def _open(self) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...

    @abstractmethod
    def _read(self) -> str:
        """What is there now, "" where nothing is; never waits."""
        ...

    @abstractmethod
    def _add(self, line: str) -> None:
        """Put what *line* says into `_lines`."""
        ...
