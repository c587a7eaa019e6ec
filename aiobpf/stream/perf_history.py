"""The last events of each CPU, read when something has happened."""

from __future__ import annotations

import struct
import threading
import warnings
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, final, overload

from attrs import define

from aiobpf._native import ffi, lib
from aiobpf.errors import ClosedError, KernelError, NotSupportedError, SpecError
from aiobpf.kernel.cpus import online_cpus
from aiobpf.kernel.elements import MapElements
from aiobpf.kernel.fd import OwnedFd, duplicate
from aiobpf.kernel.info import map_info
from aiobpf.kernel.mapped import MappedMemory
from aiobpf.kernel.perf_events import enable, open_bpf_output, pause_output
from aiobpf.kernel.worker import close_in_worker, in_worker
from aiobpf.stream.backward_records import Backward
from aiobpf.stream.batch import Batch, join
from aiobpf.stream.event_type import EventMap, resolve_event_type
from aiobpf.stream.perf_source import PAGE
from aiobpf.stream.readers import claim, unclaim
from aiobpf.stream.scoped import Scoped
from aiobpf.stream.short_records import batches_of
from aiobpf.stream.source import Drained
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    import builtins

    from aiobpf.btf import Type

T = TypeVar("T")

DATA_HEAD = 1024  # struct perf_event_mmap_page


@define(eq=False)
class _CpuHistory:
    cpu: int
    fd: OwnedFd
    memory: MappedMemory
    before: int = 0

    def copy(self, size: int) -> Backward:
        """What it holds, copied while nothing is written."""
        pause_output(self.fd, is_paused=True, subject=self.fd.what)
        try:
            view = ffi.buffer(self.memory.address, PAGE + size)
            (head,) = struct.unpack("=Q", view[DATA_HEAD : DATA_HEAD + 8])
            lib.fence()  # the position before what lies behind it, as the kernel wrote them the other way round
            data = view[PAGE : PAGE + size]
        finally:
            pause_output(self.fd, is_paused=False, subject=self.fd.what)
        before, self.before = self.before, head
        return Backward(data, head, before)


@final
class _Histories:
    """The buffers of all CPUs, in the slots of the map; every method but `close` in a worker thread."""

    def __init__(self, fd: OwnedFd, slots: int, pages: int) -> None:
        """*fd* is owned from here on, also if this fails."""
        self._fd = fd
        self._size = pages * PAGE
        self._elements = MapElements(fd, 4, 4, subject=fd.what)
        self._buffers: list[_CpuHistory] = []
        self._lock = threading.Lock()
        self._is_closed = False
        try:
            for cpu in online_cpus():
                if cpu < slots:
                    self._add(cpu)
            if not self._buffers:
                raise NotSupportedError(f"{fd.what}: no online CPU has one of its {slots} slots")
        except BaseException:
            self.close()
            raise

    def _add(self, cpu: int) -> None:
        what = f"perf buffer of {self._fd.what} on CPU {cpu}"
        with ExitStack() as undo:
            fd = open_bpf_output(cpu, is_backward=True, subject=what)
            undo.callback(fd.close)
            memory = MappedMemory(fd, PAGE + self._size, what=what)  # read-only: what makes it overwrite
            undo.callback(memory.close)
            enable(fd, subject=what)
            self._elements.update(struct.pack("=I", cpu), struct.pack("=i", fd.fileno()))
            undo.pop_all()
        self._buffers.append(_CpuHistory(cpu, fd, memory))

    def take(self) -> list[tuple[int, Backward]]:
        with self._lock:
            if self._is_closed:
                raise ClosedError(f"the history of {self._fd.what} is closed")
            return [(buffer.cpu, buffer.copy(self._size)) for buffer in self._buffers]

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            for buffer in self._buffers:
                with suppress(KernelError):  # ENOENT: somebody else emptied the slot
                    self._elements.delete(struct.pack("=I", buffer.cpu))
                buffer.memory.close()
                buffer.fd.close()
            self._buffers.clear()
            self._fd.close()


