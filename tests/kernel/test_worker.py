"""The worker hop loses nothing, however its waiter ends."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aiobpf.kernel.fd import OwnedFd
from aiobpf.kernel.worker import WORKERS, close_in_worker, in_worker, worker_limiter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Work:
    """A blocking call that makes a descriptor when it is let go on, and says how far it is."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.go_on = threading.Event()
        self.finished = threading.Event()
        self.disposed: list[str] = []
        self.made: list[int] = []

    def __call__(self) -> OwnedFd:
        self.started.set()
        assert self.go_on.wait(10)
        owned = OwnedFd(os.open("/dev/null", os.O_RDONLY), "made by the worker")
        self.made.append(owned.fileno())
        self.finished.set()
        return owned

    def dispose(self, owned: OwnedFd) -> None:
        self.disposed.append(threading.current_thread().name)  # first: the tests look once it is closed
        owned.close()

    async def has_started(self) -> None:
        while not self.started.is_set():  # noqa: ASYNC110 set by a thread
            await anyio.sleep(0.001)

    def is_closed_soon(self) -> bool:
        """Whether what was made is closed within seconds."""
        until = time.monotonic() + 5
        while time.monotonic() < until:
            if self.finished.is_set() and not any(map(is_null, self.made)):
                return True
            time.sleep(0.005)
        return False


def is_null(fd: int) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{fd}") == "/dev/null"
    except OSError:
        return False


@pytest.fixture
def work() -> Iterator[Work]:
    work = Work()
    yield work
    work.go_on.set()
    gc.collect()  # a forgotten OwnedFd warns here, which is an error


@pytest.mark.everywhere
async def test_gives_the_result_and_the_exception(anyio_backend: object) -> None:
    loop_thread = threading.get_ident()
    assert await in_worker(lambda a, b: (a, b, threading.get_ident() != loop_thread), 1, "x") == (1, "x", True)

    def fail() -> None:
        raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing"):
        await in_worker(fail)


@pytest.mark.everywhere
async def test_a_cancelled_scope_waits_for_what_has_begun_and_gives_the_result(
    anyio_backend: object, work: Work
) -> None:
    got: list[OwnedFd] = []

    async def load() -> None:
        got.append(await in_worker(work))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(load)
        await work.has_started()
        tasks.cancel_scope.cancel()
        work.go_on.set()
    assert len(got) == 1
    got[0].close()


@pytest.mark.everywhere
async def test_a_scope_cancelled_before_prevents_the_start(anyio_backend: object, work: Work) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await in_worker(work)
    assert scope.cancelled_caught
    assert not work.started.is_set()


@pytest.mark.everywhere
@pytest.mark.parametrize("with_dispose", [True, False])
async def test_an_abandoned_result_is_disposed_of_by_the_worker(
    anyio_backend: object, work: Work, with_dispose: bool
) -> None:
    async def load() -> None:
        await in_worker(work, dispose=work.dispose if with_dispose else None, abandon_on_cancel=True)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(load)
        await work.has_started()
        tasks.cancel_scope.cancel()
    assert not work.finished.is_set()  # the waiter did not wait
    work.go_on.set()
    assert work.is_closed_soon()
    assert len(work.disposed) == with_dispose


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("with_dispose", [True, False])
@pytest.mark.asyncio
async def test_native_cancellation_leaves_nothing(work: Work, times: int, with_dispose: bool) -> None:
    task = asyncio.ensure_future(in_worker(work, dispose=work.dispose if with_dispose else None))
    await work.has_started()
    for _ in range(times):
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    work.go_on.set()
    assert work.is_closed_soon()
    assert len(work.disposed) == with_dispose


@pytest.mark.asyncio
async def test_native_cancellation_after_a_cancelled_scope_leaves_nothing(work: Work) -> None:
    async def load() -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            with anyio.CancelScope(shield=True):
                await in_worker(work, dispose=work.dispose)

    task = asyncio.ensure_future(load())
    await work.has_started()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    work.go_on.set()
    assert work.is_closed_soon()


@pytest.mark.asyncio
async def test_a_timeout_leaves_nothing(work: Work) -> None:
    deadline = asyncio.timeout(60)

    async def load() -> None:
        async with deadline:
            await in_worker(work, dispose=work.dispose)

    task = asyncio.ensure_future(load())
    await work.has_started()
    deadline.reschedule(asyncio.get_running_loop().time())
    with pytest.raises(TimeoutError):
        await task
    work.go_on.set()
    assert work.is_closed_soon()


