"""Map elements of the running kernel."""

from __future__ import annotations

import os
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from aiobpf.errors import (
    ClosedError,
    KernelError,
    MapFullError,
    MapKeyError,
    MapKeyExistsError,
    MissingPrivilegeError,
)
from aiobpf.kernel import UNSUPPORTED_ERRNOS, MapElements, OwnedFd, freeze_map, possible_cpus, scan
from aiobpf.uapi import MapFlags, MapType, UpdateFlags

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.root


def key(number: int) -> bytes:
    return struct.pack("=I", number)


def value(number: int) -> bytes:
    return struct.pack("=Q", number)


@pytest.fixture
def elements(make_map: Callable[..., OwnedFd]) -> MapElements:
    return MapElements(make_map(), 4, 8, subject="map 'test'")


def test_update_lookup_delete(elements: MapElements) -> None:
    assert elements.lookup(key(1)) is None
    elements.update(key(1), value(7))
    assert elements.lookup(key(1)) == value(7)
    elements.update(key(1), value(8))
    assert elements.lookup(key(1)) == value(8)
    assert elements.delete(key(1))
    assert not elements.delete(key(1))


def test_an_update_may_insist(elements: MapElements) -> None:
    elements.update(key(1), value(1), UpdateFlags.NOEXIST)
    with pytest.raises(MapKeyExistsError, match=r"map 'test'.*01 00 00 00"):
        elements.update(key(1), value(2), UpdateFlags.NOEXIST)
    with pytest.raises(MapKeyError, match="map 'test' has no key 02 00 00 00") as caught:
        elements.update(key(2), value(2), UpdateFlags.EXIST)
    assert caught.value.key == key(2)


def test_a_full_map_says_so(make_map: Callable[..., OwnedFd]) -> None:
    elements = MapElements(make_map(entries=2), 4, 8)
    elements.update_many([(key(1), value(1)), (key(2), value(2))])
    with pytest.raises(MapFullError, match="max_entries"):
        elements.update(key(3), value(3))
    with pytest.raises(MapFullError, match="1 of 2 elements were set before"):
        elements.update_many([(key(1), value(1)), (key(3), value(3))])


def test_an_array_ends(make_map: Callable[..., OwnedFd]) -> None:
    elements = MapElements(make_map(MapType.ARRAY, entries=2), 4, 8)
    assert elements.lookup(key(2)) is None
    with pytest.raises(MapFullError, match="past an array's end"):
        elements.update(key(2), value(0))
    with pytest.raises(KernelError, match="EINVAL"):
        elements.delete(key(0))


def test_sizes_are_checked_before_the_kernel_reads(elements: MapElements) -> None:
    wrong_key, wrong_value = b"12345", b"1234567"
    for use in (
        lambda: elements.lookup(wrong_key),
        lambda: elements.update(wrong_key, value(1)),
        lambda: elements.delete(wrong_key),
        lambda: elements.next_key(wrong_key),
        lambda: elements.lookup_and_delete(wrong_key),
        lambda: elements.update_many([(wrong_key, value(1))]),
        lambda: elements.delete_many([wrong_key]),
    ):
        with pytest.raises(ValueError, match="map 'test': a key has 4 bytes, not 5"):
            use()
    with pytest.raises(ValueError, match="a value has 8 bytes, not 7"):
        elements.update(key(1), wrong_value)
    with pytest.raises(ValueError, match="a value has 8 bytes, not 7"):
        elements.update_many([(key(1), wrong_value)])
    with pytest.raises(ValueError, match="2 elements are 8 bytes of keys and 16 of values, not 4 and 16"):
        elements.update_packed(key(1), bytes(16), 2)


@pytest.mark.requires("lookup and delete")
def test_lookup_and_delete(elements: MapElements) -> None:
    elements.update(key(1), value(1))
    assert elements.lookup_and_delete(key(1)) == value(1)
    assert elements.lookup_and_delete(key(1)) is None


def test_lookup_and_delete_of_an_array_is_not_supported(make_map: Callable[..., OwnedFd]) -> None:
    elements = MapElements(make_map(MapType.ARRAY), 4, 8)
    with pytest.raises(KernelError) as caught:
        elements.lookup_and_delete(key(0))
    assert caught.value.errno in UNSUPPORTED_ERRNOS


def test_a_queue_has_no_keys(make_map: Callable[..., OwnedFd]) -> None:
    elements = MapElements(make_map(MapType.QUEUE, key_size=0), 0, 8)
    assert elements.lookup(b"") is None
    elements.update(b"", value(1))
    elements.update(b"", value(2))
    assert elements.lookup(b"") == value(1)
    assert elements.lookup_and_delete() == value(1)
    assert elements.lookup_and_delete() == value(2)
    assert elements.lookup_and_delete() is None


