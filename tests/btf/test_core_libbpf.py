"""CO-RE gives what libbpf gives, instruction by instruction.

The same comparison was made over the objects of xdp-tools and libbpf-tools with seven kernels, and over generated
structs; here is a pair of objects that has every kind of relocation and of instruction, with libbpf's answers.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from aiobpf.asm import Instructions
from aiobpf.btf import Btf, CoreRelocator, load_btf_and_ext_infos, relocate_instructions
from aiobpf.btf.core_relocation import CORE_RELOCATION, CoreRelocationKind

OBJECTS = Path(__file__).parent / "core_objects"
WIDE = 0x18
POISON = struct.pack("<BBhi", 0x85, 0, 0, 195896080)


def _answers() -> dict[tuple[str, int], list[tuple[str, int]]]:
    answers: dict[tuple[str, int], list[tuple[str, int]]] = defaultdict(list)
    for line in (OBJECTS / "libbpf.txt").read_text().splitlines():
        if not line.startswith("#"):
            program, instruction, field, value = line.split()
            answers[program, int(instruction)].append((field, int(value)))
    return answers


def _patch(slot: bytearray, field: str, value: int) -> None:
    """What libbpf's message says that it did."""
    if field == "poison":
        slot[:8] = POISON
    elif field == "off":
        slot[2:4] = struct.pack("<h", value)
    elif field == "mem_sz":
        slot[0] = slot[0] & ~0x18 | {1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}[value]
    elif field == "imm":
        slot[4:8] = struct.pack("<i", value)
    else:
        slot[4:8], slot[12:16] = struct.pack("<Q", value)[:4], struct.pack("<Q", value)[4:]


def test_every_instruction_is_what_libbpf_makes_of_it() -> None:
    elf = ELFFile((OBJECTS / "program.bpf.o").open("rb"))
    sections = {section.name: (number, section.data()) for number, section in enumerate(elf.iter_sections())}
    symbol_table = elf.get_section_by_name(".symtab")
    assert isinstance(symbol_table, SymbolTableSection)
    symbols = list(symbol_table.iter_symbols())
    elf.stream.close()
    _, ext_infos = load_btf_and_ext_infos(sections[".BTF"][1], sections[".BTF.ext"][1])
    relocator = CoreRelocator([Btf.from_file(OBJECTS / "kernel.bpf.o")])
    answers = _answers()
    kinds = set()
    assert ext_infos is not None
    for name in ext_infos.sections:
        number, code = sections[name]
        instructions = Instructions.decode(code, "little")
        infos = ext_infos.section(name)
        assert infos is not None
        infos.assign(instructions)
        kinds |= {relocation.kind for _, relocation in instructions.with_key(CORE_RELOCATION)}
        expected = bytearray(code)
        for symbol in symbols:
            if symbol["st_shndx"] != number or symbol["st_info"]["type"] != "STT_FUNC":
                continue
            for (program, index), patches in answers.items():
                if program == symbol.name:
                    at = symbol["st_value"] + index * 8
                    slot = expected[at : at + 16]
                    for field, value in patches:
                        _patch(slot, field, value)
                    expected[at : at + 16] = slot
        relocate_instructions(instructions, relocator)
        found = instructions.encode("little")
        differing = [at // 8 for at in range(0, len(code), 8) if found[at : at + 8] != expected[at : at + 8]]
        assert differing == [], name
    assert kinds == set(CoreRelocationKind)


@pytest.mark.parametrize("kind", CoreRelocationKind)
def test_a_kind_is_about_a_field_an_enumerator_or_a_type(kind: CoreRelocationKind) -> None:
    assert [kind.is_field_based, kind.is_enum_based, kind.is_type_based].count(True) == 1
    assert kind.label
