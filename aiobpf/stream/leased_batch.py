"""Events that are looked at in the ring buffer itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, final

from aiobpf._native import ffi, lib
from aiobpf.errors import LeaseError, SpecError
from aiobpf.stream.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from aiobpf._native._objects import Lease
    from aiobpf.stream.event_stream import EventStream
    from aiobpf.stream.event_type import EventType
    from aiobpf.stream.source import Leased, Source

T = TypeVar("T")

HEADER = 8


@final
class LeasedBatch(Batch[T]):
    """Records of one length, one behind the other, that still lie in the kernel's ring buffer.

    The lease ends at the next step of the iteration, with `release` or ``with batch:``, or when the stream is closed;
    from then on the batch raises LeaseError. `copy` gives an ordinary `Batch`, which stays good.

    An array of `numpy` stays good too, for as long as anybody refers to it or to a view of it: producers do not get
    that room back, nor what came after it. Keep one for the next step, not for long: while any is kept the kernel wakes
    nobody, so the stream looks for new events, after 0.2 ms and then ever less often, up to 10 ms; and where more than
    half of the ring is held by arrays whose lease is over, the next step raises LeaseError. It can be made again once
    they are gone: nothing is lost. A child of ``fork()`` has arrays that change once the parent lets go of them.

    Events left over from reading one by one, and records too short for a type that ends in an array, are copies here.
    """

    __slots__ = ("_kept", "_lease", "_length", "_stride", "_what")

    def __init__(self, event_type: EventType, leased: Leased, what: str) -> None:
        super().__init__(event_type, memoryview(b""), leased.count)
        self._lease: Lease | None = leased.lease
        self._length = leased.length
        self._stride = leased.stride
        self._what = what
        self._kept: Batch[T] | None = None

    @classmethod
    def keeping(cls, batch: Batch[T], what: str) -> LeasedBatch[T]:
        """One of records that are copies already."""
        made: LeasedBatch[T] = cls.__new__(cls)
        super(LeasedBatch, made).__init__(batch._event_type, memoryview(b""), len(batch))
        made._lease = None
        made._kept = batch
        made._what = what
        return made

    def numpy(self) -> Any:
        """As `Batch.numpy`, on the ring itself and read-only; its elements are some bytes apart."""
        lease: Any = self._lease
        if lease is None:
            array = self._copied().numpy()
            array.flags.writeable = False
            return array
        codec = self._event_type.codec
        if codec is not None:
            dtype = codec.dtype  # this imports numpy, or says which extra has it
            import numpy

            return numpy.ndarray((self._count,), dtype, lease, HEADER, (self._stride,))
        import numpy

        return numpy.ndarray((self._count, self._length), numpy.uint8, lease, HEADER, (self._stride, 1))

    def copy(self) -> Batch[T]:
        """The same records in memory of their own."""
        lease = self._lease
        if lease is None:
            return self._copied()
        size = self._event_type.size
        row = size or -(-self._length // 8) * 8
        rows = bytearray(row * self._count)
        if rows:
            lib.ring_run_copy(ffi.from_buffer(lease), self._stride, self._count, ffi.from_buffer(rows), row)
        data = memoryview(rows)
        if size:
            return Batch(self._event_type, data, self._count)
        offsets = range(0, len(rows), row) if row else [0] * self._count
        return Batch(self._event_type, data, self._count, offsets=offsets, lengths=[self._length] * self._count)

    def _copied(self) -> Batch[T]:
        if self._kept is None:
            self._raise()
        return self._kept

    def _raise(self) -> NoReturn:
        raise LeaseError(
            f"the lease of this batch of {self._what} is over, by the next step, release() or the end of the stream: "
            "copy what is to be kept, with batch.copy()"
        )

    def __iter__(self) -> Iterator[T]:
        return iter(self.copy())

    def records(self) -> list[T]:
        return self.copy().records()

    def decoding(self) -> tuple[Iterator[T], Iterator[Any]]:
        return self.copy().decoding()

    def raw(self) -> list[bytes]:
        return self.copy().raw()

    def tail(self, start: int) -> Batch[T]:
        """A copy of the records from number *start* on."""
        return self.copy().tail(start)

    def release(self) -> None:
        """End the lease: the room is the producers' again, unless arrays still lie in it. A second time, nothing."""
        self._lease = self._kept = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        state = "" if self._lease is not None or self._kept is not None else ", released"
        return f"<LeasedBatch of {self._count} {self._event_type.name}{state}>"


@final
class LeasedBatches(Generic[T]):
    """What `EventStream.batches` iterates with a lease."""

    __slots__ = ("_stream",)

    def __init__(self, stream: EventStream[T]) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LeasedBatch[T]:
        stream = self._stream
        batch = await stream._next_batch(stream._batch_records, lease=True)
        if not isinstance(batch, LeasedBatch):
            batch = stream._leased = LeasedBatch.keeping(batch, stream._what)
        return batch


def check_lease(source: Source, event_type: EventType, what: str) -> None:
    """SpecError where records of *source* cannot be looked at in place."""
    if source.why_copied:
        raise SpecError(f"{what}: {source.why_copied}, so that its batches are copies: batches() without lease")
    if event_type.is_open_ended:
        raise SpecError(
            f"{what}: {event_type.name} ends in a flexible array, so that its records make no array: "
            "batches() without lease"
        )
