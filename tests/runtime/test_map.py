"""Maps: typed elements, every kind of the first slice, against the running kernel."""

from __future__ import annotations

import struct
from typing import Any

import pytest

import aiobpf
from aiobpf import MapFlags, MapType, UpdateFlags, features
from aiobpf.btf import Array, Int, IntEncoding, Member, Struct
from aiobpf.errors import (
    ClosedError,
    CodecError,
    KernelError,
    MapFullError,
    MapKeyError,
    MapKeyExistsError,
    NotSupportedError,
    SpecError,
)
from aiobpf.kernel.cpus import possible_cpus
from aiobpf.runtime import Map, PerCpu
from aiobpf.spec import MapSpec

pytestmark = [pytest.mark.root, pytest.mark.everywhere]

U32 = Int("unsigned int", 4)
U64 = Int("unsigned long", 8)
CHAR = Int("char", 1, encoding=IntEncoding.SIGNED)
TASK = Struct("task", 24, [Member("pid", U32, 0), Member("cpu", U32, 32), Member("name", Array(CHAR, U32, 16), 64)])


def hash_map(max_entries: int = 8, **changes: object) -> MapSpec:
    values: dict[str, object] = {
        "name": "h", "type": MapType.HASH, "key_size": 4, "value_size": 8, "max_entries": max_entries, "key": U32,
        "value": U64,
    }  # fmt: skip
    return MapSpec(**(values | changes))  # type: ignore[arg-type]


async def test_a_hash_is_a_mapping_typed_by_btf() -> None:
    async with Map.create(hash_map()) as m:
        m[1] = 10
        m.update(2, 20)
        assert m[1] == 10
        assert m.get(3) is None
        assert m.get(3, 7) == 7
        assert 2 in m
        assert 3 not in m
        assert sorted(m) == [1, 2]
        assert sorted(m.items()) == [(1, 10), (2, 20)]
        assert sorted(m.values()) == [10, 20]
        assert m.lookup_bytes(1) == struct.pack("=Q", 10)
        assert m.pop(1) == 10
        assert m.pop(1, None) is None
        del m[2]
        assert list(m) == []


async def test_what_is_not_there_or_does_not_fit_has_a_named_error() -> None:
    async with Map.create(hash_map(2)) as m:
        with pytest.raises(MapKeyError, match="map 'h' has no key 5"):
            m[5]
        with pytest.raises(KeyError):
            del m[5]
        with pytest.raises(MapKeyError):
            m.pop(5)
        with pytest.raises(MapKeyError):
            m.update(5, 1, UpdateFlags.EXIST)
        m[1] = 1
        with pytest.raises(MapKeyExistsError):
            m.update(1, 2, UpdateFlags.NOEXIST)
        m[2] = 2
        with pytest.raises(MapFullError):
            m[3] = 3
        with pytest.raises(CodecError):
            m[1] = "ten"
        with pytest.raises(CodecError):
            m[1 << 40] = 1


async def test_a_value_that_does_not_fit_names_the_map() -> None:
    async with Map.create(hash_map(name="limits")) as m:
        for attempt in (
            lambda: m[1 << 40],
            lambda: m.get("x"),
            lambda: m.update(1, -1),
            lambda: m.__setitem__(1, "ten"),
            lambda: m.__delitem__("x"),
            lambda: "x" in m,
            lambda: m.pop("x"),
            lambda: m.lookup_bytes("x"),
            lambda: m.update_many({"x": 1}),
            lambda: m.delete_many(["x"]),
        ):
            with pytest.raises(CodecError, match=r"^map 'limits': unsigned (int|long): "):
                attempt()


async def test_keys_belong_to_maps_that_have_them() -> None:
    async with Map.create(hash_map(name="limits")) as m:
        for attempt in (lambda: m.push(1), m.peek, m.pop):
            with pytest.raises(SpecError, match="map 'limits' is of type HASH: only queues and stacks"):
                attempt()
    async with Map.create(hash_map(name="jobs", type=MapType.QUEUE, key=None, key_size=0)) as m:
        with pytest.raises(CodecError, match=r"map 'jobs': a QUEUE map has no keys \(3\): it has push, pop and peek"):
            m[3]
        with pytest.raises(CodecError, match="map 'jobs': unsigned long: 'x' is no integer"):
            m.push("x")


async def test_struct_values_are_objects() -> None:
    async with Map.create(hash_map(value=TASK, value_size=24)) as m:
        m[1] = {"pid": 4711, "cpu": 1, "name": "init"}
        task = m[1]
        assert (task.pid, task.cpu, task.name) == (4711, 1, "init")
        m[2] = task
        assert m[2] == task


