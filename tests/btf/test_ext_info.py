""".BTF.ext to metadata, through cutting and joining, and back to records."""

from __future__ import annotations

import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiobpf.asm import COMMENT, SYMBOL, Instruction, Instructions
from aiobpf.btf import (
    CORE_RELOCATION,
    FUNCTION_INFO,
    LINE,
    Btf,
    BtfBuilder,
    CoreRelocationKind,
    ExtInfos,
    Function,
    FunctionPrototype,
    Int,
    Line,
    Member,
    Struct,
    assign_kernel_infos,
    encode_ext_infos,
    load_btf_and_ext_infos,
)
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from collections.abc import Sequence

INT = Int("int", 4)
MOV = Instruction(0xB7, 0, 0, 0, 0)
WIDE = Instruction(0x18, 1, 0, 0, 0)
EXIT = Instruction(0x95, 0, 0, 0, 0)


class Source:
    """A BTF with two functions, a struct and strings, and .BTF.ext sections about it."""

    def __init__(self, order: Any = "little") -> None:
        builder = BtfBuilder(order)
        prototype = FunctionPrototype(INT)
        self.first = builder.add(Function("first", prototype))
        self.second = builder.add(Function("second", prototype))
        self.struct = builder.add(Struct("task", 8, [Member("pid", INT, 32)]))
        self.section = builder.string("xdp")
        self.file = builder.string("a.bpf.c")
        self.texts = [builder.string(f"\tline {i};") for i in range(8)]
        self.access = builder.string("0:0")
        self.btf = builder.encode()
        self.order = "<" if order == "little" else ">"

    def block(self, records: Sequence[tuple[int, ...]], section: int | None = None) -> bytes:
        head = struct.pack(self.order + "II", self.section if section is None else section, len(records))
        return head + b"".join(struct.pack(f"{self.order}{len(each)}I", *each) for each in records)

    def part(self, size: int, *blocks: bytes) -> bytes:
        return struct.pack(self.order + "I", size) + b"".join(blocks)

    def ext(self, functions: bytes = b"", lines: bytes = b"", relocations: bytes | None = b"") -> bytes:
        length = 24 if relocations is None else 32
        places = [0, len(functions), len(functions), len(lines)]
        if relocations is not None:
            places += [len(functions) + len(lines), len(relocations)]
        head = struct.pack(f"{self.order}HBBI{len(places)}I", 0xEB9F, 1, 0, length, *places)
        return head + functions + lines + (relocations or b"")

    def lines(self, *slots: int) -> bytes:
        records = [(slot * 8, self.file, self.texts[i], (10 + i) << 10 | i) for i, slot in enumerate(slots)]
        return self.part(16, self.block(records))

    def whole(self) -> bytes:
        """Two functions of four slots each, a relocation in each."""
        functions = self.part(8, self.block([(0, self.first), (32, self.second)]))
        relocations = self.part(16, self.block([(8, self.struct, self.access, 0), (40, self.struct, self.access, 2)]))
        return self.ext(functions, self.lines(0, 3, 4, 5), relocations)


@pytest.fixture
def source() -> Source:
    return Source()


def program() -> Instructions:
    """The code of that section: MOV, WIDE (two slots), EXIT; MOV, MOV, MOV, EXIT."""
    return Instructions([MOV, WIDE, EXIT, MOV, MOV, MOV, EXIT])


@pytest.mark.parametrize("order", ["little", "big"])
def test_a_section_is_decoded_by_slot(order: Any) -> None:
    source = Source(order)
    types, infos = load_btf_and_ext_infos(source.btf, source.whole())
    assert infos is not None
    assert infos.sections == ["xdp"]
    assert infos.section("none") is None
    section = infos.section("xdp")
    assert section is not None
    assert section.functions == [(0, types.type_by_id(source.first)), (4, types.type_by_id(source.second))]
    assert list(section.line_slots) == [0, 3, 4, 5]
    assert len(section.lines) == 4
    assert section.lines[1] == Line("a.bpf.c", "\tline 1;", 11, 1)
    assert section.lines[-1] == section.lines[3]
    assert section.lines[1:] == list(section.lines)[1:]
    assert str(section.lines[1]) == "line 1;"
    with pytest.raises(IndexError):
        section.lines[4]
    (one, first), (other, second) = section.relocations
    assert (one, other) == (1, 5)
    assert first.type is types.by_name("task")
    assert (first.access, first.kind) == ("0:0", CoreRelocationKind.FIELD_BYTE_OFFSET)
    assert second.kind is CoreRelocationKind.FIELD_EXISTS


