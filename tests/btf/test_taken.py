"""Types copied from one BTF into another as words: what comes out is what a builder makes of the objects."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.btf import Btf, BtfBuilder, BtfFeature, Function, Int, Pointer, Struct, Type, Variable, Void, format_c
from aiobpf.elf import read_spec
from aiobpf.errors import BtfError

OBJECTS = sorted(path for path in (Path(__file__).parent.parent / "objects").glob("*.bpf.o") if ".eb." not in path.name)
TYPED = [path for path in OBJECTS if read_spec(path).types is not None]


def types_of(path: Path) -> Btf:
    types = read_spec(path).types
    assert types is not None
    return types


def shown(type: Type) -> tuple[Any, ...]:  # noqa: A002
    try:
        text = format_c(type)
    except BtfError as error:  # a section of functions, on a kernel without them
        text = str(error)
    return type.kind, text, getattr(type, "tags", None), getattr(type, "size", None)


def both(source: Btf, ids: list[int], without: frozenset[BtfFeature] = frozenset()) -> tuple[Btf, Btf, list[Any]]:
    """The same types taken, and added one by one; and their ids in either."""
    taking, adding = BtfBuilder(sys.byteorder, source), BtfBuilder(sys.byteorder)
    pairs = [(taking.add(source.type_by_id(id)), adding.add(source.type_by_id(id))) for id in ids]  # noqa: A001
    return Btf.from_bytes(taking.encode(without=without)), Btf.from_bytes(adding.encode(without=without)), pairs


@given(st.sampled_from(TYPED), st.data())
def test_types_taken_are_those_that_are_added_one_by_one(path: Path, data: st.DataObject) -> None:
    source = types_of(path)
    ids = data.draw(st.lists(st.integers(1, len(source.types) - 1), min_size=1, max_size=8))
    taken, added, pairs = both(source, ids)
    assert [shown(taken.type_by_id(one)) for one, _ in pairs] == [shown(added.type_by_id(other)) for _, other in pairs]
    assert sorted(map(repr, map(shown, taken.types))) == sorted(map(repr, map(shown, added.types)))


@pytest.mark.parametrize("feature", BtfFeature)
def test_an_older_kernel_gets_what_it_gets_of_types_added_one_by_one(feature: BtfFeature) -> None:
    for path in TYPED:
        source = types_of(path)
        taken, added, pairs = both(source, list(range(1, len(source.types))), frozenset({feature}))
        for one, other in pairs:
            assert shown(taken.type_by_id(one)) == shown(added.type_by_id(other))


def test_types_of_elsewhere_are_among_those_taken() -> None:
    source = types_of(TYPED[0])
    first = next(each for each in source.types if isinstance(each, Function))
    second = next(each for each in source.types if isinstance(each, Struct) and each.name)
    made = Variable("made", Pointer(second))
    builder = BtfBuilder(sys.byteorder, source)
    ids = [builder.add(first), builder.add(made), builder.add(second), builder.add(Int("int", 4))]
    btf = Btf.from_bytes(builder.encode())
    assert [btf.type_by_id(id).name for id in ids] == [first.name, "made", second.name, "int"]  # noqa: A001
    variable = btf.type_by_id(ids[1])
    assert isinstance(variable, Variable)
    assert isinstance(variable.type, Pointer)
    assert variable.type.target is btf.type_by_id(ids[2])
    assert builder.add(first) == ids[0]


def test_strings_stay_where_they_were() -> None:
    source = types_of(TYPED[0])
    builder = BtfBuilder(sys.byteorder, source)
    assert builder.keeps_strings_of(source)
    assert not builder.keeps_strings_of(types_of(TYPED[1]))
    new = builder.string("a string of its own")
    builder.add(source.type_by_id(1))
    btf = Btf.from_bytes(builder.encode())
    assert btf.string_at(new) == "a string of its own"
    assert btf.raw_strings.startswith(source.raw_strings)


def broken() -> Btf:
    """A pointer to a const to type 99, which is not there."""
    builder = BtfBuilder(sys.byteorder)
    builder.add(Pointer(Int("int", 4)))
    data = bytearray(builder.encode())
    pointer = Btf.from_bytes(bytes(data)).types[1]
    assert isinstance(pointer, Pointer)
    at = 24 + 8
    data[at : at + 4] = (99).to_bytes(4, sys.byteorder)
    return Btf.from_bytes(bytes(data))


def test_a_reference_that_leads_nowhere_takes_nothing() -> None:
    source = broken()
    builder = BtfBuilder(sys.byteorder, source)
    with pytest.raises(BtfError, match="leads to no type"):
        builder.add(source.type_by_id(1))
    assert len(builder) == 1
    with pytest.raises(BtfError, match="leads to no type"):
        builder.add(Variable("x", Pointer(source.type_by_id(1))))
    assert len(builder) == 1
    assert builder.add(source.type_by_id(2)) == 1
    assert builder.add(Void()) == 0


@pytest.mark.parametrize("order", ["little", "big"])
def test_a_btf_of_the_other_byte_order_is_added_type_by_type(order: Any) -> None:
    made = BtfBuilder(order)
    made.add(Pointer(Int("int", 4)))
    source = Btf.from_bytes(made.encode())
    builder = BtfBuilder(sys.byteorder, source)
    assert builder.keeps_strings_of(source) is (order == sys.byteorder)
    found = Btf.from_bytes(builder.encode()).types
    assert len(found) == 1
    builder.add(source.type_by_id(1))
    assert [each.kind for each in Btf.from_bytes(builder.encode()).types] == [each.kind for each in source.types]
