"""The ring drain, against a ring written by hand."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf._native import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY, DISCARDED = 1 << 31, 1 << 30
MakeRing: TypeAlias = "Callable[[int], Any]"


def test_drains_records_in_order_and_gives_the_space_back(make_ring: MakeRing) -> None:
    ring = make_ring(4096)
    for payload in (b"one", b"", b"three three"):
        ring.put(payload)
    error, drained, records, offsets = ring.drain(1024)
    assert error == 0
    assert records == [b"one", b"", b"three three"]
    assert all(offset % 8 == 0 for offset in offsets)
    assert ring.consumed == ring.position == 16 + 8 + 24
    assert (drained.records, drained.bytes, drained.backlog) == (3, 14, 48)
    assert (drained.busy, drained.more, drained.odd) == (0, 0, 0)


def test_an_empty_ring_drains_nothing(make_ring: MakeRing) -> None:
    ring = make_ring(4096)
    ring.begin_at(1 << 40)
    error, drained, records, _ = ring.drain(64)
    assert (error, drained.records, drained.more, drained.busy, records) == (0, 0, 0, 0, [])
    assert ring.consumed == 1 << 40


def test_stops_at_a_record_still_being_written_and_goes_on_when_it_is_committed(make_ring: MakeRing) -> None:
    ring = make_ring(4096)
    ring.put(b"first")
    at = ring.put(b"busyness", BUSY)
    ring.put(b"last")
    error, drained, records, _ = ring.drain(1024)
    assert (error, records, drained.busy, drained.more) == (0, [b"first"], 1, 0)
    assert ring.consumed == at
    ring.set_flags(at, 0)
    _, drained, records, _ = ring.drain(1024)
    assert (records, drained.busy, drained.more) == ([b"busyness", b"last"], 0, 0)


def test_discarded_records_are_counted_and_skipped(make_ring: MakeRing) -> None:
    ring = make_ring(4096)
    ring.put(b"discard!", DISCARDED)
    ring.put(b"12345678")
    ring.put(b"discard?", DISCARDED)
    _, drained, out = ring.drain_fixed(8, 64)
    assert (drained.records, drained.discarded, out[:8]) == (1, 2, b"12345678")
    assert ring.consumed == ring.position


def test_a_ring_of_discarded_records_does_not_hold_the_caller(make_ring: MakeRing) -> None:
    ring = make_ring(4096)
    for _ in range(20):
        ring.put(b"discard!", DISCARDED)
    for drained in (ring.drain_fixed(8, 64, 8)[1], ring.drain(64, 8)[1]):
        assert (drained.discarded, drained.more) == (8, 1)
    _, drained, _ = ring.drain_fixed(8, 64, 8)
    assert (drained.discarded, drained.more) == (4, 0)


@pytest.mark.parametrize("limit_by", ["limit", "room"])
def test_says_that_there_is_more_when_it_stops_early(make_ring: MakeRing, limit_by: str) -> None:
    ring = make_ring(4096)
    for number in range(5):
        ring.put(bytes([number]) * 8)
    if limit_by == "limit":
        _, drained, _ = ring.drain_fixed(8, 1024, 3)
    else:
        _, drained, _ = ring.drain_fixed(8, 3 * 8 + 7)
    assert (drained.records, drained.more, drained.odd) == (3, 1, 0)
    _, drained, records, _ = ring.drain(1024)
    assert (records, drained.more) == ([b"\3" * 8, b"\4" * 8], 0)


def test_a_record_shorter_than_the_stride_stops_the_drain_and_stays(make_ring: MakeRing) -> None:
    ring = make_ring(4096)
    ring.put(b"0123456789abcdef")
    ring.put(b"short")
    _, drained, out = ring.drain_fixed(16, 1024)
    assert (drained.records, drained.odd, drained.odd_length, drained.more) == (1, 1, 5, 1)
    assert out[:16] == b"0123456789abcdef"
    _, drained, records, _ = ring.drain(1024)
    assert records == [b"short"]


def test_a_record_longer_than_the_stride_is_cut_and_counted(make_ring: MakeRing) -> None:
    ring = make_ring(4096)
    ring.put(b"0123456789abcdef+more")
    _, drained, out = ring.drain_fixed(16, 1024)
    assert (drained.records, drained.longer, drained.odd) == (1, 1, 0)
    assert out[:16] == b"0123456789abcdef"


def test_a_record_too_long_for_the_buffer_tells_its_length(make_ring: MakeRing) -> None:
    ring = make_ring(4096)
    ring.put(b"x" * 100)
    _, drained, records, _ = ring.drain(64)
    assert (records, drained.odd, drained.odd_length, drained.more) == ([], 1, 100, 1)
    _, drained, records, _ = ring.drain(drained.odd_length)
    assert (records, drained.odd, drained.more) == ([b"x" * 100], 0, 0)


@pytest.mark.parametrize("claim", [4000, 5000, 0x3FFFFFFF])
def test_a_record_that_ends_beyond_the_producer_is_no_ring_buffer(make_ring: MakeRing, claim: int) -> None:
    ring = make_ring(4096)
    ring.put(b"fine")
    ring.put(b"liar", claim=claim)
    error, drained, records, _ = ring.drain(8192)
    assert (error, records) == (-errno.EIO, [b"fine"])
    assert ring.consumed == 16
    error, drained, _ = ring.drain_fixed(4, 8192)
    assert (error, drained.records) == (-errno.EIO, 0)


def test_a_producer_far_ahead_makes_nobody_read_past_the_data(make_ring: MakeRing) -> None:
    ring = make_ring(4096)
    ring.begin_at(4096 - 8)
    for at in range(0, 4096, 16):
        ring.write(4096 - 8 + at, bytes([8, 0, 0, 0]))
    ring._produce(1 << 40)
    error, drained, _ = ring.drain_fixed(8, 8 * 5000, 5000)
    assert (error, drained.records) == (0, 5000), "round and round"


def test_a_run_of_longer_records_is_cut_and_counted(make_ring: MakeRing) -> None:
    ring = make_ring(4096)
    for number in range(20):
        ring.put(bytes([number]) * 16)
    _, drained, out = ring.drain_fixed(12, 1024)
    assert (drained.records, drained.longer) == (20, 20)
    assert out[:240] == b"".join(bytes([number]) * 12 for number in range(20))


def test_a_stride_of_nothing_is_refused(make_ring: MakeRing) -> None:
    error, _, _ = make_ring(4096).drain_fixed(0, 64)
    assert error == -errno.EINVAL


records_ = st.lists(
    st.tuples(st.binary(max_size=200), st.sampled_from([0, 0, 0, DISCARDED, BUSY])), min_size=1, max_size=40
)


@given(
    start=st.integers(min_value=0, max_value=1 << 50).map(lambda n: n * 8),
    records=records_,
    room=st.integers(min_value=208, max_value=2000),
    limit=st.integers(min_value=1, max_value=50),
)
def test_every_record_comes_once_wherever_the_ring_wraps(
    start: int, records: list[tuple[bytes, int]], room: int, limit: int, make_ring_once: Callable[[int], Any]
) -> None:
    ring = make_ring_once(1024)
    ring.begin_at(start)
    expected: list[bytes] = []
    busy: list[int] = []
    got: list[bytes] = []
    discarded = 0

    def drain() -> None:
        nonlocal discarded
        error, drained, out, _ = ring.drain(room, limit)
        assert error == 0
        got.extend(out)
        discarded += drained.discarded
        assert drained.bytes == sum(map(len, out))
        assert not (drained.busy and drained.more)
        if not drained.busy and not drained.more:
            assert ring.consumed == ring.position

    for payload, flags in records:
        while ring.free < (len(payload) + 15) // 8 * 8:
            for at in busy:
                ring.set_flags(at, 0)
            busy.clear()
            drain()
        at = ring.put(payload, flags)
        if flags == BUSY:
            busy.append(at)
        if flags != DISCARDED:
            expected.append(payload)
    for at in busy:
        ring.set_flags(at, 0)
    for _ in range(2 * len(records) + 1):
        drain()
    assert got == expected
    assert discarded == sum(flags == DISCARDED for _, flags in records)
    assert ring.consumed == ring.position


@pytest.mark.parametrize("stride", [1, 8, 12, 16, 24, 32, 48, 64, 72, 128])
def test_fixed_strides_are_packed(make_ring: MakeRing, stride: int) -> None:
    ring = make_ring(2048)
    ring.begin_at(2048 - 16)
    payloads = [bytes([number]) * stride for number in range(1, 10)]
    for payload in payloads:
        ring.put(payload)
    _, drained, out = ring.drain_fixed(stride, stride * 20)
    assert out[: drained.records * stride] == b"".join(payloads)
    assert (drained.bytes, drained.room) == (9 * stride, 9 * stride)


def test_atomic_words() -> None:
    word = ffi.new("uint64_t *", 7)
    assert lib.load_acquire64(word) == 7
    lib.store_release64(word, (1 << 64) - 1)
    assert word[0] == (1 << 64) - 1
    lib.fence()


def test_backlog_is_the_distance_of_the_positions(make_ring: MakeRing) -> None:
    ring = make_ring(4096)
    ring.put(b"x" * 100)
    base = ffi.from_buffer("uint8_t[]", ring.memory)
    assert lib.ring_backlog(base, base + 4096) == 112
