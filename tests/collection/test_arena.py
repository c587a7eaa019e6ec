"""Arenas: a program and Python share memory by address, global variables in it among it."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aiobpf
from aiobpf.errors import ClosedError, KernelError, NotSupportedError, SpecError
from aiobpf.kernel import kernel_release
from aiobpf.uapi import MapFlags

if TYPE_CHECKING:
    from aiobpf.spec import CollectionSpec

OBJECT = Path(__file__).parent.parent / "objects" / "arena.bpf.o"
PAGE = mmap.PAGESIZE
PLACE = 1 << 44

pytestmark = [pytest.mark.root, pytest.mark.everywhere, pytest.mark.requires("arenas")]


@pytest.fixture
def spec() -> CollectionSpec:
    return aiobpf.read_spec(OBJECT)


@pytest.fixture
def bare(spec: CollectionSpec) -> CollectionSpec:
    """The arena alone, in a place of its own, which takes no page of its own accord."""
    arena = spec.maps["arena"]
    arena.value, arena.contents, arena.map_extra = None, {}, PLACE
    return aiobpf.CollectionSpec(maps={"arena": arena})


def mapped_at(address: int) -> bool:
    return any(line.startswith(f"{address:x}-") for line in Path("/proc/self/maps").read_text().splitlines())


@pytest.mark.shows("arena")
async def test_a_program_and_python_see_each_others_writes(spec: CollectionSpec) -> None:
    spec.variables["counter"].value = 41
    async with aiobpf.load(spec) as coll:
        variables, arena = coll.variables, coll.maps["arena"].arena
        assert variables["counter"].value == 41, "set before the load"
        assert variables["first"].value.value == 11
        variables["first"].value = {"value": 1000, "next": 0}

        assert (await coll.programs["fill"].run()).retval == 0
        assert variables["counter"].value == 42
        end = coll.maps["arena"].data_offset + variables["far_away"].offset + 2 * PAGE
        assert arena.memory[end - 1] == ord("z")
        page = variables["list"].value
        assert variables["list_in_arena"].value == page, "a pointer is the same to both"
        assert arena.address <= page < arena.address + arena.size

        first = arena.value(page, "node")
        assert (first.value, first.next) == (0xABCD, page + 16)
        second = arena.value(first.next, "struct node")
        assert (second.value, second.next) == (1000 + 5, 0), "what Python wrote before, and a static variable"

        arena.set_value(first.next, "node", {"value": 1, "next": 0})
        assert (await coll.programs["sum"].run()).retval == 0xABCD + 1
        assert arena.read(page, 8) == (0xABCD).to_bytes(8, "little")
        arena.write(page, bytes(8))
        assert (await coll.programs["sum"].run()).retval == 1


async def test_pages_that_nobody_has_allocated_are_there_once_they_are_touched(bare: CollectionSpec) -> None:
    async with aiobpf.load(bare) as coll:
        arena = coll.maps["arena"].arena
        assert (arena.address, arena.size) == (PLACE, 100 * PAGE)
        assert arena.read(PLACE + 50 * PAGE, 8) == bytes(8)
        arena.memory[50 * PAGE] = 7
        assert arena.read(PLACE + 50 * PAGE, 1) == b"\7"


async def test_pointers_are_translated_and_checked(bare: CollectionSpec) -> None:
    async with aiobpf.load(bare) as coll:
        arena = coll.maps["arena"].arena
        assert arena.offset(arena.pointer(4321)) == 4321
        assert arena.offset(arena.pointer(4321) & 0xFFFF_FFFF) == 4321, "as a program holds it"
        for pointer in (PLACE + arena.size, PLACE - 1, (PLACE << 1) + 5, arena.size):
            with pytest.raises(SpecError, match="does not point into arena 'arena', which is the 409600 bytes at"):
                arena.offset(pointer)
        with pytest.raises(SpecError, match="byte 409600 is outside of arena 'arena'"):
            arena.pointer(arena.size)
        with pytest.raises(SpecError, match=r"16 bytes at .* are more than arena 'arena' has after there"):
            arena.read(PLACE + arena.size - 8, 16)
        with pytest.raises(SpecError, match="knows no types by name"):
            arena.value(PLACE, "node")


async def test_it_is_mapped_once_and_unmapped_with_its_last_holder(bare: CollectionSpec) -> None:
    async with aiobpf.load(bare) as coll:
        assert mapped_at(PLACE), "the kernel loads no program that uses it before"
        copy = coll.maps["arena"].duplicate()
        copy.arena.write(PLACE, b"shared")
        assert coll.maps["arena"].arena.read(PLACE, 6) == b"shared"
        stranger = aiobpf.Map.from_id(copy.info().id)
        with pytest.raises(KernelError, match=r"Something else is mapped at 0x1000.*take map\.duplicate\(\)"):
            stranger.arena
        await stranger.aclose()
    view = copy.mmap()
    arena = copy.arena
    copy.close()
    with pytest.raises(ClosedError, match="'arena' is closed"):
        arena.read(PLACE, 6)
    del arena
    assert bytes(view[:6]) == b"shared", "a memoryview holds it"
    view.release()
    del view
    assert not mapped_at(PLACE)


async def test_one_without_an_address_of_its_own_is_shared_by_duplicates_alone(spec: CollectionSpec) -> None:
    async with aiobpf.load(spec) as coll, aiobpf.Map.from_id(coll.maps["arena"].info().id) as stranger:
        with pytest.raises(KernelError, match=r"map 'arena': mmap: .*EINVAL.* take map\.duplicate\(\)"):
            stranger.mmap()


async def test_the_largest_arena_has_4_gib(bare: CollectionSpec) -> None:
    bare.maps["arena"].max_entries = (4 << 30) // PAGE
    async with aiobpf.load(bare) as coll:
        arena = coll.maps["arena"].arena
        assert arena.size == 4 << 30
        arena.write(PLACE + arena.size - 8, b"the last")
        assert arena.read(arena.pointer(arena.size - 8), 8) == b"the last"


async def test_two_collections_share_an_arena(spec: CollectionSpec) -> None:
    other = spec.copy()
    other.variables["counter"].value = 5
    async with (
        aiobpf.load(spec) as first,
        aiobpf.load(other, replace_maps={"arena": first.maps["arena"]}) as second,
    ):
        assert second.variables["counter"].value == 7, "as it was found"
        await second.programs["fill"].run()
        assert first.variables["counter"].value == 8
        assert (await first.programs["sum"].run()).retval == 0xABCD + 16


async def test_where_only_programs_make_pages_reading_another_is_an_error_and_not_the_end() -> None:
    async with aiobpf.load(OBJECT.with_name("arena_strict.bpf.o")) as coll:
        arena = coll.maps["arena"].arena
        with pytest.raises(KernelError, match=r"arena 'arena': read of 8 bytes at 0x1000.*EFAULT"):
            arena.read(PLACE, 8)
        with pytest.raises(KernelError, match=r"arena 'arena': write of 1 bytes at 0x1000.*EFAULT"):
            arena.write(PLACE, b"x")
        assert (await coll.programs["make_page"].run()).retval == 0
        page = coll.variables["page"].value
        assert int.from_bytes(arena.read(page, 8), "little") == 4711
        arena.write(page, b"\1")
        assert int.from_bytes(arena.read(page, 8), "little") == 4711 & ~0xFF | 1


async def test_variables_need_pages_that_user_space_may_make(spec: CollectionSpec) -> None:
    spec.maps["arena"].flags |= MapFlags.SEGV_ON_FAULT
    with pytest.raises(NotSupportedError, match="global variables in arena 'arena', which has BPF_F_SEGV_ON_FAULT"):
        await aiobpf.load(spec)


async def test_variables_that_do_not_fit_the_arena_are_named(spec: CollectionSpec) -> None:
    spec.maps["arena"].max_entries = 2
    with pytest.raises(SpecError, match=r"arena 'arena' has 8192 bytes \(max_entries are pages\), and its global"):
        await aiobpf.load(spec)


async def test_variables_lie_where_libbpf_puts_them(spec: CollectionSpec) -> None:
    pages = -(-spec.maps["arena"].data_size // PAGE)
    async with aiobpf.load(spec) as coll:
        at_end = kernel_release() >= (7, 0)
        assert coll.maps["arena"].data_offset == ((100 - pages) * PAGE if at_end else 0)


async def test_loading_never_changes_the_spec(spec: CollectionSpec) -> None:
    before = spec.copy()
    for _ in range(2):
        async with aiobpf.load(spec) as coll:
            await coll.programs["fill"].run()
    assert spec == before


async def test_a_program_loads_alone_with_the_arena_and_its_variables(spec: CollectionSpec) -> None:
    async with aiobpf.Program.load(spec.programs["fill"]) as program:
        assert (await program.run()).retval == 0
        arena = next(each for each in program.maps if each.name == "arena")
        counter = arena.data_offset + spec.variables["counter"].offset
        assert arena.arena.memory[counter] == 8


async def test_other_maps_are_no_arenas(spec: CollectionSpec) -> None:
    async with aiobpf.load(spec) as coll:
        with pytest.raises(SpecError, match=r"map '.bss' is a ARRAY map, not an arena"):
            coll.maps[".bss"].arena
