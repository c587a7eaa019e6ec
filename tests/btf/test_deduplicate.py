"""Joining and deduplicating: each type once, as libbpf has it."""

from __future__ import annotations

import shutil
import subprocess
import time
from array import array
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiobpf.btf import (
    Array,
    Btf,
    BtfBuilder,
    Const,
    Enum,
    Enumerator,
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
    Struct,
    Type,
    Typedef,
    Variable,
    deduplicate,
    join_btfs,
)
from aiobpf.btf.words import HEADER_SIZE, StringTable, encode_words
from aiobpf.errors import BtfError
from tests.kernel_btfs import RUNNING

if TYPE_CHECKING:
    from collections.abc import Callable

OBJECTS = Path(__file__).parent.parent / "objects"
INT = Int("int", 4, encoding=IntEncoding.SIGNED)


def made_of(*types: Type) -> Btf:
    builder = BtfBuilder()
    for each in types:
        builder.add(each)
    return Btf.from_bytes(builder.encode())


def linked(value: str, *, is_declared: bool = False) -> Btf:
    """struct list { struct list *next; struct payload *payload; }; struct payload { <value> x; } or only declared."""
    number = Int(value, 4)
    payload: Type = Forward("payload") if is_declared else Struct("payload", 4, [Member("x", number, 0)])
    builder = BtfBuilder()
    builder.add(
        Struct("list", 16, [Member("next", Pointer(Forward("list")), 0), Member("payload", Pointer(payload), 64)])
    )
    return Btf.from_bytes(builder.encode())


@pytest.fixture(scope="session")
def libbpf(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Btf], Btf]:
    """What libbpf makes of a BTF."""
    compiler = shutil.which("cc")
    if compiler is None or not Path("/usr/include/bpf/libbpf.h").exists():
        pytest.skip("no C compiler or no libbpf headers (Debian: gcc, libbpf-dev)")
    folder = tmp_path_factory.mktemp("dedup")
    binary, source = folder / "dedup", Path(__file__).with_name("libbpf_dedup.c")
    subprocess.run([compiler, "-O1", str(source), "-o", str(binary), "-lbpf"], check=True)

    def ask(btf: Btf) -> Btf:
        (folder / "in").write_bytes(btf.raw)
        subprocess.run([binary, folder / "in", folder / "out"], check=True)
        return Btf.from_file(folder / "out")

    return ask


def kinds(btf: Btf) -> Counter[Kind]:
    return Counter(each.kind for each in btf.types)


def require_same_types(ours: Btf, theirs: Btf) -> None:
    """Both have each type once, and the same ones: joined, each of theirs is one of ours."""
    assert kinds(ours) == kinds(theirs)
    again = deduplicate(join_btfs([ours, theirs]).btf).btf
    unique = sum(each.kind in {Kind.VAR, Kind.DATASEC} for each in theirs.types)
    tags = sum(each.kind is Kind.DECL_TAG for each in theirs.types)  # those on variables
    assert 0 <= len(again.types) - len(ours.types) - unique <= tags


# --- what is merged ---------------------------------------------------------------------------------------------------


def test_types_of_two_objects_become_one_each() -> None:
    one = made_of(Struct("event", 8, [Member("pid", INT, 0), Member("tgid", INT, 32)]), Pointer(INT))
    two = made_of(Pointer(INT), Struct("event", 8, [Member("pid", INT, 0), Member("tgid", INT, 32)]))
    joined = join_btfs([one, two])
    done = deduplicate(joined.btf)
    assert [each.name for each in done.btf.types] == ["void", "event", "int", ""]
    assert [done.ids[joined.shifts[1] + i] for i in range(1, 4)] == [3, 2, 1]


def test_structs_of_one_name_and_other_members_stay_two() -> None:
    joined = join_btfs([made_of(Struct("s", 4, [Member("a", INT, 0)])), made_of(Struct("s", 4, [Member("b", INT, 0)]))])
    assert len(deduplicate(joined.btf).btf.all_by_name("s", Struct)) == 2


def test_a_difference_far_away_keeps_types_apart() -> None:
    def chain(last: str) -> Btf:
        inner: Type = Struct("end", 4, [Member("x", Int(last, 4), 0)])
        for depth in range(50):
            inner = Struct(f"s{depth}", 8, [Member("next", Pointer(inner), 0)])
        return made_of(inner)

    alike = deduplicate(join_btfs([chain("int"), chain("int")]).btf).btf
    assert len(alike.types) == len(chain("int").types)
    apart = deduplicate(join_btfs([chain("int"), chain("long")]).btf).btf
    assert len(apart.all_by_name("s49", Struct)) == 2


def test_types_that_refer_to_each_other_in_circles_are_merged() -> None:
    one, two = linked("int"), linked("int")
    done = deduplicate(join_btfs([one, two]).btf).btf
    assert len(done.all_by_name("list", Struct)) == 1
    assert not done.all_by_name("list", Forward), "the declaration is the struct itself"
    found = done.by_name("list", Struct)
    target = found.members[0].type
    assert isinstance(target, Pointer)
    assert target.target is found


