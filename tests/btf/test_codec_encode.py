"""Python values as bytes, and what does not fit."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.btf import (
    Member,
    Pointer,
    Struct,
    Type,
    Void,
    codec,
)
from aiobpf.errors import CodecError
from tests.btf.c_types import (
    ADDR,
    BOOL,
    CHAR,
    EVENT,
    FLOAT,
    RAW,
    S8,
    S32,
    S64,
    STATE,
    U8,
    U16,
    U32,
    U64,
    U128,
    array,
    made,
)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"addr": {"port": 70_000}}, r"event\.addr\.port: 70000 does not fit u16"),
        ({"pid": -1}, r"event\.pid: -1 does not fit u32"),
        ({"pid": 1.5}, r"event\.pid: 1\.5 is no integer"),
        ({"pid": None}, r"event\.pid: None is no integer"),
        ({"comm": "x" * 17}, r"event\.comm: 17 bytes do not fit 16"),
        ({"comm": 5}, r"event\.comm: 5 is neither bytes nor a string"),
        ({"comm": [300]}, r"event\.comm: bytes must be in range"),
        ({"addr": 5}, r"event\.addr: 5 is no struct"),
        ({"adr": 5}, r"event: there is no member 'adr'"),
        ({"addr": (1, 2, 3)}, r"event\.addr: 3 values for 2 members"),
        (object(), r"event: .* has no attribute 'ts'"),
        (5, "event: 5 is no struct"),
    ],
)
def test_what_does_not_fit_is_named(value: object, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        codec(EVENT).encode(value)


def test_what_does_not_fit_is_named_in_objects_too() -> None:
    event = codec(EVENT).decode(RAW)
    event.addr.port = 70_000
    with pytest.raises(CodecError, match=r"event\.addr\.port: 70000 does not fit u16"):
        codec(EVENT).encode(event)
    for type_, value, message in (
        (array(U16, 2), [1, 70_000], r"value\[1\]: 70000 does not fit u16"),
        (array(U16, 2), [1], "1 elements for an array of 2"),
        (array(U16, 2), 5, "5 is no sequence"),
        (array(U16, 2), "ab", "'ab' is no sequence"),
        (FLOAT, 1e300, "does not fit a float"),
        (FLOAT, "x", "does not fit a float"),
        (U32, "x", "unsigned int: 'x' is no integer"),
    ):
        with pytest.raises(CodecError, match=message):
            codec(type_).encode(value)


def test_a_bool_is_no_truth() -> None:
    flags = made("flags", 8, ("on", BOOL, 0), ("all", array(BOOL, 2), 1), ("id", U32, 4))
    value = codec(flags).decode(bytes(8))
    value.on = 1
    assert codec(flags).encode(value) == b"\1" + bytes(7)
    value.on = "false"
    for part, message in (
        (value, r"flags\.on: 'false' is no bool: it takes True or False"),
        ({"on": 2}, r"flags\.on: 2 is no bool"),
        ({"on": None}, r"flags\.on: None is no bool"),
        ({"on": []}, r"flags\.on: \[\] is no bool"),
        ({"all": [True, "no"]}, r"flags\.all\[1\]: 'no' is no bool"),
    ):
        with pytest.raises(CodecError, match=message):
            codec(flags).encode(part)
    with pytest.raises(CodecError, match="'maybe' is no bool"):
        codec(BOOL).encode("maybe")


def test_lists_cannot_borrow_from_each_other() -> None:
    type_ = made("s", 16, ("a", array(U32, 2), 0), ("b", array(U32, 2), 8))
    value = codec(type_).python_type(a=[1, 2, 3], b=[4])
    with pytest.raises(CodecError, match=r"s\.a: 3 elements for an array of 2"):
        codec(type_).encode(value)


def test_dicts_and_tuples_are_structs() -> None:
    expected = struct.pack("<IHxx", 1, 2)
    found = codec(ADDR, byte_order="little")
    assert found.encode({"ip": 1, "port": 2}) == found.encode((1, 2)) == found.encode([1, 2]) == expected
    assert found.encode({"port": 2}) == struct.pack("<IHxx", 0, 2)


def test_bytes_and_numpy_arrays_are_taken_for_arrays() -> None:
    np = pytest.importorskip("numpy")
    assert codec(array(U16, 2), byte_order="little").encode(np.array([1, 2])) == b"\1\0\2\0"
    assert codec(array(CHAR, 4)).encode(b"ab") == codec(array(CHAR, 4)).encode(bytearray(b"ab")) == b"ab\0\0"
    assert codec(array(U8, 4)).encode([1, 2]) == b"\1\2\0\0"


LEAVES = [
    U8,
    S8,
    U16,
    U32,
    S32,
    U64,
    S64,
    U128,
    BOOL,
    STATE,
    Pointer(Void()),
    array(U8, 3),
    array(U16, 2, 2),
    array(U32, 17),
]
SIZES = [1, 1, 2, 4, 4, 8, 8, 16, 1, 4, 8, 3, 8, 68]


@st.composite
def structs(draw: st.DrawFn, depth: int = 0) -> tuple[Struct, int]:
    members, offset = [], 0
    for index in range(draw(st.integers(0, 6))):
        offset += draw(st.integers(0, 3))
        chosen = draw(st.integers(0, len(LEAVES) + (1 if depth < 3 else -1)))
        if chosen >= len(LEAVES):
            inner, size = draw(structs(depth + 1))
            count = draw(st.sampled_from([0, 1, 6]))
            type_: Type = array(inner, count) if count else inner
            size *= count or 1
        else:
            type_, size = LEAVES[chosen], SIZES[chosen]
        members.append(Member(f"m{index}", type_, offset * 8))
        offset += size
    return Struct(f"s{depth}", offset, members), offset


@given(structs(), st.data(), st.sampled_from(["little", "big"]))
def test_what_is_decoded_is_encoded_to_the_same_value(
    case: tuple[Struct, int], data: st.DataObject, order: str
) -> None:
    type_, size = case
    found = codec(type_, byte_order="little" if order == "little" else "big")
    raw = data.draw(st.binary(min_size=size, max_size=size))
    value = found.decode(raw)
    encoded = found.encode(value)
    assert len(encoded) == size
    assert found.decode(encoded) == value
    if size:
        assert found.decode_all(raw + encoded, 2) == [value, value]
        assert found.decode_records(raw + encoded, [size, 0], [size, size]) == [value, value]
