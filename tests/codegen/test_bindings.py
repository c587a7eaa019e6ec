"""Generated bindings: what type checkers make of them, and what a load fills them with."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import aiobpf
from aiobpf.btf import codec
from aiobpf.cli.commands import main
from aiobpf.codegen import generate
from aiobpf.errors import CodecError, SpecError
from aiobpf.spec import Pinning
from aiobpf.uapi import MapType
from tests.foreign_objects import foreign_objects
from tests.kernel_features import kernel_has

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).parent.parent.parent
OBJECTS = ROOT / "tests" / "objects"
PACKET = bytes(64)
OWN = sorted(path.name for path in OBJECTS.glob("*.bpf.o"))


@contextlib.contextmanager
def imported(path: Path) -> Iterator[Any]:
    """The module at *path*, known by its name as long as it is used, as annotations are looked up by that."""
    found = importlib.util.spec_from_file_location(f"generated_{path.stem}", path)
    assert found is not None
    assert found.loader is not None
    module: ModuleType = importlib.util.module_from_spec(found)
    sys.modules[module.__name__] = module
    try:
        found.loader.exec_module(module)
        yield module
    finally:
        del sys.modules[module.__name__]


def generated(folder: Path, name: str, *options: str) -> Path:
    path = folder / f"{name}.py"
    assert main(["gen", str(OBJECTS / f"{name}.bpf.o"), "-o", str(path), *options]) == 0
    return path


# --- a load -----------------------------------------------------------------------------------------------------------


@pytest.mark.root
@pytest.mark.everywhere
@pytest.mark.parametrize("options", [(), ("--embed",)], ids=["from its file", "embedded"])
async def test_an_event_decodes_into_the_generated_class(tmp_path: Path, options: tuple[str, ...]) -> None:
    with imported(generated(tmp_path, "ring_events", *options)) as bindings:
        async with bindings.load(variables={"burst": 2}) as objects, objects.stream(objects.events) as events:
            assert isinstance(objects, bindings.RingEvents)
            assert (await objects.produce.run(PACKET)).retval == 0
            with anyio.fail_after(5):
                first = await anext(events)
                second = await anext(events)
            assert isinstance(first, bindings.Event)
            assert first == bindings.Event(
                timestamp_ns=0x1122334455667788,
                state=bindings.State.STATE_GONE,
                points=[bindings.Point(1, -2), bindings.Point(3, -4)],
                address=0x0100007F,
                octets=bytes([127, 0, 0, 1]),
                version=6,
                length=1500,
                delta=-7,
                comm="r",
                digest=b"\xab" * 8,
                pointer=0xFFFF800000001000,
                wide=bindings.Wide.WIDE_LARGE,
            )
            assert second.state is bindings.State.STATE_BUSY
            assert objects.produced.value == 2
            assert objects.burst.value == 2


@pytest.mark.root
@pytest.mark.asyncio
async def test_keys_values_and_variables_are_of_the_generated_classes(tmp_path: Path) -> None:
    with imported(generated(tmp_path, "map_kinds")) as bindings:
        async with bindings.load(pin_path=None, source=unpinned("map_kinds")) as objects:
            objects.hash[7] = bindings.Value(packets=3, flags=1)
            assert objects.hash[7] == bindings.Value(3, 1)
            assert dict(objects.hash.items()) == {7: bindings.Value(3, 1)}
            objects.lpm[bindings.Key(32, bytes([127, 0, 0, 1]))] = 5
            assert list(objects.lpm) == [bindings.Key(32, bytes([127, 0, 0, 1]))]
            objects.percpu_array[1] = bindings.Value(2, 0)
            every = objects.percpu_array[1]
            assert set(map(type, every)) == {bindings.Value}
            assert every.sum().packets == 2 * len(every)
            inner = objects.outer_array[2]
            inner[1] = 9
            assert objects.inner_2[1] == 9
            inner.close()
            # The collection's own maps are as they were.
            assert objects.collection.maps["hash"][7] == codec(objects.hash.value_type).python_type(3, 1)
            handed_out = objects.collection.detach(objects.hash)
        assert handed_out[7] == bindings.Value(3, 1)
        await handed_out.aclose()


def unpinned(name: str) -> aiobpf.CollectionSpec:
    spec = aiobpf.read_spec(OBJECTS / f"{name}.bpf.o")
    for each in spec.maps.values():
        each.pinning = Pinning.NONE
    if "bloom" in spec.maps:
        spec.maps["bloom"].autocreate = kernel_has("bloom filters")
    return spec


@pytest.mark.root
@pytest.mark.asyncio
async def test_variables_are_of_the_generated_classes_before_and_after_the_load(tmp_path: Path) -> None:
    with imported(generated(tmp_path, "globals")) as bindings:
        given = {"limits": bindings.Limits(2, 5), "mode": bindings.Mode.MODE_OFF, "target": "me"}
        async with bindings.load(variables=given) as objects:
            assert objects.limits.value == bindings.Limits(2, 5)
            assert objects.mode.value is bindings.Mode.MODE_OFF
            assert objects.target.value == "me"
            objects.limits.value = bindings.Limits(3, 4)
            assert objects.collection.variables["limits"].value.high == 4
            assert isinstance(objects.limits.value, bindings.Limits)
        assert bindings.read_spec().variables["limits"].value.low == 1
        with pytest.raises(SpecError, match="no variable 'nothing'"):
            await bindings.load(variables={"nothing": 1})


@pytest.mark.root
@pytest.mark.asyncio
async def test_what_was_not_loaded_is_no_attribute_and_says_so(tmp_path: Path) -> None:
    with imported(generated(tmp_path, "ring_events")) as bindings:
        async with bindings.load(programs=["produce"]) as objects:
            assert objects.produce.name == "produce"
            with pytest.raises(AttributeError, match="'produce_untyped', or it was not loaded"):
                _ = objects.produce_untyped
        async with aiobpf.load(OBJECTS / "globals.bpf.o") as other:
            with pytest.raises(SpecError, match="no map 'events'"):
                other.bind(bindings.RingEvents)


@pytest.mark.root
@pytest.mark.asyncio
async def test_an_event_map_without_type_is_given_one(tmp_path: Path) -> None:
    with imported(generated(tmp_path, "ring_events", "--map", "untyped:struct point")) as bindings:
        async with bindings.load() as objects, objects.stream(objects.untyped) as events:
            assert (await objects.produce_untyped.run(PACKET)).retval == 0
            with anyio.fail_after(5):
                assert await anext(events) == bindings.Point(0x0201, 0x0403)


@pytest.mark.root
@pytest.mark.requires("atomics")
@pytest.mark.asyncio
async def test_events_of_a_perf_array_are_of_the_generated_class(tmp_path: Path) -> None:
    with imported(generated(tmp_path, "perf_events", "--map", "samples:sample")) as bindings:
        assert inspect.get_annotations(bindings.PerfEvents)["samples"] == "aiobpf.Map[int, Sample, int]"
        async with bindings.load() as objects, objects.stream(objects.samples) as samples, objects.attach():
            with anyio.fail_after(5):
                sample = await anext(samples)
            assert isinstance(sample, bindings.Sample)
            assert sample.comm


@pytest.mark.root
@pytest.mark.asyncio
async def test_maps_and_variables_of_foreign_objects_are_bound(tmp_path: Path) -> None:
    """Programs stay away: not every kernel has what they trace."""
    seen = 0
    for number, each in enumerate(foreign_objects()[::12]):
        path = tmp_path / f"{number}.bpf.o"
        path.write_bytes(each.content)
        assert main(["gen", str(path), "-o", str(tmp_path / f"foreign_{number}.py"), "--name", "Objects"]) == 0
        with imported(tmp_path / f"foreign_{number}.py") as bindings:
            spec = bindings.read_spec()
            for program in spec.programs.values():
                program.autoload = False
            for map_ in spec.maps.values():
                map_.pinning = Pinning.NONE
                # Some leave the sizes to their loader.
                if map_.type not in {MapType.PERF_EVENT_ARRAY, MapType.RINGBUF}:
                    map_.max_entries = map_.max_entries or 1
                if map_.type == MapType.STACK_TRACE:
                    map_.value_size = map_.value_size or 8
                map_.contents = {key: value for key, value in map_.contents.items() if isinstance(value, bytes)}
            async with bindings.load(spec) as objects:
                shown = vars(objects)
                for name, found in objects.collection.maps.items():
                    if found.spec is not None and found.spec.section is None:
                        assert any(found.shares_fd(each) for each in shown.values()), (each.name, name)
                seen += len(shown)
                for variable in shown.values():
                    if isinstance(variable, aiobpf.Variable):
                        assert variable.value is not None
    assert seen or not foreign_objects()


# --- type checkers ----------------------------------------------------------------------------------------------------

USER = """
import bindings
from bindings import Point, State


