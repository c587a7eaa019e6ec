"""Types as values: identity, immutability, and functions of types that end whatever they are given."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest

from aiobpf.btf import (
    Array,
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
    alignment_of,
    size_of,
    strip_modifiers,
    strip_qualifiers,
)
from aiobpf.errors import BtfError

INT = Int("int", 4, encoding=IntEncoding.SIGNED)
LONG = Int("long", 8, encoding=IntEncoding.SIGNED)
CHAR = Int("char", 1)


def test_a_type_is_equal_to_itself_only() -> None:
    assert Int("int", 4) != Int("int", 4)
    assert len({INT, Int("int", 4)}) == 2


def test_there_is_one_void() -> None:
    assert Void() is Void()
    assert Void().name == "void"


@pytest.mark.parametrize("attribute", ["name", "size", "nonsense", "_owner"])
def test_types_cannot_be_changed(attribute: str) -> None:
    with pytest.raises(AttributeError, match="Int is immutable"):
        setattr(INT, attribute, 1)
    with pytest.raises(AttributeError, match="Int is immutable"):
        delattr(INT, attribute)
    with pytest.raises(AttributeError, match="Member is immutable"):
        Member("a", INT, 0).name = "b"


def test_copies_are_the_same_object() -> None:
    node = Struct("node", 8, lambda node: [Member("next", Pointer(node), 0)])
    assert copy.copy(node) is node
    assert copy.deepcopy(node) is node


def test_a_struct_may_refer_to_itself_and_is_still_collected() -> None:
    node = Struct("node", 8, lambda node: [Member("next", Pointer(node), 0)])
    target = node.members[0].type
    assert isinstance(target, Pointer)
    assert target.target is node
    there = weakref.ref(node)
    del node, target
    gc.collect()
    assert there() is None


def test_members_count_bits() -> None:
    member = Member("flag", INT, 13, bitfield_size=3)
    assert (member.offset, member.bit_offset, member.bitfield_size) == (1, 13, 3)
    assert repr(member) == "<Member 'flag':3 at bit 13>"


def test_enumerators_are_equal_by_value() -> None:
    assert Enumerator("A", 1) == Enumerator("A", 1) != Enumerator("A", 2)
    assert len({Enumerator("A", 1), Enumerator("A", 1)}) == 1
    assert repr(Enumerator("A", 1)) == "<Enumerator A = 1>"


def test_integer_encodings() -> None:
    assert (INT.is_signed, INT.is_char, INT.is_bool) == (True, False, False)
    assert Int("_Bool", 1, encoding=IntEncoding.BOOL).is_bool
    assert Int("char", 1, encoding=IntEncoding.CHAR).is_char
    assert INT.bits == 32


def test_tags_of_parameters_belong_to_the_function() -> None:
    prototype = FunctionPrototype(INT, [Parameter("a", INT), Parameter("b", INT)])
    plain = Function("plain", prototype)
    tagged = Function("tagged", prototype, tags=["entry"], parameter_tags=[[], ["ctx"]])
    assert [each.tags for each in tagged.parameters] == [(), ("ctx",)]
    assert tagged.tags == ("entry",)
    assert plain.parameters is prototype.parameters


def test_kinds_are_the_kernels_numbers() -> None:
    kinds: list[int] = [Struct("s", 0).kind, Enum("e").kind, TypeTag("user", INT).kind]
    assert kinds == [Kind.STRUCT, Kind.ENUM, Kind.TYPE_TAG] == [4, 6, 18]


def test_repr_names_the_type_and_never_fails() -> None:
    assert repr(Pointer(Struct("task_struct", 1))) == "<Pointer 'struct task_struct *'>"
    assert repr(Function("f", FunctionPrototype(Void()), Linkage.STATIC)) == "<Function 'void f(void)'>"
    broken = Pointer(7)  # type: ignore[arg-type]
    assert repr(broken) == "<Pointer ''>"


def test_a_reference_of_no_btf_is_an_error() -> None:
    pointer = Pointer(7)  # type: ignore[arg-type]
    with pytest.raises(BtfError, match="Pointer refers to type id 7 of no BTF"):
        pointer.target


def test_qualifiers_are_stripped() -> None:
    wrapped = Typedef("t", Const(Volatile(Restrict(TypeTag("user", INT)))))
    assert strip_qualifiers(wrapped) is INT
    assert strip_modifiers(wrapped) is wrapped
    assert strip_modifiers(wrapped.type) is INT


@pytest.mark.parametrize(
    ("type", "size", "alignment"),
    [
        (INT, 4, 4),
        (CHAR, 1, 1),
        (Int("__int128", 16), 16, 8),
        (Float("double", 8), 8, 8),
        (Pointer(Void()), 8, 8),
        (Array(INT, INT, 5), 20, 4),
        (Array(Array(INT, INT, 5), INT, 3), 60, 4),
        (Array(INT, INT, 0), 0, 4),
        (Enum("e", 2), 2, 2),
        (Const(Typedef("t", LONG)), 8, 8),
        (Struct("empty", 0), 0, 1),
        (Struct("s", 8, [Member("a", CHAR, 0), Member("b", INT, 32)]), 8, 4),
        (Struct("packed by place", 5, [Member("a", CHAR, 0), Member("b", INT, 8)]), 5, 1),
        (Struct("packed by size", 5, [Member("a", INT, 0), Member("b", CHAR, 32)]), 5, 1),
        (Struct("bits", 4, [Member("a", INT, 0, 3), Member("b", INT, 3, 7)]), 4, 4),
        (Union("u", 8, [Member("a", CHAR, 0), Member("b", LONG, 0)]), 8, 8),
    ],
    ids=str,
)
def test_sizes_and_alignments(
    type: Type,  # noqa: A002
    size: int,
    alignment: int,
) -> None:
    assert size_of(type) == size
    assert alignment_of(type) == alignment


def test_variables_and_sections_have_sizes() -> None:
    variable = Variable("counter", INT)
    assert size_of(variable) == 4
    assert size_of(DataSection(".bss", 12, [SectionVariable(variable, 0, 4)])) == 12


@pytest.mark.parametrize(
    "type", [Void(), Forward("s"), FunctionPrototype(Void()), Function("f", FunctionPrototype(Void()))]
)
def test_some_types_have_neither(type: Type) -> None:  # noqa: A002
    with pytest.raises(BtfError, match="has no size"):
        size_of(type)
    with pytest.raises(BtfError, match="has no size"):
        size_of(Array(type, INT, 2))
    with pytest.raises(BtfError, match="has no alignment"):
        alignment_of(type)


def chain_of(depth: int, link: type[Const | Pointer]) -> Type:
    found: Type = INT
    for _ in range(depth):
        found = link(found)
    return found


def test_chains_without_end_are_errors() -> None:
    chain = chain_of(100_000, Const)
    for function in (size_of, alignment_of, strip_qualifiers, strip_modifiers):
        with pytest.raises(BtfError, match="leads through more than 64 types"):
            function(chain)
    assert size_of(chain_of(100_000, Pointer)) == 8
    assert strip_qualifiers(chain_of(60, Const)) is INT


def test_a_struct_that_contains_itself_has_no_alignment() -> None:
    struct = Struct("impossible", 8, lambda struct: [Member("inner", struct, 0)])
    with pytest.raises(BtfError, match="contains itself"):
        alignment_of(struct)
    assert size_of(struct) == 8


def test_alignment_costs_each_struct_once() -> None:
    found: Type = INT
    for i in range(30):  # 2**30 members, if each were visited
        found = Struct(f"s{i}", 4, [Member("a", found, 0), Member("b", found, 0)])
    assert alignment_of(found) == 4
    for i in range(40):
        found = Struct(f"t{i}", 4, [Member("a", found, 0)])
    with pytest.raises(BtfError, match="leads through more than 64"):
        alignment_of(found)


def test_a_function_must_have_a_prototype() -> None:
    function = Function("f", INT)  # type: ignore[arg-type]
    with pytest.raises(BtfError, match="function 'f' has for type the INT 'int', not a prototype"):
        function.type


def test_a_section_must_hold_variables() -> None:
    place = SectionVariable(INT, 0, 4)  # type: ignore[arg-type]
    with pytest.raises(BtfError, match="which is no variable"):
        place.variable


def test_tags_are_kept_as_written() -> None:
    tag = DeclTag("needs care", Struct("s", 0), 2)
    assert (tag.name, tag.component_index, tag.is_attribute) == ("needs care", 2, False)
