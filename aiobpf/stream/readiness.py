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
from typing import TYPE_CHECKING, Protocol, final

from aiobpf.kernel.event_loop import runs_on_trio
from aiobpf.kernel.timer import Timer
from aiobpf.stream.loop_waiter import LoopWaiter, may_step

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
        "_is_pausing",
        "_keeps_ready",
        "_loop",
        "_may_step",
        "_pause_timer",
        "_timer",
        "_waiter",
        "_watches_timer",
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
        self._may_step = may_step(loop)
        self._fd = fd
        self._has_data = has_data
        self._keeps_ready = keeps_ready
        self._interval = interval
        self._is_armed = False
        self._is_closed = False
        self._woken = False
        self._by_fd = False
        self._waiter: LoopWaiter | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pause_timer = Timer()
        self._watches_timer = False
        self._is_pausing = False

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
        self._waiter = waiter = LoopWaiter(self._loop)
        try:
            await waiter
        finally:
            self._waiter = None
        return self._by_fd

    async def pause(self, seconds: float) -> None:
        if self._woken or self._is_closed:
            self._woken = False
            await asyncio.sleep(0)
            return
        self._disarm()
        if not self._watches_timer:
            self._loop.add_reader(self._pause_timer.fileno(), self._on_pause_over)
            self._watches_timer = True
        self._pause_timer.start(seconds)
        self._waiter = waiter = LoopWaiter(self._loop)
        self._is_pausing = True
        try:
            await waiter
        finally:
            self._waiter = None
            self._is_pausing = False

    async def checkpoint(self) -> None:
        await asyncio.sleep(0)

    def _end_sleep(self) -> bool:
        return self._waiter is not None and self._waiter.end()

    def _end_in_callback(self) -> bool:
        if self._waiter is None:
            return False
        return self._waiter.end_in_callback() if self._may_step else self._waiter.end()

    def _on_readable(self) -> None:
        waiter = self._waiter
        if waiter is None:
            # The consumer is busy with what it has. An fd that stays readable would have us called without end, one
            # that does not at every record: in either case the next wait arms it again.
            # (A ring buffer's is readable for as long as leased batches are looked at, be there data or not.)
            if self._keeps_ready or self._has_data():
                self._disarm()
        elif self._may_step and self._keeps_ready:
            self._by_fd = True
            waiter.end_in_callback()
        elif self._has_data():  # else: called again, before the task that was woken took what there was
            self._by_fd = True
            waiter.end()

    def _on_interval(self) -> None:
        self._timer = None
        if not self._is_pausing:
            self._end_in_callback()

    def _on_pause_over(self) -> None:
        self._pause_timer.stop()  # else it would stay readable, and end the next pause too
        if self._is_pausing:
            self._end_in_callback()

    def _disarm(self) -> None:
        if self._is_armed:
            self._is_armed = False
            self._loop.remove_reader(self._fd)

    def wake(self) -> None:
        if not self._end_sleep():
            self._woken = True

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if not self._loop.is_closed():
            self._disarm()
            if self._watches_timer:
                self._loop.remove_reader(self._pause_timer.fileno())
        self._pause_timer.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._end_sleep()


@final
class TrioReadiness:
    """On trio."""

    __slots__ = (
        "_fd",
        "_has_data",
        "_interval",
        "_is_closed",
        "_is_pausing",
        "_keeps_ready",
        "_pause_timer",
        "_token",
        "_trio",
        "_woken",
    )

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
        self._pause_timer = Timer()
        self._is_pausing = False

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
        self._pause_timer.start(seconds)
        self._is_pausing = True
        try:
            await self._trio.lowlevel.wait_readable(self._pause_timer)
        except self._trio.ClosedResourceError:  # our own `_end_sleep`
            self._woken = False
        finally:
            self._is_pausing = False

    async def checkpoint(self) -> None:
        await self._trio.lowlevel.checkpoint()

    def _look(self) -> None:
        # It may come late, when the wait that asked for it is over: waking the next one is harmless, touching an fd
        # that is closed by now, and perhaps somebody else's, is not.
        if not self._is_closed and self._has_data():
            self._end_sleep()

    def _end_sleep(self) -> None:
        # Ends the waiter's sleep with ClosedResourceError; the fd can be waited for again.
        self._trio.lowlevel.notify_closing(self._pause_timer if self._is_pausing else self._fd)

    def wake(self) -> None:
        self._woken = True
        self._end_sleep()

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            with contextlib.suppress(RuntimeError):  # forgotten, and collected when trio had ended: nobody sleeps
                self._end_sleep()
            self._pause_timer.close()
