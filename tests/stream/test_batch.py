"""Batches, and the memory they are in."""

from __future__ import annotations

import gc
from typing import Any

import numpy
import pytest

from aiobpf._native import ffi
from aiobpf.btf import codec
from aiobpf.errors import CodecError
from aiobpf.stream.batch import Batch, join
from aiobpf.stream.batch_memory import SMALL, BatchMemory
from aiobpf.stream.event_type import BYTES, EventType

from .conftest import EVENT

TYPED = EventType("struct event", codec(EVENT), 8)


def rows(*numbers: int, cpus: list[int] | None = None) -> Batch[Any]:
    data = b"".join(number.to_bytes(8, "little").ljust(64, b"r") for number in numbers)
    return Batch(TYPED, memoryview(data), len(numbers), cpus=cpus)


def packed(*records: bytes) -> Batch[Any]:
    data, offsets = b"", []
    for record in records:
        offsets.append(len(data))
        data += record.ljust(-(-len(record) // 8) * 8, b"\0")
    return Batch(BYTES, memoryview(data), len(records), offsets=offsets, lengths=[len(record) for record in records])


def numbers(batch: Batch[Any]) -> list[int]:
    return [event.number for event in batch]


def test_arrays_are_views_of_the_batch() -> None:
    data = bytearray(128)
    batch: Batch[Any] = Batch(TYPED, memoryview(data), 2)
    array = batch.numpy()
    array["number"][1] = 7
    assert numbers(batch) == [0, 7]
    assert numpy.shares_memory(array, batch.numpy())


def test_arrays_of_bytes_are_views_too_where_records_are_evenly_spaced() -> None:
    batch = packed(b"abcdefghi", b"123456789")
    array = batch.numpy()
    assert array.tobytes() == b"abcdefghi123456789"
    assert numpy.shares_memory(array, batch.numpy())
    assert batch.tail(1).numpy().tobytes() == b"123456789"
    uneven = Batch[Any](BYTES, memoryview(b"ab......cd......ef"), 2, offsets=[0, 16], lengths=[2, 2])
    assert uneven.numpy().tobytes() == b"abef"
    assert packed(b"", b"").numpy().shape == (2, 0)


def test_a_tail_is_the_rest() -> None:
    batch = rows(0, 1, 2, 3, cpus=[9, 8, 7, 6])
    assert numbers(batch.tail(2)) == [2, 3]
    assert batch.tail(2).cpus == [7, 6]
    assert packed(b"a", b"bc", b"def").tail(1).raw() == [b"bc", b"def"]
    assert repr(batch) == "<Batch of 4 struct event>"


def test_joined_batches_keep_everything() -> None:
    one = rows(0, 1)
    assert join(TYPED, [one]) is one
    assert numbers(join(TYPED, [one, rows(2), rows(3, 4).tail(1)])) == [0, 1, 2, 4]
    assert join(TYPED, [rows(0, cpus=[1]), rows(1, cpus=[0])]).cpus == [1, 0]
    assert join(BYTES, [packed(b"a", b"bcdefghij"), packed(b"")]).raw() == [b"a", b"bcdefghij", b""]
    short = Batch[Any](TYPED, memoryview(bytes(64)), 1, lengths=[16])
    assert [len(each) for each in join(TYPED, [one, short]).raw()] == [64, 64, 16]
    assert len(join(TYPED, [one, short]).numpy()) == 3


def test_decoding_one_by_one_knows_how_many_are_left() -> None:
    import operator

    for batch in (rows(0, 1, 2), packed(b"a", b"b", b"c")):
        events, left = batch.decoding()
        next(events)
        assert operator.length_hint(left) == 2
        assert len(list(events)) == 2


def test_records_of_many_lengths_make_no_array() -> None:
    with pytest.raises(CodecError, match="records of 2 lengths, from 1 to 2 bytes"):
        packed(b"a", b"bc").numpy()


def test_large_pieces_come_back_when_nothing_refers_to_them() -> None:
    memory = BatchMemory(SMALL * 4)
    first = memory.take(SMALL * 2)
    address = int(ffi.cast("uintptr_t", first))
    view = numpy.frombuffer(memoryview(ffi.buffer(first, 100)), dtype="u1")[10:20]
    del first
    second = memory.take(SMALL * 2)
    assert int(ffi.cast("uintptr_t", second)) != address, "a view of it is still there"
    del view
    gc.collect()
    third = memory.take(SMALL * 2)
    assert int(ffi.cast("uintptr_t", third)) == address


def test_small_and_huge_pieces_are_not_kept() -> None:
    memory = BatchMemory(SMALL * 4)
    memory.take(10)
    memory.take(SMALL * 5)
    assert memory._free == []
    many = [memory.take(SMALL * 4) for _ in range(10)]
    del many
    gc.collect()
    assert len(memory._free) == 2
