"""A ring buffer map as mapped memory."""

from __future__ import annotations

import mmap
import threading
from typing import TYPE_CHECKING, final

from aiobpf._native import ffi, lib
from aiobpf._native._objects import Leases
from aiobpf.errors import ClosedError, LeaseError, SpecError, kernel_error
from aiobpf.kernel.info import map_info
from aiobpf.kernel.mapped import MappedMemory
from aiobpf.stream.batch_memory import index_arrays
from aiobpf.stream.source import Drained, Leased
from aiobpf.uapi import MapFlags

if TYPE_CHECKING:
    from aiobpf._native._lib import CData, IntArray
    from aiobpf.kernel.fd import OwnedFd
    from aiobpf.stream.batch_memory import BatchMemory
    from aiobpf.stream.stats import StreamStats

PAGE = mmap.PAGESIZE

LEASE_PART = 4
"""A lease is of this part of the ring at most, so that producers have room while it is looked at."""

HELD_PART = 2
"""Where more than this part of the ring is held by arrays whose lease is over, there are no more leases."""

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
        # While anything handed out by `lease` is looked at, the reader's position is this word, ahead of the consumer's
        # page, which `Leases` alone writes then; else it is the consumer's page.
        self._own: IntArray = ffi.new("uint64_t *")
        self._is_ahead = False
        self._leases: Leases | None = None
        self._run = ffi.new("struct ring_run *")

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
            return lib.ring_backlog(self._position()[0], self._producer)

    def has_data(self) -> bool:
        with self._lock:
            return self._consumer is not None and lib.ring_backlog(self._position()[0], self._producer) > 0

    def drain(self, stride: int, limit: int, room: int, memory: BatchMemory, stats: StreamStats) -> Drained:
        with self._lock:
            consumer = self._position()[0]
            # What is there now, and a little for what comes meanwhile.
            room = max(min(room, lib.ring_backlog(consumer, self._producer) + 4096), stride)
            while True:
                taken = self._drain(consumer, stride, limit, room, memory, stats)
                result = self._drained
                if taken.count or not result.odd or (stride and not self.overwrites):
                    self._position()  # what was held when this began may be no longer: then nobody else gives it back
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

    @property
    def why_copied(self) -> str | None:
        return "producers overwrite records of this ring unread" if self.overwrites else None

    @property
    def is_held(self) -> bool:
        """Whether arrays of leases that are over lay in the ring at the last look, be it `has_data`.

        A commit wakes the reader only if the consumer position is at its record (bpf_ringbuf_commit), and the
        descriptor is readable as long as that position is not the producers': a wait would not end, or be none.
        """
        return self._is_ahead

    def lease(self, minimum: int, limit: int, room: int, stats: StreamStats) -> Leased:
        with self._lock:
            position, held = self._position()
            stats.held = max(stats.held, held)
            if held > self._size // HELD_PART:
                raise LeaseError(
                    f"{self._fd.what}: {held} of its {self._size} bytes are held by arrays of batches whose lease is "
                    "over: let go of them, or copy what is to be kept (batch.copy(), array.copy())"
                )
            run = self._run
            room = min(room, self._size // LEASE_PART)
            error = lib.ring_run(position, self._producer, PAGE, self._size, limit, room, run)
            stats.discarded += run.discarded
            stats.high_water = max(stats.high_water, run.backlog + held)
            if error:
                raise kernel_error(-error, "look", self._fd.what, "its memory does not hold records of a ring buffer")
            if not run.records:
                return Leased(is_busy=bool(run.busy))
            if run.length < minimum:
                return Leased(is_short=True)
            if self._leases is None:
                self._leases = self._make_leases()
            self._is_ahead = True
            lease = self._leases.take(run.start, run.records * run.stride)
            stats.records += run.records
            stats.leased += run.records
            stats.bytes += run.records * run.length
            return Leased(lease, run.records, run.length, run.stride, run.records * run.stride)

    def _make_leases(self) -> Leases:
        words = (self._open(), self._own, self._producer)
        consumer, own, producer = (int(ffi.cast("uintptr_t", word)) for word in words)
        return Leases(consumer, own, producer + PAGE, self._size, (words, self._memories))

    def _position(self) -> tuple[CData, int]:
        """Where the reader's position is, and the bytes before it that are held."""
        consumer = self._open()
        if self._is_ahead and self._leases is not None:
            held = self._leases.settle()
            if held:
                return self._own, held
            self._is_ahead = False
        return consumer, 0

    def holder(self) -> Leases | None:
        leases = self._leases
        return leases if leases is not None and leases.settle() else None

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
            if self.holder() is None:
                for memory in self._memories:
                    memory.close()
            self._memories = ()  # arrays that lie in it keep it mapped, and unmap it
            self._leases = None
            self._fd.close()

    def __repr__(self) -> str:
        return f"<RingSource {self._fd.what}>"
