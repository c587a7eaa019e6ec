"""The perf buffers of a perf event array: one for each CPU."""

from __future__ import annotations

import contextlib
import errno
import mmap
import select
import struct
import threading
from typing import TYPE_CHECKING, final

from attrs import define

from aiobpf._native import ffi, lib
from aiobpf.errors import ClosedError, KernelError, NotSupportedError, SpecError, kernel_error
from aiobpf.kernel.cpus import online_cpus
from aiobpf.kernel.elements import MapElements
from aiobpf.kernel.mapped import MappedMemory
from aiobpf.kernel.perf_events import enable, open_bpf_output, read_lost
from aiobpf.stream.batch_memory import index_arrays
from aiobpf.stream.source import Drained, Leased

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from aiobpf.kernel.fd import OwnedFd
    from aiobpf.stream.batch_memory import BatchMemory
    from aiobpf.stream.stats import StreamStats

PAGE = mmap.PAGESIZE

INDEX_LIMIT = 1 << 16
"""Records whose offsets and lengths one drain notes, at most."""


@define(eq=False)
class CpuBuffer:
    """One CPU's perf event and the memory it writes to."""

    cpu: int
    fd: OwnedFd
    memory: MappedMemory
    reported: int = 0
    """Losses that LOST records told of."""
    counted: int = 0
    """Losses as the kernel counts them (PERF_FORMAT_LOST), 0 where it does not."""

    def close(self) -> None:
        self.memory.close()
        self.fd.close()


