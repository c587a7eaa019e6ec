"""Codecs: from bytes to Python values and back, by hand-made types."""

from __future__ import annotations

import enum
import struct
from typing import Literal

import attrs
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
    FunctionPrototype,
    Int,
    IntEncoding,
    Member,
    Pointer,
    SectionVariable,
    Struct,
    Type,
    Typedef,
    Union,
    Variable,
    Void,
    codec,
)
from aiobpf.errors import CodecError
from tests.btf.c_types import (
    ADDR,
    BOOL,
    CHAR,
    DOUBLE,
    EVENT,
    FLAGS,
    FLOAT,
    RAW,
    S8,
    S32,
    S64,
    S128,
    STATE,
    U8,
    U16,
    U32,
    U64,
    U128,
    array,
    made,
)


def test_a_struct_is_an_object_with_its_members() -> None:
    event = codec(EVENT).decode(RAW)
    assert (event.ts, event.pid, event.comm, event.p) == (5, 7, "bash", 0xFFFF888000000000)
    assert (event.addr.ip, event.addr.port) == (0x7F000001, 80)
    assert repr(event).startswith("event(ts=5, pid=7, comm='bash', addr=addr(ip=2130706433, port=80)")
    assert event == codec(EVENT).decode(RAW)
    assert attrs.has(type(event))
    assert not hasattr(event, "__dict__")
    assert codec(EVENT).python_type is type(event)
    assert codec(EVENT).field_names == ("ts", "pid", "comm", "addr", "p")


def test_padding_is_zero_when_encoded() -> None:
    event = codec(EVENT).decode(RAW[:18] + b"\xff" * 30)
    event.comm = "x"
    encoded = codec(EVENT).encode(event)
    assert encoded[12:28] == b"x".ljust(16, b"\0")
    assert encoded[34:40] == bytes(6)


@pytest.mark.parametrize(
    ("type_", "code", "value"),
    [
        (U8, "B", 200),
        (S8, "b", -100),
        (CHAR, "b", -100),
        (U16, "H", 50_000),
        (S32, "i", -2_000_000_000),
        (U64, "Q", 1 << 63),
        (S64, "q", -1 << 63),
        (BOOL, "?", True),
        (FLOAT, "f", 0.5),
        (DOUBLE, "d", -1e300),
        (Pointer(U8), "Q", 0xFFFF888000000000),
        (Typedef("pid_t", Const(S32)), "i", -1),
    ],
)
@pytest.mark.parametrize("order", ["little", "big"])
def test_numbers(type_: Type, code: str, value: float, order: Literal["little", "big"]) -> None:
    found = codec(type_, byte_order=order)
    raw = struct.pack(("<" if order == "little" else ">") + code, value)
    assert found.decode(raw) == value
    assert type(found.decode(raw)) is found.python_type is type(value)
    assert found.encode(value) == raw
    assert found.size == found.minimum_size == len(raw)
    assert found.decode(b"??" + raw, 2) == value
    assert found.decode_all(raw * 3) == [value] * 3


def test_integers_of_16_bytes() -> None:
    assert codec(U128).decode(b"\1" + bytes(14) + b"\x80") == (0x80 << 120) + 1
    assert codec(S128).decode(b"\xff" * 16) == -1
    assert codec(S128, byte_order="big").encode(-2) == b"\xff" * 15 + b"\xfe"
    with pytest.raises(CodecError, match=r"__int128: .* does not fit s128"):
        codec(S128).encode(1 << 127)


def test_a_long_double_is_its_bytes() -> None:
    assert codec(Float("long double", 16)).decode(b"\1" * 16) == b"\1" * 16


def test_an_enum_is_an_int_enum_and_an_unknown_value_an_int() -> None:
    found = codec(STATE)
    sleeping = found.decode(b"\1\0\0\0")
    assert isinstance(sleeping, enum.IntEnum)
    assert sleeping.name == "SLEEPING"
    assert type(found.decode(b"\7\0\0\0")) is int
    assert found.encode(sleeping) == found.encode("SLEEPING") == found.encode(1) == b"\1\0\0\0"
    with pytest.raises(CodecError, match="enum 'state' has no 'FLYING'"):
        found.encode("FLYING")


def test_an_enum_of_bits_is_a_flag() -> None:
    found = codec(FLAGS)
    flags = found.decode(b"\5\0\0\0")
    assert isinstance(flags, enum.IntFlag)
    assert flags == found.python_type["R"] | found.python_type["X"]  # type: ignore[index]
    assert found.decode(b"\x85\0\0\0") == 0x85
    assert found.encode(flags) == b"\5\0\0\0"


