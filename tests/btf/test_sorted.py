"""BTF with its types in another order: kernels of 2026 have them sorted by name, and nothing here relies on it."""

from __future__ import annotations

import itertools
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.btf import (
    Btf,
    BtfBuilder,
    CoreRelocationKind,
    Enum,
    Function,
    Int,
    Kind,
    Member,
    Pointer,
    Struct,
    Type,
    Typedef,
    relocate,
)
from aiobpf.btf.words import StringTable, encode_words, name_places, own_types, reference_places
from aiobpf.elf import read_spec
from aiobpf.spec import core_relocations
from tests.kernel_btfs import RUNNING, kernel_btfs, name_of, read_btf

if TYPE_CHECKING:
    from collections.abc import Sequence

OBJECTS = Path(__file__).parent.parent / "objects"
KINDS: tuple[type[Type], ...] = (Struct, Enum, Typedef, Function, Int)


def reordered(btf: Btf, order: Sequence[int]) -> Btf:
    """*btf* with its types as *order* says, by their ids."""
    new = {0: 0} | {number: place for place, number in enumerate(order, 1)}
    words, strings, types = own_types(btf), StringTable(), []
    for number in order:
        each = words[number - 1]
        for place in name_places(each):
            each[place] = strings.offset(btf.name_at(each[place]))
        for place in reference_places(each):
            each[place] = new[each[place]]
        types.append(each)
    return Btf.from_bytes(encode_words(types, strings.encode(), btf.byte_order))


def by_name(btf: Btf) -> list[int]:
    """The order that resolve_btfids gives them since 7.0: bytes of the names, those without one first."""
    return sorted(range(1, len(btf.types)), key=lambda number: raw_name(btf, number))


def raw_name(btf: Btf, number: int) -> bytes:
    return btf.name_at(array("I", btf.raw_type(number))[0]).encode(errors="surrogateescape")


@pytest.fixture(scope="module")
def pair() -> tuple[Btf, Btf]:
    """The running kernel's types, and the same sorted by name."""
    btf = read_btf(RUNNING)
    return btf, reordered(btf, by_name(btf))


def test_sorted_types_are_the_same_types(pair: tuple[Btf, Btf]) -> None:
    plain, ordered = pair
    assert raw_name(ordered, 1) == b""
    assert raw_name(ordered, len(ordered.types) - 1) != b""
    names = ["task_struct", "sk_buff", "u64", "pid_t", "bpf_map_type", "vfs_read", "int", "no_such_type", "list_head"]
    for name, kind in itertools.product(names, (None, *KINDS)):
        assert [str(each) for each in ordered.all_by_name(name, kind)] == [
            str(each) for each in plain.all_by_name(name, kind)
        ]
    ours, theirs = (btf.by_name("task_struct", Struct) for btf in pair)
    assert ours.size == theirs.size
    assert [(each.name, each.bit_offset, str(each.type)) for each in ours.members] == [
        (each.name, each.bit_offset, str(each.type)) for each in theirs.members
    ]


def test_core_finds_the_same_in_sorted_types(pair: tuple[Btf, Btf]) -> None:
    asked = 0
    for path in sorted(OBJECTS.glob("*.bpf.o")):
        spec = read_spec(path)
        if spec.byte_order == "little":
            relocations = [
                each for each in core_relocations(spec) if each.kind is not CoreRelocationKind.TYPE_ID_TARGET
            ]
            asked += len(relocations)
            answers = [[(each.target, each.poison) for each in relocate(relocations, [btf])] for btf in pair]
            assert answers[0] == answers[1]
    assert asked


@pytest.mark.parametrize("path", kernel_btfs(), ids=name_of)
def test_every_name_of_a_kernel_is_found_in_whatever_order_its_types_are(path: Path) -> None:
    btf = read_btf(path)
    wanted: dict[str, list[int]] = {}
    for number in itertools.chain(*(btf.ids_of_kind(kind) for kind in (Kind.STRUCT, Kind.TYPEDEF, Kind.ENUM))):
        if name := btf.type_by_id(number).name:
            wanted.setdefault(name, []).append(number)
    for name, numbers in wanted.items():
        found = [btf.id_of(each) for kind in (Struct, Typedef, Enum) for each in btf.all_by_name(name, kind)]
        assert set(numbers) <= set(found), name


NAMES = st.sampled_from(["", "a", "b", "task", "task___old", "___odd", "zz"])


@given(st.lists(st.tuples(NAMES, st.booleans()), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_any_order_has_the_same_names(made: list[tuple[str, bool]], random: object) -> None:
    builder = BtfBuilder()
    for name, is_struct in made:
        number = Int("int", 4)
        builder.add(Struct(name, 4, [Member("x", Pointer(number), 0)]) if is_struct else Typedef(name or "t", number))
    btf = Btf.from_bytes(builder.encode())
    order = list(range(1, len(btf.types)))
    random.shuffle(order)  # type: ignore[attr-defined]
    other = reordered(btf, order)
    for name in ("a", "b", "task", "task___old", "___odd", "zz", "t", "int", "none"):
        for kind in (None, Struct, Typedef):
            assert len(other.all_by_name(name, kind)) == len(btf.all_by_name(name, kind))
            assert {each.name for each in other.candidates(name, kind)} == {
                each.name for each in btf.candidates(name, kind)
            }
