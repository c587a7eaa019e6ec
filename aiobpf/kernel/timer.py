"""Timers that a program can wait for as for any descriptor: timerfd_create(2)."""

from __future__ import annotations

from typing import final

from aiobpf._native import lib
from aiobpf.errors import kernel_error
from aiobpf.kernel.fd import OwnedFd


@final
class Timer:
    """A timer of CLOCK_MONOTONIC, as precise as the kernel's: readable from its expiry until `start` or `stop`.

    Event loops wait for descriptors with epoll_wait(2), whose timeout is in milliseconds: a sleep of 0.2 ms by the
    loop's own timers takes a whole one (asyncio, trio) or none (uvloop).
    """

    __slots__ = ("_fd",)

    def __init__(self) -> None:
        """KernelError (EMFILE, ENFILE)."""
        self._fd = OwnedFd(what="timer")
        error = lib.sys_timerfd_create(self._fd.cell)
        if error < 0:
            raise kernel_error(-error, "timerfd_create", "timer", "a stream's pauses need a descriptor")

    def fileno(self) -> int:
        return self._fd.fileno()

    def start(self, seconds: float) -> None:
        """Expire once, so many seconds from now (0: at once)."""
        lib.sys_timerfd_settime(self._fd.fileno(), max(int(seconds * 1e9), 1))

    def stop(self) -> None:
        """Not to be readable, from now on."""
        lib.sys_timerfd_settime(self._fd.fileno(), 0)

    def close(self) -> None:
        self._fd.close()