def test_notes_go_on_whole_sections_and_on_functions(source: Source) -> None:
    _, infos = load_btf_and_ext_infos(source.btf, source.whole())
    assert infos is not None
    section = infos.section("xdp")
    assert section is not None
    whole = program()
    section.assign(whole)
    assert [(i, str(line)) for i, line in whole.with_key(LINE)] == [
        (0, "line 0;"),
        (2, "line 1;"),
        (3, "line 2;"),
        (4, "line 3;"),
    ]
    assert [(i, each.name) for i, each in whole.with_key(FUNCTION_INFO)] == [(0, "first"), (3, "second")]
    assert [i for i, _ in whole.with_key(CORE_RELOCATION)] == [1, 4]

    second = program()[3:]
    section.assign(second, 4)
    assert [(i, str(line)) for i, line in second.with_key(LINE)] == [(0, "line 2;"), (1, "line 3;")]
    assert [(i, each.name) for i, each in second.with_key(FUNCTION_INFO)] == [(0, "second")]
    first = program()[:3]
    section.assign(first, 0, end_slot=4)
    joined = second + first
    assert [(i, each.name) for i, each in joined.with_key(FUNCTION_INFO)] == [(0, "second"), (4, "first")]


def test_a_note_that_fits_no_instruction_is_an_error(source: Source) -> None:
    inside = ExtInfos(source.ext(lines=source.lines(0, 2)), Btf.from_bytes(source.btf)).section("xdp")
    assert inside is not None
    with pytest.raises(BtfError, match="line at slot 2, the second half of a 64-bit immediate load"):
        inside.assign(program())
    with pytest.raises(BtfError, match=r"slots 0 to 9: line at slots 0 to 2, in a program of 1"):
        inside.assign(Instructions([EXIT]), end_slot=9)


def test_records_out_of_order_are_put_in_order_and_the_last_of_a_slot_counts(source: Source) -> None:
    section = ExtInfos(source.ext(lines=source.lines(4, 0, 4)), Btf.from_bytes(source.btf)).section("xdp")
    assert section is not None
    assert list(section.line_slots) == [0, 4]
    assert [str(line) for line in section.lines] == ["line 1;", "line 2;"]


def test_blocks_of_one_section_are_joined(source: Source) -> None:
    blocks = [source.block([(slot * 8, source.file, source.texts[slot], 0)]) for slot in range(3)]
    section = ExtInfos(source.ext(lines=source.part(16, *blocks)), Btf.from_bytes(source.btf)).section("xdp")
    assert section is not None
    assert [str(line) for line in section.lines] == ["line 0;", "line 1;", "line 2;"]


def test_longer_records_of_a_later_compiler_are_read(source: Source) -> None:
    records = source.part(24, source.block([(8, source.file, source.texts[1], 5 << 10, 77, 78)]))
    section = ExtInfos(source.ext(lines=records), Btf.from_bytes(source.btf)).section("xdp")
    assert section is not None
    assert section.lines[0] == Line("a.bpf.c", "\tline 1;", 5, 0)


def test_the_short_header_of_old_compilers_has_no_relocations(source: Source) -> None:
    functions = source.part(8, source.block([(0, source.first)]))
    section = ExtInfos(source.ext(functions, relocations=None), Btf.from_bytes(source.btf)).section("xdp")
    assert section is not None
    assert (len(section.functions), section.relocations, len(section.lines)) == (1, [], 0)


def test_ext_infos_are_optional(source: Source) -> None:
    types, infos = load_btf_and_ext_infos(source.btf, None)
    assert infos is None
    assert types.by_name("task").name == "task"
    assert ExtInfos(source.ext(), types).sections == []