async def use() -> None:
    async with bindings.load(variables={"burst": 3}) as objects:
        produced: int = objects.produced.value
        objects.produced.value = produced + 1
        async with objects.attach(), objects.stream(objects.events, flush_interval=1.0) as events:
            async for event in events:
                pid: int = event.number
                comm: str = event.comm
                points: list[Point] = event.points
                state: State | int = event.state
                print(pid, comm, points[0].x, state)
        print((await objects.produce.run(b"")).retval)
"""

WRONG = {
    'async with bindings.load(variables={"burst": 3})': 'async with bindings.load(variables={"burts": 3})',
    "event.comm": "event.number",
    "event.number": "event.nunber",
    "points[0].x": "points[0].z",
    "objects.events, flush": "objects.produce, flush",
    "produced + 1": "'1'",
    "objects.produce.run": "objects.product.run",
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy found out about aiobpf: the first test pays for it."""
    return tmp_path_factory.mktemp("mypy")


def check(folder: Path, cache: Path, *sources: str) -> str:
    """What mypy says of *sources*, beside the module of bindings."""
    files = []
    for number, source in enumerate(sources):
        files.append(folder / f"user_{number}.py")
        files[-1].write_text(source)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--cache-dir", str(cache)]
    run = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False, cwd=folder,
                         env={"MYPYPATH": f"{folder}:{ROOT}", "PATH": "/usr/bin:/bin"})  # fmt: skip
    return run.stdout + run.stderr


