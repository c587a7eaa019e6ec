"""A whole BTF as a C header: clang makes of it what the BTF says, to the bit."""

from __future__ import annotations

import contextlib
import struct
import subprocess
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aiobpf
from aiobpf.btf import (
    CORE_RELOCATION,
    Array,
    Btf,
    BtfBuilder,
    Const,
    DeclTag,
    Enum,
    Enumerator,
    Float,
    Forward,
    Function,
    FunctionPrototype,
    Int,
    IntEncoding,
    Kind,
    Member,
    Parameter,
    Pointer,
    Struct,
    Type,
    Typedef,
    TypeTag,
    Union,
    Variable,
    Void,
    format_c,
    format_header,
    strip_qualifiers,
)
from aiobpf.btf.c_header import write_header
from aiobpf.btf.shape import member_bits
from aiobpf.btf.words import StringTable, encode_words
from aiobpf.elf import read_spec
from aiobpf.errors import BtfError
from aiobpf.spec import core_relocations
from tests.kernel_btfs import RUNNING, kernel_btfs, name_of, read_btf

if TYPE_CHECKING:
    from collections.abc import Iterator

INT = Int("int", 4, encoding=IntEncoding.SIGNED)
CHAR = Int("char", 1, encoding=IntEncoding.SIGNED)
LONG = Int("long unsigned int", 8)
SHORT = Int("unsigned short", 2)
BYTE = Int("unsigned char", 1)


def made_of(*types: Type) -> Btf:
    builder = BtfBuilder()
    for each in types:
        builder.add(each)
    return Btf.from_bytes(builder.encode())


# --- clang's own opinion ----------------------------------------------------------------------------------------------


