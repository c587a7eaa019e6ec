"""Targets that take BTF: the reader, CO-RE, values, and work on all types at once."""

from __future__ import annotations

import gzip
import lzma
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from aiobpf.asm import EMPTY, Instructions
from aiobpf.asm.instruction import make_instruction
from aiobpf.btf import (
    CORE_RELOCATION,
    Btf,
    BtfBuilder,
    CoreRelocation,
    CoreRelocationKind,
    CoreRelocator,
    alignment_of,
    codec,
    deduplicate,
    describe_relocation,
    distill_base,
    format_c,
    format_type,
    join_btfs,
    minimal_btf,
    relocate_base,
    size_of,
    strip_qualifiers,
)
from aiobpf.btf.compressed import decompressed
from aiobpf.btf.elf_section import find_section
from aiobpf.elf import read_spec
from aiobpf.elf.file import ElfFile
from aiobpf.errors import AsmError, BtfError, CodecError, CoreRelocationError
from tests.fuzz.mutate_btf import mutate_btf
from tests.fuzz.mutate_bytes import mutate_bytes, mutate_text
from tests.fuzz.mutate_code import mutate_code
from tests.fuzz.mutate_elf import mutate_elf
from tests.fuzz.target import HERE, Target, join_parts, mutate_parts, object_files, split_parts

if TYPE_CHECKING:
    from collections.abc import Iterable

_PARTS = ("target", "type", "element", "index", "return_type", "tags", "parameter_tags")
_LISTS = ("members", "variables", "parameters", "enumerators")


def btf_sections() -> list[bytes]:
    """The .BTF of each own object that has one, one byte order after the other."""
    found = []
    for data in object_files():
        file = ElfFile(data)
        section = file.find(".BTF")
        if section is not None:
            found.append(bytes(file.data(section)))
    return sorted(found, key=lambda section: section[0])


def touch(found: Any) -> None:
    """Ask one type for all that there is; each answer may be a BtfError."""
    for ask in (repr, str, format_type, format_c, size_of, alignment_of, strip_qualifiers):
        with suppress(BtfError):
            ask(found)
    for attribute in _PARTS:
        with suppress(BtfError):
            getattr(found, attribute, None)
    for attribute in _LISTS:
        with suppress(BtfError):
            for part in getattr(found, attribute, ()):
                repr(part)
                for inner in ("type", "variable", "tags", "offset"):
                    with suppress(BtfError):
                        getattr(part, inner, None)


def read_types(data: bytes) -> None:
    """A BTF, each of its types, and all of them encoded again."""
    btf = Btf.from_bytes(data)
    builder = BtfBuilder(btf.byte_order)
    for number in range(min(len(btf.types), 32)):
        with suppress(BtfError):
            found = btf.type_by_id(number)
            touch(found)
            with suppress(BtfError):
                btf.all_by_name(found.name)
                btf.candidates(found.name)
                btf.by_name(found.name)
            with suppress(BtfError):
                builder.add(found)
    with suppress(BtfError):
        Btf.from_bytes(builder.encode())


def read_file(data: bytes) -> None:
    """A file with BTF: compressed, in an ELF file, or as it is."""
    plain = decompressed(data)
    for name in (".BTF", ".BTF.base"):
        section = find_section(plain, name)
        if section is not None:
            assert len(section) <= len(plain)
            with suppress(BtfError):
                Btf.from_bytes(section)


def _file_seeds() -> Iterable[bytes]:
    for data in object_files()[:6]:
        yield data
        yield gzip.compress(data, 1, mtime=0)
        yield lzma.compress(data[:4000], preset=0)
        yield b"\x7fELF\1\1\1" + data[7:]


def read_split(data: bytes) -> None:
    """A split BTF over a base, both hostile."""
    below, above = split_parts(data, 2)
    base = Btf.from_bytes(below)
    split = Btf.from_bytes(above, base)
    first = split.first_id
    for number in (*range(min(first, 4)), *range(first, min(len(split.types), first + 16))):
        with suppress(BtfError):
            touch(split.type_by_id(number))
    with suppress(BtfError):
        alone = distill_base(split)
        assert alone.base is not None
        again = relocate_base(Btf.from_bytes(alone.raw, Btf.from_bytes(alone.base.raw)), base)
        assert len(again.types) >= first