async def test_without_btf_elements_are_bytes() -> None:
    async with Map.create(hash_map(key=None, value=None)) as m:
        m[b"\1\0\0\0"] = bytes(8)
        assert m[b"\1\0\0\0"] == bytes(8)
        m[7] = 9
        assert m[struct.pack("=I", 7)] == struct.pack("=Q", 9)
        with pytest.raises(CodecError, match="4 bytes"):
            m[b"toolong"]


async def test_an_array_has_every_index_and_no_deletion() -> None:
    async with Map.create(hash_map(4, type=MapType.ARRAY)) as m:
        assert list(m.items()) == [(0, 0), (1, 0), (2, 0), (3, 0)]
        m[3] = 33
        assert m[3] == 33
        with pytest.raises(MapKeyError):
            m[4]
        with pytest.raises(OSError, match="BPF_MAP_DELETE_ELEM"):
            del m[1]


async def test_an_lru_hash_forgets_instead_of_filling_up() -> None:
    async with Map.create(hash_map(64, type=MapType.LRU_HASH)) as m:
        for i in range(1000):
            m[i] = i
        assert 0 < len(list(m)) <= 64


async def test_a_trie_finds_the_longest_prefix() -> None:
    key = Struct("lpm", 8, [Member("bits", U32, 0), Member("address", Array(Int("__u8", 1), U32, 4), 32)])
    spec = hash_map(type=MapType.LPM_TRIE, key=key, key_size=8, flags=MapFlags.NO_PREALLOC)
    async with Map.create(spec) as m:
        m[{"bits": 8, "address": bytes([10, 0, 0, 0])}] = 8
        m[{"bits": 24, "address": bytes([10, 1, 2, 0])}] = 24
        assert m[{"bits": 32, "address": bytes([10, 1, 2, 3])}] == 24
        assert m[{"bits": 32, "address": bytes([10, 9, 9, 9])}] == 8
        assert m.get({"bits": 32, "address": bytes([11, 0, 0, 1])}) is None


@pytest.mark.parametrize("type_", [MapType.PERCPU_HASH, MapType.PERCPU_ARRAY, MapType.LRU_PERCPU_HASH])
async def test_per_cpu_values_come_one_a_cpu(type_: MapType) -> None:
    cpus = len(possible_cpus())
    async with Map.create(hash_map(4, type=type_)) as m:
        m[1] = list(range(1, cpus + 1))
        value = m[1]
        assert isinstance(value, PerCpu)
        assert list(value) == list(range(1, cpus + 1))
        assert value.sum() == cpus * (cpus + 1) // 2
        assert value.max() == cpus
        m[1] = 5  # one for all
        assert list(m[1]) == [5] * cpus
        with pytest.raises(CodecError, match="possible CPUs"):
            m[1] = [1] * (cpus + 1)


async def test_per_cpu_values_of_odd_size_keep_their_places() -> None:
    cpus = len(possible_cpus())
    three = Struct("three", 3, [Member("a", Array(Int("__u8", 1), U32, 3), 0)])
    async with Map.create(hash_map(4, type=MapType.PERCPU_ARRAY, value=three, value_size=3)) as m:
        m[0] = [{"a": bytes([cpu, cpu, cpu])} for cpu in range(cpus)]
        assert [value.a for value in m[0]] == [bytes([cpu] * 3) for cpu in range(cpus)]


async def test_queues_and_stacks() -> None:
    for type_, expected in ((MapType.QUEUE, [1, 2]), (MapType.STACK, [2, 1])):
        async with Map.create(hash_map(2, type=type_, key=None, key_size=0)) as m:
            m.push(1)
            m.push(2)
            with pytest.raises(MapFullError):
                m.push(3)
            assert m.peek() == expected[0]
            assert [m.pop(), m.pop()] == expected
            with pytest.raises(MapKeyError, match="is empty"):
                m.pop()
            assert m.pop(default=None) is None


@pytest.mark.parametrize("type_", [MapType.HASH, MapType.ARRAY, MapType.LRU_HASH, MapType.LPM_TRIE])
async def test_many_elements_at_once(type_: MapType) -> None:
    n = 3000
    spec = hash_map(n if type_ == MapType.ARRAY else 4 * n, type=type_)
    if type_ == MapType.LPM_TRIE:
        spec.key, spec.key_size, spec.flags = U64, 8, MapFlags.NO_PREALLOC

    def key(i: int) -> int:
        return (i << 32 | 32) if type_ == MapType.LPM_TRIE else i

    async with Map.create(spec) as m:
        assert m.update_many({key(i): i * i for i in range(n)}) == n
        found: dict[int, int] = {}
        async for keys, values in m.batches(256):
            assert len(keys) == len(values) > 0
            found |= dict(zip(keys, values, strict=True))
        assert found == {key(i): i * i for i in range(n)}
        assert dict(m.items()) == found
        if type_ != MapType.ARRAY:
            assert m.delete_many([key(1), key(2)]) == 2
            assert key(1) not in m
            m.clear()
            assert list(m) == []


