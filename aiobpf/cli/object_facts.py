"""What there is to say of the parts of a spec, in words of C and of the kernel; text and JSON both say it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from aiobpf.asm import REFERENCE
from aiobpf.asm.opcodes import LD_IMM64
from aiobpf.btf import CORE_RELOCATION, FUNCTION_INFO, Function, codec, describe_relocation, format_type
from aiobpf.errors import BtfError, CodecError
from aiobpf.spec import EXTERN, ExternKind
from aiobpf.uapi import MapFlags, ProgramFlags

if TYPE_CHECKING:
    from enum import IntFlag

    from aiobpf.btf import Btf, Type
    from aiobpf.spec import Extern, ProgramSpec, VariableSpec


def flag_names(flags: int, kind: type[IntFlag]) -> list[str]:
    """The names of the bits that are set; one without a name as a number."""
    known = [each for each in kind if flags & each]
    rest = flags & ~sum(known)
    return [each.name or f"{each:#x}" for each in known] + ([f"{rest:#x}"] if rest else [])


def map_flags(flags: int) -> list[str]:
    return flag_names(flags, MapFlags)


def program_flags(flags: int) -> list[str]:
    return flag_names(flags, ProgramFlags)


def declaration(type_: Type | None, name: str = "") -> str:
    """*type_* as C declares *name*; of a hostile type, what is wrong with it."""
    if type_ is None:
        return name
    try:
        return format_type(type_, "" if isinstance(type_, Function) else name)
    except BtfError as error:
        return f"{name} /* {error} */".lstrip()


def extern_declaration(extern: Extern) -> str:
    """As C would write it, without its section."""
    if extern.type is None:
        text = f"const void {extern.name}" if extern.kind is ExternKind.KSYM else extern.name
    else:
        text = declaration(extern.type, extern.name)
    return f"extern {text}"


def initial_value(variable: VariableSpec) -> Any:
    """What a variable holds at first, as JSON has it; bytes in hex where it has no type or its type no value."""
    raw = variable.raw
    if variable.type is None:
        return raw.hex()
    try:
        kind = codec(variable.type, byte_order=variable.byte_order)
        return kind.jsonable(kind.decode(raw))
    except (BtfError, CodecError):
        return raw.hex()


def relocation_subjects(program: ProgramSpec) -> list[str]:
    """What CO-RE is asked about, each once, in order."""
    return list(dict.fromkeys(describe_relocation(each) for _, each in program.instructions.with_key(CORE_RELOCATION)))


def used_maps(program: ProgramSpec) -> list[str]:
    """The maps that its instructions refer to, each once, in order."""
    instructions = program.instructions
    names = {
        reference.name: None
        for index, reference in instructions.with_key(REFERENCE)
        if reference.name in program.maps and instructions.fields(index)[0] == LD_IMM64
    }
    return list(names)


def used_externs(program: ProgramSpec) -> list[str]:
    return list(dict.fromkeys(extern.name for _, extern in program.instructions.with_key(EXTERN)))


def prototypes(program: ProgramSpec) -> dict[int, str]:
    """The functions that BTF describes, as C declares them, by the slot where each begins."""
    return {slot: declaration(function) for slot, function in program.instructions.with_key_by_slot(FUNCTION_INFO)}


def type_counts(types: Btf | None) -> dict[str, int]:
    """How many types there are of each kind, the most frequent first."""
    if types is None:
        return {}
    counts = Counter(types.type_by_id(number).kind.name.lower() for number in range(1, len(types.types)))
    return dict(counts.most_common())