def test_a_declaration_becomes_the_one_definition() -> None:
    done = deduplicate(join_btfs([linked("int", is_declared=True), linked("int")]).btf).btf
    assert len(done.all_by_name("list", Struct)) == 1
    assert not done.all_by_name("payload", Forward)


def test_a_declaration_of_two_definitions_stays_one() -> None:
    done = deduplicate(join_btfs([linked("int", is_declared=True), linked("int"), linked("long")]).btf).btf
    assert len(done.all_by_name("payload", Struct)) == 2
    assert len(done.all_by_name("payload", Forward)) == 1


def test_definitions_that_differ_only_far_away_are_two_as_well() -> None:
    def named(last: str) -> Btf:
        deep = Struct("deep", 4, [Member("x", Int(last, 4), 0)])
        return made_of(Struct("payload", 8, [Member("deep", Pointer(deep), 0)]))

    done = deduplicate(join_btfs([made_of(Pointer(Forward("payload"))), named("int"), named("long")]).btf).btf
    assert len(done.all_by_name("payload", Struct)) == 2
    assert len(done.all_by_name("payload", Forward)) == 1


def test_an_enum_that_is_only_declared_becomes_the_defined_one() -> None:
    declared = made_of(Pointer(Enum("state", 4, False, [])))
    defined = made_of(Enum("state", 4, False, [Enumerator("ON", 1)]))
    done = deduplicate(join_btfs([declared, defined]).btf).btf
    assert len(done.all_by_name("state", Enum)) == 1


def test_variables_stay_as_many_as_they_are() -> None:
    one = made_of(Variable("count", INT, Linkage.GLOBAL))
    done = deduplicate(join_btfs([one, one]).btf).btf
    assert len(done.all_by_name("count", Variable)) == 2


def test_linkage_and_parameter_names_count() -> None:
    prototype = FunctionPrototype(INT, (Parameter("a", INT),))
    other = FunctionPrototype(INT, (Parameter("b", INT),))
    joined = join_btfs(
        [
            made_of(Function("f", prototype, Linkage.STATIC), Function("f", prototype, Linkage.GLOBAL)),
            made_of(Function("f", other, Linkage.STATIC), Function("f", prototype, Linkage.GLOBAL)),
        ]
    )
    assert len(deduplicate(joined.btf).btf.all_by_name("f", Function)) == 3


def test_a_split_btf_leaves_to_its_base_what_is_there() -> None:
    base = made_of(Struct("event", 4, [Member("pid", INT, 0)]), Typedef("pid_t", INT))
    builder = BtfBuilder()
    builder.add(Const(Struct("event", 4, [Member("pid", INT, 0)])))
    alone = Btf.from_bytes(builder.encode())
    # As if a module had it: ids and strings go on where the base's end.
    shift, words = len(base.types) - 1, []
    strings = StringTable(base.strings_end)
    from aiobpf.btf.words import name_places, own_types, reference_places

    for each in own_types(alone):
        for place in name_places(each):
            each[place] = strings.offset(alone.name_at(each[place]))
        for place in reference_places(each):
            each[place] += shift if each[place] else 0
        words.append(each)
    split = Btf.from_bytes(encode_words(words, strings.encode(), "little"), base)
    done = deduplicate(split)
    assert len(done.btf.types) == len(base.types) + 1
    added = done.btf.type_by_id(len(base.types))
    assert isinstance(added, Const)
    assert added.type is base.by_name("event", Struct)


# --- beside libbpf ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".bpf.o", ".eb.bpf.o"])
def test_the_objects_here_joined_are_what_libbpf_makes_of_them(libbpf: Callable[[Btf], Btf], suffix: str) -> None:
    btfs = []
    for path in sorted(OBJECTS.glob(f"*{suffix}")):
        if suffix == ".bpf.o" and path.name.endswith(".eb.bpf.o"):
            continue
        try:
            btfs.append(Btf.from_file(path))
        except BtfError as error:
            assert "no .BTF section" in str(error)
    joined = join_btfs(btfs).btf
    require_same_types(deduplicate(joined).btf, libbpf(joined))


RECORDS = {Kind.STRUCT: 3, Kind.UNION: 3, Kind.ENUM: 2, Kind.FUNC_PROTO: 2}


