"""An object file as one JSON object, written piece by piece: a large program need not be held as text."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from aiobpf.asm import COMMENT, LABEL, REFERENCE, SYMBOL
from aiobpf.asm.disassembly import disassemble
from aiobpf.btf import CORE_RELOCATION, LINE, DataSection, describe_relocation, format_c
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
from aiobpf.errors import BtfError
from aiobpf.spec import EXTERN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from aiobpf.asm.disassembly import Disassembled
    from aiobpf.btf import Btf, Type
    from aiobpf.spec import CollectionSpec, Export, Extern, MapSpec, ProgramSpec, VariableSpec


def print_json(source: str, spec: CollectionSpec, programs: Sequence[str] | None) -> None:
    """Write *spec* to stdout; of its programs all, or those named."""
    write = sys.stdout.write
    chosen = [program for name, program in spec.programs.items() if programs is None or name in programs]
    head = {"object": source, "byte_order": spec.byte_order, "license": spec.license}
    write(json.dumps(head)[:-1])
    for key, parts in (
        ("programs", map(_program, chosen)),
        ("functions", ({"name": name, "slots": code.slot_count} for name, code in spec.functions.items())),
        ("maps", map(_map, spec.maps.values())),
        ("variables", map(_variable, spec.variables.values())),
        ("externs", map(_extern, spec.externs.values())),
        ("exports", map(_export, spec.exports.values())),
        ("types", _types(spec.types)),
    ):
        write(f', "{key}": [')
        _write_list(parts)
        write("]")
    write(f', "type_counts": {json.dumps(type_counts(spec.types))}}}\n')


def _write_list(parts: Iterable[dict[str, Any]]) -> None:
    separator = ""
    for part in parts:
        sys.stdout.write(separator + json.dumps(part))
        separator = ", "


def _program(program: ProgramSpec) -> dict[str, Any]:
    instructions = program.instructions
    known = prototypes(program)
    return {
        "name": program.name,
        "section": program.section,
        "type": program.type.name,
        "attach_type": None if program.attach_type is None else program.attach_type.name,
        "attach_to": program.attach_to or None,
        "license": program.license,
        "flags": program_flags(program.flags),
        "kernel_version": program.kernel_version,
        "autoload": program.autoload,
        "instructions": len(instructions),
        "slots": instructions.slot_count,
        "functions": [
            {"name": name, "slot": slot, "prototype": known.get(slot)}
            for slot, name in instructions.with_key_by_slot(SYMBOL)
        ],
        "maps": used_maps(program),
        "externs": used_externs(program),
        "relocations": relocation_subjects(program),
        "code": [_instruction(each) for each in disassemble(instructions)],
    }


def _instruction(each: Disassembled) -> dict[str, Any]:
    """Only what an instruction has: most have nothing but their text."""
    metadata = each.instruction.metadata
    found: dict[str, Any] = {"slot": each.slot, "text": each.text}
    if not metadata:
        return found
    line, relocation, extern = metadata.get(LINE), metadata.get(CORE_RELOCATION), metadata.get(EXTERN)
    reference = metadata.get(REFERENCE)
    for key in (SYMBOL, LABEL, COMMENT):
        value = metadata.get(key)
        if value is not None:
            found[key.name] = value
    if line is not None:
        found["source"] = {"file": line.file_name, "line": line.line, "column": line.column, "text": line.text.strip()}
    if relocation is not None:
        found["relocation"] = {
            "kind": relocation.kind.label,
            "subject": describe_relocation(relocation),
            "type_id": relocation.type_id,
            "access": relocation.access,
        }
    if extern is not None:
        found["extern"] = extern.name
    elif reference is not None:
        found["reference"] = reference.name
        if reference.variable is not None:
            found["variable"] = reference.variable
    return found


def _map(spec: MapSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "type": spec.type.name,
        "key_size": spec.key_size,
        "value_size": spec.value_size,
        "max_entries": spec.max_entries,
        "flags": map_flags(spec.flags),
        "key": declaration(spec.key) or None,
        "value": None if isinstance(spec.value, DataSection) else declaration(spec.value) or None,
        "inner": None if spec.inner is None else _map(spec.inner),
        "contents": {
            key.hex(): value if isinstance(value, str) else value.hex() for key, value in spec.contents.items()
        },
        "pinning": spec.pinning.name,
        "map_extra": spec.map_extra,
        "numa_node": spec.numa_node,
        "ifindex": spec.ifindex,
        "frozen": spec.is_frozen,
        "section": spec.section,
        "tags": list(spec.tags),
        "extra": spec.extra.hex(),
        "autocreate": spec.autocreate,
        "members": None
        if spec.members is None
        else {
            "struct": spec.members.struct_name,
            "programs": dict(spec.members.programs),
            "raw": spec.members.raw.hex(),
        },
    }


def _variable(variable: VariableSpec) -> dict[str, Any]:
    return {
        "name": variable.name,
        "section": variable.section,
        "offset": variable.offset,
        "size": variable.size,
        "type": declaration(variable.type) or None,
        "value": initial_value(variable),
    }


def _extern(extern: Extern) -> dict[str, Any]:
    return {
        "name": extern.name,
        "kind": extern.kind.value,
        "weak": extern.is_weak,
        "type": declaration(extern.type) or None,
        "declaration": extern_declaration(extern),
        "offset": extern.offset,
        "size": extern.size,
    }


def _export(export: Export) -> dict[str, Any]:
    return {
        "name": export.name,
        "kind": export.kind.value,
        "weak": export.is_weak,
        "hidden": export.is_hidden,
        "section": export.section,
    }


def _types(types: Btf | None) -> Iterator[dict[str, Any]]:
    """The types that have a name."""
    if types is None:
        return
    for number in range(1, len(types.types)):
        each = types.type_by_id(number)
        if each.name:
            yield {"id": number, "kind": each.kind.name.lower(), "name": each.name, "c": _definition(each)}


def _definition(each: Type) -> str | None:
    try:
        return format_c(each)
    except BtfError:
        return None