@pytest.mark.asyncio
async def test_cancellation_between_the_result_and_its_taking_leaves_nothing(work: Work) -> None:
    task = asyncio.ensure_future(in_worker(work, dispose=work.dispose))
    await work.has_started()
    work.go_on.set()
    # The loop stands still until the worker has stored its result and asked the loop to wake the task ...
    assert work.finished.wait(5)
    time.sleep(0.05)
    task.cancel()  # ... so this comes first
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.is_closed_soon()
    assert work.disposed == ["aiobpf-handover"]


@pytest.mark.asyncio
async def test_no_moment_of_cancellation_leaks() -> None:
    """Cancelled after each of the loop's iterations in turn, from before the start until after the end."""

    def make() -> OwnedFd:
        return OwnedFd(os.open("/dev/null", os.O_RDONLY), "made by the worker")

    async def load() -> None:
        owned = await in_worker(make)
        owned.close()

    def nulls() -> int:
        return sum(is_null(int(fd)) for fd in os.listdir("/proc/self/fd"))

    before = nulls()
    for iterations in range(40):
        task = asyncio.ensure_future(load())
        for _ in range(iterations):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
    until = time.monotonic() + 5
    while nulls() != before and time.monotonic() < until:  # noqa: ASYNC110 closed by a thread
        await asyncio.sleep(0.01)
    assert nulls() == before
    gc.collect()


@pytest.mark.asyncio
async def test_an_exception_after_the_waiter_is_gone_is_dropped(work: Work) -> None:
    def fail() -> None:
        work.started.set()
        work.go_on.wait(10)
        work.finished.set()
        raise LookupError("nobody hears")

    task = asyncio.ensure_future(in_worker(fail))
    await work.has_started()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    work.go_on.set()
    assert work.finished.wait(5)


@pytest.mark.everywhere
async def test_closing_happens_in_a_cancelled_scope(anyio_backend: object) -> None:
    owned = OwnedFd(os.open("/dev/null", os.O_RDONLY), "to be closed")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await close_in_worker(None, owned)
        assert owned.is_closed


@pytest.mark.asyncio
async def test_closing_happens_though_the_task_is_cancelled_natively_before_it_starts() -> None:
    owned = OwnedFd(os.open("/dev/null", os.O_RDONLY), "to be closed")
    fd = owned.fileno()

    async def end() -> None:
        await close_in_worker(owned)

    for iterations in range(4):
        owned = OwnedFd(owned.detach() if not iterations else os.open("/dev/null", os.O_RDONLY), "to be closed")
        task = asyncio.ensure_future(end())
        await asyncio.sleep(0)
        for _ in range(iterations):
            await asyncio.sleep(0)
        task.cancel()
        task.cancel()
        await asyncio.wait([task])
        until = time.monotonic() + 5
        while not owned.is_closed and time.monotonic() < until:  # noqa: ASYNC110 closed by a thread
            await asyncio.sleep(0.005)
        assert owned.is_closed
    assert not is_null(fd)


@pytest.mark.everywhere
async def test_all_are_closed_though_one_fails(anyio_backend: object) -> None:
    closed: list[int] = []

    class Stubborn:
        def __init__(self, number: int) -> None:
            self.number = number

        def close(self) -> None:
            closed.append(self.number)
            if self.number != 1:
                raise OSError(self.number, "stubborn")

    with pytest.raises(OSError, match="stubborn") as caught:
        await close_in_worker(Stubborn(1), Stubborn(2), None, Stubborn(3))
    assert caught.value.errno == 2
    assert closed == [1, 2, 3]


@pytest.mark.everywhere
async def test_nothing_to_close_needs_no_thread(anyio_backend: object) -> None:
    await close_in_worker(None, None)
    await close_in_worker()


@pytest.mark.everywhere
async def test_workers_are_bounded_by_a_limiter_of_their_own(anyio_backend: object) -> None:
    limiter = worker_limiter()
    assert limiter is worker_limiter()
    assert limiter.total_tokens == WORKERS
    assert limiter is not anyio.to_thread.current_default_thread_limiter()
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, int(limiter.borrowed_tokens))
        time.sleep(0.01)

    async with anyio.create_task_group() as tasks:
        for _ in range(2 * WORKERS):
            tasks.start_soon(in_worker, look)
    assert most == WORKERS


@pytest.mark.everywhere
async def test_a_limiter_of_the_callers_is_used(anyio_backend: object) -> None:
    limiter = anyio.CapacityLimiter(1)
    assert await in_worker(lambda: limiter.borrowed_tokens, limiter=limiter) == 1


def test_when_no_thread_can_be_had_it_is_disposed_of_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiobpf.kernel import worker

    def refuse(self: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    ran: list[bool] = []
    start: Callable[[Callable[[], None]], None] = worker._in_thread
    start(lambda: ran.append(True))
    assert ran == [True]
