"""Events that were taken from the kernel together."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from aiobpf.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aiobpf.stream.event_type import EventType

T = TypeVar("T")


class Batch(Generic[T]):
    """Records in the order in which they were submitted (perf: on each CPU), copied out of the kernel's buffer once.

    A batch keeps its memory: it and all that came from it stay good after the next batch, and after the stream is
    closed. Its length is the number of records.
    """

    __slots__ = ("_count", "_cpus", "_data", "_event_type", "_lengths", "_offsets")

    def __init__(
        self,
        event_type: EventType,
        data: memoryview,
        count: int,
        *,
        offsets: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
        cpus: Sequence[int] | None = None,
    ) -> None:
        """*data* holds *count* rows of the type's size, or with *offsets* and *lengths* records of their own lengths.

        *lengths* are those of the records where they differ from the type's size.
        """
        self._event_type = event_type
        self._data = data
        self._count = count
        self._offsets = offsets
        self._lengths = lengths
        self._cpus = cpus

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        layout = self._event_type.layout
        if layout is None:
            return iter(self.records())
        if self._offsets is not None and self._lengths is not None:
            return layout.places(self._data, self._offsets, self._lengths)
        return layout.rows(self._data, self._count)

    def records(self) -> list[T]:
        """The events as objects of the stream's type; as bytes where it has none."""
        if self._event_type.layout is not None:
            return list(self)
        codec = self._event_type.codec
        if codec is None:
            raw: list[Any] = self.raw()
            return raw
        if self._offsets is not None and self._lengths is not None:
            return codec.decode_records(self._data, self._offsets, self._lengths)
        if self._count == 1:  # sparse events: half the time of the general way
            return [codec.decode(self._data)]
        return codec.decode_all(self._data, self._count)

    def decoding(self) -> tuple[Iterator[T], Iterator[Any]]:
        """An iterator that decodes one event at each step, and goes on behind one that raised.

        The second has as many steps left as the first, and can tell how many (``operator.length_hint``).
        """
        codec = self._event_type.codec
        if codec is None or self._offsets is not None:
            raw = iter(self.raw())
            return (iter(map(codec.decode, raw)) if codec is not None else cast("Iterator[T]", raw)), raw
        starts = iter(range(0, self._count * self._event_type.size, self._event_type.size))
        return iter(map(codec.decode, repeat(self._data), starts)), starts

    def numpy(self) -> Any:
        """The events as a numpy array of shape (records,), structured like the type, on the batch's own memory.

        Records of a type that ends in a flexible array are copied, without it.
        Without a type: uint8 of shape (records, bytes), if all records have one length; CodecError if they do not.
        Needs the extra ``aiobpf[numpy]``.
        """
        codec = self._event_type.codec
        if codec is not None:
            dtype = codec.dtype  # this imports numpy, or says which extra has it
            import numpy

            rows: Any = self._data
            if self._offsets is not None:
                rows = bytearray().join(record[: codec.size] for record in self.raw())
            # Where nothing is, frombuffer refuses; an empty array has no memory to share anyway.
            return numpy.frombuffer(rows, dtype=dtype, count=self._count) if self._count else numpy.empty(0, dtype)
        import numpy

        lengths = set(self._lengths or ())
        if len(lengths) > 1:
            raise CodecError(
                f"records of {len(lengths)} lengths, from {min(lengths)} to {max(lengths)} bytes, make no array: "
                "give the stream a type, or take raw()"
            )
        length = lengths.pop() if lengths else 0
        if length == 0:
            return numpy.empty((self._count, 0), dtype=numpy.uint8)
        stride = -(-length // 8) * 8
        start = self._offsets[0] if self._offsets else 0
        if self._offsets is not None and self._offsets[-1] - start != (self._count - 1) * stride:
            return numpy.frombuffer(b"".join(self.raw()), dtype=numpy.uint8).reshape(self._count, length)
        return numpy.ndarray((self._count, length), numpy.uint8, self._data, start, (stride, 1))

    def raw(self) -> list[bytes]:
        """The bytes of each record; of a typed stream, as many as the type has at most.

        Without a type, a perf record may be up to 7 bytes longer than what the program wrote: the kernel pads it.
        """
        data = self._data.tobytes()
        offsets, lengths, size = self._offsets, self._lengths, self._event_type.size
        if offsets is None:
            offsets = range(0, self._count * size, size) if size else ()
        if lengths is None:
            return [data[start : start + size] for start in offsets]
        return [data[start : start + length] for start, length in zip(offsets, lengths, strict=True)]

    @property
    def cpus(self) -> Sequence[int] | None:
        """The CPU that each record was submitted on; None for a ring buffer, whose records do not tell."""
        return self._cpus

    def tail(self, start: int) -> Batch[T]:
        """The records from number *start* on, on the same memory."""
        size = self._event_type.size
        data = self._data if self._offsets is not None else self._data[start * size :]
        offsets, lengths, cpus = (
            None if column is None else column[start:] for column in (self._offsets, self._lengths, self._cpus)
        )
        return Batch(self._event_type, data, self._count - start, offsets=offsets, lengths=lengths, cpus=cpus)

    def __repr__(self) -> str:
        return f"<Batch of {self._count} {self._event_type.name}>"


def join(event_type: EventType, batches: Sequence[Batch[Any]]) -> Batch[Any]:
    """One batch of all the records, in order."""
    if len(batches) == 1:
        return batches[0]
    records = [record for batch in batches for record in batch.raw()]
    cpus = [cpu for batch in batches for cpu in batch.cpus or ()] or None
    lengths = [len(record) for record in records]
    if event_type.stride:
        rows = bytearray().join(record.ljust(event_type.stride, b"\0") for record in records)
        return Batch(event_type, memoryview(rows), len(records), lengths=lengths, cpus=cpus)
    data = bytearray()
    offsets = []
    for record in records:
        offsets.append(len(data))
        data += record.ljust(-(-len(record) // 8) * 8, b"\0")
    return Batch(event_type, memoryview(data), len(records), offsets=offsets, lengths=lengths, cpus=cpus)
