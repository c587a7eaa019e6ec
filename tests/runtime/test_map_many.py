"""Many elements at once: batches that grow, that a type does not have, and that take out what they read."""

from __future__ import annotations

import errno
import threading
from typing import Any

import pytest

from aiobpf import MapFlags, MapType
from aiobpf.btf import Int
from aiobpf.errors import KernelError, MapIterationError
from aiobpf.kernel import MapElements
from aiobpf.kernel.cpus import possible_cpus
from aiobpf.runtime import Map
from aiobpf.spec import MapSpec
from aiobpf.uapi import Command

pytestmark = [pytest.mark.root, pytest.mark.everywhere]

U32 = Int("unsigned int", 4)
U64 = Int("unsigned long", 8)
COUNT = 300
TYPES = [
    MapType.HASH,
    MapType.LRU_HASH,
    MapType.PERCPU_HASH,
    MapType.LRU_PERCPU_HASH,
    MapType.LPM_TRIE,
    MapType.ARRAY,
    MapType.PERCPU_ARRAY,
]
ARRAYS = {MapType.ARRAY, MapType.PERCPU_ARRAY}
PER_CPU = {MapType.PERCPU_HASH, MapType.LRU_PERCPU_HASH, MapType.PERCPU_ARRAY}


def spec(type_: MapType, **fields: Any) -> MapSpec:
    values: dict[str, Any] = {"name": "m", "type": type_, "key_size": 4, "value_size": 8, "key": U32, "value": U64}
    values["max_entries"] = COUNT if type_ in ARRAYS else 4 * COUNT
    if type_ == MapType.LPM_TRIE:
        values |= {"key_size": 8, "key": U64, "flags": MapFlags.NO_PREALLOC}
    return MapSpec(**(values | fields))


def key_of(type_: MapType, i: int) -> int:
    return i << 32 | 32 if type_ == MapType.LPM_TRIE else i


def elements_of(type_: MapType) -> dict[int, Any]:
    cpus = len(possible_cpus())
    return {key_of(type_, i): [i * cpu for cpu in range(cpus)] if type_ in PER_CPU else i * i for i in range(COUNT)}


@pytest.mark.shows("batch_ops")
@pytest.mark.parametrize("type_", TYPES, ids=lambda each: each.name)
async def test_all_elements_are_written_read_and_taken_in_batches_or_one_by_one(type_: MapType) -> None:
    wanted = elements_of(type_)
    async with Map.create(spec(type_)) as m:
        assert m.update_many(wanted) == COUNT
        for size in (1, 7, 5000):  # a batch of one grows until a bucket fits
            found: dict[int, Any] = {}
            async for keys, values in m.batches(size):
                found |= dict(zip(keys, values, strict=True))
            assert found == wanted
        if type_ in ARRAYS:
            with pytest.raises(KernelError, match="An array's elements are always there"):
                m.pop_all()
            assert dict(m.items()) == wanted
            return
        taken: dict[int, Any] = {}
        async for keys, values in m.batches(50, take=True):
            taken |= dict(zip(keys, values, strict=True))
            assert len(list(m)) == COUNT - len(taken)
            if len(taken) > 100:
                break
        rest = dict(m.pop_all())
        assert taken.keys().isdisjoint(rest)
        assert taken | rest == wanted
        assert list(m) == []
        assert m.pop_all() == []
        m.update_many(wanted)
        assert m.delete_many([key_of(type_, i) for i in (1, 2, COUNT + 5, 3)]) == 3


@pytest.mark.parametrize("type_", [MapType.QUEUE, MapType.STACK], ids=lambda each: each.name)
async def test_a_queue_is_emptied_in_its_order(type_: MapType) -> None:
    async with Map.create(spec(type_, key_size=0, key=None, max_entries=8)) as m:
        for i in range(5):
            m.push(i)
        order = range(5) if type_ == MapType.QUEUE else range(4, -1, -1)
        assert m.pop_all() == [(None, i) for i in order]


async def test_threads_that_take_all_share_it_and_lose_none() -> None:
    async with Map.create(spec(MapType.HASH)) as m:
        m.update_many({i: i for i in range(COUNT)})
        taken: list[list[tuple[int, int]]] = [[], []]
        threads = [threading.Thread(target=lambda mine=mine: mine.extend(m.pop_all())) for mine in taken]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert sorted(key for mine in taken for key, _ in mine) == list(range(COUNT))


async def test_what_an_error_ends_comes_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trie is emptied one by one."""
    async with Map.create(spec(MapType.LPM_TRIE)) as m:
        m.update_many({key_of(MapType.LPM_TRIE, i): i for i in range(10)})
        delete, calls = MapElements.delete, 0

        def fail_in_the_middle(self: MapElements, key: bytes) -> bool:
            nonlocal calls
            calls += 1
            if calls == 4:
                raise self.error(errno.EPERM, Command.MAP_DELETE_ELEM)
            return delete(self, key)

        monkeypatch.setattr(MapElements, "delete", fail_in_the_middle)
        assert len(m.pop_all()) == 3
        monkeypatch.undo()
        assert len(m.pop_all()) == 7


async def test_a_walk_that_finds_no_end_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where another program deletes each key before the kernel is asked for the one after it: it begins anew."""
    async with Map.create(spec(MapType.HASH, max_entries=8)) as m:
        monkeypatch.setattr(MapElements, "next_key", lambda self, key=None: b"\1\0\0\0")
        keys = iter(m)
        met = [next(keys) for _ in range(8)]
        with pytest.raises(MapIterationError, match="map 'm' has room for 8 elements, and a walk met"):
            met.extend(keys)
        assert 8 < len(met) < 100


async def test_a_hash_may_be_taken_while_another_writes() -> None:
    async with Map.create(spec(MapType.HASH, max_entries=2000)) as m:
        total = 1000
        seen: list[int] = []

        def write() -> None:
            for i in range(total):
                m[i] = i

        writer = threading.Thread(target=write)
        writer.start()
        while writer.is_alive():
            seen += [key for key, _ in m.pop_all()]
        writer.join()
        seen += [key for key, _ in m.pop_all()]
        assert sorted(seen) == list(range(total))
