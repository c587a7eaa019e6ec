"""Waiting until a buffer has data, on whichever event loop runs.

The two loops differ in what a registration costs. asyncio and uvloop take a persistent one (1.7 and 0.4 us an event
against 13.6 and 8.3 for one made and undone by each wait), which must be taken back while nobody waits: a ring buffer's
fd stays readable, and the loop would call back without end. trio registers for one wake-up at a time.

A perf event's fd is another matter: asking whether it is readable makes it not so (perf_poll in kernel/events/core.c
swaps the ready bits with 0), and registering asks. A record that landed before would wait for the next one, so here
the order is always: arm, look, then sleep; and every *interval* a look, whatever the descriptor says.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Protocol, final

from aiobpf.kernel.event_loop import runs_on_trio

if TYPE_CHECKING:
    from collections.abc import Callable


class Readiness(Protocol):
    """One waiter at a time; all methods are called in the event loop's thread."""

    async def wait(self) -> bool:
        """Sleep until there is data, `wake` or the interval ends the sleep: True if the descriptor did."""
        ...

    async def pause(self, seconds: float) -> None:
        """Sleep that long, whatever the descriptor says; `wake` ends it."""
        ...

    async def checkpoint(self) -> None:
        """Let the event loop have a turn."""
        ...

    def wake(self) -> None:
        """End the sleep of the waiter, or the next one."""
        ...

    def close(self) -> None:
        """Give up the registration, and wake the waiter; before the descriptor is closed."""
        ...


def readiness(fd: int, has_data: Callable[[], bool], *, keeps_ready: bool, interval: float | None) -> Readiness:
    """For *fd* on the running event loop.

    *keeps_ready*: the descriptor stays readable until the data is taken (a ring buffer), unlike a perf event's.
    *interval*: seconds after which a sleep ends anyway, for data that nobody announces; None for never.
    """
    if runs_on_trio():
        return TrioReadiness(fd, has_data, keeps_ready=keeps_ready, interval=interval)
    return LoopReadiness(asyncio.get_running_loop(), fd, has_data, keeps_ready=keeps_ready, interval=interval)


@final
class LoopReadiness:
    """On asyncio and uvloop."""

    __slots__ = (
        "_by_fd",
        "_fd",
        "_has_data",
        "_interval",
        "_is_armed",
        "_is_closed",
        "_keeps_ready",
        "_loop",
        "_timer",
        "_waiter",
        "_woken",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fd: int,
        has_data: Callable[[], bool],
        *,
        keeps_ready: bool,
        interval: float | None,
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._has_data = has_data
        self._keeps_ready = keeps_ready
        self._interval = interval
        self._is_armed = False
        self._is_closed = False
        self._woken = False
        self._by_fd = False
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self) -> bool:
        if not self._is_armed and not self._is_closed:
            self._loop.add_reader(self._fd, self._on_readable)
            self._is_armed = True
            if not self._keeps_ready:
                # uvloop tells epoll in its next iteration: only after that does a look see all that came unannounced.
                await asyncio.sleep(0)
                if self._has_data():
                    return False
        if self._woken or self._is_closed:
            self._woken = False
            await asyncio.sleep(0)
            return False
        self._by_fd = False
        if self._interval is not None and self._timer is None:
            # One timer goes on through all waits of the interval: one for each wait would be most of its cost.
            self._timer = self._loop.call_later(self._interval, self._on_interval)
        await self._sleep()
        return self._by_fd

    async def pause(self, seconds: float) -> None:
        if self._woken or self._is_closed:
            self._woken = False
            await asyncio.sleep(0)
            return
        self._disarm()
        timer = self._loop.call_later(seconds, self._end_sleep)
        try:
            await self._sleep()
        finally:
            timer.cancel()

    async def checkpoint(self) -> None:
        await asyncio.sleep(0)

    async def _sleep(self) -> None:
        self._waiter = waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    def _end_sleep(self) -> bool:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return False
        waiter.set_result(None)
        return True

    def _on_readable(self) -> None:
        if self._waiter is None:
            # The consumer is busy with what it has. An fd that stays readable would have us called without end, one
            # that does not at every record: in either case the next wait arms it again.
            if self._has_data():
                self._disarm()
        elif self._has_data() and self._end_sleep():
            self._by_fd = True

    def _on_interval(self) -> None:
        self._timer = None
        self._end_sleep()

    def _disarm(self) -> None:
        if self._is_armed:
            self._is_armed = False
            self._loop.remove_reader(self._fd)

    def wake(self) -> None:
        if not self._end_sleep():
            self._woken = True

    def close(self) -> None:
        self._is_closed = True
        if not self._loop.is_closed():
            self._disarm()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._end_sleep()


@final
class TrioReadiness:
    """On trio."""

    __slots__ = ("_event", "_fd", "_has_data", "_interval", "_is_closed", "_keeps_ready", "_token", "_trio", "_woken")

    def __init__(self, fd: int, has_data: Callable[[], bool], *, keeps_ready: bool, interval: float | None) -> None:
        import trio

        self._trio = trio
        self._token = trio.lowlevel.current_trio_token()
        self._fd = fd
        self._has_data = has_data
        self._keeps_ready = keeps_ready
        self._interval = interval
        self._is_closed = False
        self._woken = False
        self._event: Any = None

    async def wait(self) -> bool:
        if self._woken or self._is_closed:
            self._woken = False
            await self._trio.lowlevel.checkpoint()
            return False
        if self._interval is None:
            return await self._wait()
        with self._trio.move_on_after(self._interval):
            return await self._wait()
        return False

    async def _wait(self) -> bool:
        if not self._keeps_ready:
            # Runs once this task sleeps, thus after trio has armed the descriptor.
            self._token.run_sync_soon(self._look, idempotent=True)
        try:
            await self._trio.lowlevel.wait_readable(self._fd)
        except self._trio.ClosedResourceError:  # our own `_end_sleep`
            self._woken = False
            return False
        return True

    async def pause(self, seconds: float) -> None:
        if self._woken or self._is_closed:
            self._woken = False
            await self._trio.lowlevel.checkpoint()
            return
        self._event = event = self._trio.Event()
        try:
            with self._trio.move_on_after(seconds):
                await event.wait()
        finally:
            self._event = None
            self._woken = False

    async def checkpoint(self) -> None:
        await self._trio.lowlevel.checkpoint()

    def _look(self) -> None:
        # It may come late, when the wait that asked for it is over: waking the next one is harmless, touching an fd
        # that is closed by now, and perhaps somebody else's, is not.
        if not self._is_closed and self._has_data():
            self._end_sleep()

    def _end_sleep(self) -> None:
        if self._event is not None:
            self._event.set()
        # Ends the waiter's sleep with ClosedResourceError; the fd can be waited for again.
        self._trio.lowlevel.notify_closing(self._fd)

    def wake(self) -> None:
        self._woken = True
        self._end_sleep()

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            with contextlib.suppress(RuntimeError):  # forgotten, and collected when trio had ended: nobody sleeps
                self._end_sleep()