def broken(source: Source) -> list[tuple[bytes, str]]:
    good = source.whole()
    return [
        (b"", ".BTF.ext header needs 24 bytes, found 0"),
        (bytes(32), "no .BTF.ext: the first two bytes are 0000"),
        (good[:2] + b"\2" + good[3:], ".BTF.ext version 2"),
        (good[:4] + struct.pack("<I", 23) + good[8:], "header claims 23 bytes"),
        (good[:4] + struct.pack("<I", 0xFFFFFFFF) + good[8:], "header claims 4294967295 bytes"),
        (good[:-1], "CO-RE relocations of 44 bytes at 136 ends past"),
        (good[:8] + struct.pack("<I", 0xFFFFFFFC) + good[12:], "function info of 28 bytes at 4294967324 ends past"),
        (good[:8] + struct.pack("<I", 2) + good[12:], "function info at 34 is not aligned to 4 bytes"),
        (source.ext(relocations=b"\0\0"), "CO-RE relocations end inside their first word"),
        (source.ext(source.part(0)), "function info have records of 0 bytes"),
        (source.ext(source.part(4)), "function info have records of 4 bytes"),
        (source.ext(source.part(9)), "function info have records of 9 bytes"),
        (source.ext(lines=source.part(12)), "line info have records of 12 bytes"),
        (source.ext(relocations=source.part(12)), "CO-RE relocations have records of 12 bytes"),
        (source.ext(relocations=source.part(16, b"\0" * 7)), "CO-RE relocations end inside a section's header"),
        (source.ext(source.part(8, struct.pack("<II", 1, 0))), "claim 0 records of 8 bytes in 0 bytes"),
        (source.ext(source.part(8, struct.pack("<II", 1, 0xFFFFFFFF))), "claim 4294967295 records of 8 bytes in 0"),
        (source.ext(source.part(8, struct.pack("<II", 0xFFFF, 1), bytes(8))), "string 65535 is past the end"),
        (source.ext(source.part(8, source.block([(4, source.first)]))), "'xdp': function info at byte 4, inside an"),
        (
            source.ext(source.part(8, source.block([(0, source.struct)]))),
            rf"names type \[{source.struct}\], which is no",
        ),
        (source.ext(source.part(8, source.block([(0, 999)]))), r"there is no type \[999\]"),
        (source.ext(lines=source.part(16, source.block([(0, 9999, 0, 0)]))), "a source line has a string at 9999"),
        (source.ext(lines=source.part(16, source.block([(0, 0, 9999, 0)]))), "a source line has a string at 9999"),
        (source.ext(relocations=source.part(16, source.block([(0, 1, 0, 13)]))), "of the unknown kind 13"),
        (source.ext(relocations=source.part(16, source.block([(0, 999, 0, 0)]))), r"of type \[999\], which is not"),
        (source.ext(relocations=source.part(16, source.block([(0, 1, 9999, 0)]))), "string 9999 is past the end"),
    ]


@pytest.mark.parametrize("number", range(26))
def test_what_lies_is_named(source: Source, number: int) -> None:
    data, message = broken(source)[number]
    with pytest.raises(BtfError, match=message):
        load_btf_and_ext_infos(source.btf, data)


def test_byte_orders_must_agree() -> None:
    with pytest.raises(BtfError, match=r"\.BTF\.ext has not the byte order of \.BTF"):
        load_btf_and_ext_infos(Source("little").btf, Source("big").whole())


SOURCE = Source()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6), st.integers(0, 400))
def test_garbled_bytes_give_infos_or_a_btf_error(changes: list[tuple[int, int]], cut: int) -> None:
    garbled = bytearray(SOURCE.whole())
    for place, byte in changes:
        garbled[place % len(garbled)] = byte
    if cut % 3 == 0:
        del garbled[cut:]
    start = time.monotonic()
    with suppress(BtfError):
        _, infos = load_btf_and_ext_infos(SOURCE.btf, bytes(garbled))
        assert infos is not None
        for name in infos.sections:
            section = infos.section(name)
            assert section is not None
            list(section.lines)
            section.assign(program())
    assert time.monotonic() - start < 10


# --- records again ----------------------------------------------------------------------------------------------------


def records(data: bytes, words: int, order: str = "<") -> list[tuple[int, ...]]:
    return list(struct.iter_unpack(f"{order}{words}I", data))


@pytest.mark.parametrize("order", ["little", "big"])
def test_records_are_made_from_whatever_program_comes_of_it(order: Any) -> None:
    source = Source(order)
    _, infos = load_btf_and_ext_infos(source.btf, source.whole())
    assert infos is not None
    section = infos.section("xdp")
    assert section is not None
    code = program()
    section.assign(code)
    code.insert(0, WIDE)  # before the first function: its notes move along
    del code[4]  # the first instruction of the second function goes, and its notes with it
    builder = BtfBuilder(order)
    encoded = encode_ext_infos(code, builder)
    btf = Btf.from_bytes(builder.encode())
    functions = [(slot, btf.type_by_id(number).name) for slot, number in records(encoded.func_info, 2, source.order)]
    assert functions == [(2, "first")]
    lines = [
        (slot, btf.string_at(file), btf.string_at(text), place >> 10, place & 1023)
        for slot, file, text, place in records(encoded.line_info, 4, source.order)
    ]
    assert lines == [
        (0, "", "", 0, 0),
        (2, "a.bpf.c", "\tline 0;", 10, 0),
        (5, "a.bpf.c", "\tline 1;", 11, 1),
        (6, "a.bpf.c", "\tline 3;", 13, 3),
    ]


