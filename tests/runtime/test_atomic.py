"""Atomic access to memory that programs share."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aiobpf
from aiobpf import MapFlags, MapType
from aiobpf._native import ffi
from aiobpf.btf import Array, Enum, Int, IntEncoding, Member, Pointer, Struct, Void
from aiobpf.errors import CodecError, SpecError
from aiobpf.kernel import AtomicInteger
from aiobpf.runtime import Map
from aiobpf.spec import MapSpec

OBJECT = Path(__file__).parent.parent / "objects" / "map_uses.bpf.o"
PACKET = bytes(64)
U8, U32, U64 = Int("unsigned char", 1), Int("unsigned int", 4), Int("unsigned long", 8)
S32 = Int("int", 4, encoding=IntEncoding.SIGNED)
STATE = Enum("state", 4)
STATS = Struct(
    "stats",
    48,
    [
        Member("total", U64, 0),
        Member("delta", S32, 64),
        Member("state", STATE, 96),
        Member("slots", Array(U32, U32, 4), 128),
        Member("next", Pointer(Void()), 256),
        Member("flag", U32, 320, bitfield_size=3),
        Member("odd", U8, 352),
    ],
)


def memory(size: int = 16) -> tuple[Any, Any]:
    room = ffi.new("uint64_t[]", size // 8)
    return room, ffi.buffer(room)


@given(st.sampled_from([1, 2, 4, 8]), st.booleans(), st.data())
def test_each_operation_does_what_it_says_in_every_width(size: int, is_signed: bool, data: st.DataObject) -> None:
    _room, view = memory()
    bits = 8 * size
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)
    number = st.integers(low, high)
    first, second = data.draw(number), data.draw(number)
    cell = AtomicInteger(view, 8, size, is_signed=is_signed, what="cell")

    def wrapped(value: int) -> int:
        value &= (1 << bits) - 1
        return value - (1 << bits) if is_signed and value >> bits - 1 else value

    cell.store(first)
    assert cell.load() == first
    assert cell.add(second) == first
    assert cell.load() == wrapped(first + second)
    assert cell.exchange(first) == wrapped(first + second)
    assert cell.bit_and(second) == first
    assert cell.load() == wrapped(first & second)
    cell.store(first)
    assert cell.bit_or(second) == first
    assert cell.load() == wrapped(first | second)
    cell.store(first)
    assert cell.bit_xor(second) == first
    assert cell.load() == wrapped(first ^ second)
    cell.store(first)
    assert cell.compare_exchange(first, second) == first
    assert cell.load() == second
    assert cell.compare_exchange(wrapped(second + 1), first) == second
    assert cell.load() == second
    assert bytes(view[:8]) == bytes(8), "nothing beside it is touched"


def test_what_is_no_aligned_integer_or_does_not_fit_is_refused() -> None:
    _room, view = memory()
    for offset, size in ((1, 2), (4, 8), (0, 3), (0, 16)):
        with pytest.raises(CodecError, match="no aligned integer"):
            AtomicInteger(view, offset, size, is_signed=False, what="cell")
    with pytest.raises(CodecError, match="not inside its 16 bytes"):
        AtomicInteger(view, 16, 8, is_signed=False, what="cell")
    cell = AtomicInteger(view, 0, 1, is_signed=True, what="cell")
    with pytest.raises(CodecError, match="128 does not fit a signed integer of 8 bits"):
        cell.store(128)


@pytest.mark.root
@pytest.mark.everywhere
async def test_members_are_found_by_name_and_elements_by_index() -> None:
    spec = MapSpec(
        name="m", type=MapType.ARRAY, key_size=4, value_size=48, max_entries=3, value=STATS, key=U32,
        flags=MapFlags.MMAPABLE,
    )  # fmt: skip
    async with Map.create(spec) as m:
        m.atomic(2, "total").add(5)
        m.atomic(2, "delta").add(-7)
        slot = m.atomic(2, "slots", 3)
        slot.store(9)
        m.atomic(2, "state").exchange(2)
        m.atomic(2, "next").store(1 << 40)
        value = m[2]
        assert (value.total, value.delta, value.slots[3], int(value.state)) == (5, -7, 9, 2)
        assert m[1].total == 0
        for path, match in (
            (("nothing",), "has no member 'nothing'"),
            (("slots",), "no integer: name a member"),
            (("total", 1), "which has no 1"),
            (("flag",), "is a bit-field"),
        ):
            with pytest.raises(CodecError, match=match):
                m.atomic(0, *path)
        with pytest.raises(IndexError, match="has 4 elements"):
            m.atomic(0, "slots", 4)
        with pytest.raises(IndexError, match="map 'm' has 3 elements"):
            m.atomic(3)
    assert slot.load() == 9, "it stays mapped"
    async with Map.create(MapSpec(name="h", type=MapType.HASH, key_size=4, value_size=8, max_entries=1)) as other:
        with pytest.raises(SpecError, match="cannot be mapped: atomic access needs"):
            other.atomic(0)


@pytest.mark.root
@pytest.mark.everywhere
@pytest.mark.shows("mmapable")
async def test_a_program_and_python_count_in_one_place_and_lose_nothing() -> None:
    spec = aiobpf.read_spec(OBJECT)
    async with aiobpf.Program.load(spec.programs["add_to_numbers"]) as program:
        numbers = program.maps[0]
        cell = numbers.atomic(1)
        done = threading.Event()
        added = 0

        def add() -> None:
            nonlocal added
            while not done.is_set():
                cell.add(1)
                added += 1

        adder = threading.Thread(target=add)
        adder.start()
        runs = 20_000
        await program.run(PACKET, repeat=runs)
        done.set()
        adder.join()
        assert cell.load() >= runs + added  # a run that a signal ended is begun again
        assert numbers[1] == cell.load()


@pytest.mark.root
@pytest.mark.everywhere
@pytest.mark.requires("atomics")
@pytest.mark.shows("atomics_v3")
async def test_a_programs_fetch_add_and_cmpxchg_meet_pythons() -> None:
    spec = aiobpf.read_spec(OBJECT)
    for name in spec.maps:
        spec.maps[name].autocreate = name.startswith(".")
    async with aiobpf.load(spec, programs=["exchange"]) as coll:
        counter = coll.variables["counter"].atomic()
        counter.store(10)
        assert (await coll.programs["exchange"].run(PACKET)).retval == 10
        assert counter.compare_exchange(99, -1) == 99, "15 was there, and the program made it 99"
        assert coll.variables["counter"].value == -1
        assert counter.exchange(3) == -1
        assert (await coll.programs["exchange"].run(PACKET)).retval == 3
        assert coll.variables["counter"].value == 8


@pytest.mark.root
@pytest.mark.everywhere
@pytest.mark.requires("arenas")
async def test_integers_in_an_arena_are_reached_by_pointer() -> None:
    async with Map.create(MapSpec(name="a", type=MapType.ARENA, max_entries=2)) as m:
        arena = m.arena
        cell = arena.atomic(arena.pointer(64), STATS, "slots", 1)
        assert cell.add(3) == 0
        assert arena.value(arena.pointer(64), STATS).slots[1] == 3
        with pytest.raises(CodecError, match="no aligned integer"):
            arena.atomic(arena.pointer(3), U32)
        with pytest.raises(SpecError, match="does not point into arena 'a'"):
            arena.atomic(arena.pointer(0) - 8, U32)
