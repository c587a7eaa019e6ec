"""What a program costs in memory: the reason that instructions are packed."""

from __future__ import annotations

import gc
import tracemalloc
from array import array
from struct import Struct

from aiobpf import asm
from aiobpf.asm import COMMENT, REFERENCE, SYMBOL, Instruction, Instructions, Reference

COUNT = 10_000
LINE = Struct("<IIII")


class PackedLines:
    """Line records as .BTF.ext has them, decoded on access."""

    def __init__(self, packed: bytes) -> None:
        self.packed = packed

    def __len__(self) -> int:
        return len(self.packed) // LINE.size

    def __getitem__(self, index: int) -> str:
        return f"line {LINE.unpack_from(self.packed, index * LINE.size)[3]}"


def compiled() -> Instructions:
    """As a large object gives it: a line for every other instruction, a reference for every tenth, 50 functions."""
    code = bytes.fromhex("b701000001000000") * (COUNT - 1000) + bytes.fromhex("18110000030000000000000000000000") * 1000
    program = Instructions.decode(code)
    slots = array("I", range(0, COUNT - 1000, 2))
    lines = PackedLines(b"".join(LINE.pack(slot * 8, 0, 0, slot) for slot in slots))
    program.attach_slots(COMMENT, slots, lines)  # type: ignore[arg-type]
    events = Reference("events")
    for index in program.find(0x18):
        program.set_metadata(index, REFERENCE, events)
    for index in range(0, COUNT, COUNT // 50):
        program.set_metadata(index, SYMBOL, f"function_{index}")
    return program


def test_an_instruction_takes_at_most_64_bytes_with_its_lines() -> None:
    compiled()
    gc.collect()
    tracemalloc.start()
    try:
        program = compiled()
        gc.collect()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(program) == COUNT
    assert used / COUNT < 32
    assert program.get_metadata(4, COMMENT) == "line 4"


def test_decoding_and_encoding_make_no_object_per_instruction() -> None:
    code = compiled().encode()
    gc.collect()
    before = sum(isinstance(item, Instruction) for item in gc.get_objects())
    tracemalloc.start()
    try:
        program = Instructions.decode(code)
        used, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert program.encode() == code
    assert used < len(code) * 1.2
    assert peak < len(code) * 4
    assert sum(isinstance(item, Instruction) for item in gc.get_objects()) == before


def test_an_instruction_without_metadata_has_the_empty_one() -> None:
    assert Instructions([asm.exit_()])[0].metadata is asm.EMPTY
    assert all(instruction.metadata is asm.EMPTY for instruction in Instructions([asm.exit_()] * 3))
