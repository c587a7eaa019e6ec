"""Events: what records of structs are, with attributes that are decoded when they are read."""

from __future__ import annotations

import copy
import enum
import gc
import pickle
import struct
import sys
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf._native._objects import Event, Layout
from aiobpf.btf import (
    Array,
    Enum,
    Enumerator,
    Float,
    Int,
    Member,
    Pointer,
    Struct,
    Type,
    UnionValue,
    Void,
    codec,
    size_of,
)
from aiobpf.btf import Union as UnionType
from aiobpf.errors import CodecError
from tests.btf.c_types import ADDR, BOOL, CHAR, FLAGS, S64, SIGNED, STATE, U8, U16, U32, U64, array, made

SCALARS: list[Type] = [
    *(Int(f"u{size}", size) for size in (1, 2, 4, 8, 16)),
    *(Int(f"s{size}", size, encoding=SIGNED) for size in (1, 2, 4, 8, 16)),
    BOOL,
    Float("half", 2),
    Float("float", 4),
    Float("double", 8),
    Float("long double", 16),
    Pointer(Void()),
    Int("unsigned int", 4, 5, bit_offset=3),
    STATE,
    FLAGS,
    Enum("signed", 8, True, [Enumerator("NEG", -3)]),
    Enum("wide", 16, False, [Enumerator("ONE", 1)]),
    Enum("none", 4),
]


EVENT = made(
    "event", 48, ("ts", U64, 0), ("pid", U32, 8), ("comm", array(CHAR, 16), 12), ("addr", ADDR, 28), ("p", S64, 40)
)
RAW = struct.pack("=QI16sIHxxxxxxq", 5, 7, b"bash\0junk", 0x7F000001, 80, -9)


def layout(type_: Type) -> Layout:
    found = codec(type_).event_layout
    assert found is not None
    return found


def event(type_: Type = EVENT, raw: bytes = RAW) -> Any:
    return layout(type_).event(raw)


def plain(value: object) -> object:
    """*value* with structs as tuples and floats by their bytes, so that what is equal compares equal."""
    if isinstance(value, float):
        return struct.pack("=d", value)
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, UnionValue):
        return value.raw
    cls: Any = type(value)
    if attrs.has(cls):
        return type(value).__name__, [(each.name, plain(getattr(value, each.name))) for each in attrs.fields(cls)]
    return type(value).__name__, value