def test_keys_may_be_removed_while_they_are_walked(elements: MapElements) -> None:
    elements.update_many([(key(number), value(number)) for number in range(10)])
    seen = []
    for each in elements.keys():  # noqa: SIM118 not a dict
        seen.append(each)
        assert elements.delete(each)
    assert sorted(seen) == [key(number) for number in range(10)]
    assert elements.next_key() is None


ALL = {key(number): value(number * 3) for number in range(500)}


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        (MapType.HASH, 0),
        (MapType.HASH, MapFlags.NO_PREALLOC),
        (MapType.LRU_HASH, 0),
        (MapType.ARRAY, 0),
    ],
)
@pytest.mark.parametrize("size", [1, 7, None, 5000])
def test_items_gives_every_element_once(
    make_map: Callable[..., OwnedFd], kind: MapType, flags: int, size: int | None
) -> None:
    entries = 4096 if kind == MapType.LRU_HASH else 500  # an LRU forgets some before it is full
    elements = MapElements(make_map(kind, entries=entries, flags=flags), 4, 8)
    assert elements.update_many(ALL.items()) == 500
    assert dict(elements.items()) == ALL
    found: dict[bytes, bytes] = {}
    for keys, values, count in elements.scan(size):
        assert count
        found |= {bytes(keys[i * 4 : i * 4 + 4]): bytes(values[i * 8 : i * 8 + 8]) for i in range(count)}
    assert found == ALL


