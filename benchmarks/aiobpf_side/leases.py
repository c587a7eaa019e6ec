"""Batches that lie in the ring itself, where this aiobpf has them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from aiobpf import RingBuffer
from benchmarks.aiobpf_side.refusal import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable


def leased_batches(stream: RingBuffer[Any]) -> AsyncIterable[Any]:
    """``stream.batches(lease=True)``; UnsupportedError where it takes no such argument."""
    if "lease" not in inspect.signature(RingBuffer.batches).parameters:
        raise UnsupportedError
    batches: Any = stream.batches
    leased: AsyncIterable[Any] = batches(lease=True)
    return leased
