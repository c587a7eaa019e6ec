"""Encoding: what comes out is what went in, once, or the nearest thing that an older kernel takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiobpf.btf import (
    Array,
    Btf,
    BtfBuilder,
    BtfFeature,
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
    SectionVariable,
    Struct,
    Type,
    Typedef,
    TypeTag,
    Union,
    Variable,
    Void,
    encode,
    format_c,
)
from aiobpf.errors import BtfError

OBJECTS = Path(__file__).parent.parent / "objects"
INT = Int("int", 4, encoding=IntEncoding.SIGNED)


def decoded(*types: Type, without: Any = ()) -> Btf:
    builder = BtfBuilder()
    for each in types:
        builder.add(each)
    return Btf.from_bytes(builder.encode(without=without))


def test_an_empty_builder_gives_an_empty_btf() -> None:
    btf = Btf.from_bytes(BtfBuilder().encode())
    assert (len(btf.types), btf.strings_end) == (1, 1)


def test_an_id_stands_when_it_is_given() -> None:
    builder = BtfBuilder()
    pointer = Pointer(INT)
    assert builder.add(Void()) == 0
    assert builder.add(pointer) == 1
    assert builder.add(INT) == 2
    assert builder.add(Struct("s", 0)) == 3
    assert builder.add(pointer) == 1
    assert len(builder) == 4
    btf = Btf.from_bytes(builder.encode())
    assert [type(each) for each in btf.types] == [Void, Pointer, Int, Struct]


def test_types_that_look_alike_are_added_once_where_that_is_safe() -> None:
    builder = BtfBuilder()

    def alike() -> list[Type]:
        return [
            Int("int", 4),
            Float("double", 8),
            Forward("later"),
            Enum("e", 4, False, [Enumerator("A", 1)]),
        ]

    ids = [builder.add(each) for each in alike()]
    assert [builder.add(each) for each in alike()] == ids
    assert builder.add(Enum("e", 4, False, [Enumerator("A", 2)])) not in ids
    assert builder.add(Int("int", 4, encoding=IntEncoding.SIGNED)) not in ids
    assert builder.add(Struct("s", 0)) != builder.add(Struct("s", 0))
    again = Btf.from_bytes(builder.encode())
    assert len(again.types) == len(builder)


def test_a_reference_to_a_twin_goes_to_the_first() -> None:
    btf = decoded(Int("int", 4), Pointer(Int("int", 4)))
    pointer = btf.type_by_id(2)
    assert isinstance(pointer, Pointer)
    assert pointer.target is btf.type_by_id(1)


def test_types_of_several_btfs_go_together() -> None:
    one = decoded(Struct("one", 4, [Member("a", INT, 0)]))
    two = decoded(Struct("two", 4, [Member("a", INT, 0)]))
    btf = decoded(*one.types, *two.types)
    assert sorted(each.name for each in btf.types) == ["int", "one", "two", "void"]


def test_tags_are_added_with_what_they_are_on() -> None:
    struct = Struct("s", 4, [Member("a", INT, 0, tags=["member"])], tags=["whole"])
    builder = BtfBuilder()
    builder.add(struct)
    builder.add(DeclTag("whole", struct))
    builder.add(DeclTag("more", struct, 0))
    btf = Btf.from_bytes(builder.encode())
    found = btf.by_name("s", Struct)
    assert found.tags == ("whole",)
    assert found.members[0].tags == ("member", "more")


def test_a_failed_add_leaves_nothing_behind() -> None:
    builder = BtfBuilder()
    builder.add(INT)
    broken = Struct("s", 8, [Member("a", Float("double", 8), 0), Member("b", Const(99), 0)])  # type: ignore[arg-type]
    with pytest.raises(BtfError, match="refers to type id 99 of no BTF"):
        builder.add(broken)
    assert len(builder) == 2
    assert builder.add(Float("double", 8)) == 2
    assert len(Btf.from_bytes(builder.encode()).types) == 3


def test_strings_are_put_once() -> None:
    builder = BtfBuilder()
    assert builder.string("") == 0
    assert builder.string("text") == builder.string("text") == 1
    assert builder.string("é") == 6
    assert builder.string("next") == 9
    btf = Btf.from_bytes(builder.encode())
    assert [btf.string_at(offset) for offset in (0, 1, 6, 9)] == ["", "text", "é", "next"]
    with pytest.raises(BtfError, match="has a zero byte in it"):
        builder.string("a\0b")


def test_encoding_twice_gives_the_same() -> None:
    builder = BtfBuilder()
    builder.add(Struct("s", 4, [Member("a", INT, 0)]))
    assert builder.encode() == builder.encode()


@pytest.mark.parametrize(
    ("type", "message"),
    [
        (Struct("s", 1 << 32), "does not fit into 32 bits"),
        (Array(INT, INT, -1), "does not fit into 32 bits"),
        (Struct("s", 4, [Member("a", INT, 1 << 24, 1)]), "member 'a' of .* is too far behind"),
        (Enum("e", 4, False, [Enumerator("A", 1 << 32)]), "enumerator A = 4294967296 of .* does not fit in 32 bits"),
        (Enum("e", 8, True, [Enumerator("A", -1 << 64)]), "does not fit in 64 bits"),
    ],
)
def test_what_does_not_fit_is_named(type: Type, message: str) -> None:  # noqa: A002
    builder = BtfBuilder()
    builder.add(type)
    with pytest.raises(BtfError, match=message):
        builder.encode()


def test_many_members_need_a_new_kernel() -> None:
    wide = Enum("e", 4, False, [Enumerator("A", 0)] * 70_000)
    assert len(decoded(wide).by_name("e", Enum).enumerators) == 70_000
    with pytest.raises(BtfError, match="ENUM 'e' has 70000 parts"):
        decoded(wide, without={BtfFeature.WIDE_VLEN})


# --- older kernels: what libbpf's bpf_object__sanitize_btf makes of each ----------------------------------------------


def test_without_functions() -> None:
    prototype = FunctionPrototype(INT, [Parameter("a", INT), Parameter("", Void())])
    btf = decoded(Function("f", prototype), without={BtfFeature.FUNC})
    function = btf.by_name("f", Typedef)
    stand_in = function.type
    assert isinstance(stand_in, Enum)
    assert stand_in.size == 4
    assert [each.name for each in stand_in.enumerators] == ["a", "_1"]


def test_without_linkage_functions_are_static() -> None:
    function = Function("f", FunctionPrototype(INT), Linkage.GLOBAL)
    assert decoded(function).by_name("f", Function).linkage is Linkage.GLOBAL
    assert decoded(function, without={BtfFeature.FUNC_LINKAGE}).by_name("f", Function).linkage is Linkage.STATIC


def test_without_data_sections() -> None:
    variables = [Variable(name, INT) for name in ("a", "b")]
    section = DataSection(".data.mine", 8, [SectionVariable(each, i * 4, 4) for i, each in enumerate(variables)])
    btf = decoded(section, without={BtfFeature.DATASEC})
    struct = btf.by_name("_data_mine", Struct)
    assert struct.size == 8
    assert [(each.name, each.offset) for each in struct.members] == [("a", 0), ("b", 4)]
    assert all(isinstance(each.type, Int) and each.type.size == 1 for each in struct.members)


def test_without_floating_point() -> None:
    btf = decoded(Float("double", 8), without={BtfFeature.FLOAT})
    found = btf.type_by_id(1)
    assert isinstance(found, Struct)
    assert (found.name, found.size, found.members) == ("", 8, ())


def test_without_tags() -> None:
    struct = Struct("s", 4, [Member("a", TypeTag("user", INT), 0)], tags=["not a name!"])
    btf = decoded(struct, without={BtfFeature.DECL_TAG, BtfFeature.TYPE_TAG})
    found = btf.by_name("s", Struct)
    assert found.tags == ()
    assert isinstance(found.members[0].type, Const)
    assert isinstance(btf.by_name("decl_tag"), Int)


def test_without_attributes_plain_tags_stay() -> None:
    btf = decoded(
        TypeTag("user", INT),
        TypeTag("address_space(1)", INT, is_attribute=True),
        DeclTag("plain", Struct("s", 0)),
        DeclTag("attribute", Struct("t", 0), is_attribute=True),
        without={BtfFeature.ATTRIBUTE_TAG},
    )
    kinds = [each.kind for each in btf.types]
    assert (kinds.count(Kind.TYPE_TAG), kinds.count(Kind.CONST), kinds.count(Kind.DECL_TAG)) == (1, 1, 1)


def test_without_wide_enums() -> None:
    wide = Enum("wide", 8, True, [Enumerator("A", 1 << 40), Enumerator("B", -1)])
    narrow = Enum("narrow", 4, True, [Enumerator("C", -1)])
    builder = BtfBuilder()
    ids = [builder.add(wide), builder.add(narrow)]
    btf = Btf.from_bytes(builder.encode(without={BtfFeature.ENUM64}))
    union, enum = map(btf.type_by_id, ids)
    assert isinstance(union, Union)
    assert (union.size, [each.name for each in union.members]) == (8, ["A", "B"])
    assert {each.type.name for each in union.members} == {"enum64_placeholder"}
    assert isinstance(enum, Enum)
    assert not enum.is_signed
    assert len(btf.types) == len(builder) + 1


def test_without_bitfields_by_member() -> None:
    struct = Struct("s", 8, [Member("a", INT, 0, 3), Member("b", INT, 32)])
    found = decoded(struct, without={BtfFeature.KIND_FLAG}).by_name("s", Struct)
    assert [(each.name, each.bit_offset) for each in found.members] == [("b", 32)]


# --- any types --------------------------------------------------------------------------------------------------------

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


@st.composite
def type_graphs(draw: st.DrawFn) -> list[Type]:
    """Up to 20 types, each referring to some before it."""
    types: list[Type] = [Void(), INT]
    for _ in range(draw(st.integers(0, 18))):
        some = st.sampled_from(types)
        name = draw(NAMES)
        size = draw(st.integers(0, 0xFFFFFFFF))
        tags = draw(st.lists(NAMES, max_size=2, unique=True))
        kind = draw(st.integers(0, 10))
        if kind == 0:
            bits = draw(st.integers(0, 128))
            types.append(Int(name, 16, bits, IntEncoding(draw(st.integers(0, 7)))))
        elif kind == 1:
            types.append(Pointer(draw(some)))
        elif kind == 2:
            types.append(Array(draw(some), draw(some), size))
        elif kind in {3, 4}:
            width = st.integers(0, 255)
            members = [Member(draw(NAMES), draw(some), draw(st.integers(0, 0xFFFFFF)), draw(width)) for _ in range(3)]
            types.append((Struct if kind == 3 else Union)(name, size, members, tags))
        elif kind == 5:
            numbers = st.integers(-1 << 31, (1 << 31) - 1)
            types.append(Enum(name, 4, True, [Enumerator(draw(NAMES), draw(numbers)) for _ in range(2)]))
        elif kind == 6:
            numbers = st.integers(0, (1 << 64) - 1)
            types.append(Enum(name, 8, False, [Enumerator(draw(NAMES), draw(numbers)) for _ in range(2)]))
        elif kind == 7:
            types.append(Typedef(name, draw(some), tags))
        elif kind == 8:
            prototype = FunctionPrototype(draw(some), [Parameter(draw(NAMES), draw(some)) for _ in range(2)])
            types.append(Function(name, prototype, Linkage.STATIC, tags))
        elif kind == 9:
            types.append(Variable(name, draw(some), Linkage.GLOBAL, tags))
        else:
            types.append(TypeTag(name, draw(some)))
    return types


@settings(deadline=None)
@given(type_graphs(), st.sampled_from(["little", "big"]))
def test_any_types_come_back(types: list[Type], order: Any) -> None:
    builder = BtfBuilder(order)
    ids = [builder.add(each) for each in types]
    btf = Btf.from_bytes(builder.encode())
    for number, made in zip(ids, types, strict=True):
        found = btf.type_by_id(number)
        assert type(found) is type(made)
        assert format_c(found) == format_c(made)
        assert getattr(found, "tags", None) == getattr(made, "tags", None)
    again = BtfBuilder(order)
    for number in range(1, len(btf.types)):
        again.add(btf.type_by_id(number))
    assert len(again) == len(builder)


@settings(deadline=None)
@given(type_graphs(), st.sets(st.sampled_from(BtfFeature)))
def test_any_types_without_any_features_keep_ids_and_sizes(types: list[Type], without: set[BtfFeature]) -> None:
    builder = BtfBuilder()
    for each in types:
        builder.add(each)
    full = Btf.from_bytes(builder.encode())
    reduced = Btf.from_bytes(builder.encode(without=without))
    assert len(reduced.types) - len(full.types) in {0, 1}
    for one, other in zip(full.types, reduced.types, strict=False):
        if isinstance(one, Struct | Union | Enum | Int):
            assert getattr(other, "size", None) == one.size


def test_types_of_several_btfs_and_by_hand_are_encoded_with_what_they_refer_to() -> None:
    node = Btf.from_file(OBJECTS / "core.bpf.o").by_name("task_struct", Struct)
    pair = Struct("pair", 8, [Member("node", Pointer(node), 0)])
    found = Btf.from_bytes(encode([node, pair]))
    pointer = found.by_name("pair", Struct).members[0].type
    assert isinstance(pointer, Pointer)
    assert pointer.target is found.by_name("task_struct", Struct)
    assert Btf.from_bytes(encode([pair], byte_order="big")).byte_order == "big"
