"""The module of an object's typed bindings, as text."""

from __future__ import annotations

import base64
import textwrap
from typing import TYPE_CHECKING

from aiobpf.btf import Codec
from aiobpf.codegen.classes import Classes
from aiobpf.codegen.names import MODULE_NAMES, WORDS, attribute_names, class_name, shown, text
from aiobpf.collection import Bindings
from aiobpf.errors import SpecError
from aiobpf.runtime.element import (
    DEVICE_TYPES,
    FD_VALUE_TYPES,
    MAP_IN_MAP_TYPES,
    PER_CPU_TYPES,
    SOCKET_VALUE_TYPES,
    STREAMED_TYPES,
    BytesElement,
    NoKeyElement,
    PerCpuElement,
    key_codec,
    value_codec,
)
from aiobpf.runtime.owner_key import CgroupKeyElement, OwnerElement
from aiobpf.runtime.prefix_key import PrefixElement
from aiobpf.uapi import MapFlags, MapType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aiobpf.btf import Type
    from aiobpf.runtime.element import ElementCodec
    from aiobpf.spec import CollectionSpec, MapSpec, VariableSpec

_OPAQUE = frozenset({MapType.STRUCT_OPS, MapType.ARENA})
_INITIAL = "InitialValues"
_LINE = 76


def generate(
    spec: CollectionSpec,
    name: str,
    *,
    object_file: str,
    embed: bytes | None = None,
    events: Mapping[str, Type] | None = None,
    types: Sequence[Type] = (),
) -> str:
    """The source of a module with a class *name* of the maps, programs and variables of *spec*, and classes of their
    types.

    *object_file* is where the module finds the object, from its own folder on; or *embed* has its bytes, and they go
    into the module. *events* are types of the events of maps whose definition does not say it, by the maps' names;
    *types* are others that are to have a class. The same arguments give the same text, and no name in an object,
    whatever it is, becomes code. SpecError for an event map that is not there, and for a *name* that no class can have.
    """
    if not name.isidentifier() or class_name(name, MODULE_NAMES) != name:
        raise SpecError(
            f"{name!r} is no name for the class of the bindings: it takes one like {class_name(name, ())!r}"
        )
    for map_name in events or {}:
        if map_name not in spec.maps or spec.maps[map_name].type not in STREAMED_TYPES:
            raise SpecError(f"{map_name!r} is no ring buffer or perf event array of the object: it has no events")
    classes = Classes(spec, {name, _INITIAL})
    for each in types:
        classes.annotation(each)
    maps = {each.name: _map(each, classes, events or {}) for each in spec.maps.values() if each.section is None}
    variables = {each.name: classes.annotation(each.type) for each in _shown_variables(spec.variables.values())}
    attributes = {
        **maps,
        **{program: "aiobpf.Program" for program in spec.programs if program not in maps},
        **{
            variable: f"aiobpf.Variable[{annotation}]"
            for variable, annotation in variables.items()
            if variable not in maps and variable not in spec.programs
        },
    }
    of_types = list(classes.source())
    taken = WORDS | classes.taken
    parts = [
        _head(object_file, of_types, classes, embed),
        *of_types,
        _collection(name, attributes, taken | frozenset(dir(Bindings)) | {"collection"}),
        _initial_values(variables, taken) if variables else "",
        _loading(name, object_file, embed, has_variables=bool(variables)),
    ]
    return "\n\n\n".join(part for part in parts if part) + "\n"


def _head(object_file: str, of_types: list[str], classes: Classes, embed: bytes | None) -> str:
    file_name = shown(object_file.rpartition("/")[2])
    has_structs = any(source.startswith("@dataclasses") for source in of_types)
    standard = [
        *(["base64"] if embed is not None else []),
        *(["dataclasses"] if has_structs else []),
        *(["enum"] if classes.has_enums else []),
        "typing",
    ]
    lines = [
        f'"""Typed bindings of {file_name}, made by `aiobpf gen`: not to be changed by hand."""',
        "",
        "from __future__ import annotations",
        "",
        *(f"import {module}" for module in standard),
        *(["from pathlib import Path"] if embed is None else []),
        "",
        "import aiobpf",
        *(["from aiobpf.btf import UnionValue"] if classes.has_unions else []),
        "from aiobpf.collection import Bindings, open_bindings",
        "",
        "if typing.TYPE_CHECKING:",
        "    from aiobpf.collection import LoadArguments, Source",
        "    from aiobpf.runtime import Opening",
    ]
    return "\n".join(lines)


def _shown_variables(variables: Iterable[VariableSpec]) -> list[VariableSpec]:
    """Without those of functions ("count.calls", and the formats of bpf_printk)."""
    return [each for each in variables if "." not in each.name]


