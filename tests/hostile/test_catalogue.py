"""What has broken libbpf, libelf and their users, each as a file: a named error, or an answer, at once.

The references are commits and issues of libbpf (as peers.md 6.3 lists them), where the input once crashed, hung or read
out of bounds. Every vector is one object of this project with one thing changed.
"""

from __future__ import annotations

import struct
from array import array
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from attrs import frozen

from aiobpf.btf.words import kind_of
from aiobpf.cli.commands import main
from aiobpf.elf import read_spec
from aiobpf.elf.file import SHT_NOBITS
from aiobpf.errors import BtfError, ElfError
from tests.fuzz.btf_targets import touch
from tests.fuzz.limits import bounded
from tests.fuzz.mutate_elf import Image as ElfImage
from tests.fuzz.object_targets import read_object
from tests.hostile.patch import (
    Patch,
    find_section,
    patched,
    read,
    with_btf,
    with_name,
    with_section,
    with_symbol_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from aiobpf.btf import Type
    from tests.fuzz.mutate_btf import Image as BtfImage

INT, PTR, ARRAY, STRUCT, TYPEDEF, FUNC, PROTO, VAR, DATASEC = 1, 2, 3, 4, 8, 12, 13, 14, 15


@frozen
class Vector:
    """One input: what it is, where it broke something, how it is made, and what must be said about it.

    *match* is of the error that reading gives; None where the object reads and only what is asked of it is refused.
    """

    name: str
    reference: str
    make: Callable[[], bytes]
    match: str | None


def change_type(kind: int, place: int, number: int) -> Callable[[BtfImage], None]:
    """Word *place* of every type of that kind becomes *number*; from the end where *place* is negative."""

    def change(image: BtfImage) -> None:
        for words in image.types:
            if kind_of(words) == kind:
                words[place] = number

    return change


def btf_header(**fields: int) -> Callable[[], bytes]:
    """globals.bpf.o with other numbers in the header of its .BTF."""
    places = {"type_off": 8, "type_len": 12, "str_off": 16, "str_len": 20}

    def changed(content: bytes) -> bytes:
        made = bytearray(content)
        for field, value in fields.items():
            struct.pack_into("<I", made, places[field], value)
        return bytes(made)

    return lambda: with_section(read("globals"), ".BTF", changed)


def header_bytes(offset: int, value: bytes) -> Callable[[], bytes]:
    def make() -> bytes:
        data = bytearray(read("globals"))
        data[offset : offset + len(value)] = value
        return bytes(data)

    return make


def typed(name: str, kind: int, place: int, number: int) -> Callable[[], bytes]:
    return lambda: with_btf(read(name), change_type(kind, place, number))


def put(name: str, change: Callable[[Patch], Patch]) -> Callable[[], bytes]:
    return lambda: bytes(change(patched(name)).data)


def ext_words(*changes: tuple[int, int]) -> Callable[[], bytes]:
    """core.bpf.o with other words in its .BTF.ext."""

    def changed(content: bytes) -> bytes:
        made = bytearray(content)
        for place, number in changes:
            struct.pack_into("<I", made, place, number)
        return bytes(made)

    return lambda: with_section(read("core"), ".BTF.ext", changed)


def ext_record_size(size: int) -> Callable[[], bytes]:
    """core.bpf.o whose CO-RE relocations are said to have records of *size* bytes."""

    def changed(content: bytes) -> bytes:
        made = bytearray(content)
        length, (at,) = struct.unpack_from("<I", made, 4)[0], struct.unpack_from("<I", made, 24)
        struct.pack_into("<I", made, length + at, size)
        return bytes(made)

    return lambda: with_section(read("core"), ".BTF.ext", changed)


def empty(name: str, *sections: str) -> Callable[[], bytes]:
    def make() -> bytes:
        data = read(name)
        for section in sections:
            data = with_section(data, section, b"")
        return data

    return make


def no_symbols_in(name: str, section: str) -> bytes:
    """The object without the symbols of that section."""
    patch = patched(name)
    number = patch.section(section)
    symtab = patch.file.sections[patch.section(".symtab")]
    for at in range(symtab.offset, symtab.offset + symtab.size, 24):
        if struct.unpack_from("<H", patch.data, at + 6)[0] == number:
            struct.pack_into("<H", patch.data, at + 6, 0xFFF1)
    return bytes(patch.data)


def split_base(ext: bytes) -> bytes:
    """An object with a .BTF.base as well, and *ext* for .BTF.ext."""
    image = ElfImage(with_section(read("core"), ".BTF.ext", ext))
    addrsig = find_section(image, ".llvm_addrsig")
    addrsig.type, addrsig.data = 1, find_section(image, ".BTF").data
    return with_name(image.encode(), ".llvm_addrsig", b".BTF.base")


def depth(count: int) -> Callable[[BtfImage], None]:
    """A chain of *count* typedefs behind every variable of a data section."""

    def change(image: BtfImage) -> None:
        first = len(image.types) + 1
        for number in range(count):
            image.types.append(array("I", [0, TYPEDEF << 24, first + number + 1]))
        image.types.append(array("I", [1, INT << 24, 4, 32]))
        for words in image.types:
            if kind_of(words) == VAR:
                words[2] = first

    return change


def typedef_of_itself(image: BtfImage) -> None:
    image.types.append(array("I", [1, TYPEDEF << 24, len(image.types) + 1]))
    for words in image.types:
        if kind_of(words) == VAR:
            words[2] = len(image.types)


def struct_in_itself(image: BtfImage) -> None:
    for number, words in enumerate(image.types, 1):
        if kind_of(words) == STRUCT and len(words) > 3:
            words[4] = number  # the type of its first member


VECTORS = (
    # --- BTF header
    Vector(
        "btf header only", "#390, 19d260d1", btf_header(type_len=0xFFFF), "type section of 65535 bytes .* ends past"
    ),
    Vector(
        "btf of 24 bytes",
        "#390, 19d260d1",
        lambda: with_section(read("globals"), ".BTF", lambda all_: all_[:24]),
        "ends past the file's 24 bytes",
    ),
    Vector("btf header sums that overflow", "#390", btf_header(type_off=0xFFFFFFFC, type_len=8), "ends past the file"),
    Vector("btf string sums that overflow", "#390", btf_header(str_off=0xFFFFFFFF, str_len=2), "ends past the file"),
    # --- section numbers
    Vector("no number of sections", "#481, oss-fuzz 40868", header_bytes(60, b"\0\0"), "section names are in section"),
    Vector(
        "names of sections in none",
        "#481, oss-fuzz 40957",
        header_bytes(62, b"\xf0\xff"),
        "section names are in section 65520, of",
    ),
    Vector(
        "names of sections by extension", "74127751", header_bytes(62, b"\xff\xff"), "section names are in section 0"
    ),
    # --- what types refer to
    Vector("btf name past the strings", "#482, 2dbdd3b5", typed("globals", INT, 0, 1 << 24), "past the strings"),
    Vector(
        "btf member's name past the strings",
        "#483, 2dbdd3b5",
        typed("map_kinds", STRUCT, 3, 1 << 24),
        "is past the end of the strings",
    ),
    Vector(
        "btf variable of a type past the end",
        "#484, 2dbdd3b5",
        typed("globals", VAR, 2, 1 << 24),
        r"there is no type \[16777216\]",
    ),
    Vector(
        "btf function of no prototype",
        "#485, 2f52e2af",
        typed("subprograms", FUNC, 2, 1),
        "function 'hidden' has for type the PTR '', not a prototype",
    ),
    Vector("btf section of what is no variable", "#613, 2f52e2af", typed("globals", DATASEC, 3, 1), "is no variable"),
    Vector("btf section of what is not there", "#617", typed("globals", DATASEC, 3, 1 << 24), "there is no type"),
    Vector("btf array with a bad index", "#618", typed("globals", ARRAY, 4, 1 << 24), None),
    Vector(
        "btf array with bad elements",
        "#619",
        typed("map_kinds", ARRAY, 3, 1 << 24),
        r"map 'outer_array': there is no type",
    ),
    # --- types without end
    Vector("typedef of itself", "not validated by libbpf", lambda: with_btf(read("globals"), typedef_of_itself), None),
    Vector("struct in itself", "not validated by libbpf", lambda: with_btf(read("core"), struct_in_itself), None),
    Vector("100,000 typedefs deep", "not validated by libbpf", lambda: with_btf(read("globals"), depth(100_000)), None),
    # --- symbols and relocations
    Vector(
        "relocations without their section",
        "#634",
        put("subprograms", lambda patch: patch.set_section(".reltc", info=99)),
        "refers to section 99",
    ),
    Vector(
        "relocations for section 0",
        "#634, 8e706ddc",
        put("subprograms", lambda patch: patch.set_section(".reltc", info=0)),
        "refers to section 0, which is none",
    ),
    Vector(
        "function without a name", "#634", put("subprograms", lambda patch: patch.set_symbol("loops", name=0)), None
    ),
    Vector("variable without a name", "#634", put("globals", lambda patch: patch.set_symbol("limits", name=0)), None),
    Vector(
        "license without bytes",
        "8e706ddc",
        put("globals", lambda patch: patch.set_section("license", type=SHT_NOBITS)),
        None,
    ),
    Vector(
        "license without its nul", "8e706ddc", put("globals", lambda patch: patch.set_section("license", size=4)), None
    ),
    Vector(
        "variable whose end wraps",
        "#737, #898, CVE-2025-29481",
        put("globals", lambda patch: patch.set_symbol("limits", value=(1 << 64) - 72, size=104)),
        "variable 'limits'.*past the end",
    ),
    Vector(
        "function whose end wraps",
        "#737",
        put("subprograms", lambda patch: patch.set_symbol("loops", value=(1 << 64) - 8, size=16)),
        "function 'loops'.*past the section",
    ),
    Vector(
        "map whose end wraps",
        "#898",
        put("map_kinds", lambda patch: patch.set_symbol("lru", value=(1 << 64) - 8, size=16)),
        "map 'lru'.*past the end",
    ),
    Vector(
        "symbols of size 0", "36cc591a", put("globals", lambda patch: patch.set_section(".symtab", entsize=0)), None
    ),
    Vector(
        "relocations of size 0",
        "738277b7",
        put("subprograms", lambda patch: patch.set_section(".reltc", entsize=0)),
        None,
    ),
    Vector(
        "symbols of size 0, half a one",
        "36cc591a",
        put("globals", lambda patch: patch.set_section(".symtab", entsize=0, size=12)),
        "no multiple of 24",
    ),
    # --- sections without bytes
    Vector(
        "btf without bytes",
        "a383b3e2",
        put("globals", lambda patch: patch.set_section(".BTF", type=SHT_NOBITS)),
        r"'\.BTF' has no bytes",
    ),
    Vector(
        "ext infos without bytes",
        "a383b3e2",
        put("globals", lambda patch: patch.set_section(".BTF.ext", type=SHT_NOBITS)),
        r"'\.BTF\.ext' has no bytes",
    ),
    Vector("legacy maps without symbols", "0f15f884", lambda: no_symbols_in("legacy_maps", "maps"), "has no symbols"),
    Vector(
        "maps without their section of types",
        "0f15f884",
        lambda: with_btf(read("map_kinds"), change_type(DATASEC, 0, 0)),
        r"describes section '\.maps' 0 times",
    ),
    Vector(
        "maps without symbols", "0f15f884", lambda: no_symbols_in("map_kinds", ".maps"), "no map begins there|no map"
    ),
    Vector(
        "code of half an instruction",
        "1aedc35d",
        put("subprograms", lambda patch: patch.set_section("tc", size=12)),
        "multiple of 8",
    ),
    Vector(
        "function past its section",
        "1aedc35d",
        put("subprograms", lambda patch: patch.set_symbol("loops", size=1 << 40)),
        "function 'loops'.*past the section",
    ),
    Vector("symbols of nothing", "c008eb92", empty("globals", ".symtab"), None),
    Vector("license of nothing", "c008eb92", empty("globals", "license"), None),
    Vector("data of nothing", "c008eb92", empty("globals", ".data", ".rodata"), "past the end|holds no map"),
    Vector("maps of nothing", "c008eb92", empty("map_kinds", ".maps"), "past the end"),
    Vector("btf of nothing", "c008eb92", empty("globals", ".BTF"), "needs 24 bytes, found 0"),
    Vector("ext infos of nothing", "c008eb92", empty("globals", ".BTF.ext"), "needs|claims|ext"),
    # --- .BTF.ext
    Vector("co-re lengths that lie", "71208c33, oss-fuzz 388905046", ext_words((28, 1 << 20)), "ends past the section"),
    Vector("co-re offset that lies", "71208c33", ext_words((24, 0xFFFFFFF8)), "ends past the section"),
    Vector("co-re records of no size", "71208c33", ext_record_size(0), "records of 0 bytes"),
    Vector("co-re records of 3 bytes", "71208c33", ext_record_size(3), "records of 3 bytes"),
    Vector("co-re records of 18 bytes", "71208c33", ext_record_size(18), "records of 18 bytes"),
    Vector("co-re records of 4 GiB", "71208c33", ext_record_size(0xFFFFFFFC), "claim 1?[0-9]* records of 4294967292"),
    Vector("ext infos broken beside a base", "b99e1ad7", lambda: split_base(bytes(64)), "BTF.ext"),
    # --- arenas
    Vector(
        "arena variables without an arena",
        "8e59f80a",
        lambda: with_name(read("globals"), ".data", b".addr_space.1"),
        "arena|holds no map",
    ),
    # --- names
    Vector(
        "map named like a path",
        "pin traversal",
        lambda: with_symbol_name(read("map_kinds"), "lru", b"../../etc/cron.d/x"),
        "is not in the BTF",
    ),
    Vector(
        "variable name that is no utf-8",
        "names",
        lambda: with_symbol_name(read("globals"), "limits", b"\xff\xfe"),
        None,
    ),
    Vector(
        "variable name that clears the screen",
        "names",
        lambda: with_symbol_name(read("globals"), "limits", b"\x1b[2J\nx"),
        None,
    ),
    Vector(
        "function name that clears the screen",
        "names",
        lambda: with_symbol_name(read("subprograms"), "loops", b"\x1b[2J\nx"),
        None,
    ),
)


def touch_types(types: Sequence[Type]) -> None:
    """Every answer that the first types and the last have."""
    for number in (*range(min(len(types), 200)), len(types) - 1):
        with suppress(BtfError):
            touch(types[number])


EACH = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name.replace(" ", "-"))
REFUSED = pytest.mark.parametrize(
    "vector", [each for each in VECTORS if each.match], ids=lambda vector: vector.name.replace(" ", "-")
)


