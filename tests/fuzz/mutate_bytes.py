"""Changes to bytes and texts whose form nobody knows."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

NUMBERS = (0, 1, 2, 3, 4, 7, 8, 16, 24, 31, 32, 63, 64, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0xFFFFFF,
           0x1000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)  # fmt: skip
WIDE_NUMBERS = (*NUMBERS, 1 << 32, 1 << 40, 1 << 60, (1 << 63) - 1, 1 << 63, (1 << 64) - 8, (1 << 64) - 1)


def word(chance: random.Random) -> int:
    """A 32-bit number that somebody may have forgotten."""
    return chance.choice(NUMBERS) if chance.random() < 0.7 else chance.getrandbits(32)


def wide(chance: random.Random) -> int:
    return chance.choice(WIDE_NUMBERS) if chance.random() < 0.7 else chance.getrandbits(64)


def mutate_bytes(data: bytes, chance: random.Random) -> bytes:
    """One to four changes anywhere."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        _change(changed, chance)
    return bytes(changed)


def _change(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    match chance.randrange(8):
        case 0 if data:
            data[at % len(data)] ^= 1 << chance.randrange(8)
        case 1 if data:
            data[at % len(data)] = chance.getrandbits(8)
        case 2:
            data[at:at] = chance.randbytes(chance.choice((1, 2, 4, 8)))
        case 3:
            del data[at : at + chance.choice((1, 2, 4, 8, 16, 64))]
        case 4:
            length = chance.randrange(1, 64)
            source = chance.randrange(len(data) + 1)
            data[at : at + chance.choice((0, length))] = data[source : source + length]
        case 5:
            data[at : at + 4] = struct.pack("<I", word(chance))
        case 6:
            at &= ~7
            data[at : at + 8] = struct.pack("<Q", wide(chance))
        case _:
            at &= ~3
            data[at : at + 4] = struct.pack(">I", word(chance))


def mutate_text(*tokens: str) -> Mutation:
    """Changes to a text of lines, with words that mean something in it."""
    return Mutation([token.encode() for token in tokens])


class Mutation:
    """Changes lines and words: doubles, drops, swaps and replaces them."""

    def __init__(self, tokens: Sequence[bytes]) -> None:
        self._tokens = tokens

    def __call__(self, data: bytes, chance: random.Random) -> bytes:
        if chance.random() < 0.2:
            return mutate_bytes(data, chance)
        lines = data.split(b"\n")
        at = chance.randrange(len(lines))
        match chance.randrange(6):
            case 0:
                lines.insert(at, lines[chance.randrange(len(lines))])
            case 1:
                del lines[at]
            case 2:
                lines[at] = chance.choice(self._tokens)
            case 3:
                column = chance.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:column] + chance.choice(self._tokens) + lines[at][column:]
            case 4:
                words = lines[at].split(b" ")
                words[chance.randrange(len(words))] = chance.choice(self._tokens)
                lines[at] = b" ".join(words)
            case _:
                lines[at] *= chance.choice((0, 2, 3, 40))
        return b"\n".join(lines)