@pytest.mark.parametrize(
    ("kind", "flags"), [(MapType.HASH, 0), (MapType.LRU_HASH, 0), (MapType.ARRAY, 0), (MapType.PERCPU_HASH, 0)]
)
@pytest.mark.parametrize("size", [1, 7, 5000])
@pytest.mark.parametrize("limit", [0, 500, 100])
@pytest.mark.parametrize("first", [1 << 20, 64])
def test_a_scan_that_keeps_has_the_whole_map_in_the_end(
    make_map: Callable[..., OwnedFd],
    monkeypatch: pytest.MonkeyPatch,
    kind: MapType,
    flags: int,
    size: int,
    limit: int,
    first: int,
) -> None:
    """Also where the buffers had to grow on the way: the map says less than it holds, or it is too large at first."""
    monkeypatch.setattr(scan, "_FIRST_KEPT_BYTES", first)
    entries = 4096 if kind == MapType.LRU_HASH else 500
    size_of_value = 8 * len(possible_cpus()) if kind == MapType.PERCPU_HASH else 8
    elements = MapElements(make_map(kind, entries=entries, flags=flags), 4, size_of_value, limit=limit)
    given = {each: number * (size_of_value // 8) for each, number in ALL.items()}
    elements.update_many(given.items())
    walk = elements.scan(size, keep=bytearray)
    assert sum(count for _, _, count in walk) == 500
    keys, values, count = walk.kept
    assert count == 500
    assert given == {
        bytes(keys[i * 4 : i * 4 + 4]): bytes(values[i * size_of_value : (i + 1) * size_of_value]) for i in range(count)
    }


def test_what_is_kept_of_a_map_without_batches(make_map: Callable[..., OwnedFd]) -> None:
    elements = MapElements(make_map(MapType.DEVMAP_HASH, 4, 4, 300), 4, 4, limit=20)
    given = {key(number): key(1) for number in range(30)}
    elements.update_many(given.items())
    walk = elements.scan(7, keep=bytearray)
    assert sum(count for _, _, count in walk) == 30
    keys, values, count = walk.kept
    assert {bytes(keys[i * 4 : i * 4 + 4]): bytes(values[i * 4 : i * 4 + 4]) for i in range(count)} == given
    with pytest.raises(ValueError, match="chunk by chunk"):
        elements.scan(7, keep=bytearray, takes=True)


def test_items_of_a_trie_with_holes(make_map: Callable[..., OwnedFd]) -> None:
    elements = MapElements(make_map(MapType.LPM_TRIE, 8, 8, 100, flags=MapFlags.NO_PREALLOC), 8, 8)
    given = {struct.pack("=I4B", 32, 10, 0, 0, number): value(number) for number in range(50)}
    elements.update_many(given.items())
    assert dict(elements.items()) == given
    assert elements.delete_many(list(given)) == 50


def test_items_of_a_map_without_batches(make_map: Callable[..., OwnedFd]) -> None:
    """Key by key, in C."""
    elements = MapElements(make_map(MapType.DEVMAP_HASH, 4, 4, 300), 4, 4)
    assert elements.update_many([(key(number), key(1)) for number in range(300)]) == 300  # interface 1 is lo
    assert {each for each, _ in elements.items()} == {key(number) for number in range(300)}
    assert sum(count for _, _, count in elements.scan(64)) == 300
    assert elements.delete_many([key(number) for number in range(0, 600, 2)]) == 150


def test_an_empty_map_has_no_items(make_map: Callable[..., OwnedFd]) -> None:
    assert list(MapElements(make_map(), 4, 8).items()) == []
    assert list(MapElements(make_map(MapType.LPM_TRIE, 8, 8, 4, flags=MapFlags.NO_PREALLOC), 8, 8).items()) == []
    assert list(MapElements(make_map(MapType.DEVMAP_HASH, 4, 4, 4), 4, 4).items()) == []


def test_a_chunk_has_a_limit(make_map: Callable[..., OwnedFd]) -> None:
    elements = MapElements(make_map(), 4, 8)
    with pytest.raises(MemoryError, match="ask for fewer"):
        elements.scan(1 << 28)


def test_delete_many_counts_what_was_there(elements: MapElements) -> None:
    elements.update_many([(key(number), value(0)) for number in (1, 3, 5)])
    assert elements.delete_many([key(number) for number in range(7)]) == 3
    assert elements.delete_many([]) == 0
    assert list(elements.keys()) == []


def test_update_many_with_flags(elements: MapElements) -> None:
    pairs = [(key(number), value(number)) for number in range(3)]
    assert elements.update_many(pairs, UpdateFlags.NOEXIST) == 3
    with pytest.raises(MapKeyExistsError, match="0 of 3"):
        elements.update_many(pairs, UpdateFlags.NOEXIST)
    assert elements.update_many([]) == 0


def test_per_cpu_values_have_a_slot_for_each_cpu(make_map: Callable[..., OwnedFd]) -> None:
    cpus = len(possible_cpus())
    elements = MapElements(make_map(MapType.PERCPU_HASH, 4, 4), 4, 8 * cpus)
    slots = b"".join(struct.pack("=II", number + 1, 0) for number in range(cpus))
    elements.update(key(1), slots)
    assert elements.lookup(key(1)) == slots
    assert list(elements.items()) == [(key(1), slots)]


def test_a_frozen_map_is_not_written(make_map: Callable[..., OwnedFd]) -> None:
    fd = make_map(MapType.ARRAY)
    freeze_map(fd)
    elements = MapElements(fd, 4, 8, subject="map 'frozen'")
    with pytest.raises(MissingPrivilegeError, match=r"map 'frozen'.*It is frozen"):
        elements.update(key(0), value(0))
    assert elements.lookup(key(0)) == value(0)


def test_a_closed_map_is_a_closed_error(make_map: Callable[..., OwnedFd]) -> None:
    fd = make_map()
    follows, copies = MapElements(fd, 4, 8, subject="map 'gone'"), MapElements(fd.fileno(), 4, 8, subject="map 'gone'")
    copies.close()
    fd.close()
    for elements in (follows, copies):
        for use in (
            lambda e=elements: e.lookup(key(1)),
            lambda e=elements: e.update(key(1), value(1)),
            lambda e=elements: e.delete(key(1)),
            lambda e=elements: e.next_key(),
            lambda e=elements: e.lookup_and_delete(key(1)),
            lambda e=elements: e.update_many([(key(1), value(1))]),
            lambda e=elements: e.delete_many([key(1)]),
            lambda e=elements: list(e.items()),
        ):
            with pytest.raises(ClosedError, match="map 'gone' is closed"):
                use()


def test_a_scan_of_what_is_no_map_is_the_kernels_error() -> None:
    with OwnedFd(os.open("/dev/null", os.O_RDONLY), "null") as null:
        elements = MapElements(null, 4, 8, subject="not a map")
        with pytest.raises(KernelError, match="not a map"):
            list(elements.items())


def test_threads_share_it(make_map: Callable[..., OwnedFd]) -> None:
    elements = MapElements(make_map(entries=64), 4, 8)
    elements.update_many([(key(number), value(number)) for number in range(8)])
    wrong: list[bytes | None] = []

    def look(number: int) -> None:
        for _ in range(2000):
            found = elements.lookup(key(number))
            if found != value(number):
                wrong.append(found)

    threads = [threading.Thread(target=look, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
