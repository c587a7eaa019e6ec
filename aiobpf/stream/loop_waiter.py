"""The future that a reader sleeps on, on asyncio and uvloop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context


def may_step(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether callbacks of *loop* may step a task themselves (`LoopWaiter.end_in_callback`).

    asyncio's own loops run the callbacks of descriptors as they run the wake-up of a task: from `_run_once`, out of
    which goes what a task may raise there (KeyboardInterrupt, SystemExit). uvloop swallows it in those of descriptors.
    In debug mode each step is to be a callback of its own, for the report of slow ones to name the task.
    """
    return isinstance(loop, asyncio.SelectorEventLoop) and not loop.get_debug()


@final
class LoopWaiter(asyncio.Future[None]):
    """A future that can step the task that waits for it within a callback of the loop.

    An ordinary one has the loop call the task's wake-up, thus go round once more: another epoll_wait(2), and half of
    what a wake-up takes in Python. In all else it is an ordinary one: cancelling, several waiters, `asyncio.shield`.
    """

    __slots__ = ("_callback", "_context")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._callback: Callable[[LoopWaiter], object] | None = None
        self._context: Context | None = None

    def add_done_callback(self, fn: Callable[[LoopWaiter], object], /, *, context: Context | None = None) -> None:
        if self._callback is None:
            self._callback, self._context = fn, context
        super().add_done_callback(fn, context=context)

    def end(self) -> bool:
        """End the sleep, from wherever; False if it is over."""
        if self.done():
            return False
        self.set_result(None)
        return True

    def end_in_callback(self) -> bool:
        """End the sleep and step the task at once, from a callback of the loop, where no task runs."""
        if self.done():
            return False
        callback, context = self._callback, self._context
        if callback is None or context is None or not self.remove_done_callback(callback):
            self.set_result(None)
        else:
            self._callback = self._context = None
            self.set_result(None)
            context.run(callback, self)
        return True
