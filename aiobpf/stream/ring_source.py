"""A ring buffer map as mapped memory."""

from __future__ import annotations

import mmap
import threading
from typing import TYPE_CHECKING, final

from aiobpf._native import ffi, lib
from aiobpf.errors import ClosedError, SpecError, kernel_error
from aiobpf.kernel.info import map_info
from aiobpf.kernel.mapped import MappedMemory
from aiobpf.stream.batch_memory import index_arrays
from aiobpf.stream.source import Drained
from aiobpf.uapi import MapFlags

if TYPE_CHECKING:
    from aiobpf._native._lib import CData, IntArray
    from aiobpf.kernel.fd import OwnedFd
    from aiobpf.stream.batch_memory import BatchMemory
    from aiobpf.stream.stats import StreamStats

PAGE = mmap.PAGESIZE

INDEX_LIMIT = 1 << 16
"""Records whose offsets and lengths one drain notes, at most."""


@final
class RingSource:
    """The consumer's page, and behind the producer's page the data, mapped twice so that no record is cut in two.

    Linux 5.8; Documentation/bpf/ringbuf.rst. The consumer position is the map's: a ring has one reader.
    """

    keeps_ready = True

    def __init__(self, consumer: CData, producer: CData, size: int, fd: OwnedFd, *memories: MappedMemory) -> None:
        """*size* bytes of data; *memories* are what *consumer* and *producer* lie in, closed with this, as is *fd*."""
        self.overwrites = False
        """Whether producers overwrite the oldest records when the ring is full (BPF_F_RB_OVERWRITE)."""
        self._consumer: CData | None = consumer
        self._producer = producer
        self._size = size
        self._fd = fd
        self._memories = memories
        self._drained = ffi.new("struct ring_drained *")
        self._index: tuple[int, IntArray, IntArray] | None = None
        # A drain lets go of the GIL: unmapping meanwhile, from another thread, would be a segmentation fault.
        self._lock = threading.Lock()

    @classmethod
    def open(cls, fd: OwnedFd, size: int) -> RingSource:
        """Map the ring of *size* bytes (the map's max_entries); this owns *fd* from here on, also if it fails."""
        memories: list[MappedMemory] = []
        try:
            if size < PAGE or size & (size - 1):
                raise SpecError(f"{fd.what}: a ring buffer has a power of two of bytes, not {size}")
            memories.append(MappedMemory(fd, PAGE, writable=True))
            memories.append(MappedMemory(fd, PAGE + 2 * size, offset=PAGE))
            source = cls(memories[0].address, memories[1].address, size, fd, *memories)
            source.overwrites = bool(map_info(fd, subject=fd.what).flags & MapFlags.RB_OVERWRITE)
            return source
        except BaseException:
            for memory in memories:
                memory.close()
            fd.close()
            raise

    def fileno(self) -> int:
        return self._fd.fileno()

    def backlog(self) -> int:
        with self._lock:
            return lib.ring_backlog(self._open(), self._producer)

    def has_data(self) -> bool:
        with self._lock:
            return self._consumer is not None and lib.ring_backlog(self._consumer, self._producer) > 0

    def drain(self, stride: int, limit: int, room: int, memory: BatchMemory, stats: StreamStats) -> Drained:
        with self._lock:
            consumer = self._open()
            # What is there now, and a little for what comes meanwhile.
            room = max(min(room, lib.ring_backlog(consumer, self._producer) + 4096), stride)
            while True:
                taken = self._drain(consumer, stride, limit, room, memory, stats)
                result = self._drained
                if taken.count or not result.odd or (stride and not self.overwrites):
                    return taken
                room = result.odd_length  # one record larger than the budget: it is taken alone

    def _drain(
        self, consumer: CData, stride: int, limit: int, room: int, memory: BatchMemory, stats: StreamStats
    ) -> Drained:
        out = memory.take(room)
        taken = Drained(out)
        result = self._drained
        if stride and not self.overwrites:
            error = lib.ring_drain_fixed(consumer, self._producer, PAGE, self._size, stride, out, room, limit, result)
        else:
            limit, offsets, lengths = self._indices(limit, room)
            drain = lib.ring_drain_overwritten if self.overwrites else lib.ring_drain
            error = drain(consumer, self._producer, PAGE, self._size, out, room, offsets, lengths, limit, result)
            if result.records:
                taken.offsets = ffi.unpack(offsets, result.records)
                taken.lengths = ffi.unpack(lengths, result.records)
        taken.count = result.records
        taken.room = result.room
        taken.is_busy = bool(result.busy)
        taken.is_short = bool(stride and result.odd and not self.overwrites)
        taken.has_skipped = result.discarded > 0 or result.overwritten > 0
        stats.overwritten += result.overwritten
        stats.records += taken.count
        stats.bytes += result.bytes
        stats.discarded += result.discarded
        stats.high_water = max(stats.high_water, result.backlog)
        if error and not taken.count:  # what came before is good, and the next drain meets it again
            raise kernel_error(-error, "drain", self._fd.what, "its memory does not hold records of a ring buffer")
        return taken

    def _indices(self, limit: int, room: int) -> tuple[int, IntArray, IntArray]:
        limit = min(limit, room // 8 + 1, INDEX_LIMIT)
        if self._index is None or self._index[0] < limit:
            self._index = (limit, *index_arrays(limit))
        return limit, self._index[1], self._index[2]

    def refresh(self) -> None:
        """Nothing: there is one ring for all CPUs."""

    def count_losses(self, stats: StreamStats) -> None:
        """Nothing: the kernel does not count what a ring buffer had no room for."""

    def _open(self) -> CData:
        if self._consumer is None:
            raise ClosedError(f"the stream of {self._fd.what} is closed")
        return self._consumer

    def close(self) -> None:
        with self._lock:
            self._consumer = None
            for memory in self._memories:
                memory.close()
            self._fd.close()

    def __repr__(self) -> str:
        return f"<RingSource {self._fd.what}>"