@final
class PerfSource:
    """A perf event on each online CPU, in the map's slot of that number.

    All of them are in one epoll set, which is the descriptor to wait for. Which buffer woke us is never asked: asking
    consumes readiness, so every wake-up looks at all of them.
    """

    keeps_ready = False
    why_copied = "records of a perf buffer wrap around its end"

    def __init__(
        self,
        fd: OwnedFd,
        slots: int,
        *,
        pages: int,
        wakeup_events: int,
        cpus: Callable[[], Iterable[int]] = online_cpus,
    ) -> None:
        """For the perf event array *fd* of *slots* entries, owned from here on; `open_buffers` makes the buffers."""
        self._fd = fd
        self._slots = slots
        self._pages = pages
        self._wakeup_events = wakeup_events
        self._online = cpus
        self._elements = MapElements(fd, 4, 4, subject=fd.what)
        self._epoll: select.epoll | None = select.epoll()
        self._buffers: list[CpuBuffer] = []
        self._mapped = ffi.new("void *[]", 1)
        self._pending = ffi.new("uint32_t[]", 1)
        self._first = 0
        self._drained = ffi.new("struct perf_drained *")
        self._offsets, self._lengths = index_arrays(1)
        self._indexed = 1
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        fd: OwnedFd,
        slots: int,
        *,
        pages: int,
        wakeup_events: int = 1,
        cpus: Callable[[], Iterable[int]] = online_cpus,
    ) -> PerfSource:
        """Open a buffer of *pages* pages (a power of two) on every online CPU; all of them or none."""
        try:
            source = cls(fd, slots, pages=pages, wakeup_events=wakeup_events, cpus=cpus)
        except BaseException:
            fd.close()
            raise
        try:
            source.add_cpus()
            if not source._buffers:
                raise NotSupportedError(f"{fd.what}: no online CPU has one of its {slots} slots")
        except BaseException:
            source.close()
            raise
        return source

    # --- CPUs ---------------------------------------------------------------------------------------------------------

    @property
    def cpus(self) -> list[int]:
        """The CPUs that have a buffer."""
        return [buffer.cpu for buffer in self._buffers]

    def add_cpus(self) -> list[int]:
        """Open buffers on CPUs that are online and have none yet; which they are.

        The buffer of a CPU that went offline stays: what it holds is still to be read, and it may come back.
        """
        known = {buffer.cpu for buffer in self._buffers}
        added = []
        for cpu in self._online():
            if cpu in known or cpu >= self._slots:
                continue
            try:
                buffer = self._open_buffer(cpu)
            except KernelError as error:
                if error.errno == errno.ENODEV:  # it went offline since we asked
                    continue
                raise
            with self._lock:
                self._buffers.append(buffer)
                self._mapped = ffi.new("void *[]", [each.memory.address for each in self._buffers])
                self._pending = ffi.new("uint32_t[]", len(self._buffers))
            added.append(cpu)
        return added

    def _open_buffer(self, cpu: int) -> CpuBuffer:
        what = f"perf buffer of {self._fd.what} on CPU {cpu}"
        fd = open_bpf_output(cpu, wakeup_events=self._wakeup_events, subject=what)
        memory = None
        try:
            memory = MappedMemory(fd, (1 + self._pages) * PAGE, writable=True, what=what)
            # Its readiness is armed before the first record can come.
            self._poll().register(fd.fileno(), select.EPOLLIN)
            enable(fd, subject=what)
            self._elements.update(struct.pack("=I", cpu), struct.pack("=i", fd.fileno()))
        except BaseException:
            if memory is not None:
                memory.close()
            fd.close()
            raise
        return CpuBuffer(cpu, fd, memory)

    # --- reading ------------------------------------------------------------------------------------------------------

    def fileno(self) -> int:
        return self._poll().fileno()

    def backlog(self) -> int:
        with self._lock:
            self._poll()
            return sum(lib.perf_backlog(buffer.memory.address) for buffer in self._buffers)

    def has_data(self) -> bool:
        with self._lock:
            if self._epoll is None:
                return False
            return lib.perf_pending(self._mapped, len(self._buffers), self._pending) > 0

    def drain(self, stride: int, limit: int, room: int, memory: BatchMemory, stats: StreamStats) -> Drained:
        with self._lock:
            self._poll()
            waiting = list(self._waiting())
            available = sum(lib.perf_backlog(buffer.memory.address) for buffer in waiting)
            room = max(min(room, available), stride)
            while True:
                taken, too_long = self._drain(waiting, stride, limit, room, memory, stats)
                if not too_long:
                    return taken
                room = too_long  # one record larger than the budget: it is taken alone

    def _waiting(self) -> Iterator[CpuBuffer]:
        """The buffers with data, beginning with another one each time: a busy CPU must not use up every budget."""
        count = lib.perf_pending(self._mapped, len(self._buffers), self._pending)
        pending = ffi.unpack(self._pending, count) if count else []
        start = sum(index < self._first for index in pending)
        for index in pending[start:] + pending[:start]:
            yield self._buffers[index]
        self._first = (self._first + 1) % max(len(self._buffers), 1)

    def _drain(
        self, waiting: list[CpuBuffer], stride: int, limit: int, room: int, memory: BatchMemory, stats: StreamStats
    ) -> tuple[Drained, int]:
        """What was taken, or if nothing could be, the length of the record that *room* is too small for."""
        out = memory.take(room)
        taken = Drained(out, cpus=[])
        cpus, offsets, lengths = [], [], []
        result = self._drained
        too_long = 0
        failure = 0
        if not stride:
            limit = min(limit, room // 8 + 1, INDEX_LIMIT)
            if self._indexed < limit:
                self._offsets, self._lengths = index_arrays(limit)
                self._indexed = limit
        for buffer in waiting:
            error = lib.perf_drain(
                buffer.memory.address,
                PAGE,
                self._pages * PAGE,
                stride,
                ffi.addressof(out, taken.room) if taken.room else out,
                room - taken.room,
                ffi.NULL if stride else self._offsets,
                ffi.NULL if stride else self._lengths,
                ffi.NULL,
                limit - taken.count,
                result,
            )
            failure = failure or error
            count = result.records
            if count:
                cpus += [buffer.cpu] * count
                if not stride:
                    offsets += [taken.room + offset for offset in ffi.unpack(self._offsets, count)]
                    lengths += ffi.unpack(self._lengths, count)
            stats.bytes += result.bytes
            stats.high_water = max(stats.high_water, result.backlog)
            buffer.reported += result.lost
            if result.lost:
                self._note_lost(buffer, stats)
            taken.has_skipped = taken.has_skipped or bool(result.lost or result.other)
            taken.count += count
            taken.room += result.room
            if result.odd and stride and result.odd_length < stride:
                taken.is_short = True
            elif result.odd and taken.count == 0:
                too_long = result.odd_length
            if taken.count >= limit or (result.more and not taken.is_short):
                break
        stats.records += taken.count
        taken.cpus = cpus
        if not stride:
            taken.offsets, taken.lengths = offsets, lengths
        if failure and not taken.count:  # what came before is good, and the next drain meets it again
            raise kernel_error(-failure, "drain", self._fd.what, "its memory does not hold records of perf events")
        return taken, 0 if taken.count else too_long

    # --- losses -------------------------------------------------------------------------------------------------------

    def _note_lost(self, buffer: CpuBuffer, stats: StreamStats) -> None:
        lost = max(buffer.reported, buffer.counted)
        before = stats.lost_by_cpu.get(buffer.cpu, 0)
        if lost > before:
            stats.lost_by_cpu[buffer.cpu] = lost
            stats.lost += lost - before

    @property
    def is_held(self) -> bool:
        return False

    def lease(self, minimum: int, limit: int, room: int, stats: StreamStats) -> Leased:
        raise SpecError(self.why_copied)

    def holder(self) -> None:
        return None

    def refresh(self) -> None:
        """Open buffers on CPUs that came online."""
        self.add_cpus()

    def count_losses(self, stats: StreamStats) -> None:
        """The kernel tells of a loss in the buffer only once a later record finds room; since 6.0 it can be asked."""
        with self._lock:
            for buffer in self._buffers if self._epoll is not None else ():
                buffer.counted = read_lost(buffer.fd) or 0
                self._note_lost(buffer, stats)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _poll(self) -> select.epoll:
        if self._epoll is None:
            raise ClosedError(f"the stream of {self._fd.what} is closed")
        return self._epoll

    def close(self) -> None:
        with self._lock:
            epoll, self._epoll = self._epoll, None
            if epoll is None:
                return
            epoll.close()
            for buffer in self._buffers:
                # The slot holds the event: without this it would stay, and programs would write to it, as long as the
                # map's descriptor is open.
                with contextlib.suppress(KernelError):  # ENOENT: somebody else emptied it
                    self._elements.delete(struct.pack("=I", buffer.cpu))
                buffer.close()
            self._fd.close()

    def __repr__(self) -> str:
        return f"<PerfSource {self._fd.what} on {len(self._buffers)} CPUs>"
