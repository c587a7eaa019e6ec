"""A user ring buffer map as mapped memory of its producer."""

from __future__ import annotations

import errno
import mmap
import threading
from typing import TYPE_CHECKING, final

from aiobpf._native import ffi, lib
from aiobpf.errors import ClosedError, SpecError
from aiobpf.kernel.mapped import map_shared

if TYPE_CHECKING:
    from aiobpf._native._lib import View
    from aiobpf.kernel.fd import OwnedFd

PAGE = mmap.PAGESIZE
HEADER_BYTES = 8


@final
class UserRingMemory:
    """The consumer's page, which the kernel lets nobody write, and the producer's page with the data behind it.

    The positions are in the map, so a ring that was used before goes on where it was. A lock makes writers of several
    threads wait for each other. Memory that was handed out stays mapped while somebody has it.
    """

    __slots__ = ("_consumer", "_data", "_fd", "_lock", "_offset", "_producer", "_view", "is_closed", "size")

    def __init__(self, fd: OwnedFd, size: int) -> None:
        """Map the ring of *size* bytes (the map's max_entries); this owns *fd* from here on, also if it fails."""
        self._fd = fd
        self.size = size
        self.is_closed = False
        self._lock = threading.Lock()
        self._offset = ffi.new("uint64_t[]", 1)
        try:
            self._consumer = ffi.from_buffer(map_shared(fd, PAGE))
            self._view: View = map_shared(fd, PAGE + 2 * size, offset=PAGE, writable=True)
            self._producer = ffi.from_buffer(self._view)
        except BaseException:
            fd.close()
            raise

    def fileno(self) -> int:
        return self._fd.fileno()

    @property
    def used(self) -> int:
        """Bytes that the program has not drained, headers included."""
        return lib.user_ring_used(self._consumer, self._producer)

    def write(self, data: bytes) -> bool:
        """Submit a record; False if there is no room now. SpecError if there never will be."""
        with self._lock:
            self._open()
            error = lib.user_ring_write(self._consumer, self._producer, PAGE, self.size, data, len(data))
        return self._had_room(error, len(data))

    def reserve(self, length: int) -> tuple[int, memoryview] | None:
        """(its place, its memory) of a record that is to be committed; None if there is no room now."""
        with self._lock:
            self._open()
            error = lib.user_ring_reserve(self._consumer, self._producer, PAGE, self.size, length, self._offset)
            if not self._had_room(error, length):
                return None
            offset = self._offset[0]
        start = PAGE + offset
        return offset, memoryview(self._view).cast("B")[start : start + length]

    def commit(self, offset: int, *, discard: bool) -> None:
        """Give the record to the program, or have it passed over. Also after `close`."""
        lib.user_ring_commit(self._producer, PAGE, offset, discard)

    def _had_room(self, error: int, length: int) -> bool:
        if error == -errno.E2BIG:
            most = self.size - HEADER_BYTES
            raise SpecError(f"{self._fd.what}: a record of {length} bytes never fits; it has room for {most}")
        return not error

    def _open(self) -> None:
        if self.is_closed:
            raise ClosedError(f"the stream to {self._fd.what} is closed")

    def close(self) -> None:
        """Close the descriptor; the memory goes with the last reference."""
        with self._lock:
            self.is_closed = True
            self._fd.close()
