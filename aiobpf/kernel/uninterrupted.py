"""Work of several awaits that is done to its end once it has begun."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import anyio

from aiobpf.kernel.event_loop import runs_on_trio

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


async def uninterrupted(work: Callable[[], Coroutine[object, object, T]]) -> T:
    """Await *work*; a cancellation meanwhile reaches the caller when it is over, and its outcome is dropped then.

    A shielded scope is enough for trio and for anyio's scopes. asyncio's own ``task.cancel()`` knows no shields: there
    the work is a task of its own, which nobody else can cancel.
    """
    with anyio.CancelScope(shield=True):
        if runs_on_trio():
            return await work()
        task = asyncio.ensure_future(work())
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            if not task.cancelled():
                task.exception()  # seen: asyncio complains of one that nobody asked for
            raise cancelled
        return task.result()
    raise AssertionError("a shielded scope is not left early")