@EACH
def test_what_broke_others_is_refused_by_name_or_answered(vector: Vector) -> None:
    data = vector.make()
    with bounded():
        if vector.match is not None:
            with pytest.raises((ElfError, BtfError), match=vector.match):
                read_spec(data)
            return
        read_object(data)
        types = read_spec(data).types
        if types is not None:
            touch_types(types.types)


@REFUSED
@pytest.mark.parametrize("command", ["run", "inspect", "check"])
def test_the_command_line_says_so_in_one_line(
    command: str, vector: Vector, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "hostile.bpf.o"
    path.write_bytes(vector.make())
    kernel = tmp_path / "kernel.btf"
    kernel.write_bytes(find_section(ElfImage(read("core")), ".BTF").data)
    assert main([command, str(path), *(["--btf", str(kernel)] if command == "check" else [])]) == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"aiobpf: {path}: ")
    assert len(said.err.splitlines()) == 1
    assert not said.out


@pytest.mark.parametrize(
    "vector", [each for each in VECTORS if not each.match], ids=lambda vector: vector.name.replace(" ", "-")
)
def test_what_is_answered_is_shown_in_printable_words(
    vector: Vector, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "hostile.bpf.o"
    path.write_bytes(vector.make())
    for options in (["-d"], ["--json"]):
        with bounded():
            assert main(["inspect", str(path), *options]) == 0
        said = capsys.readouterr()
        assert not said.err
        assert all(each.isprintable() for each in said.out.replace("\t", " ").split("\n"))