@pytest.mark.slow
def test_mypy_takes_right_use_and_refuses_wrong_use(tmp_path: Path, cache: Path) -> None:
    generated(tmp_path, "ring_events").rename(tmp_path / "bindings.py")
    right = USER
    wrong = [right.replace(*each) for each in WRONG.items()]
    assert all(each != right for each in wrong)
    lines = check(tmp_path, cache, right, *wrong).splitlines()
    assert not [line for line in lines if line.startswith(("user_0.py", "bindings.py"))], lines
    for number, each in enumerate(WRONG.values(), 1):
        assert any(line.startswith(f"user_{number}.py") and "error:" in line for line in lines), (each, lines)


@pytest.mark.slow
def test_maps_are_typed_to_mypy(tmp_path: Path, cache: Path) -> None:
    generated(tmp_path, "map_kinds").rename(tmp_path / "bindings.py")
    right = """
from bindings import Key, MapKinds, Value
import aiobpf


def use(objects: MapKinds, program: aiobpf.Program) -> None:
    objects.hash[1] = Value(packets=1)
    found: Value | None = objects.hash.get(1)
    other: Value | int = objects.hash.get(1, 0)
    print(found, other, objects.hash[1].packets)
    objects.lpm[Key(32, b"1234")] = 3
    objects.percpu_array[0] = Value()
    packets: int = objects.percpu_array[0][3].packets
    objects.programs[0] = program
    for key, value in objects.lpm.items():
        print(key.prefix + value, packets)
    objects.queue.push(7)
    raw: bytes = objects.queue.pop()
    print(raw)
"""
    wrong = {
        "objects.hash[1] = Value(packets=1)": "objects.hash['a'] = Value(packets=1)",
        "objects.percpu_array[0] = Value()": "objects.percpu_array[0] = Key()",
        "print(found": "print(found.packets",
        "= program\n": "= 'name'\n",
        "key.prefix": "key.packets",
        "raw: bytes": "raw: int",
    }
    lines = check(tmp_path, cache, right, *(right.replace(*each) for each in wrong.items())).splitlines()
    assert not [line for line in lines if line.startswith(("user_0.py", "bindings.py"))], lines
    for number, each in enumerate(wrong.values(), 1):
        assert any(line.startswith(f"user_{number}.py") and "error:" in line for line in lines), (each, lines)


# --- every object -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_object_gives_a_module_that_is_checked_clean(tmp_path: Path, cache: Path) -> None:
    names = []
    for name in OWN:
        stem = name.removesuffix(".bpf.o").replace(".", "_")
        assert main(["gen", str(OBJECTS / name), "-o", str(tmp_path / f"own_{stem}.py"), "--name", "Objects"]) == 0
        names.append(f"own_{stem}")
    for number, each in enumerate(foreign_objects()[::6]):
        path = tmp_path / f"{number}.bpf.o"
        path.write_bytes(each.content)
        assert main(["gen", str(path), "-o", str(tmp_path / f"foreign_{number}.py")]) == 0
        names.append(f"foreign_{number}")
    for name in names:
        with imported(tmp_path / f"{name}.py") as module:
            assert module.read_spec().license is not None
    assert "Success" in (said := check(tmp_path, cache, *(f"import {name}\n" for name in names))), said
    # Names and the lengths of lines are the object's.
    for settings in (["--isolated"], ["--config", str(ROOT / "pyproject.toml"), "--extend-ignore", "E501,N"]):
        ruff = [sys.executable, "-m", "ruff", "check", "--no-cache", *settings]
        run = subprocess.run([*ruff, *(f"{name}.py" for name in names)], cwd=tmp_path, capture_output=True, check=False)
        assert run.returncode == 0, run.stdout.decode()


