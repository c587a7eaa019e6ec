"""--set: texts as values of BTF types."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.btf import Array, Const, Enum, Enumerator, Float, Int, IntEncoding, Pointer, Struct, Type, Typedef, Volatile
from aiobpf.cli.choices import suggestion
from aiobpf.cli.settings import as_bytes, parse_value

U8 = Int("unsigned char", 1)
U32 = Int("unsigned int", 4)
S64 = Int("long long", 8, encoding=IntEncoding.SIGNED)
BOOL = Int("_Bool", 1, encoding=IntEncoding.BOOL)
CHAR = Int("char", 1, encoding=IntEncoding.SIGNED)
MODE = Enum("mode", enumerators=[Enumerator("OFF", 0), Enumerator("ON", 7)])


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        (U32, "42", 42),
        (U32, "0x2a", 42),
        (U32, "1_000", 1000),
        (S64, "-1", -1),
        (U32, "5ms", 5_000_000),
        (U32, "64KiB", 65536),
        (Const(Volatile(Typedef("u32", U32))), "7", 7),
        (BOOL, "true", True),
        (BOOL, "off", False),
        (BOOL, "1", True),
        (MODE, "ON", 7),
        (MODE, "3", 3),
        (Float("double", 8), "1.5", 1.5),
        (Array(CHAR, U32, 16), "a b", "a b"),
        (Array(U8, U32, 6), "52:54:00:12:34:56", bytes.fromhex("525400123456")),
        (Array(U8, U32, 4), "0x0102", b"\1\2\0\0"),
        (Array(U32, U32, 3), "[1, 2, 3]", [1, 2, 3]),
        (Struct("pair", 8), '{"a": 1}', {"a": 1}),
        (CHAR, "x", ord("x")),
        (CHAR, "7", 7),
    ],
)
def test_a_text_is_the_value_of_its_type(type_: Type, text: str, value: Any) -> None:
    assert parse_value(text, type_) == value


@pytest.mark.parametrize(
    ("type_", "text", "message"),
    [
        (U32, "many", "takes an integer"),
        (U32, "", "takes an integer"),
        (U32, "5 parsecs", "takes an integer"),
        (BOOL, "maybe", "true or false"),
        (MODE, "HALF", "enum mode has OFF, ON"),
        (Float("double", 8), "x", "could not convert"),
        (Array(U8, U32, 2), "010203", "takes 2 bytes, not 3"),
        (Array(U8, U32, 2), "zz", "2 bytes in hex"),
        (Array(U32, U32, 3), "1", "a JSON list of 3"),
        (Struct("pair", 8), "[1]", "a JSON object for pair"),
        (Pointer(U32), "0", "cannot be set"),
    ],
)
def test_a_wrong_text_says_what_is_taken(type_: Type, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_value(text, type_)


@given(st.integers(-(2**63), 2**64 - 1))
def test_every_integer_reads_back(value: int) -> None:
    assert parse_value(str(value), S64) == value
    assert parse_value(hex(value), S64) == value


@given(st.binary(max_size=32))
def test_every_byte_string_reads_back(value: bytes) -> None:
    assert as_bytes(value.hex(), 32) == value.ljust(32, b"\0")
    assert as_bytes(value.hex(":"), 32) == value.ljust(32, b"\0")


def test_a_suggestion_names_the_nearest() -> None:
    assert suggestion("only_uids", ["only_uid", "enabled"]) == "; did you mean 'only_uid'?"
    assert suggestion("zzz", ["b", "a"]) == "; there is a, b"
    assert suggestion("zzz", []) == "; the object has none"
