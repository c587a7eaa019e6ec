"""From names to file offsets, over ELF files made here byte by byte."""

from __future__ import annotations

import contextlib
import os
import random
import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from attrs import field, frozen

from aiobpf.errors import BpfError, ElfError, KernelError, NotSupportedError, SpecError, UnresolvedSymbolError
from aiobpf.link.near import near_matches
from aiobpf.link.uprobe_symbols import absolute_offset, function_offset

if TYPE_CHECKING:
    from pathlib import Path

Put = Callable[..., str]
FUNC, IFUNC, OBJECT = 2, 10, 1
GLOBAL, WEAK = 1, 2
HIDDEN = 0x8000
BASE = 0x400000
TEXT_OFFSET = 0x1000


@frozen
class Sym:
    name: str
    address: int
    type: int = FUNC
    binding: int = GLOBAL
    section: int = 1
    version: int = 1


@frozen
class Elf:
    """An ELF file: one segment that puts file offset 0x1000 at address 0x401000 + *bias*."""

    dynamic: tuple[Sym, ...] = ()
    static: tuple[Sym, ...] = ()
    versions: tuple[str, ...] = field(default=())
    endian: str = "<"
    bits: int = 64
    type: int = 3
    extra: tuple[tuple[str, bytes], ...] = ()

    def build(self) -> bytes:
        sections: list[tuple[str, int, bytes, int, int]] = [("", 0, b"", 0, 0), (".text", 1, bytes(0x100), 0, 0)]
        if self.dynamic:
            strings, table = self._symbols(self.dynamic)
            sections += [(".dynsym", 11, table, len(sections) + 1, 1), (".dynstr", 3, strings, 0, 0)]
            numbers = struct.pack(f"{self.endian}{len(self.dynamic) + 1}H", 0, *(s.version for s in self.dynamic))
            sections.append((".gnu.version", 0x6FFFFFFF, numbers, 2, 0))
            if self.versions:
                names = b"\0" + b"".join(v.encode() + b"\0" for v in self.versions)
                data, at = b"", 1
                for number, version in enumerate(self.versions):
                    last = number == len(self.versions) - 1
                    data += struct.pack(f"{self.endian}HHHHIII", 1, 0, number + 2, 1, 0, 20, 0 if last else 28)
                    data += struct.pack(f"{self.endian}II", at, 0)
                    at += len(version) + 1
                link = len(sections) + 1
                sections += [
                    (".gnu.version_d", 0x6FFFFFFD, data, link, len(self.versions)),
                    (".verstr", 3, names, 0, 0),
                ]
        if self.static:
            strings, table = self._symbols(self.static)
            sections += [(".symtab", 2, table, len(sections) + 1, 1), (".strtab", 3, strings, 0, 0)]
        sections += [(name, 1, data, 0, 0) for name, data in self.extra]
        sections.append((".shstrtab", 3, b"", 0, 0))
        names, offsets = b"", []
        for name, *_ in sections:
            offsets.append(len(names))
            names += name.encode() + b"\0"
        sections[-1] = (".shstrtab", 3, names, 0, 0)
        body, headers = b"", b""
        for (_name, kind, data, link, info), name_offset in zip(sections, offsets, strict=True):
            code = "IIQQQQIIQQ" if self.bits == 64 else "10I"
            place = TEXT_OFFSET + len(body)
            headers += struct.pack(self.endian + code, name_offset, kind, 0, 0, place, len(data), link, info, 1, 0)
            body += data
        head = b"\x7fELF" + bytes([2 if self.bits == 64 else 1, 1 if self.endian == "<" else 2, 1]) + bytes(9)
        header_size = 64 if self.bits == 64 else 52
        size = TEXT_OFFSET + len(body)
        address = "Q" if self.bits == 64 else "I"
        head += struct.pack(
            f"{self.endian}HHI3{address}I6H",
            *(self.type, 62, 1, 0, header_size, size, 0),
            *(header_size, 56 if self.bits == 64 else 32, 1, 64 if self.bits == 64 else 40, len(sections)),
            len(sections) - 1,
        )
        if self.bits == 64:
            segment = struct.pack(
                self.endian + "IIQQQQQQ", 1, 5, TEXT_OFFSET, BASE + TEXT_OFFSET, 0, len(body), len(body), 0x1000
            )
        else:
            segment = struct.pack(
                self.endian + "8I", 1, TEXT_OFFSET, BASE + TEXT_OFFSET, 0, len(body), len(body), 5, 0x1000
            )
        return (head + segment).ljust(TEXT_OFFSET, b"\0") + body + headers

    def _symbols(self, symbols: tuple[Sym, ...]) -> tuple[bytes, bytes]:
        strings = b"\0"
        table = bytes(24 if self.bits == 64 else 16)
        for symbol in symbols:
            info = symbol.binding << 4 | symbol.type
            if self.bits == 64:
                table += struct.pack(f"{self.endian}IBBHQQ", len(strings), info, 0, symbol.section, symbol.address, 8)
            else:
                table += struct.pack(f"{self.endian}IIIBBH", len(strings), symbol.address, 8, info, 0, symbol.section)
            strings += symbol.name.encode() + b"\0"
        return strings, table


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def write(elf: Elf | bytes, name: str = "binary") -> str:
        path = tmp_path / name
        path.write_bytes(elf if isinstance(elf, bytes) else elf.build())
        return str(path)

    return write


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("bits", [64, 32])
def test_an_address_becomes_an_offset_through_its_segment(put: Put, endian: str, bits: int) -> None:
    path = put(Elf(dynamic=(Sym("work", BASE + 0x1040),), endian=endian, bits=bits))
    assert function_offset(path, "work") == 0x1040
    assert function_offset(path, "work", 4) == 0x1044


