"""The rows that an iterator writes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, Self, TypeVar, cast, final, overload

from attrs import frozen

from aiobpf._native._objects import EventReader
from aiobpf.errors import ClosedError, CodecError, SpecError, StreamBusyError
from aiobpf.kernel.fd import OwnedFd
from aiobpf.kernel.worker import close_in_worker, in_worker
from aiobpf.stream.batch import Batch
from aiobpf.stream.event_type import EventType, resolve_event_type
from aiobpf.stream.row_reader import RowReader
from aiobpf.stream.scoped import Scoped
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    import builtins
    from collections.abc import Coroutine, Iterator, Sequence

    from aiobpf.btf import Btf, Type

T = TypeVar("T")

DEFAULT_BATCH_BYTES: Final = 256 << 10


class Openable(Protocol):
    """What makes iterators: `aiobpf.link.Link` of an `Iter` does."""

    def open(self) -> OwnedFd: ...


@frozen
class _Types:
    """Where the types of rows are looked up, in the shape that event types are."""

    what: str
    types: Btf | None
    name: str = "rows"
    type: MapType = MapType.UNSPEC
    max_entries: int = 0
    value_type: Type | None = None

    def fileno(self) -> int:
        raise AssertionError


@final
class Rows(EventReader, Scoped, Generic[T]):
    """One pass of an iterator: ``async for row in rows``, a row for each record that the program wrote.

    *source* is a link of `Iter` or a descriptor (BPF_ITER_CREATE), which this owns from here on. *type* says what a row
    is: ``str``, lines of text (BPF_SEQ_PRINTF); a BTF type, its name in *types* ("struct row") or a class whose fields
    are filled by name: records of its size (bpf_seq_write), one behind the other; ``bytes``: what each read gave. The
    iteration ends behind the last object; the kernel has no snapshot, so what came and went meanwhile may or may not be
    there.

    Reading runs in worker threads, *batch_bytes* or 5 ms at a time. Cancelled, nothing is lost: reading goes on where
    it was. CodecError where the last row is cut off; KernelError where a read fails.
    """

    @overload
    def __init__(
        self: Rows[str],
        source: Openable | OwnedFd,
        type: builtins.type[str] = ...,
        *,
        types: Btf | None = None,
        batch_bytes: int = ...,
    ) -> None: ...
    @overload
    def __init__(
        self, source: Openable | OwnedFd, type: builtins.type[T], *, types: Btf | None = None, batch_bytes: int = ...
    ) -> None: ...
    @overload
    def __init__(
        self: Rows[Any],
        source: Openable | OwnedFd,
        type: Type | str,
        *,
        types: Btf | None = None,
        batch_bytes: int = ...,
    ) -> None: ...
    def __init__(
        self,
        source: Openable | OwnedFd,
        type: Type | str | builtins.type[Any] = str,  # noqa: A002 - as everywhere
        *,
        types: Btf | None = None,
        batch_bytes: int = DEFAULT_BATCH_BYTES,
    ) -> None:
        if batch_bytes < 1:
            raise SpecError("rows of an iterator: batch_bytes has to be positive")
        self._what = source.what if isinstance(source, OwnedFd) else f"iterator of {source!r}"
        self._is_text = type is str
        self._event_type: EventType | None = None
        if not self._is_text:
            self._event_type = resolve_event_type(_Types(self._what, types), type)
            if self._event_type.is_open_ended:
                raise SpecError(f"rows of {self._what}: {self._event_type.name} has no size of its own to be cut at")
        self._source = source
        self._batch_bytes = batch_bytes
        self._reader: RowReader | None = None
        self._is_reading = False
        self._has_more = True
        self._events = iter(())
        self.count = 0
        """Rows read so far."""

    async def open(self) -> Self:
        """Make the iterator; what ``async with`` does first. KernelError where the link is of no `Iter`."""
        if self._is_closed:
            raise ClosedError(f"the rows of {self._what} are closed")
        if self._reader is not None:
            raise SpecError(f"the rows of {self._what} are open already")
        source = self._source
        fd = source if isinstance(source, OwnedFd) else await in_worker(source.open)
        self._reader = RowReader(fd)
        return self

    async def aclose(self) -> None:
        """Close the iterator; again, nothing."""
        self._is_closed = True
        reader, self._reader = self._reader, None
        if reader is not None:
            await close_in_worker(reader)
        elif isinstance(self._source, OwnedFd):
            self._source.close()

    def __del__(self) -> None:
        reader: RowReader | None = getattr(self, "_reader", None)
        if reader is not None:
            self._reader = None
            reader.close()
            warnings.warn(f"the rows of {self._what} were never closed", ResourceWarning, stacklevel=2, source=self)

    # --- rows ---------------------------------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        self._open_or_raise()
        return self

    if TYPE_CHECKING:

        def __anext__(self) -> Coroutine[Any, Any, T]: ...

    async def _next_event(self) -> T:
        while True:
            rows: Iterator[T] = iter(await self._next_batch())
            self._events = rows
            for row in rows:
                return row

    def batches(self) -> RowBatches[T]:
        """Iterate what a turn gave: a `Batch` (``numpy()``, ``records()``) of typed rows, a list of lines or bytes."""
        self._open_or_raise()
        return RowBatches(self)

    def _open_or_raise(self) -> RowReader:
        if self._reader is None:
            state = "closed" if self._is_closed else "not open yet: use them in 'async with'"
            raise ClosedError(f"the rows of {self._what} are {state}")
        return self._reader

    async def _next_batch(self) -> Batch[T] | Sequence[T]:
        if self._is_reading:
            raise StreamBusyError(f"the rows of {self._what} are being read by another task")
        if self._is_closed:
            raise StopAsyncIteration
        reader = self._open_or_raise()
        self._is_reading = True
        try:
            while True:
                if self._has_more:
                    try:
                        self._has_more = await in_worker(reader.read, self._batch_bytes)
                    except ClosedError:
                        raise StopAsyncIteration from None
                rows = self._cut(reader)
                if rows is not None:
                    self.count += len(rows)
                    return rows
                if not self._has_more:
                    raise StopAsyncIteration
        finally:
            self._is_reading = False

    def _cut(self, reader: RowReader) -> Batch[T] | Sequence[T] | None:
        """The whole rows of what was read; None if there are none yet."""
        data = reader.take()
        if self._event_type is None:
            return self._lines(reader, data)
        if self._event_type.codec is None:
            return cast("Sequence[T]", [bytes(data)]) if data else None
        size = self._event_type.size
        count, over = divmod(len(data), size)
        if over:
            if not self._has_more:
                raise CodecError(f"{self._what}: the last row has {over} bytes; {self._event_type.expectation}")
            reader.give_back(bytes(data[-over:]))
        return Batch(self._event_type, memoryview(data)[: count * size], count) if count else None

    def _lines(self, reader: RowReader, data: bytearray) -> Sequence[T] | None:
        end = data.rfind(b"\n") + 1
        if self._has_more:
            reader.give_back(bytes(data[end:]))
            del data[end:]
        lines = data.decode("utf-8", "replace").split("\n")
        if not lines[-1]:
            lines.pop()
        return cast("Sequence[T]", lines) if lines else None

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "open" if self._reader is not None else "new"
        return f"<{state} Rows of {self._what}: {'str' if self._event_type is None else self._event_type.name}>"


@final
class RowBatches(Generic[T]):
    """What `Rows.batches` iterates."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Rows[T]) -> None:
        self._rows = rows

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch[T] | Sequence[T]:
        return await self._rows._next_batch()
