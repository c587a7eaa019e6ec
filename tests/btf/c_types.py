"""Types as a C compiler describes them, and an event made of them, for the tests of codecs."""

from __future__ import annotations

import struct

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
    Typedef,
    Void,
)

SIGNED = IntEncoding.SIGNED
CHAR = Int("char", 1, encoding=SIGNED)
U8 = Typedef("__u8", Int("unsigned char", 1))
S8 = Int("signed char", 1, encoding=SIGNED)
U16 = Int("unsigned short", 2)
U32 = Int("unsigned int", 4)
S32 = Int("int", 4, encoding=SIGNED)
U64 = Int("unsigned long long", 8)
S64 = Int("long long", 8, encoding=SIGNED)
U128 = Int("unsigned __int128", 16)
S128 = Int("__int128", 16, encoding=SIGNED)
BOOL = Int("_Bool", 1, encoding=IntEncoding.BOOL)
FLOAT, DOUBLE = Float("float", 4), Float("double", 8)
STATE = Enum("state", 4, False, [Enumerator("RUNNING", 0), Enumerator("SLEEPING", 1), Enumerator("DEAD", 2)])
FLAGS = Enum("flags", 4, False, [Enumerator("R", 1), Enumerator("W", 2), Enumerator("X", 4)])


def array(element: Type, *counts: int) -> Array:
    for count in reversed(counts):
        element = Array(element, U32, count)
    assert isinstance(element, Array)
    return element


def made(name: str, size: int, *members: tuple[str, Type, int]) -> Struct:
    return Struct(name, size, [Member(each, type_, offset * 8) for each, type_, offset in members])


ADDR = made("addr", 8, ("ip", U32, 0), ("port", U16, 4))
EVENT = made(
    "event",
    48,
    ("ts", U64, 0),
    ("pid", U32, 8),
    ("comm", array(CHAR, 16), 12),
    ("addr", ADDR, 28),
    ("p", Pointer(Void()), 40),
)
RAW = struct.pack("<QI16sIHxxxxxxQ", 5, 7, b"bash\0junk", 0x7F000001, 80, 0xFFFF888000000000)
