"""Values of the user's own classes."""

from __future__ import annotations

import copy
import enum
import struct
from dataclasses import dataclass, field
from typing import NamedTuple

import attrs
import pytest

from aiobpf.btf import (
    Member,
    Struct,
    Union,
    UnionValue,
    codec,
)
from aiobpf.errors import CodecError
from tests.btf.c_types import ADDR, CHAR, EVENT, FLOAT, RAW, STATE, U8, U32, array, made


@attrs.define
class AttrsAddr:
    port: int


@attrs.define
class AttrsEvent:
    comm: str
    addr: AttrsAddr
    _pid: int
    note: str = "none"


@attrs.frozen(kw_only=True)
class KeywordEvent:
    pid: int
    comm: bytes


@dataclass
class DataEvent:
    pid: int
    addr: AttrsAddr | None = None
    note: list[int] = field(default_factory=list)
    ts: int = 0


class TupleEvent(NamedTuple):
    ts: int
    pid: int


@attrs.define
class NumbersFirst:
    ts: int
    pid: int


def test_fields_of_a_class_are_matched_by_name() -> None:
    event = codec(EVENT, python_type=AttrsEvent).decode(RAW)
    assert event == AttrsEvent("bash", AttrsAddr(80), 7)
    assert codec(EVENT, python_type=KeywordEvent).decode(RAW) == KeywordEvent(
        pid=7, comm=b"bash\0junk".ljust(16, b"\0")
    )
    assert codec(EVENT, python_type=DataEvent).decode(RAW) == DataEvent(7, AttrsAddr(80), [], 5)
    assert codec(EVENT, python_type=TupleEvent).decode(RAW) == TupleEvent(5, 7)
    for each in (AttrsEvent, KeywordEvent, DataEvent, TupleEvent, NumbersFirst):
        found = codec(EVENT, python_type=each)
        assert found.python_type is each
        assert found.decode_all(RAW * 2) == [found.decode(RAW)] * 2
        assert found.decode(found.encode(found.decode(RAW))) == found.decode(RAW)


def test_annotations_choose_the_reading() -> None:
    class Mine(enum.IntEnum):
        SEVEN = 7

    @attrs.define
    class Reading:
        pid: Mine
        data: str
        state: int
        addrs: list[AttrsAddr]

    Reading.__annotations__ = {"pid": Mine, "data": str, "state": int, "addrs": list[AttrsAddr]}
    type_ = made(
        "s", 28, ("pid", U32, 0), ("data", array(U8, 4), 4), ("state", STATE, 8), ("addrs", array(ADDR, 2), 12)
    )
    raw = struct.pack("<I4sIIHxxIHxx", 7, b"ab", 1, 0, 80, 0, 443)
    value = codec(type_, byte_order="little", python_type=Reading).decode(raw)
    assert value.pid is Mine.SEVEN
    assert value.data == "ab"
    assert type(value.state) is int
    assert value.addrs == [AttrsAddr(80), AttrsAddr(443)]


def test_a_class_that_needs_what_the_struct_has_not_is_refused() -> None:
    @attrs.define
    class Missing:
        pid: int
        nowhere: int

    with pytest.raises(CodecError, match=r"Missing\.nowhere: struct 'event' has no such member"):
        codec(EVENT, python_type=Missing)
    with pytest.raises(CodecError, match="cannot be read as object"):
        codec(EVENT, python_type=object)
    with pytest.raises(CodecError, match="cannot be read as AttrsEvent"):
        codec(U32, python_type=AttrsEvent)


def test_one_alternative_of_a_union_can_be_chosen() -> None:
    @attrs.define
    class V4Only:
        v4: int

    union = Union("", 16, [Member("v4", U32, 0), Member("v6", array(U8, 16), 0)])
    found = codec(made("s", 16, ("", union, 0)), byte_order="little", python_type=V4Only)
    assert found.decode(b"\1" + bytes(15)) == V4Only(1)
    assert found.encode(V4Only(2)) == b"\2" + bytes(15)


def test_simple_types_can_be_asked_for_as_another() -> None:
    assert codec(array(CHAR, 4), python_type=bytes).decode(b"ab\0d") == b"ab\0d"
    assert codec(array(U8, 4), python_type=str).decode(b"ab\0d") == "ab"
    assert type(codec(STATE, python_type=int).decode(bytes(4))) is int
    assert codec(U32, python_type=int).decode(bytes(4)) == 0


class Address(UnionValue):
    __slots__ = ()
    v4: int
    kind: State


class State(enum.IntEnum):
    RUNNING = 0
    SLEEPING = 1


UNION = Union("address", 4, [Member("v4", U32, 0), Member("v6", array(U8, 4), 0), Member("kind", STATE, 0)])


def test_a_union_is_read_as_a_class_derived_from_the_users() -> None:
    found = codec(UNION, python_type=Address)
    value = found.decode(b"\1\0\0\0")
    assert isinstance(value, Address)
    assert (value.v4, value.kind, value.raw) == (1, State.SLEEPING, b"\1\0\0\0")
    assert type(value.kind) is State
    assert found.encode(value) == value.raw
    given = Address(v4=1)
    assert found.encode(given) == codec(UNION).encode(given) == value.raw
    assert given == value
    assert value == given
    assert given == Address(v4=1)
    assert Address(b"\1\0\0\0") == value
    assert value != Address(v4=2)
    assert given.v4 == 1
    assert repr(given) == "Address(v4=1)"
    assert {value: 1}[Address(b"\1\0\0\0")] == 1
    with pytest.raises(TypeError, match="no hash until it is written"):
        hash(given)
    with pytest.raises(AttributeError, match="was not read from anywhere"):
        _ = given.v6
    with pytest.raises(CodecError, match="either bytes, or one alternative"):
        Address()
    with pytest.raises(CodecError, match="either bytes, or one alternative"):
        Address(b"", v4=1)
    assert copy.copy(value) == value
    assert copy.copy(given) == given


def test_lists_and_enums_are_of_the_classes_asked_for() -> None:
    adds = codec(array(ADDR, 2), python_type=list[AttrsAddr])
    assert adds.decode(bytes([0, 0, 0, 0, 80, 0, 0, 0] * 2)) == [AttrsAddr(80)] * 2
    assert codec(STATE, python_type=State).decode(b"\1\0\0\0") is State.SLEEPING
    assert codec(STATE, python_type=State | int).decode(b"\2\0\0\0") == 2
    bits = Struct("bits", 4, [Member("state", STATE, 0, bitfield_size=2)])

    @attrs.define
    class Bits:
        state: State | int

    made = codec(bits, python_type=Bits).decode(b"\1\0\0\0")
    assert made == Bits(1)
    with pytest.raises(CodecError, match="cannot be read as State"):
        codec(FLOAT, python_type=State)


def test_metadata_say_which_member_a_field_is() -> None:
    @attrs.define
    class Renamed:
        process: int = attrs.field(metadata={"member": "pid"})

    assert codec(EVENT, python_type=Renamed).decode(RAW) == Renamed(7)
    one = made("one", 4, ("pid", U32, 0))
    assert codec(one).encode(Renamed(7)) == codec(one, python_type=Renamed).encode(Renamed(7)) == b"\7\0\0\0"
