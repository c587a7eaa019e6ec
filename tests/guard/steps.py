"""How long the event loop is held at a time: the CPU time of the thread, which a busy machine does not lengthen."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio
from attrs import define

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterator

T = TypeVar("T")

MOST_MS = 5.0
ATTEMPTS = 3
"""CPU time grows too when another thread of the core takes the caches: only what is there each time is ours."""

LOOPS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


@define
class Steps:
    """What was seen of callbacks of an event loop."""

    longest_ns: int = 0
    """CPU time of the longest one, in ns."""
    longest_is: str = ""
    count: int = 0

    def add(self, took_ns: int, what: Callable[[], str]) -> None:
        self.count += 1
        if took_ns > self.longest_ns:
            self.longest_ns, self.longest_is = took_ns, what()

    @property
    def longest_ms(self) -> float:
        return self.longest_ns / 1e6


class Stepped(Generic[T]):
    """``await Stepped("reading", work, steps)`` is ``await work``, each step of it timed: a callback of the loop.

    *records* tells how many records were handed out so far; the most in one step becomes `most_records`.
    """

    def __init__(
        self, name: str, work: Coroutine[Any, Any, T], steps: Steps, records: Callable[[], int] = lambda: 0
    ) -> None:
        self._name = name
        self._work = work
        self._steps = steps
        self._records = records
        self.most_records = 0

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._work.__await__()
        step: Callable[[], Any] = partial(steps.send, None)
        while True:
            before, began = self._records(), time.thread_time_ns()
            try:
                asked = step()
            except StopIteration as end:
                result: T = end.value
                return result
            finally:
                self._steps.add(time.thread_time_ns() - began, lambda: f"a step of {self._name}")
                self.most_records = max(self.most_records, self._records() - before)
            try:
                answer = yield asked
            except BaseException as error:
                step = partial(steps.throw, error)
            else:
                step = partial(steps.send, answer)


@contextlib.contextmanager
def asyncio_callbacks(steps: Steps) -> Iterator[None]:
    """Time every callback of asyncio's own loops: tasks, descriptors, timers, whoever asked for them."""
    handle: Any = asyncio.Handle
    real = handle._run

    def run(self: Any) -> None:
        began = time.thread_time_ns()
        try:
            real(self)
        finally:
            steps.add(time.thread_time_ns() - began, lambda: repr(self))

    handle._run = run
    try:
        yield
    finally:
        handle._run = real


def run_on(loop: str, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run *main* on one of `LOOPS`."""
    backend, options = LOOPS[loop]
    return anyio.run(main, backend=backend, backend_options=options)


def check(measure: Callable[[], Steps]) -> None:
    """No callback may take `MOST_MS`, in at least one of `ATTEMPTS`."""
    attempts: list[str] = []
    while (steps := measure()).longest_ms >= MOST_MS:
        attempts.append(f"{steps.longest_is} took {steps.longest_ms:.1f} ms of CPU time")
        assert len(attempts) < ATTEMPTS, f"{MOST_MS} ms are allowed: {'; '.join(attempts)}"


@contextlib.contextmanager
def only_own_garbage() -> Iterator[None]:
    """A full collection goes through all that the test run has made, in whichever callback it comes: not in here."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