def test_an_enum_of_8_bytes_a_signed_one_and_one_with_odd_names() -> None:
    big = Enum("big", 8, False, [Enumerator("TOP", 1 << 63)])
    assert codec(big).decode(struct.pack("<Q", 1 << 63)).name == "TOP"
    signed = Enum("signed", 4, True, [Enumerator("NEG", -3)])
    assert codec(signed).decode(struct.pack("<i", -3)).name == "NEG"
    odd = Enum(
        "", 4, False, [Enumerator(name, value) for value, name in enumerate(("mro", "_x_", "__a__", "in", "a b"))]
    )
    assert [each.name for each in codec(odd).python_type] == ["mro_", "_x__", "__a____", "in_", "a_b"]  # type: ignore[attr-defined]
    assert codec(Enum("none", 4)).python_type is int


@pytest.mark.parametrize(
    ("type_", "raw", "value"),
    [
        (array(CHAR, 4), b"ab\0d", "ab"),
        (array(CHAR, 4), b"abcd", "abcd"),
        (array(CHAR, 40), b"ab".ljust(40, b"\0"), "ab"),
        (array(CHAR, 4), b"a\xff\0\0", "a\\xff"),
        (array(Int("char", 1), 4), b"\xc3\xa9\0\0", "é"),
        (array(CHAR, 2, 2), b"a\0bc", ["a", "bc"]),
        (array(U8, 4), b"ab\0d", b"ab\0d"),
        (array(S8, 2), b"\xff\1", [-1, 1]),
        (array(BOOL, 2), b"\0\1", [False, True]),
        (array(U16, 2, 3), struct.pack("<6H", *range(6)), [[0, 1, 2], [3, 4, 5]]),
        (array(U32, 20), struct.pack("<20I", *range(20)), list(range(20))),
        (array(U128, 2), bytes(15) + b"\1" + bytes(16), [1 << 120, 0]),
        (array(Pointer(U8), 2), struct.pack("<2Q", 1, 2), [1, 2]),
        (array(U32, 0), b"", []),
        (array(CHAR, 0), b"", ""),
    ],
)
def test_arrays(type_: Type, raw: bytes, value: object) -> None:
    found = codec(type_, byte_order="little")
    assert found.decode(raw) == value
    assert found.decode_all(raw * 2, 2 if raw else 0) == ([value] * 2 if raw else [])
    if value not in {"a\\xff"} if isinstance(value, str) else True:
        assert found.decode(found.encode(value)) == value


@pytest.mark.parametrize("count", [1, 4, 5, 300])
def test_arrays_of_structs_whether_inline_or_apart(count: int) -> None:
    found = codec(made("all", 8 * count, ("list", array(ADDR, count), 0)), byte_order="little")
    raw = b"".join(struct.pack("<IHxx", index, index % 7) for index in range(count))
    value = found.decode(raw)
    assert [each.ip for each in value.list] == list(range(count))
    assert type(value.list[0]) is codec(ADDR).python_type or type(value.list[0]).__name__ == "addr"
    assert found.encode(value) == raw
    assert found.decode_all(raw * 2, 2) == [value, value]


def test_a_large_struct_of_structs_is_decoded_in_parts() -> None:
    inner = made("inner", 400, *((f"m{i}", U32, 4 * i) for i in range(100)))
    outer = made("outer", 1600, *((f"i{i}", inner, 400 * i) for i in range(4)))
    raw = struct.pack("<400I", *range(400))
    value = codec(outer).decode(raw)
    assert (value.i0.m5, value.i3.m99) == (5, 399)
    assert codec(outer).encode(value) == raw


# --- bit-fields and unions --------------------------------------------------------------------------------------------


@st.composite
def bit_fields(draw: st.DrawFn) -> tuple[Struct, bytes, list[tuple[int, int, bool]]]:
    members, places, bit = [], [], 0
    for index in range(draw(st.integers(1, 8))):
        bit += draw(st.integers(0, 9))
        width, signed = draw(st.integers(1, 40)), draw(st.booleans())
        members.append(Member(f"f{index}", S64 if signed else U64, bit, width))
        places.append((bit, width, signed))
        bit += width
    size = (bit + 7) // 8 + draw(st.integers(0, 3))
    return Struct("bits", size, members), draw(st.binary(min_size=size, max_size=size)), places


@given(bit_fields(), st.sampled_from(["little", "big"]))
def test_bit_fields_are_the_bits_that_they_say(
    case: tuple[Struct, bytes, list[tuple[int, int, bool]]], order: str
) -> None:
    type_, raw, places = case
    found = codec(type_, byte_order="little" if order == "little" else "big")
    value = found.decode(raw)
    whole = int.from_bytes(raw, "little" if order == "little" else "big")
    expected = []
    for bit, width, signed in places:
        shift = bit if order == "little" else len(raw) * 8 - bit - width
        number = whole >> shift & ((1 << width) - 1)
        expected.append(number - (1 << width) if signed and number >> (width - 1) else number)
    assert [getattr(value, f"f{index}") for index in range(len(places))] == expected
    assert found.decode_all(raw * 2)[1] == value
    assert found.decode(found.encode(value)) == value


