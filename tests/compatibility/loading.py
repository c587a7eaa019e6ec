"""Loading the programs of any object one by one, as its own tool would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.spec.struct_ops_plan import StructOpsPlan
from aiobpf.uapi import AttachType, ProgramType
from tests.elf.conftest import installed_objects

from .conftest import OBJECTS

if TYPE_CHECKING:
    from pathlib import Path

    from aiobpf.spec import CollectionSpec, ProgramSpec


def all_objects() -> list[Path]:
    own = [path for path in sorted(OBJECTS.glob("*.bpf.o")) if ".eb." not in path.name]
    return own + installed_objects()


def complete(spec: CollectionSpec) -> None:
    """What objects leave to their tools: sizes of maps, and fields that only a tool understands."""
    for each in spec.maps.values():
        each.extra = b""
        if each.section is None and each.type.name not in {"RINGBUF", "USER_RINGBUF", "PERF_EVENT_ARRAY", "ARENA"}:
            if not each.type.name.endswith("_STORAGE"):
                each.max_entries = each.max_entries or 64
            if each.key is None or each.value is None:
                each.value_size = each.value_size or 64


def needs_trampoline(program: ProgramSpec) -> bool:
    if program.type == ProgramType.TRACING:
        return program.attach_type not in {AttachType.TRACE_RAW_TP, AttachType.TRACE_ITER}
    return program.type in {ProgramType.LSM, ProgramType.STRUCT_OPS, ProgramType.EXT}


def companions(program: ProgramSpec, spec: CollectionSpec) -> set[str]:
    """Programs that are loaded with it: those in the program arrays and struct_ops maps of the object."""
    held = {value for each in spec.maps.values() for value in each.contents.values() if isinstance(value, str)}
    if program.type == ProgramType.STRUCT_OPS:
        held |= StructOpsPlan.of(spec, None).members.keys()
    return held & spec.programs.keys()