async def test_numpy_gets_the_whole_map() -> None:
    numpy = pytest.importorskip("numpy")
    async with Map.create(hash_map(500, value=TASK, value_size=24)) as m:
        m.update_many({i: {"pid": i, "cpu": i % 2, "name": f"t{i}"} for i in range(500)})
        keys, values = m.numpy()
        assert len(keys) == len(values) == 500
        assert numpy.array_equal(keys, values["pid"])
        assert set(values["cpu"]) == {0, 1}


async def test_numpy_holds_no_memory_for_elements_that_are_not_there() -> None:
    numpy = pytest.importorskip("numpy")
    async with Map.create(hash_map(100_000)) as m:
        m.update_many((i, i) for i in range(10))
        for array in m.numpy():
            while isinstance(array.base, numpy.ndarray):
                array = array.base
            assert array.nbytes <= 80


async def test_a_map_in_a_map_is_a_map() -> None:
    inner = hash_map(3, name="inner")
    spec = hash_map(4, type=MapType.HASH_OF_MAPS, key=U32, value=None, value_size=4, inner=inner)
    async with Map.create(spec) as outer, Map.create(inner) as one:
        one[1] = 11
        outer[5] = one
        async with outer[5] as found:
            assert found.lookup_bytes(1) == struct.pack("=Q", 11)
        with pytest.raises(MapKeyError):
            outer[6]


async def test_contents_are_written_and_frozen() -> None:
    spec = hash_map(2, type=MapType.ARRAY, is_frozen=True, contents={bytes(4): struct.pack("=Q", 5)})
    async with Map.create(spec) as m:
        assert m[0] == 5
        with pytest.raises(PermissionError, match="map 'h'"):
            m[0] = 6


async def test_contents_that_name_another_map_need_its_collection() -> None:
    spec = hash_map(2, type=MapType.ARRAY_OF_MAPS, value=None, value_size=4, inner=hash_map(), contents={bytes(4): "x"})
    with pytest.raises(SpecError, match="'x'"):
        await Map.create(spec)


async def test_a_ring_is_rounded_up_to_what_the_kernel_takes() -> None:
    async with Map.create(MapSpec(name="r", type=MapType.RINGBUF, max_entries=5000)) as m:
        assert m.max_entries == 8192


async def test_a_perf_array_without_a_size_has_an_entry_for_every_cpu() -> None:
    async with Map.create(MapSpec(name="p", type=MapType.PERF_EVENT_ARRAY)) as m:
        assert (m.key_size, m.value_size, m.max_entries) == (4, 4, len(possible_cpus()))
        assert m.info().max_entries == len(possible_cpus())
    async with Map.create(MapSpec(name="p", type=MapType.PERF_EVENT_ARRAY, max_entries=1)) as m:
        assert m.max_entries == 1


async def test_what_an_object_leaves_to_its_loader_is_named() -> None:
    for missing, spec in (
        ("max_entries", hash_map(0)),
        ("max_entries", hash_map(0, type=MapType.RINGBUF, key=None, value=None)),
        ("value_size", hash_map(type=MapType.STACK_TRACE, value=None, value_size=0)),
    ):
        with pytest.raises(OSError, match=rf"map 'h': BPF_MAP_CREATE: .* Its {missing} is 0: .*maps\['h'\]\.{missing}"):
            await Map.create(spec)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"type": MapType.HASH, "key_size": 0}, r"Its key_size is 0: .*spec\.maps\['m'\]\.key_size"),
        ({"type": MapType.ARRAY, "key_size": 8}, "Its keys are indices of 4 bytes: .*key_size is 8"),
        ({"type": MapType.ARRAY, "value_size": (1 << 32) - 1}, "4 bytes of key and 4294967295 of value"),
        ({"type": MapType.LPM_TRIE, "key_size": 8}, r"\.flags \|= MapFlags\.NO_PREALLOC"),
        ({"type": MapType.LPM_TRIE, "key_size": 4, "flags": 1}, "Its keys are the length of a prefix"),
        ({"type": MapType.QUEUE}, "It has no keys: .*key_size is 4"),
        ({"type": MapType.HASH, "flags": 1 << 31}, "Its flags have 0x80000000, which means nothing here"),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
