"""`async for` over events that are there already: the step that C makes of it."""

from __future__ import annotations

import asyncio
import gc
import struct
import sys
import weakref
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Self

import anyio
import pytest

from aiobpf._native._objects import EventReader
from aiobpf.btf import codec

from .conftest import EVENT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.everywhere


def run_of(*numbers: int) -> Iterator[Any]:
    layout = codec(EVENT).event_layout
    assert layout is not None
    return layout.rows(b"".join(struct.pack("=Q56x", number) for number in numbers), len(numbers))


class Reader(EventReader):
    """Gives *runs* one after the other, with a pause before each."""

    def __init__(self, *runs: Iterator[Any]) -> None:
        self.runs = list(runs)
        self.pauses = 0

    def __aiter__(self) -> Self:
        return self

    async def _next_event(self) -> Any:
        while self.runs:
            await anyio.lowlevel.checkpoint()
            self.pauses += 1
            self._events = self.runs.pop(0)
            for event in self._events:
                return event
        raise StopAsyncIteration


async def numbers(reader: Reader) -> list[Any]:
    return [getattr(event, "number", event) async for event in reader]


async def test_it_gives_what_is_there_then_awaits_more() -> None:
    reader = Reader(run_of(1, 2), iter([]), iter([(3,), "four"]), run_of(), run_of(5))
    assert await numbers(reader) == [1, 2, (3,), "four", 5]
    assert reader.pauses == 5
    with pytest.raises(StopAsyncIteration):
        await anext(reader)
    assert await anext(reader, "none") == "none"


async def test_an_event_is_taken_when_it_is_awaited() -> None:
    reader = Reader(run_of(1, 2, 3))
    assert (await anext(reader)).number == 1
    dropped, first, second = anext(reader), anext(reader), anext(reader)
    del dropped
    assert (await second).number == 2
    assert (await first).number == 3
    with pytest.raises(RuntimeError, match="already awaited"):
        await first
    with pytest.raises(RuntimeError, match="already awaited"):
        first.send(None)


async def test_steps_that_are_awaited_when_nothing_is_left_await_more() -> None:
    reader = Reader(run_of(1, 2), run_of(3), run_of(4))
    await anext(reader)
    steps = [anext(reader) for _ in range(3)]
    assert [(await step).number for step in steps] == [2, 3, 4]


async def test_a_step_is_a_coroutine_to_tasks() -> None:
    reader = Reader(run_of(1, 2, 3), run_of(4))
    await anext(reader)
    found: list[int] = []

    async def take(step: Coroutine[Any, Any, Any]) -> None:
        found.append((await step).number)

    step = reader.__anext__()
    assert isinstance(step, Coroutine)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take, step)
        tasks.start_soon(take, reader.__anext__())
    assert sorted(found) == [2, 3]
    assert (await anext(reader)).number == 4


async def test_a_cancelled_step_loses_nothing() -> None:
    reader = Reader(run_of(1, 2), run_of(3))
    await anext(reader)
    step = reader.__anext__()
    with pytest.raises(KeyError):
        step.throw(KeyError("k"))
    closed = reader.__anext__()
    closed.close()
    assert (await anext(reader)).number == 2
    with anyio.CancelScope() as scope:
        scope.cancel()
        await anext(reader)
    assert (await anext(reader)).number == 3


async def test_a_step_in_the_middle_of_waiting_can_be_thrown_into_and_closed() -> None:
    reader = Reader(iter([1]), iter([2]), iter([3]))
    assert await anext(reader) == 1
    for end in ("throw", "close"):
        step = reader.__anext__()  # what is left of the iterator is not known: it finds out when awaited
        assert type(step).__name__ == "NextEvent"
        step.send(None)
        if end == "close":
            step.close()
        else:
            with pytest.raises(KeyError, match="k"):
                step.throw(KeyError("k"))
        with pytest.raises(RuntimeError, match="already awaited"):
            step.send(None)
    assert await numbers(reader) == [2, 3]


async def test_an_event_that_is_a_tuple_or_an_exception_comes_as_it_is() -> None:
    oddities = [(), (1, 2), KeyError("k"), StopIteration(3), None]
    assert [repr(each) for each in (await numbers(Reader(iter([0, *oddities]))))[1:]] == list(map(repr, oddities))
    reader = Reader(iter([0, *oddities]), iter([0, *oddities]))
    kept: list[Any] = []
    for _ in range(2):
        await anext(reader)
        for expected in oddities:
            step: Any = reader.__anext__()
            with pytest.raises(StopIteration) as stop:
                step.send(None) if len(kept) % 2 else next(step)
            assert repr(stop.value.value) == repr(expected)
            kept.append((stop.value, expected))
    assert [repr(stop.value) for stop, _ in kept] == [repr(expected) for _, expected in kept]


async def test_an_iterator_that_raises_goes_on_behind_it() -> None:
    reader = Reader(iter(map(int, ["1", "x", "3"])))
    assert await anext(reader) == 1
    with pytest.raises(ValueError, match="'x'"):
        await anext(reader)
    assert await numbers(reader) == [3]


async def test_steps_keep_no_reader_and_leak_nothing() -> None:
    reader = Reader(run_of(*range(300)))
    await anext(reader)
    before = sys.getallocatedblocks()
    for _ in range(290):
        await anext(reader)
    assert sys.getallocatedblocks() - before < 50
    kept = anext(reader)
    seen = weakref.ref(reader)
    del reader
    assert seen() is not None
    del kept
    assert seen() is None


def test_asyncio_takes_a_step_as_a_task_and_to_wait_for() -> None:
    async def main() -> list[int]:
        reader = Reader(run_of(1, 2, 3))
        await anext(reader)
        first = await asyncio.create_task(reader.__anext__())
        second = await asyncio.wait_for(anext(reader), 1)
        return [first.number, second.number]

    assert asyncio.run(main()) == [2, 3]
    gc.collect()
