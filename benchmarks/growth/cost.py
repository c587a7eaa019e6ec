"""CPU time of our own code: the least of several tries, with the kernel's part left out."""

from __future__ import annotations

import gc
import time
import tracemalloc
from typing import TYPE_CHECKING, Any, Final, final

from aiobpf.kernel import syscall

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

TRIES: Final = 7
LONG_ENOUGH_NS: Final = 1_500_000_000


@final
class InKernel:
    """While it is entered, counts the CPU time of this thread in bpf(2): verifying a program is not our cost."""

    def __init__(self) -> None:
        self._module: Any = syscall
        self._lib: Any = self._module.lib
        self.ns = 0

    def __enter__(self) -> InKernel:
        self._module.lib = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._module.lib = self._lib

    def sys_bpf(self, *arguments: Any) -> int:
        began = time.thread_time_ns()
        result: int = self._lib.sys_bpf(*arguments)
        self.ns += time.thread_time_ns() - began
        return result

    def sys_bpf_fd(self, *arguments: Any) -> int:
        began = time.thread_time_ns()
        result: int = self._lib.sys_bpf_fd(*arguments)
        self.ns += time.thread_time_ns() - began
        return result


def cpu_ns(work: Callable[[], object], after: Callable[[Any], object] | None = None) -> int:
    """The least CPU time of *work* in several tries; *after* is given its result, and not timed."""
    least = spent = 0
    for turn in range(TRIES):
        gc.collect()
        with InKernel() as kernel:
            began = time.thread_time_ns()
            made = work()
            whole = time.thread_time_ns() - began
        own = whole - kernel.ns
        if after is not None:
            after(made)
        del made
        least = own if turn == 0 else min(least, own)
        spent += whole
        if turn >= 2 and spent > LONG_ENOUGH_NS:
            break
    return least


@final
class HeldBytes:
    """While it is entered, Python's allocators count; `count` says what is held by then."""

    def __enter__(self) -> HeldBytes:
        gc.collect()
        tracemalloc.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        tracemalloc.stop()

    def count(self) -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]


def held_bytes(work: Callable[[], object]) -> int:
    """The bytes that what *work* returns holds, as Python's allocators count them."""
    work()  # what is made once a process is made now
    with HeldBytes() as held:
        made = work()
        count = held.count()
        del made
    return count
