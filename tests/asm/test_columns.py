"""Metadata beside the instructions: sorted columns, attached in bulk or set one by one."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import overload

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiobpf import asm
from aiobpf.asm import COMMENT, Instructions, Key
from aiobpf.asm import instructions as instructions_module
from aiobpf.asm.columns import Column
from aiobpf.errors import AsmError

NUMBER: Key[int] = Key("number")


class Counting(Sequence[int]):
    """Values that know how often they were decoded."""

    def __init__(self, values: range) -> None:
        self.values = values
        self.decoded = 0

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> range: ...
    def __getitem__(self, index: int | slice) -> int | range:
        self.decoded += 1
        return self.values[index]


def plain(count: int) -> Instructions:
    return Instructions([asm.mov(asm.R0, i) for i in range(count)])


def test_cutting_joining_and_inserting_decode_no_lazy_value() -> None:
    values = Counting(range(50))
    program = plain(100)
    program.attach_column(NUMBER, range(0, 100, 2), values)
    joined = program[10:20] + program[50:]
    joined.insert(3, asm.ld_imm64(asm.R1, 1))
    del joined[0]
    joined.patch(0, constant=7)
    joined.encode()
    joined.copy()
    assert values.decoded == 0
    assert list(joined.with_key(NUMBER)) == [
        (1, 6),
        *((i, 7 + (i - 4) // 2) for i in (4, 6, 8)),
        *((i, 25 + (i - 10) // 2) for i in range(10, 60, 2)),
    ]


def test_one_section_serves_each_of_its_functions() -> None:
    slots, values = array("I", [0, 2, 5, 6]), Counting(range(4))
    first, second = plain(5), plain(3)
    first.attach_slots(NUMBER, slots, values, start=0, stop=2)
    second.attach_slots(NUMBER, slots, values, start=2, base=-5)
    assert list(first.with_key(NUMBER)) == [(0, 0), (2, 1)]
    assert list(second.with_key(NUMBER)) == [(0, 2), (1, 3)]
    assert list((second + first).with_key(NUMBER)) == [(0, 2), (1, 3), (3, 0), (5, 1)]


def test_attaching_again_takes_the_place_of_what_was_there() -> None:
    program = plain(6)
    program.attach_column(NUMBER, [0, 2, 4], [0, 2, 4])
    program.attach_column(NUMBER, [1, 2], [10, 20])
    program.attach_column(NUMBER, [5], [50])
    program.attach_column(NUMBER, [], [])
    assert list(program.with_key(NUMBER)) == [(0, 0), (1, 10), (2, 20), (4, 4), (5, 50)]


@pytest.mark.parametrize(
    ("indices", "values", "reason"),
    [
        ([0, 0], [1, 2], "do not ascend"),
        ([2, 1], [1, 2], "do not ascend"),
        ([0], [1, 2], "1 places for 2 values of number"),
    ],
)
def test_a_column_that_does_not_fit_is_refused(indices: list[int], values: list[int], reason: str) -> None:
    program = plain(4)
    with pytest.raises(AsmError, match=reason):
        program.attach_column(NUMBER, indices, values)
    assert program == plain(4)


def test_metadata_is_attached_only_where_an_instruction_begins() -> None:
    program = Instructions([asm.ld_imm64(asm.R0, 1), asm.exit_()])
    with pytest.raises(AsmError, match="number at slot 1, the second half"):
        program.attach_slots(NUMBER, array("I", [0, 1]), [1, 2])
    with pytest.raises(AsmError, match="number at slots 0 to 3, in a program of 3"):
        program.attach_slots(NUMBER, array("I", [0, 3]), [1, 2])
    with pytest.raises(AsmError, match="number at slots -1 to 0"):
        program.attach_slots(NUMBER, array("I", [0, 1]), [1, 2], base=-1)
    with pytest.raises(AsmError, match="of which 2 to 1"):
        program.attach_slots(NUMBER, array("I", [0, 1]), [1, 2], start=2, stop=1)
    with pytest.raises(IndexError, match="instruction 2 of 2"):
        program.attach_column(NUMBER, [2], [1])
    assert program.metadata_keys() == []


def test_iterating_by_key_makes_no_instruction(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Instructions([asm.ld_imm64(asm.R0, i).with_metadata(NUMBER, i) for i in range(10)])
    monkeypatch.setattr(instructions_module, "make_instruction", None)
    assert list(program.with_key(NUMBER)) == [(i, i) for i in range(10)]
    assert list(program.with_key_by_slot(NUMBER)) == [(2 * i, i) for i in range(10)]
    assert list(program.find(0x18)) == list(range(10))
    assert list(program.with_key(COMMENT)) == list(program.with_key_by_slot(COMMENT)) == []


def test_values_and_operations_may_change_while_iterating() -> None:
    program = Instructions([asm.load_map_ptr(asm.R1, str(i)) for i in range(4)])
    for index, reference in program.with_key(asm.REFERENCE):
        program.patch(index, constant=int(reference.name))
        program.set_metadata(index, asm.REFERENCE, None)
        program.set_metadata(index, NUMBER, index)
    assert program.metadata_keys() == [NUMBER]
    assert [program[i].constant for i in range(4)] == [0, 1, 2, 3]


def test_a_copy_shares_nothing_that_changes() -> None:
    program = plain(4)
    program.attach_column(NUMBER, [0, 1, 2], [0, 1, 2])
    program.set_metadata(3, NUMBER, 3)
    other = program.copy()
    other.set_metadata(1, NUMBER, 11)
    other.set_metadata(3, NUMBER, 33)
    other.patch(0, constant=99)
    del other[2]
    assert list(program.with_key(NUMBER)) == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert list(other.with_key(NUMBER)) == [(0, 0), (1, 11), (2, 33)]
    assert program[0].constant == 0


def test_one_value_is_read_set_and_removed() -> None:
    program = plain(3)
    assert program.get_metadata(1, NUMBER) is None
    program.set_metadata(1, NUMBER, 0)
    assert program.get_metadata(1, NUMBER) == 0
    assert program.metadata(1) == asm.EMPTY.with_(NUMBER, 0)
    program.set_metadata(0, COMMENT, None)
    program.set_metadata(-2, NUMBER, None)
    assert program == plain(3)
    with pytest.raises(IndexError):
        program.set_metadata(3, NUMBER, 1)


# --- the column against a dict ----------------------------------------------------------------------------------------

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 30), st.integers()),
        st.tuples(st.just("discard"), st.integers(0, 30), st.just(0)),
        st.tuples(st.just("splice"), st.integers(0, 30), st.integers(0, 30)),
        st.tuples(st.just("extract"), st.integers(0, 30), st.integers(0, 30)),
        st.tuples(st.just("attach"), st.integers(0, 30), st.integers(1, 12)),
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)  # two cores, shared
@given(OPERATIONS, st.integers(0, 5))
def test_a_column_behaves_like_a_dict_of_slots(operations: list[tuple[str, int, int]], gap: int) -> None:
    column: Column[int] = Column()
    model: dict[int, int] = {}
    for name, at, number in operations:
        if name == "set":
            column.set(at, number)
            model[at] = number
        elif name == "discard":
            column.discard(at)
            model.pop(at, None)
        elif name == "attach":
            slots = array("I", range(2, 2 + 2 * number, 2))
            column.attach(at, slots, range(number), 0, number)
            model |= {at + slot: i for i, slot in enumerate(slots)}
        else:
            lo, hi = sorted((at, number))
            if name == "extract":
                part = column.extract(lo, hi)
                column.splice(lo, lo, hi - lo)  # the same again in front
                column.insert(lo, part)
                inside = {slot: value for slot, value in model.items() if lo <= slot < hi}
                model = {slot + (hi - lo if slot >= lo else 0): value for slot, value in model.items()} | inside
            else:
                column.splice(lo, hi, gap - (hi - lo))
                model = {
                    slot + (gap - (hi - lo) if slot >= hi else 0): value
                    for slot, value in model.items()
                    if not lo <= slot < hi
                }
        assert list(column.items()) == sorted(model.items())
        assert len(column) == len(model)
        assert column.is_empty == (not model)
        assert {slot: column.get(slot) for slot in range(100)} == {slot: model.get(slot) for slot in range(100)}
    assert list(column.copy().items()) == sorted(model.items())
