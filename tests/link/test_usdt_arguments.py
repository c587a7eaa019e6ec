"""Arguments of USDT probes as compilers write them, and the notes that they are written in: parsed and not trusted."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiobpf.btf import Array, Int, IntEncoding, Struct
from aiobpf.btf.parts import Member
from aiobpf.errors import BpfError, ElfError, NotSupportedError, SpecError
from aiobpf.link.usdt_arguments import (
    Constant,
    Memory,
    Register,
    SymbolMemory,
    UsdtArgument,
    parse_arguments,
)
from aiobpf.link.usdt_notes import UsdtNote, parse_notes
from aiobpf.link.usdt_registers import REGISTERS
from aiobpf.link.usdt_spec import SpecLayout

X86, ARM64, RISCV, S390, ARM = "EM_X86_64", "EM_AARCH64", "EM_RISCV", "EM_S390", "EM_ARM"


@pytest.mark.parametrize(
    ("machine", "text", "place"),
    [
        (X86, "-4@$-9", Constant(-9)),
        (X86, "8@$0xff", Constant(255)),
        (X86, "8@%rdi", Register("rdi")),
        (X86, "-4@%r10d", Register("r10d")),
        (X86, "1@%sil", Register("sil")),
        (X86, "8@(%rsp)", Memory("rsp")),
        (X86, "-4@112(%rsp)", Memory("rsp", 112)),
        (X86, "-4@-1204(%rbp)", Memory("rbp", -1204)),
        (X86, "1@-96(%rbp,%rax,8)", Memory("rbp", -96, "rax", 8)),
        (X86, "1@(%rbp,%rax)", Memory("rbp", 0, "rax", 1)),
        (X86, "8@-8(%rbp, %rax, 2)", Memory("rbp", -8, "rax", 2)),
        (X86, "4@counter(%rip)", SymbolMemory("counter")),
        (X86, "-4@counter+8(%rip)", SymbolMemory("counter", 8)),
        (X86, "4@counter-8+16(%rip)", SymbolMemory("counter", 8)),
        (X86, "4@24+counter(%rip)", SymbolMemory("counter", 24)),
        (X86, "4@_ZL7counter.0(%rip)", SymbolMemory("_ZL7counter.0")),
        (X86, "4@counter", SymbolMemory("counter")),
        (X86, "4@16(%rip)", Memory("rip", 16)),
        (ARM64, "8@x12", Register("x12")),
        (ARM64, "-4@w3", Register("w3")),
        (ARM64, "8@sp", Register("sp")),
        (ARM64, "8@[sp]", Memory("sp")),
        (ARM64, "-4@[sp, 60]", Memory("sp", 60)),
        (ARM64, "-4@[x29, -16]", Memory("x29", -16)),
        (ARM64, "8@[x0, x1]", Memory("x0", 0, "x1", 1)),
        (ARM64, "8@[x0, x1, lsl 3]", Memory("x0", 0, "x1", 8)),
        (ARM64, "4@5", Constant(5)),
        (ARM64, "4@xzr", Constant(0)),
        (RISCV, "8@a0", Register("a0")),
        (RISCV, "-4@-20(s0)", Memory("s0", -20)),
        (RISCV, "4@7", Constant(7)),
        (S390, "8@%r2", Register("r2")),
        (S390, "8@160(%r15)", Memory("r15", 160)),
        (S390, "-4@-3", Constant(-3)),
        (ARM, "4@#-3", Constant(-3)),
        (ARM, "4@[fp, #-16]", Memory("fp", -16)),
        (ARM, "4@r3", Register("r3")),
    ],
)
def test_an_argument_is_read_as_its_assembler_means_it(machine: str, text: str, place: object) -> None:
    (argument,) = parse_arguments(text, machine)
    size = int(text.partition("@")[0])
    assert argument == UsdtArgument(abs(size), size < 0, place)  # type: ignore[arg-type]


def test_arguments_are_separated_by_the_spaces_that_are_not_in_them() -> None:
    assert len(parse_arguments(" 8@%rbp  8@%r12 -4@%eax ", X86)) == 3
    assert parse_arguments("-4@[sp, 60] 8@[x0, x1, lsl 3] 8@x1", ARM64)[1:] == (
        UsdtArgument(8, False, Memory("x0", 0, "x1", 8)),
        UsdtArgument(8, False, Register("x1")),
    )
    assert parse_arguments("", X86) == ()


@pytest.mark.parametrize(
    ("machine", "text", "error"),
    [
        (X86, "8f@%xmm0", NotSupportedError),
        (X86, "8@%xmm3", NotSupportedError),
        (X86, "16@%rax", NotSupportedError),
        (X86, "8@foo@GOTPCREL(%rip)", NotSupportedError),
        (X86, "8@%fs:16", SpecError),
        (X86, "1@%ah", SpecError),
        (X86, "8@%rzx", SpecError),
        (X86, "8@8(%rax,%rbx,3)", SpecError),
        (X86, "8@8(,%rbx,4)", SpecError),
        (X86, "8@foo(%rax)", SpecError),
        (X86, "8@$foo", SpecError),
        (X86, "8@$99999999999999999999", SpecError),
        (X86, "%rax", SpecError),
        (X86, "8@", SpecError),
        (ARM64, "8@[x0, w1, sxtw 2]", SpecError),
        (ARM64, "8@x31", SpecError),
        (RISCV, "8@8(q0)", SpecError),
        ("EM_MIPS", "8@$1", NotSupportedError),
    ],
)
def test_what_cannot_be_read_is_named(machine: str, text: str, error: type[BpfError]) -> None:
    with pytest.raises(error, match="USDT argument") as caught:
        parse_arguments(text, machine)
    assert text.partition("@")[2].lstrip("$")[:8].split("@")[0] in str(caught.value)


places = st.text("0123456789-+@$%#()[], abcdefilprswxyz._\n", max_size=40)


@given(st.sampled_from(sorted(REGISTERS)), places, st.sampled_from(["", "8@", "-4@", "1@%", "8@8(%", "8@[", "4@$"]))
@example(X86, "0x", "8@$")
@example(X86, "+-1(%rip)", "8@a")
def test_any_text_gives_arguments_with_registers_of_the_machine_or_an_error(
    machine: str, text: str, prefix: str
) -> None:
    try:
        arguments = parse_arguments(prefix + text, machine)
    except (SpecError, NotSupportedError):
        return
    for argument in arguments:
        assert argument.size in {1, 2, 4, 8}
        place = argument.place
        names = {getattr(place, name, None) for name in ("name", "base", "index")} - {None}
        assert names <= REGISTERS[machine].keys()
        assert getattr(place, "scale", 1) in {1, 2, 4, 8}


def x86_text(argument: UsdtArgument) -> str:
    place = argument.place
    size = f"{'-' if argument.is_signed else ''}{argument.size}@"
    if isinstance(place, Constant):
        return f"{size}${place.value}"
    if isinstance(place, Register):
        return f"{size}%{place.name}"
    if isinstance(place, SymbolMemory):
        return f"{size}{place.symbol}{place.offset:+}(%rip)"
    index = "" if place.index is None else f",%{place.index},{place.scale}"
    return f"{size}{place.offset or ''}(%{place.base}{index})"


registers = st.sampled_from(sorted(REGISTERS[X86]))
offsets = st.integers(-(2**31), 2**31)
all_places = st.one_of(
    st.builds(Constant, st.integers(-(2**63), 2**64 - 1)),
    st.builds(Register, registers),
    st.builds(Memory, registers, offsets),
    st.builds(Memory, registers, offsets, registers, st.sampled_from([1, 2, 4, 8])),
    st.builds(SymbolMemory, st.from_regex(r"[A-Za-z_.][\w.]*", fullmatch=True).filter(str.isascii), offsets),
)
all_arguments = st.builds(UsdtArgument, st.sampled_from([1, 2, 4, 8]), st.booleans(), all_places)


@given(st.lists(all_arguments, max_size=12))
def test_every_argument_survives_being_written_and_read(arguments: list[UsdtArgument]) -> None:
    assert parse_arguments(" ".join(map(x86_text, arguments)), X86) == tuple(arguments)


# --- the layouts of struct __bpf_usdt_spec


def spec_map(value: Struct | None, size: int) -> SpecLayout:
    from typing import Any, cast

    named = type("Named", (), {"name": "__bpf_usdt_specs", "value_type": value, "value_size": size})
    return SpecLayout.of(cast("Any", named()))


def number(size: int, *, is_signed: bool = False) -> Int:
    return Int("number", size, IntEncoding.SIGNED if is_signed else IntEncoding(0))


def spec_struct(argument: Struct) -> Struct:
    args = Array(argument, number(4), 12)
    end = 12 * argument.size
    members = [
        Member("args", args, 0),
        Member("usdt_cookie", number(8), 8 * end),
        Member("arg_cnt", number(2, is_signed=True), 8 * end + 64),
    ]
    return Struct("__bpf_usdt_spec", end + 16, members)


OLD = Struct(
    "__bpf_usdt_arg_spec",
    16,
    [
        Member("val_off", number(8), 0),
        Member("arg_type", number(4), 64),
        Member("reg_off", number(2), 96),
        Member("arg_signed", number(1), 112),
        Member("arg_bitshift", number(1), 120),
    ],
)
NEW = Struct(
    "__bpf_usdt_arg_spec",
    24,
    [
        Member("val_off", number(8), 0),
        Member("arg_type", number(4), 64, 8),
        Member("idx_reg_off", number(2), 80, 12),
        Member("scale_bitshift", number(2), 92, 4),
        Member("reg_off", number(2), 112),
        Member("arg_signed", number(1), 128),
        Member("arg_bitshift", number(1), 136),
    ],
)
ARGUMENTS = parse_arguments("-4@$-9 8@%rdi 1@-96(%rbp)", X86)


def test_the_layout_before_libbpf_1_7_with_types_and_without_is_the_same() -> None:
    expected = b"".join(
        (
            struct.pack("<qIhBb", -9, 0, 0, 1, 32),
            struct.pack("<qIhBb", 0, 1, 112, 0, 0),
            struct.pack("<qIhBb", -96, 2, 32, 0, 56),
            bytes(9 * 16),
            struct.pack("<Qh2x4s", 77, 3, b"USDT"),
        )
    )
    assert len(expected) == 208
    for type_ in (spec_struct(OLD), None):
        assert spec_map(type_, 208).encode(ARGUMENTS, 77, X86) == expected


def test_the_layout_since_libbpf_1_7_has_room_for_an_index() -> None:
    for type_ in (spec_struct(NEW), None):
        data = spec_map(type_, 304).encode(parse_arguments("-2@8(%rbp,%rcx,4)", X86), 1, X86)
        assert data[:24] == struct.pack("<qBxHxxhBb6x", 8, 3, 88 | 2 << 12, 32, 1, 48)
        assert data[24:] == bytes(11 * 24) + struct.pack("<Qh2x4s", 1, 1, b"USDT")


def test_what_a_layout_has_no_room_for_is_named() -> None:
    with pytest.raises(NotSupportedError, match=r"indexed address \(rbp \+ 4 \* rcx \+ 8\)"):
        spec_map(spec_struct(OLD), 208).encode(parse_arguments("8@8(%rbp,%rcx,4)", X86), 0, X86)
    with pytest.raises(NotSupportedError, match="13 arguments: the program has room for 12"):
        spec_map(None, 208).encode([ARGUMENTS[0]] * 13, 0, X86)
    with pytest.raises(SpecError, match="values of 100 bytes and no BTF"):
        spec_map(None, 100)
    with pytest.raises(SpecError, match="no struct __bpf_usdt_spec"):
        spec_map(OLD, 16)


# --- notes


def encode_note(note: UsdtNote, order: str, word: str) -> bytes:
    desc = struct.pack(f"{order}3{word}", note.address, note.base, note.semaphore)
    desc += b"".join(text.encode() + b"\0" for text in (note.provider, note.name, note.arguments))
    head = struct.pack(f"{order}III", 8, len(desc), 3) + b"stapsdt\0"
    return head + desc + bytes(-len(desc) % 4)


texts = st.text("abcdefgh_@%$()-,. ", max_size=20)
words = st.integers(0, 2**32 - 1)
notes = st.builds(UsdtNote, texts, texts, texts, words, words, words)


@given(st.lists(notes, max_size=5), st.sampled_from("<>"), st.sampled_from("QI"))
def test_every_note_survives_being_written_and_read(written: list[UsdtNote], order: str, word: str) -> None:
    other = struct.pack(f"{order}III", 4, 6, 1) + b"GNU\0" + b"abcdef\0\0"
    data = other + b"".join(encode_note(note, order, word) for note in written) + other
    assert parse_notes(data, is_64=word == "Q", is_little_endian=order == "<") == written


@given(st.binary(max_size=120), st.integers(0, 60), st.booleans())
def test_any_bytes_give_notes_or_an_error(data: bytes, cut: int, is_64: bool) -> None:
    whole = encode_note(UsdtNote("a", "b", "8@%rax", 1, 2, 3), "<", "Q")
    for each in (data, whole[:cut] + data, whole + data):
        try:
            found = parse_notes(each, is_64=is_64, is_little_endian=True, what="section .note.stapsdt")
        except ElfError as error:
            assert "section .note.stapsdt" in str(error)
        else:
            assert sum(len(note.provider) + len(note.name) for note in found) <= 4 * len(each)
