"""Descriptors with one owner."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Protocol, TypeAlias, final

from aiobpf._native import ffi, lib
from aiobpf.errors import ClosedError, kernel_error

if TYPE_CHECKING:
    from types import TracebackType

    from aiobpf._native._lib import IntArray

_close = lib.fd_close
_take = lib.fd_take


class HasFileno(Protocol):
    def fileno(self) -> int: ...


FdLike: TypeAlias = "int | HasFileno"
"""A descriptor to use, not to own: its number, or anything with ``fileno()`` (a Map, a Program, an OwnedFd)."""


def number(fd: FdLike) -> int:
    """The descriptor's number."""
    return fd if isinstance(fd, int) else fd.fileno()


@final
class OwnedFd:
    """A file descriptor that is closed once, by whoever comes first: `close`, or the garbage collector with a warning.

    *what* names the object in messages ("map 'events'"). The number lives in a C cell that the system call itself
    fills (`cell`), so an interrupt between the call and its caller loses nothing; taking it out is atomic, so threads
    may race to close.

    Closing can block for tens of milliseconds (a tracepoint link waits for RCU): `aiobpf.kernel.worker` has the way off
    the event loop. A number read with `fileno` is good as long as this object is open; another thread that closes it
    meanwhile lets the kernel hand out the number again, so close where nobody uses it any more.
    """

    __slots__ = ("__weakref__", "cell", "what")

    cell: IntArray
    what: str

    def __init__(self, fd: int = -1, what: str = "descriptor") -> None:
        """Take *fd* over; -1 makes an empty owner for a system call to fill."""
        self.cell = ffi.new("int *", fd)
        self.what = what

    def fileno(self) -> int:
        """The number. ClosedError once closed or handed out."""
        fd = self.cell[0]
        if fd < 0:
            raise ClosedError(f"{self.what} is closed")
        return fd

    @property
    def is_closed(self) -> bool:
        return self.cell[0] < 0

    def close(self) -> None:
        """Close it; once closed or handed out, nothing. Never raises: Linux frees the number whatever close(2) says."""
        _close(self.cell)

    def take(self) -> OwnedFd:
        """Move the descriptor into another owner; this one is closed from now on. An empty one if it was before."""
        taken = OwnedFd(what=self.what)
        lib.fd_move(self.cell, taken.cell)
        return taken

    def detach(self) -> int:
        """Hand the number out: closing it is the caller's from now on. ClosedError once closed."""
        fd = _take(self.cell)
        if fd < 0:
            raise ClosedError(f"{self.what} is closed")
        return fd

    def duplicate(self) -> OwnedFd:
        """Another descriptor of the same kernel object, with an owner of its own."""
        return duplicate(self, self.what)

    def __enter__(self) -> OwnedFd:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # An __init__ that failed leaves no cell; at interpreter exit the module's names may go before the last object.
        try:
            fd = _close(self.cell)
        except (AttributeError, TypeError):
            return
        if fd >= 0:
            warnings.warn(f"{self.what} was never closed (descriptor {fd})", ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        fd = self.cell[0]
        return f"<OwnedFd {self.what}: {'closed' if fd < 0 else fd}>"


def duplicate(fd: FdLike, what: str) -> OwnedFd:
    """Another descriptor of the same kernel object, with an owner of its own; *what* names it in messages."""
    copy = OwnedFd(what=what)
    error = lib.fd_duplicate(number(fd), copy.cell)
    if error:
        raise kernel_error(-error, "F_DUPFD_CLOEXEC", what)
    return copy
