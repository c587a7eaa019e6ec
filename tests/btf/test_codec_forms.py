"""Values as numpy columns and as JSON, and types that no program could mean."""

from __future__ import annotations

import builtins
import json
import struct
from typing import Literal

import pytest

from aiobpf.btf import (
    Array,
    Enum,
    Enumerator,
    Float,
    Int,
    IntEncoding,
    Member,
    Pointer,
    Struct,
    Type,
    Union,
    Void,
    codec,
)
from aiobpf.errors import CodecError

CHAR = Int("char", 1, encoding=IntEncoding.SIGNED)
U8 = Int("unsigned char", 1)
U32 = Int("unsigned int", 4)
S64 = Int("long long", 8, encoding=IntEncoding.SIGNED)
U128 = Int("unsigned __int128", 16)
STATE = Enum("state", 4, False, [Enumerator("RUNNING", 0), Enumerator("SLEEPING", 1)])
FLAGS = Enum("flags", 4, False, [Enumerator("R", 1), Enumerator("W", 2), Enumerator("X", 4)])


def array(element: Type, *counts: int) -> Array:
    for count in reversed(counts):
        element = Array(element, U32, count)
    assert isinstance(element, Array)
    return element


def made(name: str, size: int, *members: tuple[str, Type, int]) -> Struct:
    return Struct(name, size, [Member(each, type_, offset * 8) for each, type_, offset in members])


INNER = made("inner", 8, ("a", U32, 0), ("b", U8, 4))
UNION = Union("u", 4, [Member("n", U32, 0), Member("raw", array(U8, 4), 0)])
ALL = Struct(
    "all",
    112,
    [
        Member("id", S64, 0),
        Member("name", array(CHAR, 8), 64),
        Member("mac", array(U8, 6), 128),
        Member("bits", U32, 176, 3),
        Member("more", U32, 179, 9),
        Member("inner", INNER, 192),
        Member("grid", array(U32, 2, 2), 256),
        Member("p", Pointer(Void()), 384),
        Member("wide", U128, 448),
        Member("state", STATE, 576),
        Member("flags", FLAGS, 608),
        Member("f", Float("double", 8), 640),
        Member("u", UNION, 704),
        Member("", Union("", 4, [Member("x", U32, 0), Member("y", U8, 0)]), 736),
        Member("pairs", array(INNER, 2), 768),
    ],
)


# --- numpy ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["little", "big"])
def test_a_dtype_has_the_offsets_and_size_of_the_type(order: Literal["little", "big"]) -> None:
    np = pytest.importorskip("numpy")
    found = codec(ALL, byte_order=order)
    assert found.dtype.itemsize == ALL.size
    raw = bytes(range(112)) * 2
    rows = np.frombuffer(raw, found.dtype)
    for row, value in zip(rows, found.decode_all(raw), strict=True):
        for name in ("id", "p", "state", "flags", "x", "y"):
            assert row[name] == getattr(value, name)
        assert row["grid"].tolist() == value.grid
        assert row["mac"].tobytes() == value.mac
        assert row["name"] == raw[8:16]
        assert (row["inner"]["a"], row["inner"]["b"]) == (value.inner.a, value.inner.b)
        assert row["u"]["n"] == value.u.n
        assert row["pairs"]["a"].tolist() == [each.a for each in value.pairs]
        assert row["wide"].tobytes() == raw[56:72]
    assert rows["bits_22"].dtype == np.dtype("<u2" if order == "little" else ">u2")


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (U32, "uint32"),
        (array(CHAR, 16), "|S16"),
        (array(CHAR, 2, 16), "('S16', (2,))"),
        (array(U8, 2, 4), "('u1', (2, 4))"),
        (U128, "|V16"),
    ],
)
def test_the_dtype_of_a_plain_type(type_: Type, text: str) -> None:
    pytest.importorskip("numpy")
    assert str(codec(type_, byte_order="little").dtype) == text


def test_without_numpy_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_numpy(name: str, *rest: object) -> object:
        if name == "numpy":
            raise ImportError("no numpy")
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", no_numpy)
    with pytest.raises(ImportError, match=r"pip install 'aiobpf\[numpy\]'"):
        _ = codec(made("only_here", 4, ("a", U32, 0))).dtype


# --- JSON -------------------------------------------------------------------------------------------------------------


