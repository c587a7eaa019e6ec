"""What fuzzing found: inputs that an error came out of that should not, or that took too long; one of each kind."""

from __future__ import annotations

import hashlib
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from tests.fuzz.target import Target


def place_of(error: BaseException) -> str:
    """What went wrong and where: inputs that agree in it have one cause."""
    frames = traceback.extract_tb(error.__traceback__)
    last = next((frame for frame in reversed(frames) if "/aiobpf/" in frame.filename), frames[-1])
    return f"{type(error).__name__} in {Path(last.filename).stem}.{last.name}:{last.lineno}"


@final
class Findings:
    """A directory with the smallest input for each place where something went wrong, and what it was."""

    def __init__(self, folder: Path, target: Target) -> None:
        self._folder = folder / target.name
        self._known: dict[str, int] = {}

    @property
    def places(self) -> list[str]:
        return list(self._known)

    def add(self, data: bytes, error: BaseException) -> None:
        place = place_of(error)
        if len(data) >= self._known.get(place, 1 << 62):
            return
        is_new = place not in self._known
        self._known[place] = len(data)
        self._folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha1(place.encode()).hexdigest()[:10]
        (self._folder / name).write_bytes(data)
        text = "".join(traceback.format_exception(error))
        (self._folder / f"{name}.txt").write_text(f"{place}\n\n{text}", encoding="utf-8", errors="backslashreplace")
        if is_new:
            print(f"FOUND {self._folder.name} {name}: {place}: {str(error)[:200]}", flush=True)
