"""Records that are not as long as the event type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiobpf.errors import CodecError
from aiobpf.stream.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.stream.event_type import EventType
    from aiobpf.stream.source import Drained


def batches_of(
    drained: Drained, data: memoryview, event_type: EventType, what: str
) -> Iterator[Batch[Any] | CodecError]:
    """Records that were drained as they are, in order: batches of those that fit the type, errors for those too short.

    *what* names the stream in the errors. A record that ends within the array which the type ends in is filled up with
    zeros; see `EventType`.
    """
    offsets, lengths = drained.offsets, drained.lengths
    assert offsets is not None
    assert lengths is not None
    if event_type.codec is None or (event_type.is_open_ended and min(lengths) >= event_type.minimum):
        yield Batch(event_type, data, drained.count, offsets=offsets, lengths=lengths, cpus=drained.cpus)
        return
    good: list[int] = []
    for index, length in enumerate(lengths):
        if length >= event_type.minimum:
            good.append(index)
            continue
        if good:
            yield _pick(drained, event_type, data, good)
            good = []
        yield CodecError(f"{what}: a record of {length} bytes is too short: {event_type.expectation}")
    if good:
        yield _pick(drained, event_type, data, good)


def _pick(drained: Drained, event_type: EventType, data: memoryview, indices: list[int]) -> Batch[Any]:
    assert drained.offsets is not None
    assert drained.lengths is not None
    offsets = [drained.offsets[index] for index in indices]
    lengths = [drained.lengths[index] for index in indices]
    cpus = None if drained.cpus is None else [drained.cpus[index] for index in indices]
    size = event_type.stride
    if size == 0:
        return Batch(event_type, data, len(indices), offsets=offsets, lengths=lengths, cpus=cpus)
    rows = bytearray(size * len(indices))
    for row, (offset, length) in enumerate(zip(offsets, lengths, strict=True)):
        length = min(length, size)
        rows[row * size : row * size + length] = data[offset : offset + length]
    return Batch(
        event_type, memoryview(rows), len(indices), lengths=[min(length, size) for length in lengths], cpus=cpus
    )