def test_the_same_object_gives_the_same_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = generated(tmp_path, "ring_events", "--embed")
    assert main(["gen", str(OBJECTS / "ring_events.bpf.o"), "--embed"]) == 0
    assert capsys.readouterr().out == path.read_text()


def test_every_class_takes_what_the_codec_makes() -> None:
    """Values of the codec's own classes, written and read again as the generated ones, are equal member by member."""
    import tempfile

    for name in ("core", "globals", "map_kinds", "newer_types", "ring_events", "kernel_values"):
        with (
            tempfile.TemporaryDirectory() as folder,
            imported(generated(Path(folder), name, "--name", "Objects")) as made,
        ):
            spec = aiobpf.read_spec(OBJECTS / f"{name}.bpf.o")
            assert spec.types is not None
            for cls in vars(made).values():
                named = getattr(cls, "__btf_type__", None)
                if named is None or cls.__module__ != made.__name__:
                    continue
                (type_,) = [t for t in spec.types.all_by_name(named.split()[-1]) if type(t).__name__.lower() in named]
                own, mine = codec(type_), codec(type_, python_type=cls)
                for raw in (bytes(own.size), bytes(each % 251 for each in range(own.size))):
                    decoded = mine.decode(raw)
                    assert isinstance(decoded, cls)
                    assert own.jsonable(own.decode(raw)) == mine.jsonable(decoded)
                    try:
                        again = own.encode(own.decode(raw))
                    except CodecError:
                        continue
                    assert mine.encode(decoded) == again
                    assert own.encode(decoded) == again, "the codec takes objects of the class too"


def test_wrong_use_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(OBJECTS / "ring_events.bpf.o")
    for status, arguments, words in (
        (1, ["--name", "not a name"], "no name for the class"),
        (1, ["--name", "Path"], "no name for the class"),
        (1, ["--map", "produced:struct event"], "'produced' is no ring buffer"),
        (1, ["--type", "struct evnt"], "evnt"),
        (2, ["--map", "events"], "--map events:TYPE"),
    ):
        assert main(["gen", source, *arguments]) == status
        out, err = capsys.readouterr()
        assert not out
        assert words in err
        assert "Traceback" not in err
    assert main(["gen", str(tmp_path / "nothing.o")]) == 1
    (tmp_path / "text.o").write_text("no object")
    assert main(["gen", str(tmp_path / "text.o")]) == 1
    assert f"{tmp_path / 'text.o'}: no ELF file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("type_", "sizes", "expected"),
    [
        (MapType.DEVMAP, (4, 4), "aiobpf.Map[int, int, aiobpf.DevMapValue | str | int]"),
        (MapType.DEVMAP_HASH, (4, 8), "aiobpf.Map[int, aiobpf.DevMapValue, aiobpf.DevMapValue | str | int]"),
        (MapType.CPUMAP, (4, 8), "aiobpf.Map[int, aiobpf.CpuMapValue, aiobpf.CpuMapValue | int]"),
        (MapType.SOCKMAP, (4, 8), "aiobpf.Map[int, int, typing.Any]"),
        (MapType.CGROUP_ARRAY, (4, 4), "aiobpf.Map[int, int, typing.Any]"),
        (MapType.STACK_TRACE, (4, 128), "aiobpf.Map[int, list[int], typing.Never]"),
        (MapType.TASK_STORAGE, (4, 8), "aiobpf.Map[typing.Any, bytes, bytes | int]"),
        (MapType.CGROUP_STORAGE, (16, 8), "aiobpf.Map[typing.Any, bytes, bytes | int]"),
        (MapType.LPM_TRIE, (8, 8), "aiobpf.Map[bytes, bytes, bytes | int]"),
        (MapType.BLOOM_FILTER, (0, 8), "aiobpf.Map[None, bytes, bytes | int]"),
    ],
    ids=lambda each: each.name if isinstance(each, MapType) else "",
)
def test_a_map_whose_type_says_what_it_holds_is_annotated_so(
    type_: MapType, sizes: tuple[int, int], expected: str
) -> None:
    made = aiobpf.MapSpec(name="m", type=type_, key_size=sizes[0], value_size=sizes[1], max_entries=1)
    spec = aiobpf.CollectionSpec(maps={"m": made})
    assert f"    m: {expected}\n" in generate(spec, "Objects", object_file="x.bpf.o") + "\n"