def test_bit_fields_of_enums_and_booleans() -> None:
    type_ = Struct(
        "s", 4, [Member("state", STATE, 0, 3), Member("on", BOOL, 3, 1), Member("", U32, 4, 4), Member("n", U32, 8, 7)]
    )
    value = codec(type_, byte_order="little").decode(b"\x0a\x05\0\0")
    assert (value.state.name, value.on, value.n) == ("DEAD", True, 5)
    assert codec(type_, byte_order="little").encode({"state": "SLEEPING", "on": True, "n": 127}) == b"\x09\x7f\0\0"
    with pytest.raises(CodecError, match=r"s\.n: 128 does not fit u7"):
        codec(type_).encode({"n": 128})


def test_bit_fields_of_old_compilers_are_narrow_integers() -> None:
    type_ = Struct("s", 4, [Member("a", Int("unsigned int", 4, 3), 0), Member("b", Int("unsigned int", 4, 5), 3)])
    assert codec(type_).decode(b"\xfa\0\0\0").b == 0x1F


@given(
    st.integers(1, 31),
    st.integers(0, 12),
    st.booleans(),
    st.binary(min_size=12, max_size=12),
    st.sampled_from(["<", ">"]),
)
def test_a_narrow_integer_is_its_bits_wherever_it_stands(
    width: int, place: int, is_signed: bool, raw: bytes, order: str
) -> None:
    """As the kernel prints it (btf_int_bits_show): from the lowest bit, or from the highest in a big-endian one."""
    place = min(place, 32 - width)
    encoding = IntEncoding.SIGNED if is_signed else IntEncoding.UNSIGNED
    narrow = Int("unsigned int", 4, width, encoding, place)
    byte_order: Literal["little", "big"] = "little" if order == "<" else "big"

    def bits(word: bytes) -> int:
        shift = place if order == "<" else 32 - place - width
        number = int.from_bytes(word, byte_order) >> shift & (1 << width) - 1
        return number - (1 << width) if is_signed and number >> width - 1 else number

    alone = codec(narrow, byte_order=byte_order)
    several = codec(Array(Typedef("narrow", narrow), U32, 3), byte_order=byte_order)
    member = codec(Struct("s", 12, [Member("head", U32, 0), Member("n", narrow, 32)]), byte_order=byte_order)
    words = [bits(raw[at : at + 4]) for at in (0, 4, 8)]
    assert alone.decode(raw[:4]) == words[0]
    assert several.decode(raw) == words
    assert member.decode(raw).n == words[1]
    assert list(alone.decode_all(raw)) == words
    assert alone.decode(alone.encode(words[0])) == words[0]
    assert several.decode(several.encode(words)) == words
    with pytest.raises(CodecError, match="does not fit"):
        alone.encode(1 << width)


V6 = array(U8, 16)


def test_members_of_an_anonymous_union_are_the_structs_own() -> None:
    union = Union(
        "", 16, [Member("v4", U32, 0), Member("v6", V6, 0), Member("", made("", 8, ("lo", U16, 0), ("hi", U16, 2)), 0)]
    )
    type_ = made("s", 20, ("family", U32, 0), ("", union, 4))
    found = codec(type_, byte_order="little")
    value = found.decode(struct.pack("<II12x", 2, 0x01020304))
    assert (value.v4, value.lo, value.hi) == (0x01020304, 0x0304, 0x0102)
    assert value.v6 == b"\4\3\2\1" + bytes(12)
    assert found.encode(value) == struct.pack("<II12x", 2, 0x01020304)
    value.v4 = 5
    with pytest.raises(CodecError, match=r"s\.v4: it shares its bytes .* set those to None"):
        found.encode(value)
    value.v6 = value.lo = value.hi = None
    assert found.encode(value) == struct.pack("<II12x", 2, 5)
    assert found.encode(found.python_type(family=10, v6=b"\1" * 16)) == b"\x0a\0\0\0" + b"\1" * 16