def test_the_dynamic_table_comes_first_and_the_static_one_has_the_rest(put: Put) -> None:
    path = put(
        Elf(dynamic=(Sym("both", BASE + 0x1010),), static=(Sym("both", BASE + 0x1020), Sym("own", BASE + 0x1030)))
    )
    assert function_offset(path, "both") == 0x1010
    assert function_offset(path, "own") == 0x1030


def test_a_name_that_is_the_tail_of_another_is_told_apart(put: Put) -> None:
    path = put(Elf(static=(Sym("xmalloc", BASE + 0x1010), Sym("malloc", BASE + 0x1020))))
    assert function_offset(path, "malloc") == 0x1020


def test_imported_and_data_symbols_are_no_place_for_a_probe(put: Put) -> None:
    path = put(
        Elf(dynamic=(Sym("puts", BASE + 0x1010, section=0), Sym("table", BASE + 0x1020, OBJECT), Sym("zero", 0)))
    )
    for name in ("puts", "table", "zero"):
        with pytest.raises(UnresolvedSymbolError, match=name):
            function_offset(path, name)


def test_a_plain_name_is_the_default_version(put: Put) -> None:
    path = put(
        Elf(
            dynamic=(Sym("f", BASE + 0x1010, version=2 | HIDDEN), Sym("f", BASE + 0x1020, version=3)),
            versions=("V_1", "V_2"),
        )
    )
    assert function_offset(path, "f") == 0x1020
    assert function_offset(path, "f@V_1") == 0x1010
    assert function_offset(path, "f@V_2") == 0x1020
    assert function_offset(path, "f@@V_2") == 0x1020
    for wrong in ("f@@V_1", "f@V_3"):
        with pytest.raises(UnresolvedSymbolError):
            function_offset(path, wrong)


def test_a_version_written_into_a_static_name_is_found(put: Put) -> None:
    path = put(Elf(static=(Sym("f@V_1", BASE + 0x1010), Sym("f@@V_2", BASE + 0x1020))))
    assert function_offset(path, "f") == 0x1020
    assert function_offset(path, "f@V_1") == 0x1010


def test_strong_wins_over_weak_and_aliases_are_one(put: Put) -> None:
    path = put(
        Elf(static=(Sym("f", BASE + 0x1010, binding=WEAK), Sym("f", BASE + 0x1020), Sym("f", BASE + 0x1020, version=0)))
    )
    assert function_offset(path, "f") == 0x1020


def test_two_functions_of_one_name_are_ambiguous_and_said_where(put: Put) -> None:
    path = put(Elf(static=(Sym("init", BASE + 0x1010), Sym("init", BASE + 0x1020))))
    with pytest.raises(SpecError, match=r"2 functions named 'init', at 0x401010, 0x401020"):
        function_offset(path, "init")


def test_a_missing_symbol_names_its_neighbours(put: Put) -> None:
    path = put(Elf(static=(Sym("readline", BASE + 0x1010), Sym("unrelated", BASE + 0x1020))))
    with pytest.raises(UnresolvedSymbolError, match="has no function 'readlin'; near: readline") as error:
        function_offset(path, "readlin")
    assert error.value.symbol == "readlin"


