"""An object file as text for people."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING

from aiobpf.asm import SYMBOL
from aiobpf.btf import (
    DataSection,
    Enum,
    Struct,
    Typedef,
    Union,
    format_c,
    strip_qualifiers,
)
from aiobpf.cli.code_text import print_code
from aiobpf.cli.formats import printable
from aiobpf.cli.object_facts import (
    declaration,
    extern_declaration,
    initial_value,
    map_flags,
    program_flags,
    prototypes,
    relocation_subjects,
    type_counts,
    used_externs,
    used_maps,
)
from aiobpf.cli.styled import make_printer
from aiobpf.errors import BtfError
from aiobpf.spec import Pinning
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from aiobpf.btf import Btf, Type
    from aiobpf.spec import CollectionSpec, MapSpec, ProgramSpec

_TITLE = "bold"
_LABEL = "cyan"
_SOURCE = "green"
_NOTE = "yellow"
_VALUE_WIDTH = 100


def print_object(
    source: str, spec: CollectionSpec, programs: Sequence[str] | None, *, with_code: bool, with_types: bool
) -> None:
    """All of *spec*, or the programs named with nothing else."""
    line = make_printer()
    if programs is None:
        _print_head(line, source, spec)
    for name, program in spec.programs.items():
        if programs is None or name in programs:
            if programs is None or name != programs[0]:
                line()
            _print_program(line, program)
            if with_code:
                print_code(line, program.instructions)
    if programs is not None:
        return
    if spec.functions:
        line()
        line(("functions", _TITLE), " that are no program")
        for name, code in spec.functions.items():
            line(f"  {printable(name)}: {len(code)} instructions in {code.slot_count} slots")
    for each in spec.maps.values():
        line()
        _print_map(line, each)
    _print_variables(line, spec)
    _print_externs(line, spec)
    if with_types:
        _print_types(line, spec.types)


def _print_head(line: Callable[..., None], source: str, spec: CollectionSpec) -> None:
    counts = [
        f"{len(parts)} {word if len(parts) != 1 else word[:-1]}"
        for parts, word in (
            (spec.programs, "programs"),
            (spec.maps, "maps"),
            (spec.variables, "variables"),
            (spec.externs, "externs"),
        )
    ]
    line((printable(source.rsplit("/", 1)[-1]), _TITLE), f": {spec.byte_order}-endian, license ", _quoted(spec.license))
    line("  ", ", ".join(counts))
    kinds = type_counts(spec.types)
    if kinds:
        line(f"  {sum(kinds.values())} types: ", ", ".join(f"{count} {kind}" for kind, count in kinds.items()))
    else:
        line("  no types (BTF)")


def _quoted(text: str) -> str:
    return f'"{printable(text)}"' if text else "none"


# --- programs --------------------------------------------------------------------------------------------------------


def _print_program(line: Callable[..., None], program: ProgramSpec) -> None:
    words = [program.type.name]
    if program.attach_type is not None:
        words.append(program.attach_type.name)
    line(
        ("program ", _TITLE),
        (printable(program.name), _TITLE),
        f": {', '.join(words)}, section ",
        _quoted(program.section),
    )
    if program.attach_to:
        _fact(line, "attaches to", [program.attach_to])
    flags = program_flags(program.flags)
    if flags:
        _fact(line, "flags", flags)
    if not program.autoload:
        _fact(line, "loaded", ["only if asked for"])
    instructions = program.instructions
    _fact(line, "size", [f"{len(instructions)} instructions in {instructions.slot_count} slots"])
    known = prototypes(program)
    functions = [known.get(slot, name) for slot, name in instructions.with_key_by_slot(SYMBOL)]
    _fact(line, "functions", functions, separator="; ")
    _fact(line, "maps", used_maps(program))
    _fact(line, "externs", used_externs(program))
    _fact(line, "CO-RE", relocation_subjects(program))


def _fact(line: Callable[..., None], label: str, values: Iterable[str], separator: str = ", ") -> None:
    text = separator.join(map(printable, values))
    if text:
        line("  ", (f"{label:<12}", _LABEL), text)


# --- maps ------------------------------------------------------------------------------------------------------------


def _print_map(line: Callable[..., None], spec: MapSpec, indent: str = "", word: str = "map") -> None:
    line(indent, (f"{word} ", _TITLE), (printable(spec.name), _TITLE), f": {', '.join(_sizes(spec))}")
    flags = map_flags(spec.flags)
    inside = f"{indent}  "
    if flags:
        line(inside, ("flags    ", _LABEL), " ".join(flags))
    if spec.section is None or spec.type == MapType.STRUCT_OPS:
        for label, type_ in (("key", spec.key), ("value", spec.value)):
            if type_ is not None and not isinstance(type_, DataSection):
                _print_type(line, inside, label, type_)
    others = list(_other_fields(spec))
    for label, text in others:
        line(inside, (f"{label:<8} ", _LABEL), printable(text))
    if spec.inner is not None:
        _print_map(line, spec.inner, inside, "holds maps like")


def _sizes(spec: MapSpec) -> Iterator[str]:
    yield spec.type.name
    if spec.section is not None and spec.type == MapType.ARRAY:
        yield f"{spec.value_size} bytes of variables"
        return
    if spec.max_entries:
        if spec.type in {MapType.RINGBUF, MapType.USER_RINGBUF}:
            yield f"{spec.max_entries} bytes"
        else:
            yield "1 entry" if spec.max_entries == 1 else f"{spec.max_entries} entries"
    if spec.key_size:
        yield f"key of {spec.key_size} bytes"
    if spec.value_size:
        yield f"value of {spec.value_size} bytes"


def _other_fields(spec: MapSpec) -> Iterator[tuple[str, str]]:
    if spec.members is not None:
        yield "struct", spec.members.struct_name
        for member, program in spec.members.programs.items():
            yield "member", f".{member} = {program}"
    if spec.pinning != Pinning.NONE:
        yield "pinned", "by its name"
    if spec.is_frozen:
        yield "frozen", "read-only once it is filled"
    if not spec.autocreate:
        yield "created", "only if asked for"
    for label, number in (("extra", spec.map_extra), ("interface", spec.ifindex)):
        if number:
            yield label, f"{number:#x}"
    if spec.numa_node is not None:
        yield "node", str(spec.numa_node)
    if spec.extra:
        yield "behind", f"{spec.extra.hex()} (not understood here)"
    for tag in spec.tags:
        yield "tag", tag
    named = {key: value for key, value in spec.contents.items() if isinstance(value, str)}
    for key, value in named.items():
        yield "contents", f"[{key.hex()}] = {value}"


def _print_type(line: Callable[..., None], indent: str, label: str, type_: Type) -> None:
    first, *rest = _definition(type_)
    line(indent, (f"{label:<8} ", _LABEL), first)
    for each in rest:
        line(indent, " " * 9, each)


def _definition(type_: Type, *, with_typedef: bool = False) -> list[str]:
    """A struct, union or enum in full, a typedef of one too, anything else by its name; printable lines."""
    try:
        bare = strip_qualifiers(type_)
        if isinstance(bare, Struct | Union | Enum) and not with_typedef:
            text = format_c(bare)
        else:
            text = format_c(type_) if with_typedef else declaration(type_)
    except BtfError as error:
        text = f"/* {error} */"
    return [printable(each.expandtabs(4)) for each in text.splitlines()] or [""]


# --- variables, externs, types ---------------------------------------------------------------------------------------


def _print_variables(line: Callable[..., None], spec: CollectionSpec) -> None:
    ordered = sorted(spec.variables.values(), key=lambda each: (each.section, each.offset))
    for section, group in groupby(ordered, key=lambda each: each.section):
        line()
        line(("variables ", _TITLE), (f"in {printable(section)}", _TITLE))
        for variable in group:
            declared = declaration(variable.type, variable.name)
            value = json.dumps(initial_value(variable), ensure_ascii=False)
            if len(value) > _VALUE_WIDTH:
                value = f"{value[:_VALUE_WIDTH]}..."
            line(f"  {variable.offset:>5}  {printable(declared)} = ", (printable(value), _NOTE))


def _print_externs(line: Callable[..., None], spec: CollectionSpec) -> None:
    if not spec.externs:
        return
    line()
    line(("externs", _TITLE))
    for extern in spec.externs.values():
        weak = " __weak" if extern.is_weak else ""
        line("  ", (f"{extern.kind.value:<8} ", _LABEL), printable(f"{extern_declaration(extern)}{weak}"))


def _print_types(line: Callable[..., None], types: Btf | None) -> None:
    if types is None:
        return
    for number in range(1, len(types.types)):
        each = types.type_by_id(number)
        if each.name and isinstance(each, Struct | Union | Enum | Typedef):
            line()
            for text in _definition(each, with_typedef=True):
                line(text)
