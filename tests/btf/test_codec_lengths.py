"""Records that are shorter or longer than their type, or lie apart."""

from __future__ import annotations

import struct

import pytest

from aiobpf.btf import (
    Struct,
    Type,
    codec,
)
from aiobpf.errors import CodecError
from tests.btf.c_types import ADDR, CHAR, EVENT, RAW, U8, U16, U32, array, made

LINE = made("line", 40, ("pid", U32, 0), ("text", array(CHAR, 36), 4))


def test_an_array_at_the_end_may_be_cut_short() -> None:
    found = codec(LINE, byte_order="little")
    assert (found.size, found.minimum_size) == (40, 4)
    raw = struct.pack("<I", 7) + b"hello"
    assert found.decode(raw).text == "hello"
    assert found.decode(b"!" + raw, 1).text == "hello"
    assert found.decode(raw[:4]).text == ""
    assert [each.text for each in found.decode_records(raw * 2, [0, 9], [9, 7])] == ["hello", "hel"]
    assert [each.text for each in found.decode_all(raw + raw, 2, 9)] == ["hello", "hello"]
    with pytest.raises(CodecError, match="line takes 40 bytes, there are 3"):
        found.decode(raw[:3])
    with pytest.raises(CodecError, match="event takes 48 bytes, there are 47"):
        codec(EVENT).decode(RAW[:-1])
    with pytest.raises(CodecError, match="there are 0"):
        codec(EVENT).decode(RAW, 100)


@pytest.mark.parametrize(
    ("tail", "raw", "value"),
    [
        (array(CHAR, 0), b"abc\0d", "abc"),
        (array(U8, 0), b"abc", b"abc"),
        (array(U16, 0), b"\1\0\2\0\3", [1, 2]),
        (array(ADDR, 0), b"", []),
    ],
)
def test_an_open_end_takes_the_rest(tail: Type, raw: bytes, value: object) -> None:
    found = codec(made("s", 8, ("n", U32, 0), ("flag", U8, 4), ("tail", tail, 6)), byte_order="little")
    record = b"\1\0\0\0\2\0" + raw
    padded = record.ljust(8, b"\0")
    assert found.size == found.minimum_size == 8
    if len(record) >= 8:
        assert found.decode(record).tail == value
        assert found.decode_records(record, [0], [len(record)])[0].tail == value
        assert [each.tail for each in found.decode_all(record * 2, 2, len(record))] == [value, value]
    assert found.decode_all(padded[:8], 1)[0].n == 1


def test_an_open_end_is_encoded_as_long_as_it_is() -> None:
    found = codec(made("s", 4, ("n", U32, 0), ("tail", array(U16, 0), 4)), byte_order="little")
    assert found.encode({"n": 1, "tail": [2, 3]}) == b"\1\0\0\0\2\0\3\0"
    assert found.decode(found.encode({"n": 1, "tail": [2, 3]})).tail == [2, 3]
    assert found.encode({"n": 1}) == b"\1\0\0\0"
    padded = codec(made("s", 8, ("n", U32, 0), ("flag", U8, 4), ("tail", array(U8, 0), 5)), byte_order="little")
    assert padded.encode({"n": 1, "tail": b"ab"}) == b"\1\0\0\0\0ab\0"
    text = codec(made("s", 4, ("n", U32, 0), ("tail", array(CHAR, 0), 4)), byte_order="little")
    assert text.encode({"n": 1, "tail": "ab"}) == b"\1\0\0\0ab"


def test_values_may_lie_further_apart_than_their_size() -> None:
    found = codec(U32, byte_order="little")
    raw = struct.pack("<I4xI4xI", 1, 2, 3)
    assert found.decode_all(raw + bytes(4), 3, 8) == found.decode_all(raw, 3, 8) == [1, 2, 3]
    assert found.decode_all(memoryview(raw), None, 8) == [1, 2]
    assert found.decode_all(raw, 0) == []
    for count, stride in ((4, 8), (9, None), (3, -1)):
        with pytest.raises(CodecError):
            found.decode_all(raw, count, stride)
    with pytest.raises(CodecError, match="do not fit"):
        codec(LINE).decode_all(b"12345678", 3, 4)


def test_records_outside_the_buffer_are_refused() -> None:
    found = codec(U32)
    assert found.decode_records(b"", [], []) == []
    with pytest.raises(CodecError, match="there are 2"):
        found.decode_records(bytes(6), [0, 4], [4, 4])


def test_a_struct_of_nothing() -> None:
    found = codec(Struct("empty", 0), byte_order="little")
    assert found.encode(found.decode(b"")) == b""
    assert len(found.decode_all(b"", 3)) == 3
    with pytest.raises(CodecError, match="a count and a stride"):
        found.decode_all(b"")
    with pytest.raises(CodecError, match="values of no bytes"):
        found.decode_all(b"", 1 << 30)
    holder = codec(made("holder", 4, ("list", array(Struct("empty", 0), 3), 0), ("n", U32, 0)), byte_order="little")
    assert len(holder.decode(bytes(4)).list) == 3


def test_an_open_end_in_the_middle_marks_a_place_and_holds_nothing() -> None:
    # As __pkt_type_offset[0] in sk_buff: a name for where the next member begins.
    found = codec(made("s", 8, ("a", U32, 0), ("mark", array(U8, 0), 4), ("b", U32, 4)), byte_order="little")
    value = found.decode(b"\1\0\0\0\2\0\0\0more")
    assert (value.a, value.mark, value.b) == (1, b"", 2)
    assert found.encode(value) == b"\1\0\0\0\2\0\0\0"
    value.mark = b"x"
    with pytest.raises(CodecError, match=r"s\.mark: 1 bytes do not fit 0"):
        found.encode(value)
    lists = codec(made("s", 8, ("mark", array(U32, 0), 4), ("b", U32, 4)), byte_order="little")
    with pytest.raises(CodecError, match=r"s\.mark: 1 elements for an array of 0"):
        lists.encode({"mark": [1]})
