"""Maps of maps, sparse arrays, maps that are pinned, and what a spec leaves to the loader."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from aiobpf import asm, kernel
from aiobpf.asm import R0, Instructions
from aiobpf.btf import Array, Int, Member, Struct
from aiobpf.elf import read_spec
from aiobpf.errors import (
    KernelError,
    MapKeyError,
    NoSuchObjectError,
    NotSupportedError,
    SpecError,
)
from aiobpf.kernel import features
from aiobpf.kernel.cpus import possible_cpus
from aiobpf.runtime import LoadOptions, Map, Program
from aiobpf.runtime.map_create import create_map, require_compatible
from aiobpf.runtime.program_load import load_alone
from aiobpf.spec import MapSpec, Pinning, ProgramSpec
from aiobpf.uapi import MapFlags, MapType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OBJECTS = Path(__file__).parent.parent / "objects"
U32 = Int("unsigned int", 4)
U64 = Int("unsigned long", 8)
PAIR = Struct("pair", 8, [Member("a", U32, 0), Member("b", U32, 32)])
XDP = ProgramSpec(
    name="p", type=ProgramType.XDP, license="GPL", instructions=Instructions([asm.mov(R0, 0), asm.exit_()])
)

pytestmark = pytest.mark.root


def spec(type_: MapType = MapType.HASH, **changes: Any) -> MapSpec:
    values: dict[str, Any] = {"name": "m", "key_size": 4, "value_size": 8, "max_entries": 8, "key": U32, "value": U64}
    return MapSpec(type=type_, **(values | changes))


def outer(type_: MapType = MapType.HASH_OF_MAPS, **changes: Any) -> MapSpec:
    return spec(type_, name="outer", value_size=4, value=None, inner=spec(name="inner"), **changes)


@pytest.fixture
def opened() -> Iterator[Callable[[MapSpec], Map]]:
    made: list[Map] = []

    def create(map_spec: MapSpec) -> Map:
        made.append(create_map(map_spec))
        return made[-1]

    yield create
    for each in made:
        each.close()


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "bpffs"
    where.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(where)], check=True)
    yield where
    subprocess.run(["umount", str(where)], check=True)


# --- maps of maps -----------------------------------------------------------------------------------------------------


def test_a_held_map_is_typed_and_has_its_own_name(opened: Callable[[MapSpec], Map]) -> None:
    holder, one = opened(outer()), opened(spec(name="one"))
    one[1] = 11
    holder[5] = one
    inner = holder[5]
    assert (inner[1], inner.name) == (11, "one")
    inner.close()
    for key, value in holder.items():
        assert (key, value[1]) == (5, 11)
        value.close()
    assert holder.get(6) is None


def test_a_map_is_opened_before_it_is_taken_out(opened: Callable[[MapSpec], Map]) -> None:
    holder = opened(outer())
    one = create_map(spec(name="one"))
    one[1] = 11
    holder[5] = one
    one.close()  # only the outer map holds it now
    taken = holder.pop(5)
    assert taken[1] == 11
    taken.close()
    assert 5 not in holder
    assert holder.pop(5, None) is None
    with pytest.raises(MapKeyError):
        holder.pop(5)


def test_a_map_that_is_replaced_while_it_is_opened_is_looked_up_again(
    opened: Callable[[MapSpec], Map], monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, one, two = opened(outer()), opened(spec(name="one")), opened(spec(name="two"))
    holder[5] = one
    find = kernel.map_by_id

    def replaced(number: int) -> Any:
        holder[5] = two
        monkeypatch.setattr(kernel, "map_by_id", find)
        raise NoSuchObjectError(2, "BPF_MAP_GET_FD_BY_ID", f"map {number}")

    monkeypatch.setattr(kernel, "map_by_id", replaced)
    found = holder[5]
    assert found.name == "two"
    found.close()

    def gone(number: int) -> Any:
        raise NoSuchObjectError(2, "BPF_MAP_GET_FD_BY_ID", f"map {number}")

    monkeypatch.setattr(kernel, "map_by_id", gone)
    with pytest.raises(NoSuchObjectError):
        holder[5]
    assert list(holder.items()) == []


@pytest.mark.parametrize("size", [1, 64, 4096])
def test_a_sparse_array_gives_up_nothing_behind_its_holes(opened: Callable[[MapSpec], Map], size: int) -> None:
    programs = opened(MapSpec(name="jumps", type=MapType.PROG_ARRAY, max_entries=20_000))
    program = load_alone(XDP, LoadOptions())
    number = kernel.program_info(program).id
    for index in (0, 7_000, 7_001, 19_999):
        programs[index] = program
    found = [
        struct.unpack_from("=I", keys, 4 * i)[0]
        for keys, _, count in programs.elements.scan(size)
        for i in range(count)
    ]
    assert found == [0, 7_000, 7_001, 19_999]
    assert list(programs.items()) == [(index, number) for index in found]
    program.close()


def test_inner_maps_of_one_name_keep_their_own_types(opened: Callable[[MapSpec], Map]) -> None:
    made = []
    for value in (U64, PAIR):
        held = spec(name="same", value=value)
        holder = spec(MapType.HASH_OF_MAPS, name="outer", value_size=4, value=None, inner=held)
        made.append((opened(holder), opened(held)))
    for holder_map, held_map in made:
        holder_map[1] = held_map
    assert kernel.map_info(made[0][1]).btf_value_type_id
    assert [type(held_map.value_codec.decode(bytes(8))).__name__ for _, held_map in made] == ["int", "pair"]


# --- contents ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [U64, None])
def test_contents_of_a_per_cpu_map_go_to_every_cpu(opened: Callable[[MapSpec], Map], value: Int | None) -> None:
    raw = struct.pack("=Q", 5)
    m = opened(spec(MapType.PERCPU_ARRAY, value=value, contents={bytes(4): raw}))
    assert m.lookup_bytes(0) == raw * len(possible_cpus())


def test_arrays_and_structs_of_per_cpu_values_add_up(opened: Callable[[MapSpec], Map]) -> None:
    m = opened(spec(MapType.PERCPU_ARRAY, value=PAIR, contents={bytes(4): struct.pack("=II", 2, 3)}))
    cpus = len(possible_cpus())
    total = m[0].sum()
    assert (total.a, total.b) == (2 * cpus, 3 * cpus)
    m = opened(spec(MapType.PERCPU_ARRAY, value=Array(U32, U32, 2), contents={bytes(4): struct.pack("=II", 2, 3)}))
    assert m[0].sum() == [2 * cpus, 3 * cpus]
    assert m[0].max() == [2, 3]


def test_numpy_shows_cpus_as_a_dimension(opened: Callable[[MapSpec], Map]) -> None:
    pytest.importorskip("numpy")
    m = opened(spec(MapType.PERCPU_ARRAY, value_size=4, value=U32, max_entries=3))
    cpus = len(possible_cpus())
    m[1] = list(range(cpus))
    keys, values = m.numpy()
    assert keys.tolist() == [0, 1, 2]
    assert values.shape == (3, cpus)
    assert values[1].tolist() == list(range(cpus))
    keys, values = opened(spec(value=None, key=None)).numpy()
    assert (len(keys), len(values)) == (0, 0)


def test_a_program_alone_brings_the_maps_that_its_maps_hold() -> None:
    specs = {
        "outer": outer(MapType.ARRAY_OF_MAPS, contents={bytes(4): "held", struct.pack("=I", 1): "held"}),
        "held": spec(name="held"),
        "unused": spec(name="unused"),
    }
    code = Instructions([asm.load_map_ptr(asm.R1, "outer"), asm.mov(R0, 0), asm.exit_()])
    program = load_alone(
        ProgramSpec(name="p", type=ProgramType.XDP, license="GPL", instructions=code, maps=specs), LoadOptions()
    )
    assert [m.name for m in program.maps] == ["outer", "held"]
    inner = program.maps[0][1]
    assert inner.name == "held"
    inner.close()
    program.close()


def test_a_program_alone_does_not_pass_over_a_pin() -> None:
    specs = {"shared": spec(name="shared", pinning=Pinning.BY_NAME)}
    code = Instructions([asm.load_map_ptr(asm.R1, "shared"), asm.mov(R0, 0), asm.exit_()])
    program = ProgramSpec(name="p", type=ProgramType.XDP, license="GPL", instructions=code, maps=specs)
    with pytest.raises(SpecError, match="'shared', which wants to be pinned"):
        load_alone(program, LoadOptions())


# --- pins -------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_map_is_pinned_by_its_name_and_found_again(bpffs: Path) -> None:
    shared = spec(name="shared", pinning=Pinning.BY_NAME)
    async with Map.create(shared, pin_path=bpffs) as one, Map.create(shared, pin_path=bpffs) as two:
        one[1] = 5
        assert two[1] == 5
        assert one.pin_path == two.pin_path == str(bpffs / "shared")
    async with Map.from_pin(bpffs / "shared") as found:
        assert found.lookup_bytes(struct.pack("=I", 1)) == struct.pack("=Q", 5)
        found.unpin()
        found.unpin()
    assert not (bpffs / "shared").exists()


def test_a_pin_that_someone_else_makes_first_is_the_one(bpffs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = spec(name="shared", pinning=Pinning.BY_NAME)
    look = kernel.open_pin

    def too_early(path: str, **options: Any) -> Any:
        monkeypatch.setattr(kernel, "open_pin", look)
        theirs = create_map(shared, bpffs)
        theirs[1] = 5
        theirs.close()
        raise NoSuchObjectError(2, "BPF_OBJ_GET", path)

    monkeypatch.setattr(kernel, "open_pin", too_early)
    ours = create_map(shared, bpffs)
    assert ours[1] == 5
    ours.close()


def test_a_pin_of_another_kind_is_no_map(bpffs: Path) -> None:
    program = load_alone(XDP, LoadOptions())
    program.pin(bpffs / "shared")
    program.close()
    with pytest.raises(KernelError, match=r"shared.*It is a bpf-prog, not a bpf-map"):
        create_map(spec(name="shared", pinning=Pinning.BY_NAME), bpffs)
    with pytest.raises(KernelError, match="not a bpf-map"):
        Map.from_pin(bpffs / "shared")
    (bpffs / "shared").unlink()
    create_map(spec(name="shared", pinning=Pinning.BY_NAME), bpffs).close()
    with pytest.raises(KernelError, match="It is a bpf-map, not a bpf-prog"):
        Program.from_pin(bpffs / "shared")


def test_flags_that_the_kernel_or_a_descriptor_adds_are_no_difference(opened: Callable[[MapSpec], Map]) -> None:
    devices = MapSpec(name="ports", type=MapType.DEVMAP, key_size=4, value_size=4, max_entries=2)
    found = Map.from_id(opened(devices).info().id)
    assert found.flags & MapFlags.RDONLY_PROG
    require_compatible(found, devices, "it")
    found.close()
    here = spec(numa_node=0)
    found = Map.from_id(opened(here).info().id)
    assert found.flags & MapFlags.NUMA_NODE
    require_compatible(found, here, "it")
    with pytest.raises(SpecError, match=r"flags.*NO_PREALLOC"):
        require_compatible(found, spec(flags=MapFlags.NO_PREALLOC), "it")
    found.close()


# --- what a kernel or this library does not know ----------------------------------------------------------------------


def test_a_map_of_a_type_that_is_newer_than_the_library_has_a_number_for_a_name(
    opened: Callable[[MapSpec], Map], monkeypatch: pytest.MonkeyPatch
) -> None:
    info = opened(spec()).info()
    monkeypatch.setattr(kernel, "map_info", lambda fd: attrs.evolve(info, type=250))
    found = Map.from_id(info.id)
    assert (found.type, found.type.name) == (250, "NUMBER_250")
    found.close()


def test_a_struct_ops_map_is_made_by_its_collection() -> None:
    with pytest.raises(SpecError, match="map 'm' holds programs, so its collection makes it"):
        create_map(spec(MapType.STRUCT_OPS))


def test_a_type_that_the_kernel_lacks_is_named_with_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "supports_map_type", lambda _: False)
    with pytest.raises(NotSupportedError, match=r"map type RHASH \(map 'm'\) needs Linux 7\.2"):
        create_map(spec(MapType.RHASH, key_size=0))


def test_storage_needs_its_btf(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = spec(MapType.SK_STORAGE, max_entries=0, flags=MapFlags.NO_PREALLOC, key=Int("int", 4))
    create_map(storage).close()

    def refuse(*_: object, **__: object) -> Any:
        raise KernelError(22, "BPF_BTF_LOAD", "BTF")

    monkeypatch.setattr(kernel, "load_btf", refuse)
    with pytest.raises(KernelError, match="BTF of the maps"):
        create_map(storage)
    with pytest.warns(RuntimeWarning, match="without types"):
        create_map(spec()).close()


def test_names_that_the_kernel_would_refuse_are_made_fit() -> None:
    name = "a name/with-ümläuts and more than fifteen"
    m = create_map(spec(name=name))
    assert m.name == name
    assert m.info().name == "a_name_with__ml"
    m.close()
    program = load_alone(
        ProgramSpec(name=name, type=ProgramType.XDP, license="GPL", instructions=XDP.instructions), LoadOptions()
    )
    assert program.name == name
    assert kernel.program_info(program).name == "a_name_with__ml"
    program.close()


def test_an_object_without_btf_loads() -> None:
    for program_spec in read_spec(OBJECTS / "no_btf.bpf.o").programs.values():
        program = load_alone(program_spec, LoadOptions())
        assert kernel.program_info(program).btf_id == 0
        program.close()
