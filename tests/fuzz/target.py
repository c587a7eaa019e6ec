"""What is fuzzed: a name, a function of bytes, and the errors that it may answer with."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from attrs import frozen

HERE = Path(__file__).parent
OBJECTS = HERE.parent / "objects"

Mutate = Callable[[bytes, random.Random], bytes]
"""Changes some of an input, keeping so much of its form that the change gets past the first checks."""


@frozen
class Target:
    """A function of hostile bytes.

    *run* gives nothing back: it asks the library for all that there is to ask of *data*, and lets no error pass but
    those of *allowed*, so that whatever comes out of it is a finding.
    """

    name: str
    run: Callable[[bytes], None]
    allowed: tuple[type[Exception], ...]
    seeds: Callable[[], Iterable[bytes]]
    mutate: Mutate
    max_size: int = 1 << 15

    def __call__(self, data: bytes) -> bool:
        """Whether *data* was taken; False where it was refused by name."""
        try:
            self.run(data)
        except self.allowed:
            return False
        return True


def join_parts(parts: Iterable[bytes]) -> bytes:
    """Several inputs as one: each behind its length."""
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


def split_parts(data: bytes, count: int) -> list[bytes]:
    """*count* inputs of one; where a length lies, what is left is the part."""
    parts = []
    at = 0
    for _ in range(count):
        length = int.from_bytes(data[at : at + 4], "little")
        parts.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return parts


def mutate_parts(mutations: Sequence[Mutate]) -> Mutate:
    """Changes one part or two, each in its own way."""

    def mutate(data: bytes, chance: random.Random) -> bytes:
        parts = split_parts(data, len(mutations))
        for _ in range(chance.choice((1, 1, 2))):
            which = chance.randrange(len(parts))
            parts[which] = mutations[which](parts[which], chance)
        return join_parts(parts)

    return mutate


def object_files() -> list[bytes]:
    """This project's own objects, of both byte orders."""
    return [path.read_bytes() for path in sorted(OBJECTS.rglob("*.bpf.o"))]
