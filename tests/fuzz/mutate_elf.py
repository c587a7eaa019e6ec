"""Changes to object files that leave them object files: sections are changed by what they hold, and laid out anew."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from attrs import define

from tests.fuzz.mutate_btf import mutate_btf
from tests.fuzz.mutate_bytes import mutate_bytes, wide, word
from tests.fuzz.mutate_code import mutate_code

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_HEADER = 64
_TYPES = (0, 1, 2, 3, 4, 8, 9, 11)
_FLAGS = (0, 1, 2, 3, 4, 6, 0x10, 0x30, 0x800)


@define
class Section:
    name: int
    type: int
    flags: int
    address: int
    link: int
    info: int
    align: int
    entsize: int
    data: bytes
    size: int | None = None
    """What the header says; None for the truth."""
    offset: int | None = None


class Image:
    """The sections of a 64-bit object file. ValueError where it has another form than compilers give it."""

    def __init__(self, data: bytes) -> None:
        if data[:5] != b"\x7fELF\2" or len(data) < _HEADER:
            raise ValueError("no object file")
        self.head = bytearray(data[:_HEADER])
        self.order = "<" if data[5] == 1 else ">"
        start, count = (
            struct.unpack_from(self.order + "Q", data, 40)[0],
            struct.unpack_from(self.order + "H", data, 60)[0],
        )
        self.sections: list[Section] = []
        if start + count * 64 > len(data):
            raise ValueError("no section headers")
        for number in range(count):
            name, kind, flags, address, offset, size, link, info, align, entsize = struct.unpack_from(
                self.order + "IIQQQQIIQQ", data, start + number * 64
            )
            content = b"" if kind == 8 else data[offset : offset + size]
            declared = None if len(content) == size else size
            self.sections.append(Section(name, kind, flags, address, link, info, align, entsize, content, declared))
        if len(self.sections) < 2:
            raise ValueError("no sections")

    def encode(self) -> bytes:
        head = bytearray(self.head)
        body = bytearray()
        rows = []
        for section in self.sections:
            body += bytes(-len(body) % 8)
            offset = _HEADER + len(body) if section.offset is None else section.offset
            body += section.data
            size = len(section.data) if section.size is None else section.size
            rows.append(
                struct.pack(
                    self.order + "IIQQQQIIQQ",
                    section.name,
                    section.type,
                    section.flags,
                    section.address,
                    offset,
                    size,
                    section.link,
                    section.info,
                    section.align,
                    section.entsize,
                )
            )
        body += bytes(-len(body) % 8)
        struct.pack_into(self.order + "Q", head, 40, _HEADER + len(body))
        struct.pack_into(self.order + "H", head, 60, len(rows))
        return bytes(head) + bytes(body) + b"".join(rows)

    def name_of(self, section: Section) -> bytes:
        number: int = struct.unpack_from(self.order + "H", self.head, 62)[0]
        return self.sections[number % len(self.sections)].data[section.name :].partition(b"\0")[0]


def mutate_elf(data: bytes, chance: random.Random) -> bytes:
    """One to three changes, most of them inside of sections; to bytes where it is no object file."""
    if chance.random() < 0.08:
        return mutate_bytes(data, chance)
    try:
        image = Image(data)
    except (ValueError, struct.error):
        return mutate_bytes(data, chance)
    for _ in range(chance.choice((1, 1, 2, 3))):
        if chance.random() < 0.75:
            _change_content(image, chance)
        else:
            _change_table(image, chance)
    return image.encode()


def _change_content(image: Image, chance: random.Random) -> None:
    """Change what one section holds. Symbols, relocations, types and code are what readers look at most."""
    weighted = [each for each in image.sections for _ in range(4 if _role(image, each) else 1)]
    section = chance.choice(weighted)
    change = _role(image, section) or (lambda data, _, chance: mutate_bytes(data, chance))
    section.data = change(section.data, image.order, chance)
    section.size = section.size if section.type == 8 else None


def _role(image: Image, section: Section) -> Callable[[bytes, str, random.Random], bytes] | None:
    name = image.name_of(section)
    if name == b".BTF":
        return lambda data, _, chance: mutate_btf(data, chance)
    if name == b".BTF.ext":
        return lambda data, _, chance: mutate_ext(data, chance)
    if section.type == 2:
        return _mutate_symbols
    if section.type == 9:
        return _mutate_relocations
    if section.flags & 4:
        return lambda data, _, chance: mutate_code(data, chance)
    return None


def mutate_words(data: bytes, order: str, chance: random.Random) -> bytes:
    """Another number in the place of one or two, one word more or less."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2))):
        at = chance.randrange(len(changed) // 4 + 1) * 4
        match chance.randrange(6):
            case 0:
                changed[at:at] = struct.pack(order + "I", word(chance))
            case 1:
                del changed[at : at + 4]
            case 2:
                changed[at:at] = changed[at : at + 16]
            case 3 if at + 4 <= len(changed):
                (old,) = struct.unpack_from(order + "I", changed, at)
                struct.pack_into(order + "I", changed, at, (old + chance.choice((-8, -1, 1, 4, 8, 16))) & 0xFFFFFFFF)
            case _:
                changed[at : at + 4] = struct.pack(order + "I", word(chance))
    return bytes(changed)


def mutate_ext(data: bytes, chance: random.Random) -> bytes:
    """Changes to a .BTF.ext whose header goes on telling the truth, mostly."""
    order = "<" if data[:1] == b"\x9f" else ">"
    if len(data) < 32 or chance.random() < 0.15:
        return mutate_words(data, order, chance)
    length, *places = struct.unpack_from(order + "I6I", data, 4)
    stretches = [data[length + start :][:size] for start, size in zip(places[::2], places[1::2], strict=True)]
    which = chance.randrange(3)
    stretches[which] = mutate_words(stretches[which], order, chance)
    head = b""
    at = 0
    for stretch in stretches:
        head += struct.pack(order + "II", at, len(stretch))
        at += len(stretch)
    return data[:4] + struct.pack(order + "I", 32) + head + b"".join(stretches)


def _mutate_symbols(data: bytes, order: str, chance: random.Random) -> bytes:
    rows = [list(each) for each in struct.iter_unpack(order + "IBBHQQ", data[: len(data) // 24 * 24])]
    if not rows:
        return mutate_bytes(data, chance)
    row = chance.choice(rows)
    match chance.randrange(8):
        case 0:
            row[0] = chance.choice([*(each[0] for each in rows), word(chance)])
        case 1:
            row[1] = chance.choice((0, 1, 2, 3, 0x10, 0x11, 0x12, 0x20, 0x21, 0x22, chance.getrandbits(8)))
        case 2:
            row[2] = chance.getrandbits(8)
        case 3:
            row[3] = chance.choice([*(each[3] for each in rows), 0, 0xFFF1, 0xFFF2, chance.getrandbits(16)])
        case 4:
            row[4] = chance.choice([*(each[4] for each in rows), row[4] + 8, row[4] + 4, wide(chance)]) % (1 << 64)
        case 5:
            row[5] = chance.choice([*(each[5] for each in rows), row[5] + 8, wide(chance)]) % (1 << 64)
        case 6:
            rows.append(list(row))
        case _:
            rows.remove(row)
    return b"".join(struct.pack(order + "IBBHQQ", *each) for each in rows)


def _mutate_relocations(data: bytes, order: str, chance: random.Random) -> bytes:
    rows = [list(each) for each in struct.iter_unpack(order + "QQ", data[: len(data) // 16 * 16])]
    if not rows:
        return mutate_bytes(data, chance)
    row = chance.choice(rows)
    match chance.randrange(5):
        case 0:
            row[0] = chance.choice([*(each[0] for each in rows), row[0] + 8, row[0] + 4, wide(chance)]) % (1 << 64)
        case 1:
            row[1] = chance.randrange(40) << 32 | row[1] & 0xFFFFFFFF
        case 2:
            row[1] = row[1] & ~0xFFFFFFFF | chance.choice((0, 1, 2, 3, 4, 10, word(chance)))
        case 3:
            rows.append(list(row))
        case _:
            rows.remove(row)
    return b"".join(struct.pack(order + "QQ", *each) for each in rows)


def _change_table(image: Image, chance: random.Random) -> None:
    """Change a header, or which sections there are."""
    sections = image.sections
    section = chance.choice(sections)
    match chance.randrange(12):
        case 0:
            section.name = chance.choice(sections).name
        case 1:
            section.name = (section.name + chance.choice((1, 2, 3, 4, 5))) & 0xFFFFFFFF
        case 2:
            section.type = chance.choice(_TYPES)
        case 3:
            section.flags = chance.choice(_FLAGS)
        case 4:
            section.size = wide(chance)
        case 5:
            section.offset = wide(chance)
        case 6:
            section.link = chance.choice((chance.randrange(len(sections) + 1), word(chance)))
        case 7:
            section.info = chance.choice((chance.randrange(len(sections) + 1), word(chance)))
        case 8:
            section.entsize = chance.choice((0, 1, 8, 16, 24, wide(chance)))
        case 9 if len(sections) < 100:
            sections.append(
                Section(section.name, section.type, section.flags, 0, section.link, section.info, 8, 0, section.data)
            )
        case 10:
            other = chance.choice(sections)
            section.data, other.data = other.data, section.data
        case _:
            at = chance.choice((16, 18, 5, 62, 58, 0x30))
            image.head[at] = chance.choice((0, 1, 2, image.head[at] ^ 1, chance.getrandbits(8)))
