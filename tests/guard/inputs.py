"""What is measured on: objects that are committed, and types made here, the same on every machine."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiobpf.btf import Array, BtfBuilder, Int, IntEncoding, Member, Pointer, Struct
from aiobpf.btf.types import size_of

TESTS = Path(__file__).parent.parent

OBJECTS: Final = {
    "a small object": TESTS / "objects" / "no_btf.bpf.o",
    "a middling object": TESTS.parent / "aiobpf" / "programs" / "exec_monitor.bpf.o",
    "a larger object": TESTS / "objects" / "guards.bpf.o",
}
CORE_PROGRAMS = TESTS / "btf" / "core_objects" / "program.bpf.o"
CORE_TARGET = TESTS / "btf" / "core_objects" / "kernel.bpf.o"
STRUCTS: Final = 4000


U32, U64 = Int("unsigned int", 4, 32), Int("unsigned long long", 8, 64)
CHAR = Int("char", 1, 8, IntEncoding.SIGNED | IntEncoding.CHAR)
FIELDS: Final = {
    "sequence": U64,
    "submitted_ns": U64,
    "pid": U32,
    "tid": U32,
    "uid": U32,
    "result": U32,
    "comm": Array(CHAR, U32, 16),
    "bytes": U64,
    "duration_ns": U64,
}


def event_type() -> Struct:
    """A new struct, like the workload's record_64: 64 bytes, 9 fields."""
    members, offset = [], 0
    for name, type_ in FIELDS.items():
        members.append(Member(name, type_, offset * 8))
        offset += size_of(type_)
    return Struct("record_64", offset, members)


def many_types() -> bytes:
    """BTF of some thousand structs that point at one another, as a kernel's does."""
    builder = BtfBuilder()
    before: Struct | Int = U32
    for number in range(STRUCTS):
        members = [Member("first", U32, 0), Member(f"member_{number}", U32, 32)]
        members.append(Member("before", Pointer(before), 64))
        before = Struct(f"s_{number}", 16, members)
        builder.add(before)
    return builder.encode()