def test_a_stripped_binary_is_said_to_be_stripped(put: Put) -> None:
    with pytest.raises(UnresolvedSymbolError, match="stripped"):
        function_offset(put(Elf()), "main")


def test_a_stripped_binary_is_looked_up_in_its_debug_file(put: Put) -> None:
    debug = Elf(static=(Sym("hidden", BASE + 0x1050),))
    put(debug, "binary.debug")
    link = b"binary.debug\0\0\0\0" + struct.pack("<I", zlib.crc32(debug.build()))
    path = put(Elf(extra=((".gnu_debuglink", link),)))
    assert function_offset(path, "hidden") == 0x1050
    with pytest.raises(UnresolvedSymbolError):
        function_offset(path, "absent")


def test_the_debug_file_of_another_build_is_passed_over(put: Put) -> None:
    put(Elf(static=(Sym("hidden", BASE + 0x1050),)), "binary.debug")
    path = put(Elf(extra=((".gnu_debuglink", b"binary.debug\0\0\0\0\1\2\3\4"),)))
    with pytest.raises(UnresolvedSymbolError):
        function_offset(path, "hidden")


def test_a_debug_link_to_itself_or_to_nothing_is_passed_over(put: Put) -> None:
    for target in (b"binary\0", b"absent\0", b"../binary\0", b"\0"):
        with pytest.raises(UnresolvedSymbolError):
            function_offset(put(Elf(extra=((".gnu_debuglink", target),))), "f")


def test_an_ifunc_that_is_not_loaded_here_is_refused_with_a_way_out(put: Put) -> None:
    path = put(Elf(dynamic=(Sym("copy", BASE + 0x1010, IFUNC), Sym("__copy_avx", BASE + 0x1020))))
    with pytest.raises(NotSupportedError, match=r"IFUNC.*Implementations: __copy_avx"):
        function_offset(path, "copy")


def test_a_symbol_outside_every_segment_is_an_error(put: Put) -> None:
    with pytest.raises(ElfError, match="no segment"):
        function_offset(put(Elf(static=(Sym("far", 0x10),))), "far")


def test_an_offset_is_checked_against_the_file(put: Put) -> None:
    path = put(Elf())
    absolute_offset(path, 0x1000)
    with pytest.raises(SpecError, match="nothing is at offset 0x100000"):
        absolute_offset(path, 0x100000)


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"", "empty|not an ELF"), (b"#!/bin/sh\n", "not an ELF file"), (b"\x7fELF", "broken ELF header")],
)
def test_what_is_no_elf_is_said_to_be_none(put: Put, data: bytes, said: str) -> None:
    with pytest.raises(ElfError, match=said):
        function_offset(put(data), "f")


def test_an_object_file_is_no_place_for_a_probe(put: Put) -> None:
    with pytest.raises(ElfError, match="neither an executable nor a library"):
        function_offset(put(Elf(type=1)), "f")


def test_missing_files_directories_and_pipes_are_named(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match="nonesuch") as error:
        function_offset(str(tmp_path / "nonesuch"), "f")
    assert error.value.errno == 2
    with pytest.raises(ElfError, match="no regular file"):
        function_offset(str(tmp_path), "f")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ElfError, match="no regular file"):
        function_offset(str(tmp_path / "pipe"), "f")


def test_damage_anywhere_gives_an_offset_or_a_named_error(put: Put) -> None:
    """Every truncation, and bytes changed at random: an answer or a BpfError."""
    dynamic = (Sym("f", BASE + 0x1010, version=2 | HIDDEN), Sym("f", BASE + 0x1020, version=3))
    whole = Elf(
        dynamic=dynamic, static=(Sym("g", BASE + 0x1030),), versions=("V_1", "V_2"),
        extra=((".note.gnu.build-id", struct.pack("<III4s4s", 4, 4, 3, b"GNU\0", b"\1\2\3\4")),),
    ).build()  # fmt: skip
    chance = random.Random(7)
    interesting = [*range(64), *range(64, 120), *range(TEXT_OFFSET + 0x100, len(whole))]
    cases = [whole[:size] for size in range(0, len(whole), 37)]
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.choice(interesting)] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
        cases.append(bytes(damaged))
    for case in cases:
        path = put(case)
        for name in ("f@V_1", "g", "absent"):
            with contextlib.suppress(BpfError):
                assert function_offset(path, name) >= 0


def test_near_matches_are_quick_for_many_names() -> None:
    names = {f"some_kernel_function_{i}" for i in range(100_000)} | {"vfs_read"}
    assert near_matches("vfs_raed", names)[0] == "vfs_read"
