"""What a stream reads from: a kernel buffer mapped into this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import define

if TYPE_CHECKING:
    from aiobpf._native._lib import CData
    from aiobpf.stream.batch_memory import BatchMemory
    from aiobpf.stream.stats import StreamStats


@define
class Drained:
    """The outcome of one drain; its records lie in *memory*."""

    memory: CData
    count: int = 0
    room: int = 0
    """Bytes of *memory* that are used."""
    offsets: list[int] | None = None
    lengths: list[int] | None = None
    """Where records are and how long, when drained without a stride."""
    cpus: list[int] | None = None
    is_busy: bool = False
    """Stopped at a record that a program still writes."""
    is_short: bool = False
    """Stopped at a record shorter than the stride; it is still there, for a drain without stride."""
    has_skipped: bool = False
    """Nothing but discarded or lost records was met, yet the buffer is emptier than before."""


class Source(Protocol):
    """A mapped buffer. `drain` and `close` may run in different threads, one at a time."""

    keeps_ready: bool
    """Whether the descriptor stays readable until the data is taken."""

    def fileno(self) -> int:
        """The descriptor that tells when there is data."""
        ...

    def backlog(self) -> int:
        """Bytes that wait, headers included."""
        ...

    def has_data(self) -> bool:
        """Whether anything waits, be it a record that is still being written; False once closed."""
        ...

    def drain(self, stride: int, limit: int, room: int, memory: BatchMemory, stats: StreamStats) -> Drained:
        """Take up to *limit* records and *room* bytes: rows of *stride* bytes each, or with 0 records as they are."""
        ...

    def refresh(self) -> None:
        """What is worth doing about once a second: look for new CPUs."""
        ...

    def count_losses(self, stats: StreamStats) -> None:
        """Ask the kernel for losses that it has not told of in the buffer."""
        ...

    def close(self) -> None:
        """Unmap and close; it may block."""
        ...
