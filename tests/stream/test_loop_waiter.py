"""A task stepped by the callback that ends its sleep is a task as any other."""

from __future__ import annotations

import asyncio
import contextvars
import os
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aiobpf.stream.loop_waiter import LoopWaiter, may_step
from aiobpf.stream.readiness import readiness

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from aiobpf.stream.readiness import Readiness

    Main = Callable[[], Coroutine[Any, Any, Any]]

NAME = contextvars.ContextVar[str]("NAME", default="nobody's")


def with_c_tasks(main: Main) -> Any:
    return asyncio.run(main())


def with_python_tasks(main: Main) -> Any:
    async def run() -> Any:
        loop = asyncio.get_running_loop()
        python_task: Any = asyncio.tasks._PyTask  # type: ignore[attr-defined]
        loop.set_task_factory(lambda loop, coroutine, **options: python_task(coroutine, loop=loop, **options))
        return await loop.create_task(main())

    return asyncio.run(run())


def with_eager_tasks(main: Main) -> Any:
    async def run() -> Any:
        factory: Any = getattr(asyncio, "eager_task_factory", None)  # 3.12
        if factory is not None:
            asyncio.get_running_loop().set_task_factory(factory)
        return await main()

    return asyncio.run(run())


def in_debug_mode(main: Main) -> Any:
    return asyncio.run(main(), debug=True)


def on_uvloop(main: Main) -> Any:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


@pytest.fixture(params=[with_c_tasks, with_python_tasks, with_eager_tasks, in_debug_mode, on_uvloop])
def run(request: pytest.FixtureRequest) -> Callable[[Main], Any]:
    found: Callable[[Main], Any] = request.param
    return found


class Signal:
    """A descriptor that is readable after `fire`, and the readiness of it."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.ready: Readiness | None = None

    def open(self) -> Readiness:
        self.ready = readiness(self.fd, self.has_data, keeps_ready=True, interval=None)
        return self.ready

    def has_data(self) -> bool:
        value = self.take()
        if value:
            os.eventfd_write(self.fd, value)
        return bool(value)

    def fire(self) -> None:
        os.eventfd_write(self.fd, 1)

    def take(self) -> int:
        try:
            return os.eventfd_read(self.fd)
        except BlockingIOError:
            return 0


@pytest.fixture
def signal() -> Iterator[Signal]:
    made = Signal()
    yield made
    if made.ready is not None:
        made.ready.close()
    os.close(made.fd)


def test_only_asyncios_own_loop_steps_tasks_in_callbacks_and_not_in_debug_mode() -> None:
    async def ask() -> bool:
        return may_step(asyncio.get_running_loop())

    assert with_c_tasks(ask)
    assert not in_debug_mode(ask)
    assert not on_uvloop(ask)


def test_the_step_runs_in_the_callback_itself() -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        seen = []
        waiter = LoopWaiter(loop)

        async def wait() -> None:
            await waiter
            seen.append("stepped")

        def end() -> None:
            assert waiter.end_in_callback()
            seen.append("ended")
            assert not waiter.end_in_callback()
            assert not waiter.end()

        task = loop.create_task(wait())
        await asyncio.sleep(0)
        loop.call_soon(end)
        await task
        return seen

    assert with_c_tasks(main) == ["stepped", "ended"]
    assert with_python_tasks(main) == ["stepped", "ended"]


def test_a_step_is_the_tasks_own_in_context_and_name(run: Callable[[Main], Any], signal: Signal) -> None:
    async def main() -> None:
        ready = signal.open()

        async def read(name: str) -> None:
            NAME.set(name)
            for _ in range(3):
                assert await ready.wait()
                signal.take()
                assert NAME.get() == name
                found = asyncio.current_task()
                assert found is not None
                assert found.get_name() == name

        task = asyncio.create_task(read("reader"), name="reader")
        for _ in range(3):
            await asyncio.sleep(0.002)
            signal.fire()
        await task
        assert NAME.get() == "nobody's"

    run(main)


def test_what_a_step_raises_is_the_tasks_result(run: Callable[[Main], Any], signal: Signal) -> None:
    async def main() -> None:
        ready = signal.open()

        async def read() -> None:
            await ready.wait()
            signal.take()
            raise LookupError("mine")

        task = asyncio.create_task(read())
        await asyncio.sleep(0.002)
        signal.fire()
        with pytest.raises(LookupError, match="mine"):
            await task

    run(main)


def test_what_ends_a_process_goes_out_of_the_loop(run: Callable[[Main], Any], signal: Signal) -> None:
    async def main() -> None:
        ready = signal.open()

        async def read() -> None:
            await ready.wait()
            signal.take()
            raise SystemExit(3)  # asyncio has one way for it and for KeyboardInterrupt

        task = asyncio.create_task(read())
        await asyncio.sleep(0.002)
        signal.fire()
        await asyncio.wait([task])
        await asyncio.sleep(5)
        raise AssertionError("the loop went on")

    with pytest.raises(SystemExit):
        run(main)


def test_a_sleep_is_cancelled_by_each_way_there_is(run: Callable[[Main], Any], signal: Signal) -> None:
    async def main() -> None:
        ready = signal.open()
        for sleep in (ready.wait, lambda: ready.pause(30)):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(sleep(), 0.002)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.002):
                    await sleep()
            with anyio.move_on_after(0.002) as scope:
                await sleep()
            assert scope.cancelled_caught
            task = asyncio.create_task(sleep())
            await asyncio.sleep(0.002)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(ExceptionGroup):
                await fail_beside(sleep)
        # Nothing of that is left over for the next one.
        task_of_wait = asyncio.create_task(ready.wait())
        await asyncio.sleep(0.002)
        assert not task_of_wait.done()
        signal.fire()
        assert await task_of_wait

    run(main)


def test_a_cancellation_and_data_at_once_leave_the_data(run: Callable[[Main], Any], signal: Signal) -> None:
    async def main() -> None:
        ready = signal.open()
        for _ in range(50):
            task = asyncio.create_task(ready.wait())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            signal.fire()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.wait_for(ready.wait(), 1)
            assert signal.take() == 1

    run(main)


async def fail_beside(sleep: Callable[[], Coroutine[Any, Any, object]]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(sleep())
        await asyncio.sleep(0.002)
        raise LookupError


@pytest.mark.everywhere
async def test_wake_and_close_end_a_pause_at_once(signal: Signal) -> None:
    ready = signal.open()
    for end in (ready.wake, ready.close):
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ready.pause, 60)
                await anyio.sleep(0.005)
                end()
    with anyio.fail_after(5):
        await ready.pause(60)  # closed: none any more


@pytest.mark.everywhere
async def test_a_pause_is_no_round_number_of_milliseconds(signal: Signal) -> None:
    import time

    ready = signal.open()
    took = []
    for _ in range(100):
        began = time.monotonic()
        await ready.pause(0.0003)
        took.append(time.monotonic() - began)
    assert 0.0003 <= min(took) < 0.001


@pytest.mark.everywhere
async def test_data_does_not_end_a_pause_and_what_ends_it_is_not_left_over(signal: Signal) -> None:
    ready = signal.open()
    signal.fire()
    await ready.pause(0.001)
    assert await ready.wait()
    signal.take()
    with anyio.move_on_after(0.02) as scope:
        await ready.wait()
    assert scope.cancelled_caught
