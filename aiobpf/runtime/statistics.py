"""Run-time statistics of all programs, switched on for a while."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, final

from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError
from aiobpf.kernel.worker import in_worker
from aiobpf.runtime.attach import Opening

if TYPE_CHECKING:
    from types import TracebackType

    from aiobpf.kernel import OwnedFd


def enable_stats() -> Opening[RunTimeStatistics]:
    """``async with aiobpf.enable_stats():`` counts runs and run times of all programs in the kernel meanwhile.

    `Program.stats` reads them. They cost some 20 ns a run, system-wide, and count as long as anyone has them on.
    ``await`` gives the switch itself, which its `aclose` turns off. NotSupportedError before 5.8;
    MissingPrivilegeError without CAP_SYS_ADMIN.
    """
    return Opening(lambda: in_worker(_enable, dispose=RunTimeStatistics.close))


def _enable() -> RunTimeStatistics:
    try:
        return RunTimeStatistics(kernel.enable_stats())
    except KernelError as error:
        if error.errno == errno.EINVAL:
            hint = "sysctl kernel.bpf_stats_enabled=1 counts for as long as it is set"
            raise NotSupportedError("Statistics for as long as a descriptor is open", "5.8", hint) from error
        raise


@final
class RunTimeStatistics:
    """Holds the statistics on; who closes it lets go, and the last one turns them off."""

    __slots__ = ("_fd",)

    def __init__(self, fd: OwnedFd) -> None:
        self._fd = fd

    def close(self) -> None:
        """Close without waiting on the event loop; prefer `aclose`."""
        self._fd.close()

    async def aclose(self) -> None:
        """Let go; idempotent."""
        if not self._fd.is_closed:
            await kernel.close_in_worker(self._fd)

    async def __aenter__(self) -> RunTimeStatistics:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