def _map(spec: MapSpec, classes: Classes, events: Mapping[str, Type]) -> str:
    if spec.type in _OPAQUE:
        return "aiobpf.Map"
    if spec.type in STREAMED_TYPES:
        event = classes.annotation(events.get(spec.name, spec.value))
        # The values of a perf event array are descriptors, which can be written only.
        return f"aiobpf.Map[None, {event}]" if spec.type == MapType.RINGBUF else f"aiobpf.Map[int, {event}, int]"
    key = _element(key_codec(spec.type, spec.key_size, spec.key), spec.key, classes)
    if spec.type in MAP_IN_MAP_TYPES:
        return f"aiobpf.Map[{key}, aiobpf.Map]"
    if spec.type in FD_VALUE_TYPES:
        written = {MapType.PROG_ARRAY: "aiobpf.Program | int", MapType.CGROUP_ARRAY: "typing.Any"}.get(spec.type, "int")
        return f"aiobpf.Map[{key}, int, {written}]"
    if (objects := _objects(spec)) is not None:
        return f"aiobpf.Map[{key}, {objects[0]}, {objects[1]}]"
    element = value_codec(spec.type, spec.value_size, spec.value, 1)
    plain = element.value if isinstance(element, PerCpuElement) else element
    value = _element(plain, spec.value, classes)
    written = f"{value} | int" if isinstance(plain, BytesElement) and plain.size in {1, 2, 4, 8} else value
    if spec.type in PER_CPU_TYPES:
        every = f"aiobpf.PerCpu[{value}]"
        return f"aiobpf.Map[{key}, {every}, {every} | list[{value}] | {written}]"
    return f"aiobpf.Map[{key}, {value}]" if written == value else f"aiobpf.Map[{key}, {value}, {written}]"


def _objects(spec: MapSpec) -> tuple[str, str] | None:
    """What values are read as and written as where the type of the map says it."""
    has_program = spec.value_size == 8
    if spec.type in DEVICE_TYPES:
        return ("aiobpf.DevMapValue" if has_program else "int"), "aiobpf.DevMapValue | str | int"
    if spec.type == MapType.CPUMAP:
        return ("aiobpf.CpuMapValue" if has_program else "int"), "aiobpf.CpuMapValue | int"
    if spec.type in SOCKET_VALUE_TYPES:
        return "int", "typing.Any"
    if spec.type == MapType.STACK_TRACE:
        return ("list[typing.Any]" if spec.flags & MapFlags.STACK_BUILD_ID else "list[int]"), "typing.Never"
    return ("typing.Any", "typing.Any") if spec.type == MapType.INSN_ARRAY else None


def _element(element: ElementCodec, type: Type | None, classes: Classes) -> str:  # noqa: A002 - the field's own word
    if isinstance(element, PrefixElement):
        element = element.plain
    if isinstance(element, (OwnerElement, CgroupKeyElement)):
        return "typing.Any"
    if isinstance(element, Codec):
        return classes.annotation(type)
    if isinstance(element, NoKeyElement):
        return "None"
    return "bytes" if isinstance(element, BytesElement) else "int"


def _collection(name: str, attributes: dict[str, str], taken: frozenset[str]) -> str:
    names = attribute_names(attributes, taken)
    renamed = {new: old for new, old in zip(names, attributes, strict=True) if new != old}
    lines = [
        f"class {name}(Bindings):",
        '    """The maps, programs and variables of the object, once it is loaded."""',
        "",
    ]
    if renamed:
        lines.append("    __bpf_names__: typing.ClassVar[dict[str, str]] = {")
        lines += [f'        "{new}": {text(old)},' for new, old in renamed.items()]
        lines += ["    }", ""]
    lines += [f"    {new}: {annotation}" for new, annotation in zip(names, attributes.values(), strict=True)]
    return "\n".join(lines).rstrip()


def _initial_values(variables: dict[str, str], taken: frozenset[str]) -> str:
    names = attribute_names(variables, taken)
    lines = [f"class {_INITIAL}(typing.TypedDict, total=False):"]
    lines += ['    """What variables may be given before the load."""', ""]
    for name, (variable, annotation) in zip(names, variables.items(), strict=True):
        if name == variable:  # others are set in the spec
            lines.append(f"    {name}: {annotation}")
    return "\n".join(lines).rstrip()


def _loading(name: str, object_file: str, embed: bytes | None, *, has_variables: bool) -> str:
    if embed is not None:
        rows = textwrap.wrap(base64.b64encode(embed).decode(), _LINE)
        constant = "_OBJECT = (\n" + "\n".join(f'    "{row}"' for row in rows) + "\n)"
        source = "base64.b64decode(_OBJECT)"
    else:
        constant = f"_OBJECT = Path(__file__).parent / {text(object_file)}"
        source = "_OBJECT"
    given = f"    variables: {_INITIAL} | None = None,\n" if has_variables else ""
    told = "; *variables* are given their values first" if has_variables else ""
    return (
        f"{constant}\n"
        "\n\n"
        "def read_spec() -> aiobpf.CollectionSpec:\n"
        '    """The object as a spec, to be changed before it is loaded."""\n'
        f"    return aiobpf.read_spec({source})\n"
        "\n\n"
        "def load(\n"
        "    source: Source | None = None,\n"
        f"{'    *,' + chr(10) if given else ''}{given}"
        "    **options: typing.Unpack[LoadArguments],\n"
        f") -> Opening[{name}]:\n"
        '    """Load the object, or *source* in its place: ``async with load() as objects``.\n\n'
        f"    The options are those of `aiobpf.load`{told}.\n"
        '    """\n'
        f"    chosen = {source} if source is None else source\n"
        f"    return open_bindings({name}, chosen, {'variables' if given else 'None'}, **options)"
    )
