"""A source that is opened by a worker thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobpf.kernel.fd import OwnedFd
    from aiobpf.stream.source import Source


@final
class SourceOpening:
    """A descriptor on its way to the worker thread that opens a source on it."""

    __slots__ = ("_fd", "_has_begun", "_opener")

    def __init__(self, fd: OwnedFd, opener: Callable[[OwnedFd], Source]) -> None:
        self._fd = fd
        self._opener = opener
        self._has_begun = False

    def run(self) -> Source:
        self._has_begun = True  # from here on the descriptor is the source's, whatever happens to the waiter
        return self._opener(self._fd)

    def give_up(self) -> None:
        if not self._has_begun:
            self._fd.close()
