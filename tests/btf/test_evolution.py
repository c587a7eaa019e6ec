"""From values of one version of a type to values of the next."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.btf import (
    Array,
    Const,
    DataSection,
    Enum,
    Enumerator,
    Float,
    Int,
    IntEncoding,
    Member,
    Pointer,
    SectionVariable,
    Struct,
    Type,
    Typedef,
    TypeTag,
    Union,
    Variable,
    Void,
    codec,
    evolution_of,
    size_of,
)
from aiobpf.btf.evolution import BitMove, Move

U8, U16, U32, U64 = (Int(f"u{8 * size}", size) for size in (1, 2, 4, 8))
S32 = Int("int", 4, encoding=IntEncoding.SIGNED)
S64 = Int("long", 8, encoding=IntEncoding.SIGNED)
CHAR = Int("char", 1, encoding=IntEncoding.CHAR)


def struct(*members: tuple[str, Type], name: str = "s") -> Struct:
    """Packed, so that any order of members is a layout."""
    places, at = [], 0
    for each, type_ in members:
        places.append(Member(each, type_, at * 8))
        at += size_of(type_)
    return Struct(name, at, places)


def evolve(old: Type, new: Type) -> Any:
    return evolution_of(old, new, size_of(old), size_of(new))


def value(type_: Type, raw: bytes) -> Any:
    return codec(type_).decode(raw)


def test_the_same_layout_is_identical_whatever_its_types_are_called() -> None:
    old = struct(("a", U32), ("b", Array(U8, U32, 4)), name="one")
    new = struct(("a", Typedef("counter", U32)), ("b", Const(Array(U8, U32, 4))), name="two")
    found = evolve(old, new)
    assert found.is_identical
    assert found.moves == (Move(0, 8, 0, 8),)


def test_members_are_found_by_name_wherever_they_lie() -> None:
    old = struct(("a", U32), ("b", U16))
    new = struct(("b", U16), ("new", U64), ("a", U32))
    found = evolve(old, new)
    assert not found.is_identical
    assert not found.differences
    assert value(new, found.convert(b"\1\0\0\0\2\0")).a == 1
    assert value(new, found.convert(b"\1\0\0\0\2\0")).b == 2
    assert value(new, found.convert(b"\1\0\0\0\2\0")).new == 0


def test_integers_get_wider_with_their_sign() -> None:
    found = evolve(struct(("a", S32), ("b", U32)), struct(("a", S64), ("b", U64)))
    new = value(
        struct(("a", S64), ("b", U64)), found.convert((-5).to_bytes(4, sys.byteorder, signed=True) + b"\xff" * 4)
    )
    assert (new.a, new.b) == (-5, 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (U64, U32, "x is u32 instead of u64"),
        (S32, U32, "x is u32 instead of int"),
        (S32, U64, "x is u64 instead of int"),
        (U32, Float("float", 4), "x is a float instead of u32"),
        (Array(U8, U32, 8), Array(U8, U32, 4), "x has 4 elements instead of 8"),
        (Union("u", 4, [Member("a", U32, 0)]), Union("u", 8, [Member("a", U64, 0)]), "x is union u instead of union u"),
        (Enum("e", 4, False, [Enumerator("A", 1)]), Enum("e", 4, False, [Enumerator("A", 2)]), "A is 2 instead of 1"),
        (struct(("a", U32)), U32, "x is u32 instead of struct s"),
    ],
)
def test_what_cannot_be_kept_is_named(old: Type, new: Type, words: str) -> None:
    found = evolve(struct(("x", old)), struct(("x", new)))
    assert not found.is_identical
    assert words in "; ".join(found.differences)


def test_what_is_gone_is_listed_by_its_path() -> None:
    found = evolve(struct(("in", struct(("a", U32), ("b", U32)))), struct(("in", struct(("a", U32)))))
    assert found.removed == ("in.b",)
    assert not found.differences


def test_members_of_anonymous_structs_are_the_structs_own() -> None:
    inner = struct(("b", U32), name="")
    old = Struct("s", 8, [Member("a", U32, 0), Member("", inner, 32)])
    new = struct(("a", U32), ("b", U32))
    assert evolve(old, new).is_identical


def test_arrays_of_structs_that_grew_are_converted_one_by_one() -> None:
    old, new = Array(struct(("a", U16)), U32, 3), Array(struct(("a", U32), ("b", U8)), U32, 4)
    found = evolve(old, new)
    assert [each.a for each in value(new, found.convert(b"\1\0\2\0\3\0"))] == [1, 2, 3, 0]


def test_bit_fields_move() -> None:
    old = Struct("s", 4, [Member("a", U32, 0, 4), Member("b", S32, 4, 12)])
    new = Struct("s", 8, [Member("b", S32, 3, 20), Member("a", U32, 23, 5)])
    found = evolve(old, new)
    assert all(isinstance(move, BitMove) for move in found.moves)
    raw = (9 | (-100 & 0xFFF) << 4).to_bytes(4, "little")
    if sys.byteorder == "little":
        decoded = value(new, found.convert(raw))
        assert (decoded.a, decoded.b) == (9, -100)


def test_kernel_pointers_and_timers_stay_only_with_their_map() -> None:
    held = Pointer(TypeTag("kptr", struct(("a", U32), name="task_struct")))
    timer = Struct("bpf_timer", 16, [Member("__opaque", Array(U64, U32, 2), 0)])
    old = struct(("p", held), ("t", timer))
    assert evolve(old, old).is_identical
    told = "; ".join(evolve(old, struct(("new", U64), ("p", held), ("t", timer))).differences)
    assert "p holds a kernel object" in told
    assert "t is a bpf_timer" in told


def test_a_lock_begins_anew() -> None:
    lock = Struct("bpf_spin_lock", 4, [Member("val", U32, 0)])
    found = evolve(struct(("l", lock), ("a", U32)), struct(("a", U32), ("l", lock)))
    assert not found.differences
    assert found.convert(b"\xff\xff\xff\xff\1\0\0\0") == b"\1\0\0\0\0\0\0\0"


def test_variables_of_a_section_are_parts_of_their_own() -> None:
    old = DataSection(".bss", 8, [SectionVariable(Variable("a", U32), 0, 4), SectionVariable(Variable("b", U32), 4, 4)])
    new = DataSection(
        ".bss", 16, [SectionVariable(Variable("b", U32), 0, 4), SectionVariable(Variable("a", U64), 8, 8)]
    )
    found = evolve(old, new)
    assert found.moves == (Move(0, 4, 8, 8), Move(4, 4, 0, 4))
    assert evolve(old, old).is_identical


def test_types_that_are_not_known_are_bytes() -> None:
    assert evolution_of(None, U32, 4, 4).is_identical
    assert "8 bytes instead of 4" in evolution_of(U32, None, 4, 8).differences[0]


def test_types_without_end_and_with_too_many_parts_are_refused() -> None:
    deep: Type = U32
    for _ in range(100):
        deep = struct(("a", deep))
    assert "more parts" in evolve(deep, struct(("z", U8), ("a", deep))).differences[0]
    wide = Array(struct(("a", U8), ("b", U8)), U32, 1 << 20)
    other = Array(struct(("b", U8), ("a", U8)), U32, 1 << 20)
    assert "more parts" in evolve(wide, other).differences[0]


SCALARS = st.sampled_from([U8, U16, U32, U64, S32, S64, Pointer(Void()), Array(U8, U32, 3), Array(CHAR, U32, 5)])


@given(st.data())
def test_every_member_that_both_have_is_what_it_was(data: st.DataObject) -> None:
    members = data.draw(st.dictionaries(st.sampled_from("abcdefgh"), SCALARS, min_size=1))
    added = data.draw(st.dictionaries(st.sampled_from("ijkl"), SCALARS))
    wider: dict[str, Type] = {"u8": U16, "u16": U64, "int": S64}
    grown = {
        name: wider.get(getattr(each, "name", ""), each) if data.draw(st.booleans()) else each
        for name, each in members.items()
    }
    old = struct(*members.items())
    new = struct(*data.draw(st.permutations([*grown.items(), *added.items()])))
    raw = data.draw(st.binary(min_size=old.size, max_size=old.size))
    found = evolve(old, new)
    assert not found.differences
    before, after = value(old, raw), value(new, found.convert(raw))
    assert all(getattr(before, name) == getattr(after, name) for name in members)
    for name, type_ in added.items():
        assert getattr(after, name) == value(type_, bytes(size_of(type_)))


@given(st.lists(SCALARS, min_size=1, max_size=5), st.lists(SCALARS, min_size=1, max_size=5))
def test_any_two_types_give_an_answer(olds: list[Type], news: list[Type]) -> None:
    old, new = (struct(*zip("abcde", each, strict=False)) for each in (olds, news))
    found = evolve(old, new)
    assert len(found.convert(bytes(old.size))) == new.size
    same = [size_of(a) for a in olds] == [size_of(b) for b in news]
    assert not found.is_identical or same
    assert all(isinstance(each, str) for each in itertools.chain(found.differences, found.removed))
