"""Changes to BTF that leave it readable: types are taken apart, changed as words, and put together again."""

from __future__ import annotations

import struct
from array import array
from contextlib import suppress
from typing import TYPE_CHECKING

from aiobpf.btf.words import SHAPES, kind_of, name_places, reference_places
from tests.fuzz.mutate_bytes import mutate_bytes, word

if TYPE_CHECKING:
    import random

_KINDS = sorted(SHAPES)
_TEXTS = (
    b"\0", b"___v2\0", b".maps\0", b".kconfig\0", b".ksyms\0", b"\xff\xfe\0", b"a" * 60, b"../../x\0", b"0:1\0",
)  # fmt: skip
_ORDERS = {b"\x9f\xeb": "<", b"\xeb\x9f": ">"}


class Image:
    """The types and strings of a .BTF section. ValueError where it has another form than the usual one."""

    def __init__(self, data: bytes) -> None:
        order = _ORDERS.get(data[:2])
        if order is None or len(data) < 24:
            raise ValueError("no BTF")
        self.order = order
        length, types_at, types_size, strings_at, strings_size = struct.unpack_from(order + "IIIII", data, 4)
        types = data[length + types_at :][:types_size]
        self.strings = bytearray(data[length + strings_at :][:strings_size])
        words = struct.unpack(f"{order}{len(types) // 4}I", types[: len(types) & ~3])
        self.types: list[array[int]] = []
        at = 0
        while at + 3 <= len(words):
            size = _size(words[at + 1])
            self.types.append(array("I", words[at : at + size]))
            at += size
        if not self.types:
            raise ValueError("no types")

    def encode(self) -> bytes:
        words = [each for type_ in self.types for each in type_]
        types = struct.pack(f"{self.order}{len(words)}I", *words)
        head = struct.pack(self.order + "HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(self.strings))
        return head + types + bytes(self.strings)


def _size(info: int) -> int:
    shape = SHAPES.get(info >> 24 & 0x7F)
    if shape is None:
        raise ValueError("unknown kind")
    return 3 + len(shape.fixed) + len(shape.each) * (info & 0xFFFFFF if shape.each else 0)


def mutate_btf(data: bytes, chance: random.Random) -> bytes:
    """One to four changes to types or strings; to bytes where it is no BTF, and now and then anyway."""
    if chance.random() < 0.1:
        return mutate_bytes(data, chance)
    try:
        image = Image(data)
    except (ValueError, struct.error):
        return mutate_bytes(data, chance)
    for _ in range(chance.choice((1, 1, 2, 4))):
        with suppress(IndexError, ValueError):  # a change before made a type longer than it is
            _change(image, chance)
    return image.encode()


def _change(image: Image, chance: random.Random) -> None:
    types = image.types
    at = chance.randrange(len(types))
    changed = types[at]
    match chance.randrange(10):
        case 0:  # another number, wherever
            changed[chance.randrange(2 if chance.random() < 0.9 else 0, len(changed))] = word(chance)
        case 1 | 2:  # another reference: to itself, its neighbour, past the end
            places = [each for each in reference_places(changed) if each < len(changed)] if _is_known(changed) else []
            if places:
                changed[chance.choice(places)] = _type_id(at, len(types), chance)
        case 3:  # another name
            places = [each for each in name_places(changed) if each < len(changed)] if _is_known(changed) else []
            if places:
                changed[chance.choice(places)] = chance.choice((0, chance.randrange(len(image.strings) + 2)))
        case 4:  # another kind, with the same words as far as they go
            kind = chance.choice(_KINDS)
            info = kind << 24 | changed[1] & 0x80FFFFFF
            if info & 0xFFFFFF > 64:
                info &= ~0xFFFFFF
            size = _size(info)
            types[at] = array("I", [changed[0], info, *changed[2:], *[0] * size][:size])
        case 5:  # one element more or less
            shape = SHAPES.get(kind_of(changed))
            if shape is not None and shape.each:
                width = len(shape.each)
                if chance.random() < 0.5 and changed[1] & 0xFFFFFF:
                    del changed[-width:]
                    changed[1] -= 1
                elif len(changed) < 1000:
                    last = changed[-width:] if changed[1] & 0xFFFFFF else array("I", [0] * width)
                    changed.extend(last)
                    changed[1] += 1
        case 6:
            types.insert(chance.randrange(len(types) + 1), changed[:])
        case 7:
            if len(types) > 1:
                del types[at]
        case 8:
            changed[1] ^= 1 << 31
        case _:
            strings = image.strings
            start = chance.randrange(len(strings) + 1)
            strings[start:start] = chance.choice(
                (
                    b"\0",
                    b"___v2\0",
                    b".maps\0",
                    b".kconfig\0",
                    b".ksyms\0",
                    b"\xff\xfe\0",
                    b"a" * 60,
                    b"../../x\0",
                    b"0:1\0",
                )
            )
            if strings[-1:] != b"\0":
                strings += b"\0"


def _is_known(words: array[int]) -> bool:
    return kind_of(words) in SHAPES


def _type_id(at: int, count: int, chance: random.Random) -> int:
    return chance.choice((0, at + 1, at, at + 2, 1, count, count + 1, chance.randrange(count + 1), 0xFFFFFFFF))
