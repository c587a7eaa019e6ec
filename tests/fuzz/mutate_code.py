"""Changes to instructions, slot by slot."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tests.fuzz.mutate_bytes import mutate_bytes, word

if TYPE_CHECKING:
    import random

_OPCODES = (
    0x18, 0x85, 0x95, 0x05, 0x06, 0x8D, 0xB7, 0xBF, 0x61, 0x79, 0x71, 0x69, 0x63, 0x7B, 0x62, 0x7A, 0x15, 0x1D, 0x16,
    0xC3, 0xDB, 0xD4, 0xDC, 0xD7, 0x30, 0x50, 0x81, 0xE5, 0x0D, 0x00,
)  # fmt: skip


def mutate_code(data: bytes, chance: random.Random) -> bytes:
    """One to four changes; the length stays a multiple of 8, mostly."""
    if chance.random() < 0.05:
        return mutate_bytes(data, chance)
    slots = [bytearray(data[i : i + 8]) for i in range(0, len(data) & ~7, 8)]
    for _ in range(chance.choice((1, 1, 2, 4))):
        if not slots:
            slots.append(bytearray(8))
        slot = slots[at := chance.randrange(len(slots))]
        match chance.randrange(8):
            case 0:
                slot[0] = chance.choice(_OPCODES)
            case 1:
                slot[0] = chance.getrandbits(8)
            case 2:
                slot[1] = chance.getrandbits(8)
            case 3:
                slot[2:4] = struct.pack(
                    "<h", chance.choice((0, 1, -1, 2, 8, 16, 32, -32768, 32767, -at, len(slots) - at))
                )
            case 4:
                slot[4:8] = struct.pack("<I", word(chance))
            case 5:
                slots.insert(at, bytearray(slots[chance.randrange(len(slots))]))
            case 6:
                del slots[at]
            case _:
                slots[at : at + 1] = [bytearray(b"\x18" + slot[1:]), bytearray(4) + slot[4:]]
    return b"".join(slots)
