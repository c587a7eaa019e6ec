"""Keys and values that are descriptors, opened for one operation: the kernel keeps the object, not the number.

A storage of tasks takes a pidfd, one of files a file's descriptor, one of cgroups that of a directory; whoever gives a
process id or a path has none, so one is opened, used and closed.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, Protocol, final

from aiobpf.errors import CodecError, kernel_error
from aiobpf.kernel.elements import MapElements
from aiobpf.kernel.fd import OwnedFd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PIDFD_THREAD = os.O_EXCL  # 6.9: any thread, not only the first of a process
_INT = struct.Struct("=i")


@final
class OpenedFd(bytes):
    """The bytes of a key or value, and the descriptor that they are the number of."""

    owner: OwnedFd

    @classmethod
    def of(cls, owner: OwnedFd) -> OpenedFd:
        found = cls(_INT.pack(owner.fileno()))
        found.owner = owner
        return found


class HasDescriptor(Protocol):
    def fileno(self) -> int: ...


def descriptor_bytes(given: object, opens: Callable[[object], OwnedFd] | None, expected: str) -> bytes:
    """The bytes of *given*'s descriptor: what has ``fileno()``, or what *opens* opens. CodecError says what is taken.

    A bare number is a descriptor's, unless *opens* takes it for something else (a process id).
    """
    fileno = getattr(given, "fileno", None)
    if callable(fileno):
        return _INT.pack(fileno())
    if opens is not None:
        return OpenedFd.of(opens(given))
    if isinstance(given, int) and not isinstance(given, bool):
        try:
            return _INT.pack(given)
        except struct.error:
            pass
    raise CodecError(f"it takes {expected}, not {given!r}")


def open_task(given: object) -> OwnedFd:
    """A pidfd of the process, or (6.9) thread, of that id. KernelError (ESRCH) where there is none."""
    if not isinstance(given, int) or isinstance(given, bool):
        raise CodecError(f"it takes a process id or an object with the fileno() of a pidfd, not {given!r}")
    what = f"process {given}"
    try:
        return OwnedFd(os.pidfd_open(given), what)
    except OSError as error:
        failure = error
    if failure.errno in {errno.EINVAL, errno.ENOENT}:  # it leads no process: EINVAL, since 6.15 ENOENT
        try:
            return OwnedFd(os.pidfd_open(given, _PIDFD_THREAD), what)
        except OSError:
            hint = "It is the id of a thread: before Linux 6.9 only the process that it is in can be named"
            raise kernel_error(failure.errno or errno.EIO, "pidfd_open", what, hint) from failure
    raise kernel_error(failure.errno or errno.EIO, "pidfd_open", what) from failure


def open_file(given: object) -> OwnedFd:
    """The file at a path, without a right to read it; a number is a descriptor of the caller's."""
    return _open(given, os.O_PATH, "a path, an object with fileno(), or a descriptor's number")


def open_cgroup(given: object) -> OwnedFd:
    """The cgroup whose directory a path names; a number is a descriptor of the caller's."""
    return _open(given, os.O_RDONLY | os.O_DIRECTORY, "a cgroup's path, an object with fileno(), or a descriptor")


def _open(given: object, flags: int, expected: str) -> OwnedFd:
    if isinstance(given, int) and not isinstance(given, bool):
        return _duplicate(given)
    if not isinstance(given, (str, bytes, os.PathLike)):
        raise CodecError(f"it takes {expected}, not {given!r}")
    path: str | bytes = os.fspath(given)
    what = os.fsdecode(path)
    try:
        return OwnedFd(os.open(path, flags | os.O_CLOEXEC), what)
    except OSError as error:
        raise kernel_error(error.errno or errno.EIO, "open", what) from error


def _duplicate(fd: int) -> OwnedFd:
    from aiobpf.kernel.fd import duplicate

    return duplicate(fd, f"descriptor {fd}")


def close_opened(*given: bytes) -> None:
    """Close what was opened for a key or value."""
    for each in given:
        if isinstance(each, OpenedFd):
            each.owner.close()


class OpeningElements(MapElements):
    """Elements of a map whose keys or values may be opened for the operation: closed when that is done."""

    __slots__ = ()

    def lookup(self, key: bytes, flags: int = 0) -> bytes | None:
        try:
            return super().lookup(key, flags)
        finally:
            close_opened(key)

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        try:
            super().update(key, value, flags)
        finally:
            close_opened(key, value)

    def delete(self, key: bytes) -> bool:
        try:
            return super().delete(key)
        finally:
            close_opened(key)

    def lookup_and_delete(self, key: bytes = b"", flags: int = 0) -> bytes | None:
        """Look up, then delete: no storage does both in one step."""
        try:
            value = super().lookup(key, flags)
            return value if value is not None and super().delete(key) else None
        finally:
            close_opened(key)

    def update_many(self, items: Iterable[tuple[bytes, bytes]], flags: int = 0) -> int:
        """One by one, as they come: nothing is opened before its turn. Stops at the first failure."""
        count = 0
        for key, value in items:
            self.update(key, value, flags)
            count += 1
        return count

    def delete_many(self, keys: Iterable[bytes]) -> int:
        return sum([self.delete(key) for key in keys])