def test_nothing_noted_gives_nothing() -> None:
    builder = BtfBuilder()
    assert encode_ext_infos(program(), builder) == (b"", b"")
    assert len(builder) == 1


def test_comments_become_source_lines() -> None:
    code = Instructions([MOV.with_metadata(COMMENT, "made by hand"), MOV, EXIT])
    code.set_metadata(2, LINE, Line("a.c", "return 0;", 3, 4))
    code.set_metadata(2, COMMENT, "poisoned\0here")
    builder = BtfBuilder()
    encoded = encode_ext_infos(code, builder)
    btf = Btf.from_bytes(builder.encode())
    texts = [(slot, btf.string_at(text)) for slot, _, text, _ in records(encoded.line_info, 4)]
    assert texts == [(0, "made by hand"), (2, "return 0; ; poisoned here")]


def test_a_function_without_a_line_gets_one() -> None:
    code = Instructions([MOV, EXIT, MOV, EXIT])
    prototype = FunctionPrototype(INT)
    code.set_metadata(0, FUNCTION_INFO, Function("a", prototype))
    code.set_metadata(2, FUNCTION_INFO, Function("b", prototype))
    assert encode_ext_infos(code, BtfBuilder()).line_info == b""
    code.set_metadata(1, LINE, Line("a.c", "x", 1, 1))
    encoded = encode_ext_infos(code, BtfBuilder())
    assert [slot for slot, *_ in records(encoded.line_info, 4)] == [0, 1, 2]


def test_lines_too_far_for_the_format_stop_at_its_end() -> None:
    code = Instructions([EXIT.with_metadata(LINE, Line("a.c", "x", 1 << 30, 1 << 20))])
    (record,) = records(encode_ext_infos(code, BtfBuilder()).line_info, 4)
    assert record[3] == 0xFFFFFFFF


# --- read back --------------------------------------------------------------------------------------------------------


def test_a_program_of_the_kernel_gets_its_notes_back(source: Source) -> None:
    types = Btf.from_bytes(source.btf)
    code = program()
    func_info = struct.pack("<4I", 0, source.first, 4, source.second)
    line_info = struct.pack("<8I", 0, source.file, source.texts[0], 1 << 10, 3, source.file, source.texts[1], 2 << 10)
    assign_kernel_infos(code, types, func_info, line_info)
    assert [(i, name) for i, name in code.with_key(SYMBOL)] == [(0, "first"), (3, "second")]
    assert [(i, each.name) for i, each in code.with_key(FUNCTION_INFO)] == [(0, "first"), (3, "second")]
    assert [(i, str(line)) for i, line in code.with_key(LINE)] == [(0, "line 0;"), (2, "line 1;")]
    assert "line 1;" in str(code)

    bare = program()
    assign_kernel_infos(bare, types, b"", b"")
    assert bare == program()


def test_records_of_a_later_kernel_may_be_longer(source: Source) -> None:
    code = program()
    func_info = struct.pack("<3I", 4, source.second, 99)
    assign_kernel_infos(code, Btf.from_bytes(source.btf), func_info, b"", func_info_size=12)
    assert [i for i, _ in code.with_key(SYMBOL)] == [3]


@pytest.mark.parametrize(
    ("func_info", "line_info", "sizes", "message"),
    [
        (b"\0" * 4, b"", {}, "4 bytes are not records of 8 bytes"),
        (b"", b"\0" * 8, {}, "8 bytes are not records of 16 bytes"),
        (b"\0" * 8, b"", {"func_info_size": 4}, "8 bytes are not records of 4 bytes"),
        (b"\0" * 9, b"", {"func_info_size": 9}, "9 bytes are not records of 9 bytes"),
        (struct.pack("<2I", 0, 0), b"", {}, r"names type \[0\], which is no function"),
        (struct.pack("<4I", 4, 1, 0, 1), b"", {}, "do not ascend"),
        (struct.pack("<2I", 99, 1), b"", {}, "function_info at slots 99 to 99, in a program of 8"),
        (b"", struct.pack("<4I", 2, 0, 0, 0), {}, "second half of a 64-bit immediate load"),
        (b"", struct.pack("<4I", 0, 9999, 0, 0), {}, "string at 9999"),
    ],
)
def test_odd_records_of_a_kernel_are_named(
    source: Source, func_info: bytes, line_info: bytes, sizes: dict[str, int], message: str
) -> None:
    assert source.first == 1
    with pytest.raises(BtfError, match=message):
        assign_kernel_infos(program(), Btf.from_bytes(source.btf), func_info, line_info, **sizes)
