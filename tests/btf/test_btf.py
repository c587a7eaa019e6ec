"""Opening a BTF: every kind, by id and by name, split, in both byte orders, and nothing made before it is asked for."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.btf import (
    Array,
    Btf,
    BtfBuilder,
    Const,
    DataSection,
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
    Linkage,
    Member,
    Parameter,
    Pointer,
    Restrict,
    SectionVariable,
    Struct,
    Type,
    Typedef,
    TypeTag,
    Union,
    Variable,
    Void,
    Volatile,
    format_c,
    size_of,
)
from aiobpf.errors import BtfError

ORDERS: list[Literal["little", "big"]] = ["little", "big"]
KERNEL = Path("/sys/kernel/btf/vmlinux")

INT = Int("int", 4, encoding=IntEncoding.SIGNED)


def one_of_each() -> list[Type]:
    """A type of every kind, with every field away from its default somewhere."""
    node = Struct("node", 24, lambda node: [Member("next", Pointer(node), 0), Member("x", INT, 64, tags=["rcu"])])
    bits = Struct("bits", 4, [Member("a", INT, 0, 3), Member("b", INT, 3, 29)], tags=["one", "two"])
    prototype = FunctionPrototype(INT, [Parameter("n", Pointer(node)), Parameter("", Void())])
    function = Function("visit", prototype, Linkage.STATIC, ["hot"], [["arg"]])
    variable = Variable("counter", Volatile(INT), Linkage.STATIC, ["live"])
    return [
        INT,
        Int("odd", 8, 7, IntEncoding.BOOL, 3),
        node,
        bits,
        Union("either", 8, [Member("i", INT, 0), Member("p", Pointer(Void()), 0)]),
        Array(Const(INT), INT, 1 << 31),
        Enum("small", 1, enumerators=[Enumerator("A", 0), Enumerator("B", 255)]),
        Enum("signed", 4, True, [Enumerator("MINUS", -1), Enumerator("LEAST", -1 << 31)]),
        Enum("wide", 8, False, [Enumerator("MOST", (1 << 64) - 1)]),
        Enum("wide_signed", 8, True, [Enumerator("LEAST64", -1 << 63), Enumerator("MINUS64", -1)]),
        Forward("later"),
        Forward("later_union", is_union=True),
        Typedef("alias", Restrict(Pointer(node)), ["deprecated"]),
        TypeTag("user", INT),
        TypeTag("address_space(1)", INT, is_attribute=True),
        function,
        variable,
        DataSection(".bss", 4, [SectionVariable(variable, 0, 4), SectionVariable(function, 8, 0)]),
        Float("double", 8),
        DeclTag("whole", node, is_attribute=True),
    ]


def encoded(types: list[Type], order: Literal["little", "big"] = "little") -> bytes:
    builder = BtfBuilder(order)
    for each in types:
        builder.add(each)
    return builder.encode()


@pytest.mark.parametrize("order", ORDERS)
def test_every_kind_comes_back_as_it_was(order: Literal["little", "big"]) -> None:
    builder = BtfBuilder(order)
    ids = [(builder.add(each), each) for each in one_of_each()]
    btf = Btf.from_bytes(builder.encode())
    assert btf.byte_order == order
    for number, made in ids:
        found = btf.type_by_id(number)
        assert found.kind == made.kind
        assert format_c(found) == format_c(made)
        for attribute in (
            "size",
            "bits",
            "bit_offset",
            "encoding",
            "enumerators",
            "linkage",
            "component_index",
            "tags",
        ):
            assert getattr(found, attribute, None) == getattr(made, attribute, None)
    node = btf.by_name("node", Struct)
    assert [each.tags for each in node.members] == [(), ("rcu",)]
    pointer = node.members[0].type
    assert isinstance(pointer, Pointer)
    assert pointer.target is node
    visit = btf.by_name("visit", Function)
    assert (visit.tags, visit.parameter_tags) == (("hot",), (("arg",), ()))
    section = btf.by_name(".bss", DataSection)
    assert [(each.variable.name, each.offset, each.size) for each in section.variables] == [
        ("counter", 0, 4),
        ("visit", 8, 0),
    ]
    assert [each.bitfield_size for each in btf.by_name("bits", Struct).members] == [3, 29]


def test_opening_makes_no_types() -> None:
    btf = Btf.from_bytes(encoded(one_of_each()))
    assert btf._types == {}
    struct = btf.by_name("node", Struct)
    assert set(btf._types.values()) == {struct}


def test_an_id_is_always_the_same_object() -> None:
    btf = Btf.from_bytes(encoded(one_of_each()))
    assert btf.type_by_id(5) is btf.type_by_id(5)
    assert btf.type_by_id(0) is Void()
    assert all(btf.id_of(each) == i for i, each in enumerate(btf.types))


def test_threads_get_the_same_objects() -> None:
    for _ in range(20):
        btf = Btf.from_bytes(encoded(one_of_each()))
        with ThreadPoolExecutor(4) as threads:
            for seen in zip(*threads.map(list, [btf.types] * 4), strict=True):
                assert len(set(map(id, seen))) == 1


def test_types_are_a_sequence_by_id() -> None:
    btf = Btf.from_bytes(encoded([INT, Pointer(INT)]))
    assert len(btf.types) == 3
    assert btf.types[1].name == "int"
    assert btf.types[-1] is btf.type_by_id(2)
    assert btf.types[1:] == [btf.type_by_id(1), btf.type_by_id(2)]
    assert list(btf.types) == btf.types[:]
    with pytest.raises(IndexError):
        btf.types[3]
    with pytest.raises(IndexError):
        btf.types[-4]
    for absent in (3, -1, 1 << 40):
        with pytest.raises(BtfError, match=rf"there is no type \[{absent}\]: the last is \[2\]"):
            btf.type_by_id(absent)


def test_a_foreign_type_has_no_id() -> None:
    btf = Btf.from_bytes(encoded([INT]))
    with pytest.raises(BtfError, match="is no type of this BTF"):
        btf.id_of(INT)
    assert btf.id_of(Void()) == 0


def test_names_are_found_by_kind() -> None:
    struct = Struct("thing", 4, [Member("a", INT, 0)])
    btf = Btf.from_bytes(encoded([struct, Typedef("thing", struct), Forward("other"), Struct("other", 1)]))
    assert btf.by_name("thing", Struct).size == 4
    assert btf.by_name("thing", Typedef).type is btf.by_name("thing", Struct)
    assert btf.by_name("thing", Kind.STRUCT) is btf.by_name("thing", Struct)
    assert btf.by_name("other") is btf.by_name("other", Struct)
    assert btf.by_name("other", Forward).name == "other"
    assert [type(each) for each in btf.all_by_name("thing")] == [Struct, Typedef]
    assert btf.all_by_name("thing", Union) == []
    with pytest.raises(BtfError, match=r"2 types are called 'thing': \[1\] STRUCT, \[3\] TYPEDEF; say which kind"):
        btf.by_name("thing")
    with pytest.raises(BtfError, match="no Union is called 'thing'"):
        btf.by_name("thing", Union)
    with pytest.raises(BtfError, match="no FUNC is called 'thing'"):
        btf.by_name("thing", Kind.FUNC)
    for missing in ("", "nothing", "thin", "thing\0", "x" * 5000, "\udcff"):
        with pytest.raises(BtfError, match="no type is called"):
            btf.by_name(missing)


def test_names_are_listed_by_kind_and_beginning_without_making_a_type() -> None:
    thing, thin, thinner = Struct("thing", 4), Struct("thin", 1), Typedef("thinner", INT)
    btf = Btf.from_bytes(encoded([thing, thin, thinner, Enum("a", 4), Enum("b", 8), Struct("", 2)]))
    assert btf.names(Struct) == ["thing", "thin", ""]
    assert btf.names(Struct, "thi") == ["thing", "thin"]
    assert btf.names(Struct, "thing") == ["thing"]
    assert btf.names(Kind.TYPEDEF, "thin") == ["thinner"]
    assert btf.names(Enum) == ["a", "b"]
    assert btf.names(Function) == btf.names(Struct, "thingy") == btf.names(Struct, "\udcff") == []
    assert btf._types == {}
    base, split = split_pair("little")
    assert split.names(Struct) == ["own", *base.names(Struct)]


def test_both_enum_kinds_are_enums() -> None:
    btf = Btf.from_bytes(encoded([Enum("a", 4), Enum("b", 8)]))
    assert btf.by_name("b", Enum).size == 8
    assert btf.by_name("a", Kind.ENUM64) is btf.by_name("a")


def test_tags_hide_no_type_of_their_name() -> None:
    btf = Btf.from_bytes(encoded([TypeTag("user", INT), Struct("user", 4, tags=["user"])]))
    assert isinstance(btf.by_name("user"), Struct)
    assert btf.by_name("user", TypeTag).type is btf.by_name("int")
    assert btf.by_name("user", DeclTag).component_index == -1


@pytest.mark.parametrize(
    ("name", "essential"),
    [
        ("task___old", "task"),
        ("task___old___older", "task___old"),
        ("___task", "___task"),
        ("task___", "task___"),
        ("task____old", "task____old"),
        ("a___b", "a"),
        ("a__b", "a__b"),
        ("abcdefghijklmnop___v2", "abcdefghijklmnop"),
        ("_a___b_", "_a"),
    ],
)
def test_flavours_are_candidates(name: str, essential: str) -> None:
    btf = Btf.from_bytes(encoded([Struct(name, 1), Struct("unrelated", 1)]))
    assert [each.name for each in btf.candidates(essential)] == [name]
    assert [each.name for each in btf.candidates(essential, Struct)] == [name]
    assert btf.candidates(essential, Union) == []


@given(st.text("_ab", min_size=1, max_size=12))
def test_a_flavour_is_found_as_libbpf_defines_it(name: str) -> None:
    essential = name
    for i in range(len(name) - 5, -1, -1):  # bpf_core_essential_name_len
        part = name[i : i + 5]
        if part[0] != "_" and part[1:4] == "___" and part[4] != "_":
            essential = name[: i + 1]
            break
    btf = Btf.from_bytes(encoded([Struct(name, 1)]))
    assert [each.name for each in btf.candidates(essential)] == [name]
    assert btf.by_name(name).name == name
    if essential != name:
        assert not btf.all_by_name(essential)


def test_many_types_of_one_name_are_all_found() -> None:
    blob = encoded([Struct("same", i) for i in range(3000)])
    btf = Btf.from_bytes(blob)
    assert [size_of(each) for each in btf.all_by_name("same")] == list(range(3000))
    assert len(btf.candidates("same")) == 3000


def split_pair(order: Literal["little", "big"] = "little") -> tuple[Btf, Btf]:
    """A base, and a BTF of one struct that refers to a type and a string of the base."""
    base = Btf.from_bytes(encoded([INT, Struct("shared", 4, [Member("a", INT, 0)])], order))
    word = "<" if order == "little" else ">"
    strings = b"\0own\0field\0"
    first = base.strings_end
    int_id, shared_id = (base.id_of(base.by_name(name)) for name in ("int", "shared"))
    types = struct.pack(word + "III", first + 1, 4 << 24 | 2, 8)
    types += struct.pack(word + "III", first + 5, int_id, 0) + struct.pack(word + "III", 1, shared_id, 32)
    types += struct.pack(word + "III", 0, 2 << 24, len(base.types))
    header = struct.pack(word + "HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return base, Btf.from_bytes(header + types + strings, base)


@pytest.mark.parametrize("order", ORDERS)
def test_a_split_btf_goes_on_where_its_base_ends(order: Literal["little", "big"]) -> None:
    base, split = split_pair(order)
    assert split.base is base
    assert split.first_id == len(base.types) == 3
    assert len(split.types) == 5
    own = split.by_name("own", Struct)
    assert split.id_of(own) == 3
    assert [member.name for member in own.members] == ["field", "int"]
    assert own.members[0].type is base.by_name("int")
    assert own.members[1].type is base.by_name("shared")
    assert split.type_by_id(1) is base.type_by_id(1)
    pointer = split.type_by_id(4)
    assert isinstance(pointer, Pointer)
    assert pointer.target is own
    assert split.by_name("shared") is base.by_name("shared")
    assert split.all_by_name("shared") == [base.by_name("shared")]
    assert split.candidates("shared") == []
    assert split.id_of(base.by_name("shared")) == base.id_of(base.by_name("shared"))
    assert "split" in repr(split)
    with pytest.raises(BtfError):
        base.by_name("own")
    with pytest.raises(BtfError):
        base.id_of(own)


def test_a_split_of_a_split_reads_all_three() -> None:
    _, split = split_pair()
    types = struct.pack("<III", split.strings_end - 10, 4 << 24, 1) + struct.pack("<III", 1, 4 << 24, 2)
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), 0)
    third = Btf.from_bytes(header + types, split)
    assert [third.type_by_id(number).name for number in (5, 6)] == ["own", "int"]
    assert third.by_name("own") is third.type_by_id(5)
    assert len(third.all_by_name("own")) == 2


def test_base_and_split_agree_in_byte_order() -> None:
    base, _ = split_pair("little")
    with pytest.raises(BtfError, match="a split BTF in big-endian order cannot add to one in little"):
        Btf.from_bytes(encoded([INT], "big"), base)


def elf_with(section: str, contents: bytes, *, bits: int = 64, order: str = "<") -> bytes:
    """A minimal ELF file: a null section, the one asked for, and the section names."""
    names = b"\0" + section.encode() + b"\0.shstrtab\0"
    header_size, each = (64, 64) if bits == 64 else (52, 40)
    at = header_size + len(contents) + len(names)
    ident = b"\x7fELF" + bytes([2 if bits == 64 else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    form = "HHIQQQIHHHHHH" if bits == 64 else "HHIIIIIHHHHHH"
    header = ident + struct.pack(order + form, 1, 247, 1, 0, 0, at, 0, header_size, 0, 0, each, 3, 2)
    form = "IIQQQQIIQQ" if bits == 64 else "IIIIIIIIII"
    sections = struct.pack(order + form, *[0] * 10)
    sections += struct.pack(order + form, 1, 1, 0, 0, header_size, len(contents), 0, 0, 0, 0)
    names_at = header_size + len(contents)
    sections += struct.pack(order + form, len(section) + 2, 3, 0, 0, names_at, len(names), 0, 0, 0, 0)
    return header + contents + names + sections


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_files_may_be_elf(tmp_path: Path, bits: int, order: str) -> None:
    blob = encoded(one_of_each())
    (tmp_path / "object").write_bytes(elf_with(".BTF", blob, bits=bits, order=order))
    (tmp_path / "raw").write_bytes(blob)
    assert Btf.from_file(tmp_path / "object").raw == blob
    assert Btf.from_file(str(tmp_path / "raw")).raw == blob


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "header needs 24 bytes, found 0"),
        (b"\x7fELF", "neither of 32 nor of 64 bits"),
        (elf_with(".text", b""), "the ELF file has no .BTF section"),
        (elf_with(".BTF", b""), "header needs 24 bytes"),
        (
            elf_with(".BTF", b"x" * 24)[:-200],
            "no room for its 3 section headers|ends inside its headers|no section headers at byte",
        ),
        (elf_with(".BTF", encoded([INT])).replace(b"\1\0\0\0\1\0\0\0", b"\1\0\0\0\x08\0\0\0", 1), "SHT_NOBITS"),
    ],
)
def test_a_file_that_holds_none_is_named(tmp_path: Path, contents: bytes, message: str) -> None:
    path = tmp_path / "odd.o"
    path.write_bytes(contents)
    with pytest.raises(BtfError, match=f"odd.o: .*({message})"):
        Btf.from_file(path)


def test_a_missing_file_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Btf.from_file(tmp_path / "none")


def test_strings_that_are_no_utf8_are_escaped() -> None:
    btf = Btf.from_bytes(encoded([Struct("caf\udce9", 1)]))
    assert btf.type_by_id(1).name == "caf\\xe9"


def test_strings_are_read_by_offset() -> None:
    btf = Btf.from_bytes(encoded([Struct("first", 1)]))
    assert (btf.string_at(0), btf.string_at(1), btf.string_at(3)) == ("", "first", "rst")
    with pytest.raises(BtfError, match="string 7 is past the end of the strings at 7"):
        btf.string_at(7)
    with pytest.raises(BtfError):
        btf.string_at(-1)


@pytest.mark.skipif(not KERNEL.exists(), reason="the kernel was built without BTF")
def test_the_kernels_own_btf_opens_and_is_mapped() -> None:
    btf = Btf.from_file(KERNEL)
    task = btf.by_name("task_struct", Struct)
    assert {"pid", "tgid", "comm"} <= {member.name for member in task.members}
    assert size_of(task) == task.size > 1000
    assert len(btf._types) < 10
    assert len(btf.raw) == KERNEL.stat().st_size
