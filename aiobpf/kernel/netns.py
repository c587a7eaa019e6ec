"""Network namespaces: a thread has one, and what it asks of the network is asked there.

A worker thread does not follow a setns() of the thread that hands it work, so what depends on the network namespace
takes the caller's along.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, final

from aiobpf.errors import kernel_error
from aiobpf.kernel.fd import number

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from aiobpf.kernel.fd import FdLike

_THIS_THREAD = "/proc/thread-self/ns/net"
_NAMED = "/run/netns"  # where ip-netns(8) binds those it names
_CLONE_NEWNET = 0x40000000


@final
class NetNamespace:
    """A network namespace, held open."""

    __slots__ = ("_fd", "what")

    def __init__(self, fd: int, what: str) -> None:
        """Take *fd* over."""
        self._fd: int | None = fd
        self.what = what

    @classmethod
    def of_this_thread(cls) -> Self:
        """The one that the calling thread is in."""
        return cls(_open(_THIS_THREAD, "the network namespace of this thread"), "the network namespace of this thread")

    @classmethod
    def open(cls, name: str | FdLike) -> Self:
        """By a path ("/proc/42/ns/net"), by a name of ip-netns(8), or by a descriptor, which stays the caller's.

        Raises KernelError (ENOENT, EBADF).
        """
        what = f"network namespace {name!r}"
        if not isinstance(name, str):
            try:
                return cls(os.dup(number(name)), what)
            except OSError as error:
                raise kernel_error(error.errno or errno.EIO, "dup", what) from error
        return cls(_open(name if "/" in name else f"{_NAMED}/{name}", what), what)

    @property
    def inode(self) -> int:
        """What the kernel knows it by: the number in ``net:[4026531840]``."""
        return os.stat(self.fileno()).st_ino

    def duplicate(self) -> NetNamespace:
        """The same namespace with an owner of its own, for another thread."""
        return NetNamespace(os.dup(self.fileno()), self.what)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Put the calling thread into the namespace while the context lasts.

        Raises MissingPrivilegeError (CAP_SYS_ADMIN) unless the thread is there already.
        """
        wanted = os.stat(self.fileno())
        own = os.open(_THIS_THREAD, os.O_RDONLY | os.O_CLOEXEC)
        try:
            now = os.stat(own)
            if (wanted.st_dev, wanted.st_ino) == (now.st_dev, now.st_ino):
                yield
                return
            _setns(self.fileno(), self.what)
            try:
                yield
            finally:
                _setns(own, "the network namespace that the thread came from")
        finally:
            os.close(own)

    def close(self) -> None:
        """Let go of it; idempotent."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def fileno(self) -> int:
        """The descriptor, for a system call that wants the namespace. ValueError once closed."""
        if self._fd is None:
            raise ValueError(f"{self.what} is closed")
        return self._fd

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def _open(path: str, what: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise kernel_error(error.errno or errno.EIO, "open", what) from error


def _setns(fd: int, what: str) -> None:
    import ctypes

    # os.setns is 3.12 and up.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, _CLONE_NEWNET) != 0:
        raise kernel_error(ctypes.get_errno(), "setns", what, "Entering a network namespace needs CAP_SYS_ADMIN")
