"""Names in an object may be any text; none of it becomes code, and all of it stays reachable."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
import time
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiobpf.asm import Instructions
from aiobpf.btf import Enum, Enumerator, Int, Member, Struct, Union, codec
from aiobpf.codegen import generate
from aiobpf.elf import read_spec
from aiobpf.errors import BpfError, SpecError
from aiobpf.spec import CollectionSpec, MapSpec, ProgramSpec, VariableSpec
from aiobpf.uapi import MapType, ProgramType

if TYPE_CHECKING:
    from aiobpf.btf import Type

OBJECTS = Path(__file__).parent.parent / "objects"
U32 = Int("unsigned int", 4)
HOSTILE = [
    'x: int = __import__("os").system("touch /tmp/hacked")',
    '"""\nimport os\n"""',
    "'\"\\",
    "a\nimport os",
    "a\r\nb",
    "\N{LINE SEPARATOR}import os",
    "class",
    "None",
    "__init__",
    "__slots__",
    "__btf_type__",
    "__bpf_names__",
    "__x",
    "___",
    "_",
    "",
    "0day",
    "int",
    "str",
    "list",
    "bytes",
    "field",
    "dataclasses",
    "typing",
    "enum",
    "aiobpf",
    "mro",
    "name",
    "value",
    "_ignore_",
    "real",
    "self",
    "raw",
    "_given",
    "load",
    "attach",
    "collection",
    "Bindings",
    "Objects",
    "ünïcode",
    "{braces}",
    "a" * 3000,
]
names = st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=12)), min_size=1, max_size=12)


def spec_of(found: list[str]) -> CollectionSpec:
    """An object all of whose names are of *found*: members, structs, unions, enumerators, maps, programs, variables."""
    enum = Enum(found[0], 4, False, [Enumerator(name, number) for number, name in enumerate(dict.fromkeys(found))])
    union = Union(found[-1], 4, [Member(name, U32, 0) for name in found])
    members: list[Type] = [U32, enum, union]
    inner = Struct(found[0], 4 * len(found), [Member(name, members[i % 3], i * 32) for i, name in enumerate(found)])
    outer = Struct(found[-1], inner.size + 4, [Member(found[0], inner, 0), Member(found[-1], enum, inner.size * 8)])
    maps = {
        name: MapSpec(name=name, type=MapType.HASH, key_size=4, value_size=outer.size, max_entries=1, value=outer)
        for name in found[::2]
    }
    data = MapSpec(name=".data", type=MapType.ARRAY, key_size=4, value_size=outer.size, max_entries=1, section=".data")
    programs = {
        name: ProgramSpec(name=name, type=ProgramType.XDP, instructions=Instructions([])) for name in found[1::2]
    }
    variables = {
        name: VariableSpec(name=name, section=".data", offset=0, size=outer.size, type=outer, map=data)
        for name in found[2::3]
    }
    return CollectionSpec(maps={**maps, ".data": data}, programs=programs, variables=variables)


def run(source: str) -> Any:
    """The module of *source*; what it imports is what every one of its kind does."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert {each.name for each in node.names} <= {"aiobpf", "base64", "dataclasses", "enum", "typing"}
        elif isinstance(node, ast.ImportFrom):
            assert node.module in {"__future__", "pathlib", "aiobpf.btf", "aiobpf.collection", "aiobpf.runtime"}
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called in {"dataclasses.field", "dataclasses.dataclass", "bytes", "range", "open_bindings", "Path",
                              "aiobpf.read_spec"} or called[0].isupper(), called  # fmt: skip
    kinds = (ast.ClassDef, ast.FunctionDef, ast.Import, ast.ImportFrom, ast.If, ast.Assign, ast.Expr)
    assert all(isinstance(node, kinds) for node in tree.body)
    module = types.ModuleType("generated_hostile")
    module.__file__ = "/nowhere/generated.py"
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, "generated", "exec"), vars(module))
    finally:
        del sys.modules[module.__name__]
    return module


def annotations_of(module: Any) -> dict[str, str]:
    found: dict[str, str] = inspect.get_annotations(module.Objects)
    return {name: text for name, text in found.items() if name != "__bpf_names__"}


@given(names)
def test_names_of_any_text_become_no_code_and_stay_apart(found: list[str]) -> None:
    spec = spec_of(found)
    source = generate(spec, "Objects", object_file="x.bpf.o")
    assert source == generate(spec_of(found), "Objects", object_file="x.bpf.o")
    assert source.isascii()
    module = run(source)
    renamed = module.Objects.__bpf_names__
    shown = {renamed.get(name, name) for name in annotations_of(module)}
    assert shown == {*spec.maps, *spec.programs, *(name for name in spec.variables if "." not in name)} - {".data"}


@given(names)
def test_members_of_any_name_are_read_and_written_through_the_class(found: list[str]) -> None:
    spec = spec_of(found)
    outer = next(iter(spec.maps.values())).value
    assert outer is not None
    source = generate(spec, "Objects", object_file="x.bpf.o")
    module = run(source)
    sys.modules["generated_hostile"] = module
    try:
        annotation = next(iter(annotations_of(module).values()))
        cls = getattr(module, annotation.removeprefix("aiobpf.Map[bytes, ").removesuffix("]"))
        typed = codec(outer, python_type=cls)
        raw = bytes(range(1, typed.size + 1))
        value = typed.decode(raw)
        assert isinstance(value, cls)
        assert type(cls()) is cls
        known = codec(outer).encode(codec(outer).decode(raw))  # bits without a name are padding
        assert typed.encode(value) == known
        assert codec(outer).encode(value) == known
        assert typed.encode(cls()) == bytes(typed.size)
    finally:
        del sys.modules["generated_hostile"]


def test_thousands_of_structs_without_a_name_take_no_time() -> None:
    """Each has a class of its own, and they are not tried one after the other."""
    spec = CollectionSpec()
    types = [Struct("", 4, [Member("x", U32, 0)]) for _ in range(20000)]
    started = time.process_time()
    source = generate(spec, "Objects", object_file="x.bpf.o", types=types)
    assert source.count("@dataclasses.dataclass") == 20000
    assert "class Anonymous_20000:" in source
    assert time.process_time() - started < 10


names_of_objects = st.sampled_from(["ring_events", "newer_types", "map_kinds", "globals"])


@given(st.data())
@settings(deadline=None)
def test_a_damaged_object_gives_a_module_or_an_error_of_its_own(data: st.DataObject) -> None:
    raw = bytearray((OBJECTS / f"{data.draw(names_of_objects)}.bpf.o").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        source = generate(read_spec(bytes(raw)), "Objects", object_file="x.bpf.o")
    except BpfError:
        return
    run(source)


@pytest.mark.parametrize("name", ["", "a b", "x;import os", "class", "None", "Bindings", "Path", "lower_case", "int"])
def test_a_class_has_a_name_that_is_one(name: str) -> None:
    with pytest.raises(SpecError, match="no name for the class"):
        generate(CollectionSpec(), name, object_file="x.bpf.o")


@pytest.mark.parametrize("path", ['"""\nimport os\n"""', "a'b\"c\\", "\N{LINE SEPARATOR}", "x\n.o"])
def test_the_object_file_may_be_called_anything(path: str) -> None:
    module = run(generate(CollectionSpec(), "Objects", object_file=path))
    assert str(module._OBJECT) == f"/nowhere/{path}"
    assert not hasattr(builtins, "hacked")