@st.composite
def structs(draw: st.DrawFn, depth: int = 0, *, is_open: bool = False) -> Struct:
    members: list[Member] = []
    at = 0  # in bits
    for index in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["scalar", "array", "text", "blob", "bits", "struct", "structs", "union", "none"]))
        name = f"m{index}"
        if kind == "bits":
            width = draw(st.integers(1, 64))
            of = draw(st.sampled_from([U64, S64, STATE, BOOL] if width <= 32 else [U64, S64]))
            if of is BOOL:
                width = 1
            members.append(Member(name, of, at, width))
            at += width + draw(st.integers(0, 9))
            continue
        at = -(-at // 8) * 8 + 8 * draw(st.integers(0, 3))
        inner: Type
        if kind == "text":
            inner = array(CHAR, draw(st.sampled_from([0, 1, 5, 16, 40])))
        elif kind == "blob":
            inner = array(U8, draw(st.sampled_from([0, 1, 6])))
        elif kind == "array":
            inner = array(
                draw(st.sampled_from([*SCALARS, array(CHAR, 3), array(U16, 2)])), draw(st.sampled_from([0, 1, 3, 20]))
            )
        elif kind in {"struct", "structs", "union", "none"} and depth < 2:
            inner = draw(structs(depth + 1))
            if kind == "structs":
                inner = array(inner, draw(st.integers(0, 5)))
            elif kind != "struct":
                union = UnionType(
                    "u", size_of(inner), [Member("whole", inner, 0), Member("first", U8, 0)][: 1 + (size_of(inner) > 0)]
                )
                inner, name = union, "" if kind == "none" else name
        else:
            inner = draw(st.sampled_from(SCALARS))
        members.append(Member(name, inner, at))
        at += 8 * size_of(inner)
    size = -(-at // 8)
    if is_open:
        tail = draw(st.sampled_from([CHAR, U8, U32, ADDR, array(U16, 2)]))
        members.append(Member("tail", Array(tail, U32, 0), size * 8))
    return Struct("s", max(size + draw(st.integers(0, 7)), 1), members)


@st.composite
def records(draw: st.DrawFn, *, is_open: bool) -> tuple[Struct, bytes]:
    type_ = draw(structs(is_open=is_open))
    size = size_of(type_) + (draw(st.integers(0, 20)) if is_open else 0)
    return type_, draw(st.binary(min_size=size, max_size=size))


@given(records(is_open=False) | records(is_open=True), st.binary(max_size=9))
def test_an_attribute_is_what_is_decoded(case: tuple[Struct, bytes], padding: bytes) -> None:
    type_, raw = case
    expected = plain(codec(type_).decode(raw))
    found = event(type_, raw)
    assert plain(found) == expected
    assert bytes(found) == raw
    longer = event(type_, raw + padding)
    assert plain(longer) == plain(codec(type_).decode(raw + padding))
    assert bytes(longer) in {raw, raw + padding}
    in_place = next(layout(type_).places(b"??" + raw + padding, [2], [len(raw)]))
    assert (plain(in_place), bytes(in_place)) == (expected, raw)
    again = event(type_, raw)
    assert found == again
    assert hash(found) == hash(again)
    assert repr(found).startswith("s(") or repr(found) == "s()"


@given(records(is_open=False), st.data())
def test_a_record_cut_short_is_filled_up_as_it_is_decoded(case: tuple[Struct, bytes], data: st.DataObject) -> None:
    type_, raw = case
    shorter = raw[: data.draw(st.integers(codec(type_).minimum_size, len(raw)))]
    assert plain(event(type_, shorter)) == plain(codec(type_).decode(shorter))
    assert bytes(event(type_, shorter)) == shorter.ljust(len(raw), b"\0")


def test_an_event_is_an_object_with_the_members_of_the_struct() -> None:
    found = event()
    assert (found.ts, found.pid, found.comm, found.p) == (5, 7, "bash", -9)
    assert (found.addr.ip, found.addr.port) == (0x7F000001, 80)
    assert repr(found) == repr(codec(EVENT).decode(RAW))
    assert {"ts", "pid", "comm", "addr", "p"} <= set(dir(found))
    cls: Any = type(found)
    match found:
        case cls(ts, pid):
            assert (ts, pid) == (5, 7)
        case _:
            pytest.fail("it does not match by position")


def test_an_event_cannot_be_changed_nor_what_is_in_it() -> None:
    found = event()
    for owner, name in ((found, "pid"), (found, "other"), (found.addr, "port")):
        with pytest.raises(AttributeError):
            setattr(owner, name, 1)
    assert memoryview(found).readonly
    assert copy.copy(found) is found
    assert copy.deepcopy([found]) == [found]


def test_an_event_is_an_attrs_value_to_those_who_ask() -> None:
    found = event()
    assert attrs.has(type(found))
    assert attrs.asdict(found) == attrs.asdict(codec(EVENT).decode(RAW))
    assert attrs.astuple(found, recurse=False)[:2] == (5, 7)
    changed = attrs.evolve(found, pid=8)
    assert type(changed) is type(found)
    assert (changed.ts, changed.pid, changed.comm, changed.addr) == (5, 8, "bash", found.addr)


def test_an_event_can_be_made_by_name_and_place() -> None:
    cls: Any = layout(EVENT).type
    assert cls(5, pid=7, comm="bash", addr={"ip": 0x7F000001, "port": 80}, p=-9) == event()
    assert bytes(cls()) == bytes(48)
    with pytest.raises(TypeError, match="its 5 members, each once"):
        cls(5, ts=5)
    with pytest.raises(TypeError, match="its 5 members, each once"):
        cls(*range(6))
    with pytest.raises(CodecError, match=r"event\.pid"):
        cls(pid=-1)
    with pytest.raises(TypeError, match="base of the events"):
        Event()


def test_an_event_is_encoded_and_shown_as_the_value_that_it_is() -> None:
    assert codec(EVENT).encode(event()) == codec(EVENT).encode(codec(EVENT).decode(RAW))
    assert codec(EVENT).jsonable(event()) == codec(EVENT).jsonable(codec(EVENT).decode(RAW))


def test_padding_and_what_follows_a_nul_is_no_part_of_the_value() -> None:
    other = bytearray(RAW)
    other[20] ^= 1  # behind the NUL
    other[36] ^= 1  # padding
    assert event() == event(raw=bytes(other))
    assert hash(event()) == hash(event(raw=bytes(other)))
    other[0] ^= 1
    assert event() != event(raw=bytes(other))
    assert event() != codec(EVENT).decode(RAW)
    with pytest.raises(TypeError):
        _ = event() < event()


def test_an_event_says_that_it_cannot_be_pickled_and_what_can() -> None:
    with pytest.raises(TypeError, match=r"pickle bytes\(event\)"):
        pickle.dumps(event())


def test_enums_flags_and_strings_are_those_of_the_codec() -> None:
    type_ = made("s", 24, ("state", STATE, 0), ("flags", FLAGS, 4), ("name", array(CHAR, 16), 8))
    found = event(type_, struct.pack("=II16s", 2, 5, b"a\xff\xc3\xa9\0x"))
    assert isinstance(found.state, enum.IntEnum)
    assert isinstance(found.flags, enum.IntFlag)
    assert (found.state.name, int(found.flags), found.name) == ("DEAD", 5, "a\\xffé")
    assert type(event(type_, struct.pack("=II16s", 9, 0, b"")).state) is int


@pytest.mark.parametrize("type_", [U32, array(U32, 4), UnionType("u", 4, [Member("a", U32, 0)])])
def test_what_is_no_struct_has_no_events(type_: Type) -> None:
    assert codec(type_).event_layout is None


def test_other_byte_orders_own_classes_and_huge_structs_are_decoded_whole() -> None:
    @attrs.define
    class Mine:
        pid: int

    foreign = "big" if sys.byteorder == "little" else "little"
    assert codec(EVENT, byte_order=foreign).event_layout is None  # type: ignore[arg-type]
    assert codec(EVENT, python_type=Mine).event_layout is None
    assert codec(made("huge", 2 << 20, ("a", array(U64, 1 << 18), 0))).event_layout is None


def test_an_event_keeps_nothing_but_itself() -> None:
    data = bytearray(RAW * 3)
    run = layout(EVENT).rows(data, 3)
    first = next(run)
    with pytest.raises(BufferError):
        data.clear()  # there are two more in it
    assert run.__length_hint__() == 2
    assert [each.ts for each in run] == [5, 5]
    data.clear()
    assert first == event()
    assert not gc.is_tracked(first)
    assert list(run) == []


def test_records_outside_of_the_buffer_are_refused() -> None:
    found = layout(EVENT)
    with pytest.raises(ValueError, match="3 records of 48 bytes do not fit the 143"):
        found.rows(bytes(143), 3)
    with pytest.raises(ValueError, match="do not fit"):
        found.rows(b"", -1)
    for offset, length in ((1, 48), (-1, 48), (0, -1), (49, 0), (0, 1 << 62)):
        with pytest.raises(ValueError, match="outside of the buffer"):
            next(found.places(bytes(48), [offset], [length]))
    with pytest.raises(IndexError):
        next(found.places(bytes(48), [0], []))
    with pytest.raises(TypeError):
        next(found.places(bytes(48), ["a"], [1]))  # type: ignore[list-item]
    with pytest.raises(TypeError):
        found.rows("text", 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "member",
    [
        ("u", 0, 3, None),
        ("u", 6, 4, None),
        ("u", -1, 4, None),
        ("u", 9, -1, None),
        ("?", 0, 2, None),
        ("f", 0, 2, None),
        ("z", 0, 2, None),
        ("s", 1, 8, None),
        ("s", 9, -1, None),
        ("x", 0, 4, (30, 3, False, False, None)),
        ("x", 0, 4, (0, 0, False, False, None)),
        ("x", 0, 9, (0, 3, False, False, None)),
        ("l", 0, 4, (2, ("u", 0, 4, None))),
        ("l", 0, 4, (-1, ("u", 0, 4, None))),
        ("l", 0, 8, (1, ("u", 4, 4, None))),
        ("l", 0, 8, (2, ("l", 0, 4, (2, ("u", 0, 4, None))))),
        ("l", 0, 8, (1, ("s", 0, -1, None))),
        ("r", 0, 8, None),
        ("r", 0, 7, layout(ADDR)),
    ],
)
def test_a_layout_reaches_nothing_outside_of_its_struct(member: tuple[str, int, int, object]) -> None:
    with pytest.raises(ValueError, match="the member at byte"):
        Layout("m.s", 8, False, (("a", member),))


def test_a_layout_goes_with_the_last_that_is_of_it() -> None:
    def make() -> Any:
        return event(made("gone", 48, ("a", array(ADDR, 2), 0), ("b", array(CHAR, 0), 16)), RAW)

    kept = make()
    gc.collect()
    assert len(kept.a) == 2
    del kept
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(5):
        make()
        gc.collect()
    assert sys.getallocatedblocks() - before < 100


def test_reading_leaks_nothing() -> None:
    type_ = made(
        "s", 64, ("n", U64, 0), ("c", array(CHAR, 16), 8), ("a", ADDR, 24), ("l", array(ADDR, 2), 32), ("f", FLAGS, 48)
    )
    found = layout(type_)

    def read() -> None:
        for each in found.rows(RAW[:48].ljust(64, b"\5") * 50, 50):
            assert (each.n, each.c, each.a.port, each.l[1].ip, each.f) is not None
            assert repr(each)
            assert hash(each) == hash(each)
            assert not hasattr(each, "nothing")

    read()
    before, references = sys.getallocatedblocks(), sys.getrefcount(found)
    for _ in range(20):
        read()
    assert sys.getrefcount(found) == references
    assert sys.getallocatedblocks() - before < 200
