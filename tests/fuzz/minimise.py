"""The smallest inputs that together do all that a corpus does: which lines of aiobpf follow which."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiobpf

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from tests.fuzz.target import Target

Arc = tuple[str, int, int]
_PACKAGE = str(Path(aiobpf.__file__).parent)


def arcs_of(target: Target, data: bytes) -> set[Arc]:
    """(file, line, the line after it) of each step that *target* takes in aiobpf."""
    arcs: set[Arc] = set()

    def enter(frame: FrameType, _event: str, _argument: Any) -> Any:
        file = frame.f_code.co_filename
        if not file.startswith(_PACKAGE):
            return None
        last = 0

        def step(frame: FrameType, event: str, _argument: Any) -> Any:
            nonlocal last
            if event == "line":
                arcs.add((file, last, frame.f_lineno))
                last = frame.f_lineno
            return step

        return step

    sys.settrace(enter)
    try:
        target(data)
    finally:
        sys.settrace(None)
    return arcs


def minimise(target: Target, known: Iterable[bytes], inputs: Iterable[bytes], most_bytes: int) -> list[bytes]:
    """Those of *inputs* that do something which neither *known* nor a smaller one does, of *most_bytes* together."""
    seen: set[Arc] = set()
    for data in known:
        seen |= arcs_of(target, data)
    kept: list[bytes] = []
    left = most_bytes
    for data in sorted(set(inputs), key=lambda data: (len(data), data)):
        arcs = arcs_of(target, data)
        if not arcs <= seen and len(data) <= left:
            seen |= arcs
            left -= len(data)
            kept.append(data)
    return kept