@st.composite
def graphs(draw: st.DrawFn) -> Btf:
    """Types of few names that refer to any others: most have a twin, and circles are everywhere."""
    count = draw(st.integers(1, 24))
    strings = StringTable()
    names = [strings.offset(text) for text in ("", "a", "b", "c")]
    name, reference = st.sampled_from(names), st.integers(0, count)
    kind = st.sampled_from(
        [Kind.INT, Kind.PTR, Kind.ARRAY, Kind.STRUCT, Kind.UNION, Kind.FWD, Kind.TYPEDEF, Kind.CONST, Kind.FUNC_PROTO]
    )
    types = []
    for _ in range(count):
        chosen = draw(kind)
        vlen = draw(st.integers(0, 2)) if chosen in RECORDS else 0
        text = names[1] if chosen in {Kind.INT, Kind.TYPEDEF, Kind.FWD} else draw(name)
        if chosen in {Kind.PTR, Kind.CONST, Kind.ARRAY, Kind.FUNC_PROTO}:
            text = 0
        words = array("I", [text, chosen << 24 | vlen, 4])
        if chosen in {Kind.PTR, Kind.TYPEDEF, Kind.CONST, Kind.FUNC_PROTO}:
            words[2] = draw(reference)
        if chosen == Kind.INT:
            words.append(32)
        elif chosen == Kind.ARRAY:
            words.extend([draw(reference), draw(reference), 3])
            words[2] = 0
        elif chosen == Kind.FWD:
            words[2] = 0
        for _ in range(vlen):
            words.extend([draw(name), draw(reference)] + ([0] if RECORDS[chosen] == 3 else []))
        types.append(words)
    return Btf.from_bytes(encode_words(types, strings.encode(), "little"))


@given(graphs())
def test_deduplicating_twice_is_deduplicating_once(btf: Btf) -> None:
    once = deduplicate(btf)
    assert len(once.ids) == len(btf.types)
    assert sorted(set(once.ids)) == list(range(len(once.btf.types))), "each type of the result is there for something"
    assert deduplicate(once.btf).btf.raw == once.btf.raw


@given(graphs())
@settings(max_examples=60)
def test_doubling_a_btf_adds_nothing(btf: Btf) -> None:
    once = deduplicate(btf).btf
    twice = join_btfs([btf, btf])
    done = deduplicate(twice.btf)
    assert len(done.btf.types) == len(once.types)
    shift = twice.shifts[1]
    assert [done.ids[i + shift] for i in range(1, len(btf.types))] == list(done.ids[1 : len(btf.types)])


def test_a_kernel_joined_to_itself_is_the_kernel(libbpf: Callable[[Btf], Btf]) -> None:
    kernel = Btf.from_file(RUNNING)
    joined = join_btfs([kernel, kernel])
    started = time.process_time()
    done = deduplicate(joined.btf)
    assert time.process_time() - started < 60  # 3 s for 250,000 types where nothing else runs, libbpf 0.2 s
    unique = len(kernel.ids_of_kind(Kind.VAR)) + len(kernel.ids_of_kind(Kind.DATASEC))
    assert len(done.btf.types) == len(kernel.types) + unique
    assert list(done.ids[: len(kernel.types)]) == list(range(len(kernel.types))), "each type of it stays the first"
    shift = joined.shifts[1]
    for kind in Kind:
        if kind in {Kind.VAR, Kind.DATASEC, Kind.VOID, Kind.UNKNOWN}:
            continue
        numbers = kernel.ids_of_kind(kind)
        if kind is not Kind.DECL_TAG:  # those on variables are on two
            assert [done.ids[number + shift] for number in numbers] == numbers
    require_counts(done.btf, libbpf(joined.btf))


def require_counts(ours: Btf, theirs: Btf) -> None:
    for kind in Kind:
        assert len(ours.ids_of_kind(kind)) == len(theirs.ids_of_kind(kind)), kind.name


# --- bad input --------------------------------------------------------------------------------------------------------


def raw(*types: list[int]) -> Btf:
    return Btf.from_bytes(encode_words([array("I", each) for each in types], b"\0", "little"))


def test_references_that_lead_nowhere_are_refused() -> None:
    with pytest.raises(BtfError, match=r"type \[1\] refers to \[9\], and \[1\] is the last"):
        deduplicate(raw([0, Kind.PTR << 24, 9]))
    with pytest.raises(BtfError, match=r"BTF 1 of 2 refers to type \[2\], and \[1\] is the last"):
        join_btfs([raw([0, Kind.PTR << 24, 0]), raw([0, Kind.PTR << 24, 2])])


def test_what_cannot_be_joined_is_refused() -> None:
    with pytest.raises(BtfError, match="there is no BTF to join"):
        join_btfs([])
    other = BtfBuilder("big")
    other.add(INT)
    with pytest.raises(BtfError, match="both byte orders"):
        join_btfs([made_of(INT), Btf.from_bytes(other.encode())])
    assert len(raw().raw) == HEADER_SIZE + 1


def test_a_chain_of_a_hundred_thousand_pointers_takes_no_longer_than_as_many_types() -> None:
    """Each differs from the one before only at the end: rounds over all of them would be 10 to the 10."""
    length = 100_000
    chain = raw(*([0, Kind.PTR << 24, i + 2 if i + 1 < length else 0] for i in range(length)))
    assert len(deduplicate(chain).btf.types) == length + 1


def test_arrays_that_hold_themselves_are_one() -> None:
    loop = raw([0, Kind.ARRAY << 24, 0, 2, 2, 3], [0, Kind.ARRAY << 24, 0, 1, 1, 3])
    done = deduplicate(loop).btf
    assert [type(each) for each in done.types[1:]] == [Array]
