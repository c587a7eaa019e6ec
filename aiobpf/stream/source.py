"""What a stream reads from: a kernel buffer mapped into this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import define

if TYPE_CHECKING:
    from aiobpf._native._lib import CData
    from aiobpf._native._objects import Lease
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


@define
class Leased:
    """The outcome of a look for records that stay where they are."""

    lease: Lease | None = None
    """*count* records of *length* bytes each, *stride* bytes apart, the first behind a header of 8 bytes."""
    count: int = 0
    length: int = 0
    stride: int = 0
    room: int = 0
    """Bytes that they take in the buffer."""
    is_busy: bool = False
    """Nothing there but a record that a program still writes."""
    is_short: bool = False
    """The next record is shorter than what was asked for; it is still there, for a drain."""


class Source(Protocol):
    """A mapped buffer. `drain` and `close` may run in different threads, one at a time."""

    keeps_ready: bool
    """Whether the descriptor stays readable until the data is taken."""

    @property
    def why_copied(self) -> str | None:
        """What stands against `lease`, if anything does."""
        ...

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

    @property
    def is_held(self) -> bool:
        """Whether records that were read are kept from the producers: the descriptor tells nothing then."""
        ...

    def lease(self, minimum: int, limit: int, room: int, stats: StreamStats) -> Leased:
        """Look at up to *limit* records of at least *minimum* bytes each where they are, *room* bytes of the buffer.

        LeaseError, and nothing is taken, where too much is held already.
        """
        ...

    def holder(self) -> object | None:
        """What lives as long as anything lies in the buffer that was handed out by `lease`; None where nothing does."""
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