def compiled(text: str, folder: Path, order: str = "little") -> Btf:
    """The BTF that clang makes of C *text*."""
    source, target = folder / "types.c", folder / "types.o"
    source.write_text(f"{text}\nint used;\n")
    machine = "bpfel" if order == "little" else "bpfeb"
    command = ["clang-19", "-target", machine, "-g", "-O0", "-w", "-c", str(source), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    return Btf.from_file(target)


def require_the_same_layout(btf: Btf, folder: Path) -> int:
    """Every struct, union and enum of *btf* that has a name has the same size and members in clang's own BTF."""
    header = write_header(btf)
    wanted = {name: each for each, name in header.names.items() if not isinstance(strip_qualifiers(each), Forward)}
    wanted = {name: each for name, each in wanted.items() if not isinstance(each, Enum) or each.enumerators}
    sized = {name: each for name, each in wanted.items() if has_size(each)}
    names = {f"v{number}": each for number, each in enumerate(sized.values())}
    uses = "".join(f"{name} v{number};\n" for number, name in enumerate(sized))
    theirs = compiled(header.text + uses, folder, btf.byte_order)
    known: set[tuple[int, int]] = set()
    for name, ours in names.items():
        require_alike(ours, theirs.by_name(name, Variable).type, btf, theirs, known, str(ours))
    return len(names)


def has_size(type: Type) -> bool:  # noqa: A002
    found = strip_qualifiers(type)
    if isinstance(found, Array):
        return has_size(found.element)
    return not isinstance(found, Void | FunctionPrototype | Forward)


def require_alike(ours: Type, theirs: Type, btf: Btf, other: Btf, known: set[tuple[int, int]], path: str) -> None:
    ours, theirs = strip_qualifiers(ours), strip_qualifiers(theirs)
    if isinstance(ours, Array):
        assert isinstance(theirs, Array), path
        assert ours.count == theirs.count, path
        require_alike(ours.element, theirs.element, btf, other, known, f"{path}[]")
    elif isinstance(ours, Struct | Union):
        assert isinstance(theirs, Struct | Union), path
        pair = btf.id_of(ours), other.id_of(theirs)
        if pair in known:
            return
        known.add(pair)
        assert ours.size == theirs.size, f"{path}: {ours.size} bytes, {theirs.size} compiled"
        wanted = [each for each in ours.members if each.name or isinstance(strip_qualifiers(each.type), Struct | Union)]
        found = [each for each in theirs.members if not each.name.startswith("__padding_")]
        assert len(wanted) == len(found), path
        for mine, compiled_one in zip(sorted(wanted, key=lambda each: member_bits(each)[0]), found, strict=True):
            where = f"{path}.{mine.name}"
            assert mine.name == compiled_one.name, where
            assert member_bits(mine) == member_bits(compiled_one), where
            require_alike(mine.type, compiled_one.type, btf, other, known, where)
    elif isinstance(ours, Enum) and ours.enumerators:
        assert isinstance(theirs, Enum | Int), path
        assert ours.size == theirs.size, path
        if isinstance(theirs, Enum):
            assert [each.value for each in ours.enumerators] == [
                each.value & ((1 << 8 * ours.size) - 1) if each.value < 0 <= ours.enumerators[i].value else each.value
                for i, each in enumerate(theirs.enumerators)
            ], path
    elif isinstance(ours, Int):
        assert isinstance(theirs, Int | Array), path
        assert ours.size == (theirs.size if isinstance(theirs, Int) else theirs.count), path


@pytest.mark.timeout(600)  # 15 s, most of them clang's, where nothing else runs
@pytest.mark.parametrize("path", kernel_btfs(), ids=name_of)
def test_every_struct_of_a_kernel_compiles_to_its_own_layout(path: Path, tmp_path: Path) -> None:
    btf = read_btf(path)
    count = require_the_same_layout(btf, tmp_path)
    assert count > 5_000


def test_a_whole_kernel_is_formatted_in_seconds() -> None:
    btf = read_btf(RUNNING)
    started = time.process_time()
    text = format_c(btf)
    assert time.process_time() - started < 20  # 3 s where nothing else runs
    assert "\nstruct task_struct {\n" in text


# --- layouts ----------------------------------------------------------------------------------------------------------


PACKED = Struct("packed", 7, [Member("a", BYTE, 0), Member("b", INT, 8), Member("c", SHORT, 40)])


@pytest.mark.parametrize(
    "type",
    [
        PACKED,
        Struct("tail", 64, [Member("a", INT, 0)]),
        Struct("odd_tail", 12, [Member("a", INT, 0)]),
        Struct("cacheline", 128, [Member("a", INT, 0), Member("b", INT, 512), Member("c", INT, 544)]),
        Struct("hole", 24, [Member("a", INT, 0), Member("b", LONG, 128)]),
        Struct("wide_hole", 4104, [Member("a", BYTE, 0), Member("b", BYTE, 4103 * 8)]),
        Struct("wide_hole_of_bits", 634, [Member("a", INT, 0, 1), Member("b", INT, 5001, 1)]),
        Struct("unaligned_size", 5, [Member("a", INT, 0), Member("b", BYTE, 32)]),
        Struct("holds_packed", 12, [Member("a", BYTE, 0), Member("p", PACKED, 8), Member("b", INT, 64)]),
        Struct("bits", 4, [Member("a", INT, 0, 3), Member("b", INT, 3, 7), Member("c", INT, 16, 16)]),
        Struct("bits_with_gap", 8, [Member("a", INT, 5, 3), Member("b", INT, 40, 3), Member("c", BYTE, 48)]),
        Struct("bits_across", 9, [Member("a", LONG, 0, 60), Member("b", LONG, 60, 12)]),
        Struct("bits_then_byte", 2, [Member("a", BYTE, 0, 3), Member("b", BYTE, 8)]),
        Struct("unnamed_bits", 4, [Member("a", INT, 0, 3), Member("", INT, 3, 5), Member("b", INT, 8, 8)]),
        Struct("old_bits", 4, [Member("a", Int("unsigned int", 4, 3), 0), Member("b", Int("unsigned int", 4, 5), 3)]),
        Struct("flexible", 4, [Member("n", INT, 0), Member("rest", Array(CHAR, INT, 0), 32)]),
        Struct("empty", 0),
        Struct("nothing_but_size", 12),
        Struct(
            "inner",
            16,
            [Member("a", INT, 0), Member("", Union("", 8, [Member("i", INT, 0), Member("l", LONG, 0)]), 64)],
        ),
        Struct("deep", 16, [Member("x", Struct("", 16, [Member("p", Pointer(PACKED), 0), Member("b", BYTE, 64)]), 0)]),
        Struct("i128", 32, [Member("a", BYTE, 0), Member("b", Int("__int128 unsigned", 16), 128)]),
        Struct("i128_at_8", 24, [Member("a", LONG, 0), Member("b", Int("__int128 unsigned", 16), 64)]),
        Struct("out_of_order", 8, [Member("b", INT, 32), Member("a", INT, 0)]),
        Struct(
            "aligned_inside",
            128,
            [
                Member("a", INT, 0),
                Member("", Struct("", 4, [Member("b", INT, 0)]), 512),
                Member("c", INT, 544),
            ],
        ),
        Struct("declared_enum", 8, [Member("e", Enum("later", 4), 0), Member("f", Enum("later", 4), 32)]),
        Struct("floats", 16, [Member("f", Float("float", 4), 0), Member("d", Float("double", 8), 64)]),
        Struct(
            "rust",
            16,
            [Member("a", Int("u8", 1), 0), Member("b", Int("i64", 8), 64)],
        ),
        Union("one_of", 12, [Member("a", INT, 0), Member("b", Array(BYTE, INT, 11), 0)]),
        Union("packed_union", 5, [Member("a", INT, 0), Member("b", Array(BYTE, INT, 5), 0)]),
        Union("bits_of_union", 4, [Member("a", INT, 0, 3), Member("b", INT, 0, 9)]),
        Enum("byte", 1, False, [Enumerator("B1", 1)]),
        Enum("short_one", 2, True, [Enumerator("S1", -1)]),
        Enum("wide", 8, False, [Enumerator("W1", 1 << 40)]),
        Enum("wide_signed", 8, True, [Enumerator("W2", -(1 << 63)), Enumerator("W3", -1)]),
        Enum("wide_and_small", 8, False, [Enumerator("W4", 1)]),
        Enum("unsigned_large", 4, False, [Enumerator("U1", 0xFFFFFFFF)]),
    ],
    ids=lambda each: each.name,
)
def test_a_layout_that_c_has_to_be_told(type: Type, tmp_path: Path) -> None:  # noqa: A002
    assert require_the_same_layout(made_of(type), tmp_path)


def fields(draw: st.DrawFn, is_union: bool) -> Iterator[tuple[Type, int, int, int]]:
    """Members as some compiler could have placed them: type, first bit, bits and end."""
    end = 0
    for _ in range(draw(st.integers(0, 6))):
        type_ = draw(st.sampled_from([INT, CHAR, LONG, SHORT, BYTE, Pointer(INT), Array(SHORT, INT, 3), PACKED]))
        size = 6 if isinstance(type_, Array) else 8 if isinstance(type_, Pointer) else type_.size  # type: ignore[attr-defined]
        bits = draw(st.integers(1, size * 8)) if isinstance(type_, Int) and draw(st.booleans()) else 0
        gap = draw(st.sampled_from([0, 0, 0, 1, 3, 8, 32, 64, 100, 512, 5000]))
        start = 0 if is_union else end + gap
        if not bits:
            start = -(-start // 8) * 8
        elif start % (size * 8) + bits > size * 8 and draw(st.booleans()):
            start = -(-start // (size * 8)) * size * 8
        end = max(end, start + (bits or size * 8))
        yield type_, start, bits, end


@st.composite
def composites(draw: st.DrawFn) -> list[Type]:
    made: list[Type] = []
    for number in range(10):
        is_union = draw(st.booleans())
        members, end = [], 0
        for i, (type_, start, bits, last) in enumerate(fields(draw, is_union)):
            inner = made[-1] if made and not bits and start == end == 0 and draw(st.booleans()) else None
            if inner is None:
                members.append(Member(f"m{i}", type_, start, bits))
                end = last
        size = -(-end // 8) + draw(st.sampled_from([0, 0, 1, 3, 4, 60]))
        size += -size % draw(st.sampled_from([1, 4, 8, 64]))
        made.append((Union if is_union else Struct)(f"t{number}", size, members))
        if size and draw(st.booleans()):
            at = draw(st.sampled_from([0, 8, 32, 64]))
            made.append(Struct(f"o{number}", size + at // 8 + draw(st.integers(0, 9)), [Member("in", made[-1], at)]))
    return made


@given(composites())
@settings(max_examples=25)
def test_any_layout_that_members_can_have_compiles_to_itself(
    tmp_path_factory: pytest.TempPathFactory, types: list[Type]
) -> None:
    assert require_the_same_layout(made_of(*types), tmp_path_factory.mktemp("layout")) >= len(types)


def test_members_on_top_of_each_other_are_bytes(tmp_path: Path) -> None:
    option = Struct("Option<u32>", 8, [Member("tag", INT, 0), Member("some", LONG, 0)])
    text = format_c(made_of(option))
    assert "struct Option_u32_ {\n\tunsigned char __opaque[8];\n};" in text
    compiled(text, tmp_path)


# --- order and names --------------------------------------------------------------------------------------------------


def test_types_that_point_to_each_other_are_declared_first(tmp_path: Path) -> None:
    def members_of_a(a: Type) -> list[Member]:
        b = Struct("b", 16, [Member("a", Pointer(a), 0), Member("t", Pointer(Typedef("a_t", a)), 64)])
        return [Member("b", b, 0), Member("next", Pointer(a), 128)]

    btf = made_of(Struct("a", 24, members_of_a))
    text = format_c(btf)
    assert text.index("struct a;") < text.index("typedef struct a a_t;") < text.index("struct b {")
    assert text.index("struct b {") < text.index("struct a {")
    assert require_the_same_layout(btf, tmp_path)


def test_an_array_of_structs_behind_a_pointer_needs_them_whole(tmp_path: Path) -> None:
    pair = Struct("pair", 8, [Member("a", INT, 0), Member("b", INT, 32)])
    handler = FunctionPrototype(INT, [Parameter("t", Pointer(Typedef("t", Array(pair, INT, 2)))), Parameter("n", INT)])
    btf = made_of(Struct("first", 8, [Member("handler", Pointer(handler), 0)]))
    text = format_c(btf)
    assert text.index("struct pair {") < text.index("typedef struct pair t[2];") < text.index("struct first {")
    assert "int (*handler)(t *t_, int n)" in text, "a parameter hides no typedef from the next one"
    assert require_the_same_layout(btf, tmp_path)


def test_a_second_type_of_one_name_is_numbered(tmp_path: Path) -> None:
    btf = made_of(
        Struct("twin", 4, [Member("a", INT, 0)]),
        Struct("twin", 8, [Member("b", LONG, 0)]),
        Union("twin", 4, [Member("c", INT, 0)]),
        Struct("twin___2", 4, [Member("d", INT, 0)]),
        Typedef("twin", INT),
        Typedef("twin", LONG),
        Enum("e", 4, False, [Enumerator("twin", 1), Enumerator("ONE", 2)]),
        Enum("f", 4, False, [Enumerator("ONE", 3)]),
        Pointer(Forward("twin")),
        Pointer(Forward("e_fwd", is_union=True)),
        Typedef("use_fwd", Pointer(Forward("twin"))),
    )  # fmt: skip
    text = format_c(btf)
    assert "struct twin {" in text
    assert "struct twin___2 {\n\tlong unsigned int b;" in text
    assert "union twin___3 {" in text
    assert "struct twin___2___2 {" in text
    assert "typedef long unsigned int twin___2;" in text
    assert "\ttwin___3 = 1," in text
    assert "\tONE___2 = 3," in text
    assert "typedef struct twin___4 *use_fwd;" in text, "a declaration that may mean two structs is a type of its own"
    assert require_the_same_layout(btf, tmp_path) >= 8


def test_a_declaration_of_what_is_defined_is_the_same_type(tmp_path: Path) -> None:
    btf = made_of(
        Typedef("seen_first", Pointer(Forward("one"))),
        Struct("one", 4, [Member("a", INT, 0)]),
        Typedef("other", Pointer(Forward("two"))),
    )
    text = format_c(btf)
    assert text.count("struct one;") == 1
    assert "typedef struct one *seen_first;" in text
    assert "struct two;" in text
    compiled(text + "int f(seen_first x) { return x->a; }", tmp_path)


def test_names_that_c_cannot_take_are_changed(tmp_path: Path) -> None:
    btf = made_of(
        Struct("core::fmt::Arguments", 8, [Member("default", INT, 0), Member("0", INT, 32)]),
        Typedef("int", LONG),
        Typedef("__builtin_va_list", Array(Struct("__va_list_tag", 24, [Member("p", Pointer(Void()), 0)]), INT, 1)),
        Typedef("bool", Int("_Bool", 1, encoding=IntEncoding.BOOL)),
        Enum("", 4, False, [Enumerator("false", 0), Enumerator("true", 1)]),
    )
    text = format_c(btf)
    assert "struct core__fmt__Arguments {\n\tint default_;\n\tint _0;\n};" in text
    assert "typedef long unsigned int int_;" in text
    assert "typedef struct __va_list_tag __builtin_va_list___2[1];" in text
    compiled(text, tmp_path)
    (tmp_path / "c23.c").write_text(text)
    subprocess.run(["clang-19", "-std=c23", "-w", "-target", "bpf", "-c", "c23.c"], cwd=tmp_path, check=True)


def test_numbers_that_c_lacks_are_typedefs(tmp_path: Path) -> None:
    btf = made_of(
        Struct("numbers", 64, [
            Member("a", Int("u8", 1), 0), Member("b", Int("i24", 3), 8), Member("c", Float("long double", 16), 128),
            Member("d", Int("long int", 4, encoding=IntEncoding.SIGNED), 256), Member("e", Float("_Float16", 2), 288),
        ]),
    )  # fmt: skip
    text = format_c(btf)
    assert "typedef unsigned char u8;" in text
    assert "typedef unsigned char i24[3];" in text
    assert "\tsigned int d;" in text, "a kernel of 32 bits has a long int of four bytes"
    header = write_header(btf)
    struct = compiled(header.text + "struct numbers v;", tmp_path).by_name("numbers", Struct)
    assert struct.size == 64
    assert [member.bit_offset for member in struct.members] == [0, 8, 128, 256, 288]


def test_an_anonymous_enum_is_written_once(tmp_path: Path) -> None:
    kind = Enum("", 4, False, [Enumerator("A", 1), Enumerator("B", 2)])
    left = Enum("", 4, False, [Enumerator("C", 1)])
    btf = made_of(Struct("x", 4, [Member("kind", kind, 0)]), Struct("y", 4, [Member("kind", kind, 0)]), left)
    text = format_c(btf)
    assert text.count("A = 1") == text.count("C = 1") == 1
    assert "struct y {\n\tunsigned int kind;\n};" in text
    assert require_the_same_layout(btf, tmp_path)


def test_a_named_struct_without_a_member_name_is_written_out(tmp_path: Path) -> None:
    """-fms-extensions, which the kernel is compiled with since 6.19."""
    tree = Struct("tree", 8, [Member("left", INT, 0), Member("right", INT, 32)])
    btf = made_of(Struct("common", 16, [Member("a", INT, 0), Member("", tree, 32), Member("b", INT, 96)]))
    assert "\tstruct {\n\t\tint left;\n\t\tint right;\n\t};\n\tint b;" in format_c(btf)
    assert require_the_same_layout(btf, tmp_path)


def test_tags_are_attributes_and_kernel_functions_are_declared(tmp_path: Path) -> None:
    task = Struct("task", 16, [
        Member("name", Pointer(TypeTag("user", Const(CHAR))), 0),
        Member("link", Pointer(TypeTag("rcu", Pointer(TypeTag("percpu", INT)))), 64),
    ])  # fmt: skip
    acquire = Function(
        "bpf_task_acquire", FunctionPrototype(Pointer(task), [Parameter("p", Pointer(task))]), tags=["bpf_kfunc"]
    )
    arena = TypeTag("address_space(1)", Void(), is_attribute=True)
    pages = Function(
        "bpf_pages", FunctionPrototype(Pointer(arena), [Parameter("n", INT), Parameter("", Void())]), tags=["bpf_kfunc"]
    )
    btf = made_of(acquire, Function("other", FunctionPrototype(INT)), pages)
    text = format_c(btf)
    assert 'const __attribute__((btf_type_tag("user"))) char *name;' in text.replace(
        '__attribute__((btf_type_tag("user"))) const', 'const __attribute__((btf_type_tag("user")))'
    )
    assert 'extern struct task *bpf_task_acquire(struct task *p) __attribute__((weak, section(".ksyms")));' in text
    assert "other" not in text
    use = "struct task *f(struct task *p) { return bpf_task_acquire(p); }"
    theirs = compiled(text + use, tmp_path)
    assert theirs.by_name("bpf_task_acquire", Function).tags == ()
    assert {theirs.type_by_id(i).name for i in theirs.ids_of_kind(Kind.TYPE_TAG)} == {"user", "rcu", "percpu"}


def test_programs_over_the_header_are_relocatable(tmp_path: Path) -> None:
    text = format_c(made_of(Struct("task", 4, [Member("pid", INT, 0)])))
    use = '__attribute__((section("raw_tp"))) int f(struct task *t) { return t->pid; }'
    compiled(text + use, tmp_path)
    program = read_spec(tmp_path / "types.o").programs["f"].instructions
    assert list(program.with_key(CORE_RELOCATION))


def test_programs_for_a_whole_kernel_compile_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "vmlinux.h").write_text(format_c(read_btf(RUNNING)))
    (tmp_path / "switches.bpf.c").write_text(
        """
        #include "vmlinux.h"
        #include <bpf/bpf_helpers.h>
        #include <bpf/bpf_core_read.h>
        #include <bpf/bpf_tracing.h>
        char LICENSE[] SEC("license") = "GPL";
        struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 16); __type(key, u32); __type(value, u64); } seen
            SEC(".maps");
        SEC("tp_btf/sched_switch")
        int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
        {
            u32 pid = BPF_CORE_READ(prev, group_leader, pid);
            u64 now = bpf_ktime_get_ns();
            bpf_map_update_elem(&seen, &pid, &now, BPF_ANY);
            return 0;
        }
        """
    )
    include = Path(aiobpf.__file__).parent / "include"
    command = ["clang-19", "-target", "bpf", "-D__TARGET_ARCH_x86", "-g", "-O2", "-Wall", "-Werror", f"-I{include}"]
    subprocess.run([*command, "-c", "switches.bpf.c", "-o", "switches.bpf.o"], cwd=tmp_path, check=True)
    spec = read_spec(tmp_path / "switches.bpf.o")
    assert [each.kind.name for each in core_relocations(spec)] == ["FIELD_BYTE_OFFSET"] * 2


def test_a_part_comes_with_what_it_needs() -> None:
    inner = Struct("inner", 4, [Member("a", INT, 0)])
    btf = made_of(Struct("outer", 4, [Member("i", inner, 0)]), Struct("unrelated", 4, [Member("a", INT, 0)]))
    text = format_header(btf, [btf.by_name("outer")])
    assert text.index("struct inner {") < text.index("struct outer {")
    assert "unrelated" not in text


def test_a_split_btf_is_written_with_what_it_needs_of_its_base(tmp_path: Path) -> None:
    base = made_of(Struct("used", 4, [Member("a", INT, 0)]), Struct("unused", 4, [Member("a", INT, 0)]))
    split = split_btf(base, "device", base.id_of(base.by_name("used")), 4)
    text = format_c(split)
    assert text.index("struct used {") < text.index("struct device {")
    assert "unused" not in text
    compiled(text, tmp_path)


def split_btf(base: Btf, name: str, member: int, size: int) -> Btf:
    """A struct of one member of a type of *base*."""
    strings = name.encode() + b"\0x\0"
    words = (base.strings_end, Kind.STRUCT << 24 | 1, size, base.strings_end + len(name) + 1, member, 0)
    types = struct.pack("<6I", *words)
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return Btf.from_bytes(header + types + strings, base)


# --- hostile BTFs -----------------------------------------------------------------------------------------------------


def test_what_contains_itself_is_named() -> None:
    with pytest.raises(BtfError, match=r"struct 'loop' needs itself"):
        format_c(made_of(Struct("loop", 4, lambda loop: [Member("me", loop, 0)])))
    with pytest.raises(BtfError, match="contains itself"):
        format_c(made_of(Typedef("t", Struct("", 4, lambda loop: [Member("me", loop, 0)]))))


def test_anonymous_types_that_double_at_every_level_end() -> None:
    inner: Type = Union("", 4, [Member("a", INT, 0)])
    for _ in range(40):
        inner = Union("", 4, [Member("x", inner, 0), Member("y", inner, 0)])
    started = time.process_time()
    with pytest.raises(BtfError, match=r"out of all proportion|repeat each other"):
        format_c(made_of(Typedef("t", inner)))
    assert time.process_time() - started < 5


def test_prototypes_that_double_at_every_level_end() -> None:
    inner: Type = INT
    for _ in range(40):
        inner = Pointer(FunctionPrototype(INT, [Parameter("a", inner), Parameter("b", inner)]))
    started = time.process_time()
    with pytest.raises(BtfError):
        format_c(made_of(Typedef("t", inner)))
    assert time.process_time() - started < 5


def test_a_chain_of_a_hundred_thousand_structs_is_no_recursion(tmp_path: Path) -> None:
    strings = StringTable()
    count = 100_000
    types = [array("I", [strings.offset("int"), Kind.INT << 24, 4, 32])]
    for number in range(count):
        member = [strings.offset("m"), number + 3 if number + 1 < count else 1, 0]
        types.append(array("I", [strings.offset(f"s{number}"), Kind.STRUCT << 24 | 1, 4, *member]))
    started = time.process_time()
    text = format_c(Btf.from_bytes(encode_words(types, strings.encode(), "little")))
    assert text.index("struct s99999 {") < text.index("struct s0 {")
    assert time.process_time() - started < 20


def test_a_huge_struct_costs_a_line() -> None:
    text = format_c(made_of(Struct("huge", 0xFFFFFFFF, [Member("a", BYTE, 0)])))
    assert "unsigned char __padding_" in text
    assert len(text) < 2000


@given(st.data())
@settings(max_examples=60)
def test_garbled_types_give_a_header_or_a_btf_error(data: st.DataObject) -> None:
    raw = bytearray(
        made_of(
            PACKED,
            Struct("s", 8, [Member("p", Pointer(PACKED), 0)]),
            Typedef("t", PACKED),
            DeclTag("bpf_kfunc", PACKED),
        ).raw
    )
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(24, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BtfError):
        format_c(Btf.from_bytes(raw))