def test_a_value_can_be_written_as_json() -> None:
    found = codec(ALL, byte_order="little")
    raw = bytearray(112)
    struct.pack_into("<q8s6s", raw, 0, -5, b"eth0", b"\1\2\3\4\5\6")
    struct.pack_into("<HIB", raw, 22, 0x0B, 3, 4)
    struct.pack_into("<4IQ", raw, 32, 1, 2, 3, 4, 0xFFFF888000000000)
    struct.pack_into("<IId", raw, 72, 1, 5, float("nan"))
    value = found.jsonable(found.decode(raw))
    assert json.loads(json.dumps(value, allow_nan=False)) == {
        "id": -5,
        "name": "eth0",
        "mac": "010203040506",
        "bits": 3,
        "more": 1,
        "inner": {"a": 0x03000000 >> 16, "b": 0x00},
        "grid": [[1, 2], [3, 4]],
        "p": "0xffff888000000000",
        "wide": 0,
        "state": "SLEEPING",
        "flags": "R|X",
        "f": None,
        "u": {"n": 0, "raw": "00000000"},
        "x": 0,
        "y": 0,
        "pairs": [{"a": 0, "b": 0}, {"a": 0, "b": 0}],
    } | {"inner": value["inner"]}


def test_unknown_enumerators_and_parts_that_are_not_there_are_written_too() -> None:
    assert codec(STATE).jsonable(codec(STATE).decode(b"\x09\0\0\0")) == 9
    assert codec(FLAGS).jsonable(codec(FLAGS).decode(bytes(4))) == 0
    assert codec(array(CHAR, 4)).jsonable(b"a\xff") == "a\\xff"
    value = codec(ALL).decode(bytes(112))
    value.x, value.inner, value.u = None, None, b"\1\2\3\4"
    written = codec(ALL).jsonable(value)
    assert "x" not in written
    assert "inner" not in written
    assert written["u"] == "01020304"


# --- hostile types ----------------------------------------------------------------------------------------------------


def nested(levels: int, width: int, leaf: Type, size: int, *, anonymous: bool = False) -> Type:
    current = leaf
    for level in range(levels):
        current = Struct(f"s{level}", size, [Member("" if anonymous else f"m{i}", current, 0) for i in range(width)])
    return current


LOOP = Struct("loop", 8, lambda self: [Member("a", self, 0)])
ANONYMOUS_LOOP = Struct("loop", 8, lambda self: [Member("", self, 0), Member("", self, 0)])
EMPTY = Struct("empty", 0)


@pytest.mark.parametrize(
    ("type_", "message"),
    [
        (LOOP, "contains itself"),
        (ANONYMOUS_LOOP, "nested in more than|more than 8192"),
        (array(LOOP, 2), "contains itself"),
        (nested(40, 2, U8, 1), "nested in more than 32"),
        (nested(20, 2, U8, 1), "overlap too much"),  # a million names for one byte
        (nested(30, 2, EMPTY, 0), "too many empty parts"),
        (nested(30, 2, EMPTY, 0, anonymous=True), "more than 8192"),
        (array(EMPTY, 1 << 31), "elements without size"),
        (array(array(EMPTY, 256), 256), "elements without size"),
        (array(U32, 1 << 31), "over 4 GiB"),
        (array(array(U8, 1 << 20), 1 << 20), "over 4 GiB"),
        (array(U8, *[1] * 40), "dimensions"),
        (made("s", 4, ("a", U32, 2)), "'a' ends at byte 6 of 4"),
        (made("s", 0, ("a", U32, 0)), "ends at byte 4 of 0"),
        (Struct("s", 8, [Member("a", INNER, 3)]), "no bit-field that could be read"),
        (Struct("s", 8, [Member("a", U32, 0, 200)]), "no bit-field that could be read"),
        (Int("int", 0), "no integer of 0 bytes"),
        (Int("int", 200), "no integer of 200 bytes"),
        (made("s", 1 << 20, *((f"m{i}", U32, 0) for i in range(10_000))), "more than 8192 members"),
    ],
)
def test_a_type_that_no_program_could_mean_is_refused(type_: Type, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        codec(type_)


@pytest.mark.parametrize("element", [CHAR, U8, U32])
def test_a_declared_size_costs_nothing(element: Type) -> None:
    found = codec(array(element, 1 << 29), byte_order="little")
    for use in (lambda: found.decode(b"abc"), lambda: found.encode([]), lambda: found.decode_all(b"abc", 1)):
        with pytest.raises(CodecError):
            use()
    assert found.decode_all(b"abc") == []


def test_overlapping_members_are_each_decoded() -> None:
    found = codec(made("s", 6, ("a", U32, 0), ("b", U32, 2), ("c", array(CHAR, 4), 1)), byte_order="little")
    value = found.decode(b"abcdef")
    assert (value.a, value.b, value.c) == (0x64636261, 0x66656463, "bcde")
    assert found.decode_all(b"abcdef" * 2) == [value, value]
