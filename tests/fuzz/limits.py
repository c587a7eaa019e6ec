"""What one input may cost: a second of CPU time and 256 MiB."""

from __future__ import annotations

import resource
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 1.0
BYTES = 256 << 20


class TooSlowError(Exception):
    """An input took more CPU time than it may."""


@contextmanager
def limited_memory(limit: int = BYTES) -> Iterator[None]:
    """MemoryError for what would take more than *limit* bytes of address space beyond what is taken now.

    Address space, not pages: a promise of zeros that nobody touches counts, too.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def limited_time(limit: float = SECONDS) -> Iterator[None]:
    """TooSlowError after *limit* seconds of CPU time: a busy machine is no fault of an input."""
    start = time.thread_time()
    yield
    taken = time.thread_time() - start
    if taken > limit:
        raise TooSlowError(f"took {taken:.2f} s, not {limit:g}")


@contextmanager
def bounded() -> Iterator[None]:
    """Both limits."""
    with limited_memory(), limited_time():
        yield
