"""Which stream of this process has which map."""

from __future__ import annotations

import weakref
from typing import Any

from aiobpf.errors import SpecError

_users: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
"""Streams by the kernel's id of their map."""


def claim(map_id: int, stream: object, what: str, word: str = "read") -> None:
    """The positions of a ring, or the slots for perf events, belong to the map: two streams would take each other's.

    SpecError while another stream of this process has it.
    """
    if _users.setdefault(map_id, stream) is not stream:
        if not hasattr(_users[map_id], "open"):
            raise SpecError(
                f"{what}: arrays of leased batches of a stream that was closed still lie in it: let go of them"
            )
        one = "reader" if word == "read" else "producer"
        raise SpecError(f"{what} is {word} by another stream of this process: it has one {one} at a time")


def hand_over(map_id: int | None, heir: object) -> None:
    """Let *heir* have what a stream had that is no more, for as long as it lives."""
    if map_id is not None:
        _users[map_id] = heir


def unclaim(map_id: int | None, stream: object) -> None:
    """Let others have it."""
    if map_id is not None and _users.get(map_id) is stream:
        del _users[map_id]
