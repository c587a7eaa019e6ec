"""Reading what an iterator writes, in worker threads."""

from __future__ import annotations

import errno
import os
import threading
import time
from typing import TYPE_CHECKING, Final, final

from aiobpf.errors import ClosedError, kernel_error

if TYPE_CHECKING:
    from aiobpf.kernel.fd import OwnedFd

READ_BYTES: Final = 64 << 10
"""The kernel's own buffer is 32 KiB (bpf_iter.c): a read gives no more than that, unless one object takes more."""

JOB_S: Final = 0.005
"""A job reads on until then, so that the hop to a thread (0.1 ms) is little beside it."""


@final
class RowReader:
    """The bytes of an iterator in order. What a job has read stays here, whether or not its waiter is still there.

    In a thread, since one read may run the program on a million objects that it writes nothing of: iter/ksym goes
    through 122,000 symbols in one.
    """

    __slots__ = ("_at_end", "_fd", "_is_closed", "_lock", "_pending")

    def __init__(self, fd: OwnedFd) -> None:
        """*fd* is owned from here on."""
        self._fd = fd
        self._pending = bytearray()
        self._at_end = False
        self._is_closed = False
        self._lock = threading.Lock()

    @property
    def what(self) -> str:
        return self._fd.what

    def read(self, most: int) -> bool:
        """Read until there are *most* bytes, the time is over or all objects are done; False in that last case."""
        with self._lock:
            until = time.monotonic() + JOB_S
            while not self._at_end and len(self._pending) < most:
                if self._is_closed:
                    raise ClosedError(f"{self.what} is closed")
                try:
                    data = os.read(self._fd.fileno(), READ_BYTES)
                except OSError as error:
                    # A million objects and nothing written: the kernel lets others run (bpf_seq_read).
                    if error.errno == errno.EAGAIN:
                        continue
                    raise kernel_error(error.errno or errno.EIO, "read", self.what) from None
                self._at_end = not data
                self._pending += data
                if time.monotonic() > until:
                    break
            return not self._at_end

    def take(self) -> bytearray:
        """What was read, which is gone from here."""
        with self._lock:
            taken, self._pending = self._pending, bytearray()
            return taken

    def give_back(self, rest: bytes) -> None:
        """The beginning of a row whose end is still to come."""
        with self._lock:
            self._pending[:0] = rest

    def close(self) -> None:
        """Waits for a read that is under way."""
        self._is_closed = True
        with self._lock:
            self._fd.close()