def write_header(data: bytes) -> None:
    """All types as a C header, and the least of them that some relocations need."""
    btf = Btf.from_bytes(data)
    with suppress(BtfError):
        format_c(btf)
    count = len(btf.types)
    asked = [CoreRelocation(n, btf, "0:0", CoreRelocationKind.FIELD_EXISTS) for n in range(1, count, count // 8 + 1)]
    with suppress(BtfError, CoreRelocationError):
        small = minimal_btf([asked], btf)
        assert len(small.types) <= count


def _core_seeds() -> Iterable[bytes]:
    sections = btf_sections()
    asked = "\n".join(f"{type_id} {kind} {access}" for type_id in (1, 2, 3, 7) for kind, access in (
        (0, "0:1"), (2, "0:0:1"), (1, "0"), (4, "0:2"), (8, "0"), (10, "1"), (12, "0")))  # fmt: skip
    code = b"\xb7\1" + bytes(6) + b"\x61\x21\4\0\0\0\0\0" + b"\x18" + bytes(15) + b"\x85\0\0\0\6\0\0\0"
    for number, section in enumerate(sections):
        yield join_parts([section, section, asked.encode(), code])
        yield join_parts([section, sections[number - 1], asked.encode(), code])

    yield from _compiled_core_seeds(sections)


def _compiled_core_seeds(sections: list[bytes]) -> Iterable[bytes]:
    """What compilers ask for: an object's types and relocations, 16 at a time, each with its own instruction."""
    folder = HERE.parent / "btf" / "core_objects"
    kernel = ElfFile((folder / "kernel.bpf.o").read_bytes())
    section = kernel.find(".BTF")
    assert section is not None
    types = bytes(kernel.data(section))
    for data in [(folder / "program.bpf.o").read_bytes(), *object_files()]:
        spec = read_spec(data)
        if spec.types is None:
            continue
        found = [
            (relocation, program.instructions[index])
            for program in spec.programs.values()
            for index, relocation in program.instructions.with_key(CORE_RELOCATION)
        ]
        for start in range(0, len(found), 16):
            asked = "\n".join(f"{each.type_id} {each.kind:d} {each.access}" for each, _ in found[start : start + 16])
            code = Instructions([make_instruction(*each.fields, EMPTY) for _, each in found[start : start + 16]])
            for target in (types, spec.types.raw):
                yield join_parts([spec.types.raw, target, asked.encode(), code.encode()])


def relocate_core(data: bytes) -> None:
    """CO-RE relocations of hostile types by hostile access strings, against hostile types, applied to hostile code."""
    local, target, text, code = split_parts(data, 4)
    ours, theirs = Btf.from_bytes(local), Btf.from_bytes(target)
    with suppress(AsmError):
        instructions = Instructions.decode(code)
        relocator = CoreRelocator([theirs], byte_order=theirs.byte_order)
        for number, line in enumerate(text.decode("latin-1").split("\n")[:64]):
            first, _, rest = line.partition(" ")
            kind, _, access = rest.partition(" ")
            if not (first.isascii() and first.isdigit() and kind.isascii() and kind.isdigit() and len(line) < 2000):
                continue
            kind_number = int(kind) % (max(CoreRelocationKind) + 1)
            relocation = CoreRelocation(int(first), ours, access, CoreRelocationKind(kind_number))
            repr(relocation)
            describe_relocation(relocation)
            try:
                fixup = relocator.resolve(relocation)
                repr(fixup)
                if len(instructions):
                    fixup.apply(instructions, number % len(instructions))
            except CoreRelocationError as error:
                assert str(error)  # each names what it was about


def _record_seeds() -> Iterable[bytes]:
    for number, section in enumerate(btf_sections()):
        yield join_parts([section, bytes(range(256)), struct.pack("<8H", 0, 8, 16, 40, 64, 1, 200, number)])


def decode_records(data: bytes) -> None:
    """Records of hostile types, of any length, at any place; values as JSON, as numpy and as bytes again."""
    types, record, places = split_parts(data, 3)
    btf = Btf.from_bytes(types)
    numbers = [each for (each,) in struct.iter_unpack("<H", places[: len(places) & ~1])][:16]
    offsets, lengths = numbers[::2], numbers[1::2]
    count = min(len(offsets), len(lengths))
    for number in [1 + each % max(len(btf.types) - 1, 1) for each in numbers]:
        try:
            found = btf.type_by_id(number)
            one = codec(found, byte_order=btf.byte_order)
        except (BtfError, CodecError):
            continue
        _use(one, record, offsets[:count], lengths[:count])


def _use(one: Any, record: bytes, offsets: list[int], lengths: list[int]) -> None:
    with suppress(CodecError):
        assert isinstance(one.dtype, np.dtype)  # imported above: its libraries reserve memory for each CPU
    for offset in (0, *offsets[:1]):
        with suppress(CodecError):
            value = one.decode(record, offset)
            one.jsonable(value)
            repr(value)
            with suppress(CodecError):
                one.encode(value)
    with suppress(CodecError):
        one.decode_records(record, offsets, lengths)
    with suppress(CodecError):
        one.decode_all(record)
    if lengths:
        with suppress(CodecError):
            one.decode_all(record, count=lengths[0], stride=offsets[0])


def _pair_seeds() -> Iterable[bytes]:
    sections = btf_sections()
    for number, section in enumerate(sections):
        yield join_parts([section, sections[number - 1]])


def merge_types(data: bytes) -> None:
    """Two BTFs joined, and each type kept once: the result can be read, and has nothing left to merge."""
    first, second = split_parts(data, 2)
    joined = join_btfs([Btf.from_bytes(first), Btf.from_bytes(second)]).btf
    merged = deduplicate(joined)
    assert len(merged.ids) == len(joined.types)
    assert all(number < len(merged.btf.types) for number in merged.ids)
    again = deduplicate(merged.btf)
    assert len(again.btf.types) == len(merged.btf.types)


_ACCESS = mutate_text(
    "0", "0:", ":", "0:1:2:3", "-1", "99999999999", "0:" * 200, "1 0 0:1", "2 5 0:0", "3 10 1", "4 12 0", "1 7 0",
    "4294967295 0 0", "0 0 0", "5 6 0",
)  # fmt: skip

TARGETS = (
    Target("btf", read_types, (BtfError,), btf_sections, mutate_btf),
    Target("btf_file", read_file, (BtfError,), _file_seeds, mutate_elf),
    Target("header", write_header, (BtfError,), btf_sections, mutate_btf),
    Target("split_btf", read_split, (BtfError,), _pair_seeds, mutate_parts([mutate_btf, mutate_btf])),
    Target(
        "core",
        relocate_core,
        (BtfError,),
        _core_seeds,
        mutate_parts([mutate_btf, mutate_btf, _ACCESS, mutate_code]),
    ),
    Target(
        "records", decode_records, (BtfError,), _record_seeds, mutate_parts([mutate_btf, mutate_bytes, mutate_bytes])
    ),
    Target("dedup", merge_types, (BtfError,), _pair_seeds, mutate_parts([mutate_btf, mutate_btf])),
)
