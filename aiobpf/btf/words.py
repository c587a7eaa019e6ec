"""The types of a BTF as 32-bit words, and which of these words are names and which are references.

For work on all types at once (joining, deduplicating), where a Python object a type would cost more than the work.
"""

from __future__ import annotations

import struct
import sys
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple, final

from aiobpf.btf.kinds import Kind
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aiobpf.btf.btf import Btf
    from aiobpf.btf.header import ByteOrder

HEADER_SIZE: Final = 24
_NATIVE: Final = sys.byteorder
_MAX_BYTES: Final = (1 << 32) - 1


class Shape(NamedTuple):
    """Of one kind: whether the third word is a reference, and what follows: names "n", references "r", others "."."""

    refers: bool
    fixed: str = ""
    each: str = ""


SHAPES: Final[dict[int, Shape]] = {
    Kind.INT: Shape(False, "."),
    Kind.PTR: Shape(True),
    Kind.ARRAY: Shape(False, "rr."),
    Kind.STRUCT: Shape(False, each="nr."),
    Kind.UNION: Shape(False, each="nr."),
    Kind.ENUM: Shape(False, each="n."),
    Kind.FWD: Shape(False),
    Kind.TYPEDEF: Shape(True),
    Kind.VOLATILE: Shape(True),
    Kind.CONST: Shape(True),
    Kind.RESTRICT: Shape(True),
    Kind.FUNC: Shape(True),
    Kind.FUNC_PROTO: Shape(True, each="nr"),
    Kind.VAR: Shape(True, "."),
    Kind.DATASEC: Shape(False, each="r.."),
    Kind.FLOAT: Shape(False),
    Kind.DECL_TAG: Shape(True, "."),
    Kind.TYPE_TAG: Shape(True),
    Kind.ENUM64: Shape(False, each="n.."),
}
"""UAPI btf.h. A function's vlen is its linkage, and nothing follows it."""


def kind_of(words: array[int]) -> int:
    return words[1] >> 24 & 0x7F


def name_places(words: array[int]) -> Iterator[int]:
    """Which words are offsets of names."""
    yield 0
    yield from _places(words, "n")


def reference_places(words: array[int]) -> Iterator[int]:
    """Which words are ids of types, in order."""
    shape = SHAPES[kind_of(words)]
    if shape.refers:
        yield 2
    yield from _places(words, "r")


def _places(words: array[int], mark: str) -> Iterator[int]:
    shape = SHAPES[words[1] >> 24 & 0x7F]
    if mark in shape.fixed:
        for i, each in enumerate(shape.fixed):
            if each == mark:
                yield 3 + i
    at = shape.each.find(mark)  # once in each at most
    if at >= 0:
        yield from range(3 + len(shape.fixed) + at, len(words), len(shape.each))


def own_types(btf: Btf) -> list[array[int]]:
    """The words of each type that *btf* adds itself, in order of id. BtfError for a kind that is not known here."""
    swapped = btf.byte_order != _NATIVE
    return [_words(data, btf.first_id + number, swapped) for number, data in enumerate(btf.raw_types())]


def words_of(btf: Btf, id: int) -> array[int]:  # noqa: A002
    """The words of one type of *btf* or its base. BtfError for a kind that is not known here."""
    return _words(btf.raw_type(id), id, btf.byte_order != _NATIVE)


def _words(data: bytes, id: int, swapped: bool) -> array[int]:  # noqa: A002
    words = array("I", data)
    if swapped:
        words.byteswap()
    if kind_of(words) not in SHAPES:
        raise BtfError(f"type [{id}] is of the unknown kind {kind_of(words)}")
    return words


@final
class StringTable:
    """Strings on their way into a BTF, each once. Ids below *first* are those of a base, which are kept as they are."""

    def __init__(self, first: int = 0) -> None:
        self._first = first
        self._offsets: dict[str, int] = {} if first else {"": 0}
        self._length = 0 if first else 1

    def offset(self, text: str) -> int:
        """Where *text* is."""
        if not text:
            return 0
        found = self._offsets.get(text)
        if found is None:
            found = self._offsets[text] = self._first + self._length
            self._length += len(_encoded(text)) + 1
        return found

    def encode(self) -> bytes:
        return b"".join(_encoded(text) + b"\0" for text in self._offsets)


def _encoded(text: str) -> bytes:
    # Bytes that are no UTF-8 were read as "\xNN": what is written is that text.
    return text.encode(errors="surrogateescape")


def encode_words(types: Sequence[array[int]], strings: bytes, byte_order: ByteOrder) -> bytes:
    """A .BTF section of *types* and *strings*. BtfError where they do not fit into one."""
    words = array("I")
    for each in types:
        words += each
    if byte_order != _NATIVE:
        words.byteswap()
    data = words.tobytes()
    if len(data) + len(strings) > _MAX_BYTES:
        raise BtfError(f"{len(data)} bytes of types and {len(strings)} of strings do not fit into one BTF")
    order = "<" if byte_order == "little" else ">"
    header = struct.pack(order + "HBBIIIII", 0xEB9F, 1, 0, HEADER_SIZE, 0, len(data), len(data), len(strings))
    return header + data + strings
