"""The look at records that stay in the ring, against a ring written by hand."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf._native import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobpf._native._lib import RingRun

PAGE = 4096
BUSY, DISCARDED = 1 << 31, 1 << 30
MakeRing: TypeAlias = "Callable[[int], Any]"


def look(ring: Any, limit: int = 1000, room: int = 1 << 20) -> tuple[int, RingRun]:
    run = ffi.new("struct ring_run *")
    base = ffi.from_buffer("uint8_t[]", ring.memory)
    return lib.ring_run(base, base + PAGE, PAGE, ring.size, limit, room, run), run


def payloads(ring: Any, run: RingRun) -> list[bytes]:
    first = 2 * PAGE + run.start % ring.size + 8
    places = [first + number * run.stride for number in range(run.records)]
    return [bytes(ring.memory[place : place + run.length]) for place in places]


def take(ring: Any, run: RingRun) -> None:
    lib.store_release64(ffi.from_buffer(ring.memory), run.start + run.records * run.stride)


def test_a_run_is_of_one_length_and_stays_in_the_ring(make_ring: MakeRing) -> None:
    ring = make_ring(4096)
    ring.begin_at(4096 - 40)
    for number in range(20):
        ring.put(bytes([number]) * 13)
    ring.put(b"another length")
    error, run = look(ring)
    assert (error, run.records, run.length, run.stride, run.busy) == (0, 20, 13, 24, 0)
    assert payloads(ring, run) == [bytes([number]) * 13 for number in range(20)]
    assert ring.consumed == run.start == 4096 - 40
    take(ring, run)
    _, run = look(ring)
    assert payloads(ring, run) == [b"another length"]
    take(ring, run)
    assert look(ring)[1].records == 0


@pytest.mark.parametrize("flag", [BUSY, DISCARDED])
@pytest.mark.parametrize("place", range(19))
def test_a_run_ends_at_what_is_no_record_yet_or_any_more(make_ring: MakeRing, place: int, flag: int) -> None:
    ring = make_ring(4096)
    for number in range(20):
        ring.put(bytes(8), flag if number == place else 0)
    _, run = look(ring)
    if place:
        assert (run.records, run.discarded, run.busy) == (place, 0, 0)
        assert ring.consumed == 0
    elif flag == BUSY:
        assert (run.records, run.discarded, run.busy) == (0, 0, 1)
    else:
        assert (run.records, run.discarded, run.start) == (19, 1, 16)
        assert ring.consumed == 16, "a discarded record before it is given back"


def test_a_look_keeps_to_its_limit_and_room(make_ring: MakeRing) -> None:
    ring = make_ring(4096)
    for _ in range(20):
        ring.put(bytes(24))
    assert look(ring, limit=9)[1].records == 9
    assert look(ring, room=32 * 3 + 31)[1].records == 3
    assert look(ring, room=1)[1].records == 1, "one at least"


def test_a_ring_of_discarded_records_does_not_hold_the_caller(make_ring: MakeRing) -> None:
    ring = make_ring(4096)
    for _ in range(20):
        ring.put(b"discard!", DISCARDED)
    for expected in (8, 8, 4, 0):
        error, run = look(ring, limit=8)
        assert (error, run.records, run.discarded) == (0, 0, expected)
    assert ring.consumed == ring.position


@pytest.mark.parametrize("claim", [4000, 5000, 0x3FFFFFFF])
def test_a_record_that_ends_beyond_the_producer_is_no_ring_buffer(make_ring: MakeRing, claim: int) -> None:
    ring = make_ring(4096)
    ring.put(b"fine")
    ring.put(b"liar", claim=claim)
    error, run = look(ring)
    assert (error, payloads(ring, run)) == (0, [b"fine"])
    take(ring, run)
    assert look(ring)[0] == -errno.EIO


def test_a_producer_far_ahead_makes_nobody_look_past_the_data(make_ring: MakeRing) -> None:
    ring = make_ring(4096)
    ring.begin_at(8)
    for at in range(8, 4096, 16):
        ring.write(at, bytes([8, 0, 0, 0]))
    ring._produce(1 << 40)
    assert look(ring, limit=1 << 31, room=1 << 50)[1].records == 4096 // 16


def test_copied_rows_are_the_payloads() -> None:
    records = b"".join(bytes(8) + bytes([number]) * 13 + bytes(3) for number in range(5))
    out = bytearray(5 * 16)
    lib.ring_run_copy(ffi.from_buffer(records), 24, 5, ffi.from_buffer(out), 16)
    assert bytes(out) == b"".join(bytes([number]) * 13 + bytes(3) for number in range(5))


lengths = st.sampled_from([0, 8, 8, 8, 13, 64, 64])
records_ = st.lists(
    st.tuples(lengths, st.integers(1, 30), st.sampled_from([0, 0, 0, 0, DISCARDED, BUSY])), min_size=1, max_size=12
)


@given(
    start=st.integers(min_value=0, max_value=1 << 50).map(lambda n: n * 8),
    records=records_,
    room=st.integers(min_value=1, max_value=4096),
    limit=st.integers(min_value=1, max_value=50),
)
def test_runs_are_what_going_from_header_to_header_finds(
    start: int, records: list[tuple[int, int, int]], room: int, limit: int, make_ring_once: Callable[[int], Any]
) -> None:
    ring = make_ring_once(8192)
    ring.begin_at(start)
    busy: list[int] = []
    number = 0
    expected: list[tuple[bytes, int]] = []  # what is in the ring, from the consumer on
    for length, count, flags in records:
        for _ in range(count):
            if ring.free < length + 16:
                break
            number += 1
            payload = (number.to_bytes(8, "little") * 9)[:length]
            at = ring.put(payload, flags)
            if flags == BUSY:
                busy.append(at)
            expected.append((payload, flags))
    rounds = 0
    while expected and rounds < 1000:
        rounds += 1
        discarded = 0
        while expected and expected[0][1] == DISCARDED and discarded < limit:
            expected.pop(0)
            discarded += 1
        run_: list[bytes] = []
        if discarded < limit and expected:
            stride = (len(expected[0][0]) + 15) // 8 * 8
            most = min(limit, max(room // stride, 1))
            for payload, flags in expected[:most]:
                if flags or len(payload) != len(expected[0][0]):
                    break
                run_.append(payload)
        error, run = look(ring, limit, room)
        assert error == 0
        assert (run.records, run.discarded) == (len(run_), discarded)
        assert payloads(ring, run) == run_
        assert run.busy == (discarded < limit and not run_ and bool(expected))
        if run.busy:
            for at in busy:
                ring.set_flags(at, 0)
            busy.clear()
            expected = [(payload, 0 if flags == BUSY else flags) for payload, flags in expected]
        elif run_:
            take(ring, run)
            del expected[: len(run_)]
    assert not expected
    assert ring.consumed == ring.position
