"""Blocking calls off the event loop, whose results cannot be lost.

Cancelling the wait for a thread that makes a descriptor leaks the descriptor in every form (measured:
abandon_on_cancel, asyncio.timeout, native task.cancel). Here the result has exactly one taker: the waiter, or, if the
waiter is gone, the worker thread that made it.
"""

from __future__ import annotations

import contextlib
import threading
from enum import Enum, auto
from typing import TYPE_CHECKING, Generic, TypeVar, TypeVarTuple, cast

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from aiobpf.kernel.fd import OwnedFd

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Closable(Protocol):
        def close(self) -> object: ...


T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

WORKERS = 8
"""Threads at once and loop, apart from anyio's own 40: a burst of detaching must not starve the user's threads."""

_limiter: RunVar[anyio.CapacityLimiter] = RunVar("aiobpf workers")


def worker_limiter() -> anyio.CapacityLimiter:
    """The limiter of this event loop for aiobpf's worker threads, made when first asked for."""
    try:
        return _limiter.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(WORKERS)
        _limiter.set(limiter)
        return limiter


async def in_worker(
    function: Callable[[*Arguments], T],
    *args: *Arguments,
    dispose: Callable[[T], object] | None = None,
    limiter: anyio.CapacityLimiter | None = None,
    shield: bool = False,
    abandon_on_cancel: bool = False,
) -> T:
    """Run ``function(*args)`` in a worker thread and return its result, or raise its exception.

    A cancelled scope prevents the start, but not a call that has begun: that one is waited for and its result returned,
    so the caller owns it unless it awaits something before it says so. With *abandon_on_cancel* the wait ends at once.

    If the waiter is gone before the result is there (abandoned, a native ``task.cancel()``, KeyboardInterrupt), the
    result goes to *dispose*, in a thread; without *dispose* an `OwnedFd` is closed and anything else dropped. The
    function's exception is dropped then, as nobody is left to hear it.

    *shield* is for what must happen, as closing: the function runs even where the waiter is cancelled already.
    *limiter* replaces the loop's own of `WORKERS` threads.
    """
    handover: _Handover[T] = _Handover(lambda: function(*args), dispose, must_run=shield)
    try:
        with anyio.CancelScope(shield=shield):
            await anyio.to_thread.run_sync(
                handover.run, limiter=limiter or worker_limiter(), abandon_on_cancel=abandon_on_cancel
            )
        return handover.take()
    except BaseException:
        handover.abandon()
        raise


async def close_in_worker(*closables: Closable | None, limiter: anyio.CapacityLimiter | None = None) -> None:
    """Close each in order, in one worker job that runs whatever happens to the caller; None is passed over.

    All are closed even if one raises; the first exception comes out.
    """
    if any(closable is not None for closable in closables):
        await in_worker(_close_all, closables, limiter=limiter, shield=True)


def _close_all(closables: tuple[Closable | None, ...]) -> None:
    failure: Exception | None = None
    for closable in closables:
        if closable is None:
            continue
        try:
            closable.close()
        except Exception as error:  # the others must be closed too
            failure = failure or error
    if failure is not None:
        raise failure


class _State(Enum):
    WAITING = auto()  # nobody has called the function yet
    RUNNING = auto()
    DONE = auto()  # the result is here, nobody has it
    TAKEN = auto()  # the waiter has it
    ABANDONED = auto()  # the waiter is gone: whoever makes the result disposes of it


class _Handover(Generic[T]):
    """One call, and its result on the way from the thread that makes it to the task that waits for it."""

    def __init__(self, function: Callable[[], T], dispose: Callable[[T], object] | None, *, must_run: bool) -> None:
        self._function = function
        self._dispose = dispose
        self._must_run = must_run
        self._lock = threading.Lock()
        self._state = _State.WAITING
        self._result: T | None = None

    def run(self) -> None:
        """In the worker: make the result."""
        with self._lock:
            if self._state is not _State.WAITING:
                return
            self._state = _State.RUNNING
        self._call()

    def _call(self) -> None:
        result = self._function()
        with self._lock:
            if self._state is _State.RUNNING:
                self._state, self._result = _State.DONE, result
                return
        self._drop(result)

    def take(self) -> T:
        """In the waiter: have the result. There is one, as `run` came back without an exception."""
        with self._lock:
            self._state = _State.TAKEN
            result, self._result = self._result, None
        return cast("T", result)

    def abandon(self) -> None:
        """In the waiter: it will not take the result. Harmless once the function has raised or the result is taken."""
        with self._lock:
            before = self._state
            if before is _State.TAKEN:
                return
            self._state = _State.ABANDONED
            result, self._result = self._result, None
        # Not in this thread, which is the event loop's: closing may block. A thread of our own, because the loop's
        # workers cannot be waited for here; not a daemon, so that the interpreter ends after it.
        if before is _State.DONE:
            _in_thread(lambda: self._drop(cast("T", result)))
        elif before is _State.WAITING and self._must_run:
            _in_thread(self._call)

    def _drop(self, result: T) -> None:
        if self._dispose is not None:
            self._dispose(result)
        elif isinstance(result, OwnedFd):
            result.close()


def _in_thread(function: Callable[[], None]) -> None:
    def quietly() -> None:
        with contextlib.suppress(Exception):  # the waiter is gone: there is nobody to tell
            function()

    thread = threading.Thread(target=quietly, name="aiobpf-handover", daemon=False)
    try:
        thread.start()
    except RuntimeError:  # no thread to be had, or the interpreter is ending: better a pause than a leak
        quietly()