@final
class PerfHistory(Scoped, Generic[T]):
    """The newest events of a BPF_MAP_TYPE_PERF_EVENT_ARRAY map: a flight recorder, read when it is wanted.

    Each CPU has a buffer of *pages* pages (rounded up to a power of two) that the kernel writes over and over (Linux
    4.7); nobody is woken, and nothing is lost but what is oldest. `take` gives what came since it was called the last
    time, as far as it is still there. While the buffers are copied they are paused: what programs submit in these
    microseconds is lost.

    *type* is that of `RingBuffer`. The map has one reader: SpecError while another stream of this process has it.
    """

    @overload
    def __init__(self: PerfHistory[bytes], map: EventMap, type: builtins.type[bytes], *, pages: int = ...) -> None: ...
    @overload
    def __init__(self, map: EventMap, type: builtins.type[T], *, pages: int = ...) -> None: ...
    @overload
    def __init__(
        self: PerfHistory[Any], map: EventMap, type: Type | str | None = None, *, pages: int = ...
    ) -> None: ...
    def __init__(
        self,
        map: EventMap,  # noqa: A002 - the field's own word
        type: Type | str | builtins.type[Any] | None = None,  # noqa: A002
        *,
        pages: int = 64,
    ) -> None:
        if map.type != MapType.PERF_EVENT_ARRAY:
            raise SpecError(f"map {map.name!r} is a {map.type.name} map, no PERF_EVENT_ARRAY")
        if not 1 <= pages <= 1 << 20:
            raise SpecError(f"history of map {map.name!r}: a perf buffer has 1 to 2**20 pages, not {pages}")
        self._map = map
        self._what = f"map {map.name!r}"
        self._event_type = resolve_event_type(map, type)
        self._pages = 1 << (pages - 1).bit_length()
        self._buffers: _Histories | None = None
        self._claimed: int | None = None
        self.overwritten = 0
        """Bytes, headers included, that were overwritten before they were taken."""
        self.decode_errors = 0
        """Records too short for the event type; `take` leaves them out."""

    async def open(self) -> Self:
        """Make the buffers; what ``async with`` does first."""
        if self._is_closed:
            raise ClosedError(f"the history of {self._what} is closed")
        if self._claimed is not None:
            raise SpecError(f"the history of {self._what} is open already")
        fd = duplicate(self._map, self._what)
        try:
            map_id = map_info(fd, subject=self._what).id
            claim(map_id, self, self._what)
            self._claimed = map_id
            self._buffers = await in_worker(
                _Histories, fd, self._map.max_entries, self._pages, dispose=_Histories.close
            )
        except BaseException:
            unclaim(self._claimed, self)
            self._claimed = None
            fd.close()
            raise
        return self

    async def aclose(self) -> None:
        """Give the map's slots back; again, nothing."""
        self._is_closed = True
        buffers, self._buffers = self._buffers, None
        if buffers is not None:
            try:
                await close_in_worker(buffers)
            finally:
                unclaim(self._claimed, self)

    def __del__(self) -> None:
        buffers: _Histories | None = getattr(self, "_buffers", None)
        if buffers is not None:
            self._buffers = None
            buffers.close()
            warnings.warn(f"the history of {self._what} was never closed", ResourceWarning, stacklevel=2, source=self)

    async def take(self) -> Batch[T]:
        """What came since the last time: the oldest first on each CPU (`Batch.cpus`), one CPU after the other."""
        if self._buffers is None:
            state = "closed" if self._is_closed else "not open yet: use it in 'async with'"
            raise ClosedError(f"the history of {self._what} is {state}")
        found = await in_worker(self._buffers.take)
        data = bytearray()
        offsets: list[int] = []
        lengths: list[int] = []
        cpus: list[int] = []
        for cpu, copied in found:
            records = list(copied.newest_first())
            kept = sum(-(-(len(record) + 12) // 8) * 8 for record in records)
            self.overwritten += max(copied.written - kept, 0)
            for record in reversed(records):
                offsets.append(len(data))
                lengths.append(len(record))
                cpus.append(cpu)
                data += record.ljust(-(-len(record) // 8) * 8, b"\0")
        if offsets:
            drained = Drained(ffi.NULL, len(offsets), len(data), offsets, lengths, cpus)
            good = []
            for batch in batches_of(drained, memoryview(data), self._event_type, self._what):
                if isinstance(batch, Batch):
                    good.append(batch)
                else:
                    self.decode_errors += 1
            if good:
                return join(self._event_type, good)
        empty: list[int] | None = None if self._event_type.stride else []
        return Batch(self._event_type, memoryview(b""), 0, offsets=empty, lengths=empty, cpus=[])

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "open" if self._buffers is not None else "new"
        return f"<{state} PerfHistory of {self._what}: {self._event_type.name}>"