async def test_a_map_that_the_kernel_refuses_without_a_word_says_why(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(KernelError, match=match):
        await Map.create(MapSpec(name="m", **{"key_size": 4, "value_size": 8, "max_entries": 4, **fields}))


async def test_contents_of_another_size_than_elements_are_named() -> None:
    with pytest.raises(CodecError, match="map 'h': a key has 4 bytes, not 1"):
        await Map.create(hash_map(contents={b"x": bytes(8)}))


async def test_creating_never_changes_the_spec() -> None:
    spec = MapSpec(name="r", type=MapType.RINGBUF, max_entries=5000)
    before = spec.copy()
    async with Map.create(spec):
        pass
    assert spec == before


async def test_array_memory_is_mapped() -> None:
    async with Map.create(hash_map(4, type=MapType.ARRAY, flags=MapFlags.MMAPABLE)) as m:
        with m.mmap() as memory:
            memory[8:16] = struct.pack("=Q", 77)
            assert m[1] == 77


async def test_a_closed_map_says_so() -> None:
    m = await Map.create(hash_map())
    copy = m.duplicate()
    copy[1] = 5
    await m.aclose()
    await m.aclose()
    assert m.is_closed
    for use in (lambda: m[1], lambda: list(m), lambda: m.update(1, 1), m.fileno, m.info):
        with pytest.raises(ClosedError):
            use()
    assert copy[1] == 5
    copy.close()


async def test_a_map_is_found_by_its_id() -> None:
    async with Map.create(hash_map()) as m:
        m[1] = 5
        info = m.info()
        assert (info.name, info.key_size, info.value_size, info.max_entries) == ("h", 4, 8, 8)
        async with Map.from_id(info.id) as same:
            assert same.lookup_bytes(1) == struct.pack("=Q", 5)
    with pytest.raises(FileNotFoundError):
        Map.from_id(0xFFFFFFF)


async def test_a_type_that_is_no_map_is_refused_by_name() -> None:
    with pytest.raises(aiobpf.KernelError, match="map 'h'"):
        await Map.create(hash_map(0))


def per_cpu(type_: MapType) -> MapSpec:
    return MapSpec(name="values", type=type_, key_size=4, value_size=6, max_entries=2)


@pytest.mark.parametrize("type_", [MapType.PERCPU_ARRAY, MapType.PERCPU_HASH])
async def test_the_value_of_one_cpu_is_read_alone(type_: MapType) -> None:
    """On a kernel before 7.0 by choosing from all of them."""
    async with Map.create(per_cpu(type_)) as values:
        last = len(possible_cpus()) - 1
        values.update(1, [bytes([cpu]) * 6 for cpu in range(last + 1)])
        assert values.get(1, cpu=last) == bytes([last]) * 6
        assert values.get(1, cpu=0) == bytes(6)
        assert values.get(7, "absent", cpu=0) == "absent"
        with pytest.raises(IndexError, match=f"CPUs 0 to {last}, not of {last + 1}"):
            values.get(1, cpu=last + 1)
    async with Map.create(hash_map()) as plain:
        with pytest.raises(SpecError, match="has one value for all CPUs"):
            plain.get(1, cpu=0)


@pytest.mark.requires("one CPU's value")
@pytest.mark.parametrize("type_", [MapType.PERCPU_ARRAY, MapType.PERCPU_HASH])
async def test_the_value_of_one_cpu_is_set_alone(type_: MapType) -> None:
    async with Map.create(per_cpu(type_)) as values:
        cpus = len(possible_cpus())
        values[1] = b"before"
        values.update(1, b"after!", cpu=cpus - 1)
        assert list(values[1]) == [b"before"] * (cpus - 1) + [b"after!"]
        values.update(1, b"for_al", UpdateFlags.ALL_CPUS)
        assert list(values[1]) == [b"for_al"] * cpus


@pytest.mark.parametrize("type_", [MapType.PERCPU_ARRAY, MapType.PERCPU_HASH])
async def test_a_kernel_that_cannot_set_one_cpus_value_says_so_and_changes_none(type_: MapType) -> None:
    if isinstance(await features.probe(features.Feature.ONE_CPU_VALUE), features.Supported):
        return
    async with Map.create(per_cpu(type_)) as values:
        values[1] = b"before"
        with pytest.raises(NotSupportedError, match=r"map 'values': setting the value of one CPU needs Linux 7\.0"):
            values.update(1, b"after!", cpu=0)
        assert set(values[1]) == {b"before"}