def test_a_named_union_keeps_its_bytes() -> None:
    union = Union("addr", 16, [Member("v4", U32, 0), Member("v6", V6, 0), Member("in", ADDR, 0)])
    found = codec(made("s", 20, ("addr", union, 4)), byte_order="little")
    value = found.decode(bytes(4) + struct.pack("<IH10x", 7, 80))
    assert value.addr.v4 == 7
    assert value.addr.in_.port == 80
    assert value.addr.raw == struct.pack("<IH10x", 7, 80)
    assert repr(value.addr).startswith("addr(b'")
    assert {"v4", "v6", "in_"} <= set(dir(value.addr))
    with pytest.raises(AttributeError, match="union 'addr' has no member 'v5'"):
        _ = value.addr.v5
    made_here = type(value.addr)
    assert found.encode(value)[4:8] == found.encode({"addr": {"v4": 7}})[4:8] == struct.pack("<I", 7)
    assert made_here(v4=7) == made_here(struct.pack("<I12x", 7))
    assert hash(made_here(v4=7)) == hash(made_here(v4=7))
    assert made_here(v4=7) != 7
    assert made_here() == made_here(bytes(16))
    assert found.encode({"addr": b"\7"}) == bytes(4) + b"\7" + bytes(15)
    for wrong in ({"v4": 1, "v6": b""}, b"\1" * 17, {"v5": 1}, 3):
        with pytest.raises(CodecError, match=r"s\.addr"):
            found.encode({"addr": wrong})
    with pytest.raises(CodecError, match="either 16 bytes, or one alternative"):
        made_here(b"123")
    with pytest.raises(CodecError, match="either 16 bytes, or one alternative"):
        made_here(bytes(16), v4=1)


def test_a_union_by_itself() -> None:
    found = codec(Union("u", 8, [Member("a", U32, 0), Member("b", U64, 0)]), byte_order="little")
    assert [each.b for each in found.decode_all(struct.pack("<2Q", 1, 2))] == [1, 2]
    assert found.encode(found.python_type(b=1 << 40)) == struct.pack("<Q", 1 << 40)


# --- names ------------------------------------------------------------------------------------------------------------


def test_names_that_python_cannot_take_are_changed() -> None:
    names = ["from", "in", "self", "a b", "1st", "__class__", "a.b", "__state", "_x", "é", ""]
    type_ = made("class", 4 * len(names), *((name, U32, 4 * index) for index, name in enumerate(names)))
    found = codec(type_, byte_order="little")
    value = found.decode(struct.pack("<11I", *range(11)))
    assert found.field_names == ("from_", "in_", "self_", "a_b", "_1st", "__class___", "a_b_2", "__state", "_x", "_")
    assert [getattr(value, name) for name in found.field_names] == list(range(10))
    assert found.encode(found.python_type(_x=9, from_=3)) == struct.pack("<I28xI8x", 3, 9)
    assert found.encode({"from": 3, "a.b": 4}) == struct.pack("<I20xI16x", 3, 4)
    assert found.jsonable(value)["from"] == 0
    assert type(value).__name__ == "class_"


def test_a_name_cannot_become_code() -> None:
    evil = 'x=__import__("os").abort()\n#'
    type_ = made(evil, 4, (evil, U32, 0))
    assert codec(type_, byte_order="little").decode(b"\1\0\0\0") is not None
    assert all(name.isidentifier() for name in codec(type_).field_names)


def test_a_typedef_names_an_anonymous_struct() -> None:
    assert codec(Typedef("point_t", Const(made("", 4, ("x", U32, 0))))).name == "point_t"
    assert codec(made("", 4, ("x", U32, 0))).python_type.__name__ == "anonymous"


def test_a_data_section_is_its_variables() -> None:
    variables = [SectionVariable(Variable("count", U64), 0, 8), SectionVariable(Variable("on", BOOL), 8, 1)]
    found = codec(DataSection(".bss", 16, variables), byte_order="little")
    value = found.decode(struct.pack("<Q?7x", 3, True))
    assert (value.count, value.on) == (3, True)
    assert codec(Variable("count", U64)).decode(bytes(8)) == 0


def test_defaults_are_zero() -> None:
    type_ = made(
        "s",
        64,
        ("a", U32, 0),
        ("b", array(U32, 2), 4),
        ("c", ADDR, 12),
        ("d", array(CHAR, 4), 20),
        ("e", DOUBLE, 24),
        ("f", BOOL, 32),
        ("g", STATE, 36),
        ("h", array(U8, 4), 40),
        ("i", U128, 48),
    )
    value = codec(type_).python_type()
    assert (value.a, value.b, value.c.port, value.d, value.e, value.f, value.g, value.h) == (
        0,
        [0, 0],
        0,
        "",
        0,
        False,
        0,
        b"",
    )
    assert codec(type_).encode(value) == bytes(64)
    value.b = None
    assert codec(type_).encode(value) == bytes(64)


def test_a_codec_is_made_once() -> None:
    assert codec(EVENT) is codec(EVENT)
    assert codec(EVENT, byte_order="big") is not codec(EVENT, byte_order="little")
    assert repr(codec(EVENT, byte_order="big")) == "<Codec event, 48 bytes, big-endian>"


@pytest.mark.parametrize("type_", [Void(), FunctionPrototype(U32), array(Void(), 3)])
def test_a_type_without_values_is_refused(type_: Type) -> None:
    with pytest.raises(CodecError, match="has no values"):
        codec(type_)
