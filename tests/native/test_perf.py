"""The perf drain, against a buffer written by hand."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf._native import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Callable

MakePerf: TypeAlias = "Callable[[int], Any]"


def test_drains_samples_with_the_padding_that_the_kernel_gave_them(make_perf: MakePerf) -> None:
    perf = make_perf(4096)
    expected = [perf.sample(b"abc"), perf.sample(b"12345678"), perf.sample(b"")]
    error, drained, records, _ = perf.drain(1024)
    assert (error, records) == (0, expected)
    assert records[0] == b"abc\0"
    assert perf.tail == perf.head == drained.backlog
    assert (drained.records, drained.more, drained.lost, drained.other) == (3, 0, 0, 0)


def test_lost_records_are_added_up(make_perf: MakePerf) -> None:
    perf = make_perf(4096)
    perf.lost(3)
    perf.sample(b"1234")
    perf.lost(1 << 40)
    perf.put(13, struct.pack("=Q", 5))
    _, drained, records, _ = perf.drain(64)
    assert (records, drained.lost) == ([b"1234"], (1 << 40) + 8)


def test_records_of_other_types_are_counted_and_skipped(make_perf: MakePerf) -> None:
    perf = make_perf(4096)
    perf.put(5, bytes(16))
    perf.put(2, bytes(8))  # too short for a LOST record
    _, drained, records, _ = perf.drain(64)
    assert (records, drained.other, drained.lost) == ([], 2, 0)
    assert perf.tail == perf.head


def test_samples_carry_their_time_where_it_was_asked_for(make_perf: MakePerf) -> None:
    perf = make_perf(4096)
    perf.sample(b"1234", time=111)
    perf.sample(b"5678", time=222)
    _, _, records, times = perf.drain(64, times=True)
    assert (records, times) == ([b"1234", b"5678"], [111, 222])


def test_with_a_stride_samples_are_cut_and_packed(make_perf: MakePerf) -> None:
    perf = make_perf(4096)
    for number in range(4):
        perf.sample(bytes([number]) * 6)
    _, drained, records, _ = perf.drain(64, stride=6)
    assert records == [bytes([number]) * 6 for number in range(4)]
    assert drained.room == 24


def test_a_sample_shorter_than_the_stride_stops_the_drain_and_stays(make_perf: MakePerf) -> None:
    perf = make_perf(4096)
    perf.sample(b"1" * 20)
    short = perf.sample(b"1234")
    _, drained, records, _ = perf.drain(64, stride=20)
    assert (len(records), drained.odd, drained.odd_length, drained.more) == (1, 1, 4, 1)
    assert perf.drain(64)[2] == [short]


@pytest.mark.parametrize("limit_by", ["limit", "room"])
def test_says_that_there_is_more_when_it_stops_early(make_perf: MakePerf, limit_by: str) -> None:
    perf = make_perf(4096)
    for _ in range(5):
        perf.sample(b"1234")
    _, drained, records, _ = perf.drain(64, limit=3) if limit_by == "limit" else perf.drain(24)
    assert (len(records), drained.more, drained.odd) == (3, 1, 0)
    _, drained, records, _ = perf.drain(64)
    assert (len(records), drained.more) == (2, 0)


def test_a_sample_too_long_for_the_buffer_tells_its_length(make_perf: MakePerf) -> None:
    perf = make_perf(4096)
    sample = perf.sample(b"x" * 100)
    _, drained, records, _ = perf.drain(64)
    assert (records, drained.odd, drained.odd_length) == ([], 1, 100)
    assert perf.drain(drained.odd_length)[2] == [sample]


@pytest.mark.parametrize(
    ("kind", "body", "size"),
    [
        (9, b"", 4),  # shorter than its header
        (9, struct.pack("=I", 4), 4096),  # beyond the head
        (9, b"", 8),  # no room for the sample's size
        (9, struct.pack("=II", 100, 0), None),  # a sample longer than its record
    ],
)
def test_a_record_that_breaks_the_format_is_an_error(
    make_perf: MakePerf, kind: int, body: bytes, size: int | None
) -> None:
    perf = make_perf(4096)
    fine = perf.sample(b"fine")
    perf.put(kind, body, size=size)
    error, _, records, _ = perf.drain(1024)
    assert (error, records) == (-errno.EIO, [fine])
    assert perf.tail < perf.head


@given(
    start=st.integers(min_value=0, max_value=1 << 50).map(lambda n: n * 8),
    samples=st.lists(st.one_of(st.binary(max_size=200), st.integers(1, 9)), min_size=1, max_size=40),
    room=st.integers(min_value=216, max_value=2000),
    limit=st.integers(min_value=1, max_value=50),
)
def test_every_sample_comes_once_wherever_the_buffer_wraps(
    start: int, samples: list[bytes | int], room: int, limit: int, make_perf_once: Callable[[int], Any]
) -> None:
    perf = make_perf_once(1024)
    perf.begin_at(start)
    expected: list[bytes] = []
    got: list[bytes] = []
    lost = 0

    def drain() -> None:
        nonlocal lost
        error, drained, out, _ = perf.drain(room, limit=limit)
        assert error == 0
        got.extend(out)
        lost += drained.lost
        assert drained.more or perf.tail == perf.head

    for sample in samples:
        while perf.free < 240:
            drain()
        if isinstance(sample, bytes):
            expected.append(perf.sample(sample))
        else:
            perf.lost(sample)
    for _ in range(2 * len(samples) + 1):
        drain()
    assert got == expected
    assert lost == sum(sample for sample in samples if isinstance(sample, int))


def test_backlog_is_the_distance_of_the_positions(make_perf: MakePerf) -> None:
    perf = make_perf(4096)
    perf.begin_at(64)
    perf.sample(b"1234")
    assert lib.perf_backlog(ffi.from_buffer(perf.memory)) == 16
