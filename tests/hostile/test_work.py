"""Small inputs that ask for much work: each ends within a second and 256 MiB, whatever it promises.

Python code cannot read out of bounds; what is left to an attacker is time and memory (peers.md 6.3, "unbounded work").
"""

from __future__ import annotations

import gzip
import struct
from array import array
from contextlib import suppress

import pytest

from aiobpf import asm
from aiobpf.asm import Instructions
from aiobpf.btf import (
    Array,
    Btf,
    BtfBuilder,
    CoreRelocation,
    CoreRelocationKind,
    CoreRelocator,
    Enum,
    Enumerator,
    Function,
    Int,
    IntEncoding,
    Member,
    Struct,
    TypeTag,
    Union,
    codec,
    deduplicate,
    format_c,
    format_type,
)
from aiobpf.btf.compressed import decompressed
from aiobpf.compatibility.reachability import Budget, Constants, Reach, Refused, reach
from aiobpf.elf import read_spec
from aiobpf.elf.file import SHF_COMPRESSED, SHT_NOBITS
from aiobpf.errors import BtfError, CodecError, CoreRelocationError, ElfError, NotSupportedError, SpecError
from aiobpf.kernel.kconfig import parse_kernel_config
from aiobpf.spec import Extern, ExternKind
from aiobpf.spec.kconfig import encode_option, parse_option
from aiobpf.verifier import Refusal
from tests.fuzz.limits import bounded
from tests.fuzz.mutate_elf import Image as ElfImage
from tests.fuzz.mutate_elf import Section
from tests.hostile.patch import Patch, add_name, find_section, patched, read, with_section

pytestmark = pytest.mark.slow  # the second is one of this machine's: left out where all takes sixteen times as long
CHAR = Int("char", 1, encoding=IntEncoding.SIGNED)
U8 = Int("unsigned char", 1)
U32 = Int("unsigned int", 4)
MANY = 0xFE00
"""Sections: as many as a header can count."""


def words(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def kind(number: int, vlen: int = 0) -> int:
    return number << 24 | vlen


def raw(types: bytes, strings: bytes = b"\0name\0") -> bytes:
    return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings)) + types + strings


# --- sections that promise much ---------------------------------------------------------------------------------------


def test_zeros_by_the_exabyte_are_a_number() -> None:
    data = patched("globals").set_section(".bss", size=1 << 60).data
    with bounded(), pytest.raises(ElfError, match="too large for a map"):
        read_spec(data)


def test_maps_without_bytes_hold_no_element_that_no_key_says() -> None:
    # The size of the section, of the map in it, and the place of its values: all promises.
    patch = patched("map_kinds").set_section(".maps", type=SHT_NOBITS, size=1 << 60)
    patch.set_symbol("outer_array", value=1 << 58, size=1 << 58)
    for row in range(4):
        patch.set_relocation(".rel.maps", row, offset=(1 << 58) + (1 << 57) + 16)
    with bounded(), pytest.raises(ElfError, match=r"map 'outer_array' has no element \d+"):
        read_spec(patch.data)


@pytest.mark.parametrize("section", [".data", ".BTF", ".BTF.ext", ".symtab", "socket", ".rodata"])
def test_what_is_compressed_is_not_unpacked(section: str) -> None:
    patch = patched("globals")
    flags = next(each.flags for each in patch.file.sections if each.name == section)
    patch.set_section(section, flags=flags | SHF_COMPRESSED)
    with bounded(), pytest.raises(ElfError, match=f"section '{section}' is compressed"):
        read_spec(patch.data)


def test_btf_in_a_compressed_file_is_unpacked_up_to_a_limit() -> None:
    packed = gzip.compress(bytes(100 << 20), 1)
    with bounded(), pytest.raises(BtfError, match="holds more than 64 MiB"):
        decompressed(packed)


def test_a_compressed_configuration_is_unpacked_up_to_a_limit() -> None:
    packed = gzip.compress(b"CONFIG_A=y\n" * (8 << 20), 1)
    with bounded():
        assert parse_kernel_config(packed) == {"CONFIG_A": "y"}


# --- 65,000 sections --------------------------------------------------------------------------------------------------


def with_sections(data: bytes, count: int, make: Section, names: bytes) -> bytes:
    """*data* with *count* sections like *make* whose names are *names*, one byte further on each."""
    image = ElfImage(data)
    first = add_name(image, names)
    made = bytearray()
    for number in range(count):
        name = first + number % len(names)
        made += struct.pack("<IIQQQQIIQQ", name, make.type, make.flags, 0, make.offset or 0, make.size or 0,
                            make.link, make.info, 1, 0)  # fmt: skip
    out = bytearray(image.encode())
    (total,) = struct.unpack_from("<H", out, 60)
    struct.pack_into("<H", out, 60, total + count)
    return bytes(out + made)


def section(kind: int, flags: int, offset: int = 0, size: int = 0) -> Section:
    return Section(0, kind, flags, 0, 0, 0, 1, 0, b"", size, offset)


def test_as_many_empty_sections_as_there_can_be() -> None:
    with bounded():
        data = with_sections(read("no_btf"), MANY, section(1, 0), b"x")
        assert read_spec(data).programs.keys() == {"advance"}


def test_one_long_name_for_all_sections() -> None:
    data = with_sections(read("no_btf"), MANY, section(1, 0), b"a" * 500_000)
    with bounded(), pytest.raises(ElfError, match="the names overlap"):
        read_spec(data)


def test_sections_that_are_all_the_same_bytes() -> None:
    data = with_sections(read("no_btf") + bytes(1 << 20), MANY, section(1, 6, 0, 1 << 20), b"a")
    with bounded(), pytest.raises(ElfError, match=r"the sections overlap: they have \d+ bytes, of a file of"):
        read_spec(data)


def test_as_many_data_sections_as_there_can_be() -> None:
    names = b"".join(b".data.%04x\0" % number for number in range(MANY))
    image = ElfImage(read("no_btf"))
    first = add_name(image, names)
    out = bytearray(image.encode())
    at = struct.unpack_from("<H", out, 60)[0]
    struct.pack_into("<H", out, 60, at + 8000)
    for number in range(8000):
        out += struct.pack("<IIQQQQIIQQ", first + 11 * number, 1, 3, 0, 64, 8, 0, 0, 1, 0)
    with bounded():
        assert len(read_spec(out).maps) == 8002  # with .rodata and .bss


def test_one_long_name_for_all_symbols() -> None:
    def many(content: bytes) -> bytes:
        return content + b"".join(struct.pack("<IBBHQQ", 200 + number, 0x10, 0, 1, 0, 0) for number in range(20_000))

    data = with_section(read("no_btf"), ".symtab", many)
    data = with_section(data, ".strtab", lambda content: content + b"a" * 500_000 + b"\0")
    with bounded(), pytest.raises(ElfError, match="the names overlap"):
        read_spec(data)


def test_maps_that_share_one_long_definition() -> None:
    """A thousand maps of one struct of ten thousand fields would be ten million fields."""
    fields = 10_000
    image = ElfImage(read("map_kinds"))
    content = find_section(image, ".BTF")
    from tests.fuzz.mutate_btf import Image as BtfImage

    types = BtfImage(content.data)
    for each in types.types:
        if each[1] >> 24 & 0x7F == 4 and len(each) > 6:
            member = each[3:6]
            each[1] = each[1] & ~0xFFFFFF | fields
            del each[3:]
            each.extend(array("I", list(member) * fields))
            break
    content.data = types.encode()
    with bounded(), pytest.raises(ElfError, match="has the field 'type' twice"):
        read_spec(image.encode())


def test_programs_that_all_call_all_functions() -> None:
    """Programs are linked with what they call: a file of 100 KB must not become a spec of gigabytes."""
    image = ElfImage(read("no_btf"))
    code = next(each for each in image.sections if each.flags & 4 and each.data and image.name_of(each) != b".text")
    count = 3000
    # Each function: call the next, return.
    call = b"\x85\x10\0\0" + struct.pack("<i", 1)
    code.data = (call + b"\x95" + bytes(7)) * count
    symtab = find_section(image, ".symtab")
    strings = find_section(image, ".strtab")
    number = image.sections.index(code)
    rows = bytearray(24)
    for index in range(count):
        name = len(strings.data)
        strings.data += b"f%d\0" % index
        rows += struct.pack("<IBBHQQ", name, 0x12, 0, number, index * 16, 16)
    symtab.data = bytes(rows)
    for each in image.sections:
        if each.type == 9:
            each.type = 1
    # The last one calls past the end: make it a jump over nothing.
    code.data = code.data[:-16] + b"\xb7" + bytes(7) + b"\x95" + bytes(7)
    with bounded(), pytest.raises(ElfError, match=r"calls more than 1024 functions|come to more than"):
        read_spec(image.encode())


# --- types ------------------------------------------------------------------------------------------------------------


def test_16_million_members_in_a_file_of_100_bytes() -> None:
    with bounded(), pytest.raises(BtfError, match="runs past the end"):
        Btf.from_bytes(raw(words(1, kind(4, 0xFFFFFF), 4)))


def test_a_chain_of_100_000_types_is_followed_as_far_as_it_makes_sense() -> None:
    count = 100_000
    chain = b"".join([words(0, kind(2), number + 2) for number in range(count)]) + words(1, kind(1), 4, 32)
    with bounded():
        btf = Btf.from_bytes(raw(chain))
        first = btf.type_by_id(1)
        assert len(format_type(first)) < 1000
        with pytest.raises(CoreRelocationError):
            CoreRelocator([btf]).resolve(CoreRelocation(1, first, "0:0", CoreRelocationKind.FIELD_BYTE_OFFSET))


def test_names_in_text_come_to_a_few_megabytes_at_most() -> None:
    """A struct of 20,000 members, each behind 60 type tags of one name of a kilobyte: 1.2 GB of C."""
    tagged: object = U32
    for _ in range(60):
        tagged = TypeTag("t" * 1000, tagged)  # type: ignore[arg-type]
    found = Struct("large", 80_000, [Member(f"m{i}", tagged, 32 * i) for i in range(20_000)])  # type: ignore[arg-type]
    with bounded():
        assert len(format_c(found)) < 8 << 20
        assert len(repr(found)) < 1000


def test_enumerators_in_text_come_to_a_few_megabytes_at_most() -> None:
    found = Enum("large", enumerators=[Enumerator("e" * 1000, number) for number in range(20_000)])
    with bounded():
        assert len(format_c(found)) < 8 << 20


def test_an_enum_of_a_million_names_becomes_no_class() -> None:
    found = Enum("large", enumerators=[Enumerator(f"e{number}", number) for number in range(100_000)])
    with bounded():
        assert codec(found).python_type is int
        assert codec(found).decode(bytes(4)) == 0


def test_arrays_of_a_gigabyte_are_a_number() -> None:
    with bounded():
        large = codec(Array(CHAR, U32, 1 << 30))
        assert large.size == 1 << 30
        with pytest.raises(CodecError, match="too many to fill up"):
            large.decode(b"short")
        with pytest.raises(CodecError, match="4 GiB"):
            codec(Array(Array(CHAR, U32, 1 << 30), U32, 1 << 30))


def test_a_record_that_is_cut_short_becomes_no_million_objects() -> None:
    text = codec(Struct("e", 1 << 20, [Member("n", U32, 0), Member("a", Array(CHAR, U32, (1 << 20) - 4), 32)]))
    found = Struct("e", 1 << 20, [Member("n", U32, 0), Member("a", Array(U32, U32, (1 << 18) - 1), 32)])
    with bounded():
        assert text.decode(b"\1\0\0\0abc").a == "abc"  # a large buffer of which little was sent
        with pytest.raises(CodecError, match="too many to fill up"):
            codec(found).decode(bytes(8))
        with pytest.raises(CodecError):
            codec(found).decode_records(bytes(64), [0, 8, 16], [8, 8, 8])


@pytest.mark.parametrize(
    ("offsets", "lengths"),
    [([0], [1 << 40]), ([1 << 40], [8]), ([0, 60], [8, 8]), ([63], [0]), ([0], [0])],
)
def test_records_whose_lengths_lie_are_refused_or_cut(offsets: list[int], lengths: list[int]) -> None:
    found = codec(Struct("e", 8, [Member("a", U32, 0), Member("b", U32, 32)]))
    with bounded(), suppress(CodecError):
        values = found.decode_records(bytes(range(64)), offsets, lengths)
        assert len(values) == len(offsets)


def test_a_bit_field_past_its_struct_is_refused() -> None:
    # libbpf #928: btf_dump read behind the struct.
    with bounded(), pytest.raises(CodecError, match="ends at byte"):
        codec(Struct("s", 4, [Member("bits", U32, 30, 8)]))


def test_a_member_beyond_all_bounds_is_an_offset_and_no_access() -> None:
    # libbpf #963: btf_member_bit_offset.
    data = raw(words(1, kind(4, 1), 4, 1, 2, 0xFFFFFFF8) + words(1, kind(1), 4, 32))
    btf = Btf.from_bytes(data)
    with bounded():
        assert btf.by_name("name", Struct).members[0].bit_offset == 0xFFFFFFF8
        with pytest.raises(CodecError, match="ends at byte"):
            codec(btf.by_name("name", Struct))
        fixup = CoreRelocator([btf]).resolve(CoreRelocation(1, btf, "0:0", CoreRelocationKind.FIELD_BYTE_OFFSET))
        assert fixup.target == 0xFFFFFFF8 // 8


def test_declarations_of_one_name_with_many_definitions_take_few_rounds() -> None:
    """Each round of deduplication could find one more that is ambiguous."""
    types = b""
    count = 3000
    for number in range(count):
        # Structs of one name that refer to the declaration of the next: equal until the next are told apart.
        types += words(1 + 2 * number % 20, kind(4, 1), 8, 1, 3 * number + 2, 0)
        types += words(0, kind(2), 3 * number + 3)
        types += words(1 + 2 * (number + 1) % 20, kind(7), 0)
    with bounded():
        merged = deduplicate(Btf.from_bytes(raw(types, b"\0" + b"".join(b"%c\0" % (97 + i) for i in range(12)))))
        assert len(merged.ids) == 3 * count + 1


# --- CO-RE ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "access",
    ["-1", "", ":", "0:", ":0", "0::1", "0:-1", "0:x", "x", "0 :1", " 0", "0:1:", "0x0", "٠", "0:99999999999",
     ":".join(["0"] * 10_000), "0" * 1_000_000, "0:3", "0:2:4", "0:2:0:0"],
)  # fmt: skip
def test_access_strings_that_broke_libbpf_are_quoted(access: str) -> None:
    # 5ca5801a: "-1"; 10,000 components; an index past the array.
    found = Struct("s", 24, [Member("a", U32, 0), Member("b", U32, 32), Member("c", Array(U32, U32, 4), 64)])
    builder = BtfBuilder()
    builder.add(found)
    btf = Btf.from_bytes(builder.encode())
    with bounded(), pytest.raises(CoreRelocationError, match="byte_off relocation") as caught:
        CoreRelocator([btf]).resolve(CoreRelocation(1, found, access, CoreRelocationKind.FIELD_BYTE_OFFSET))
    assert len(str(caught.value)) < len(access) + 500


def test_many_relocations_against_many_candidates_have_one_budget() -> None:
    """20,000 structs of one name times 3,000 relocations would be 60 million comparisons."""
    theirs = Btf.from_bytes(raw(words(1, kind(4), 4) * 20_000))
    ours = Struct("name", 4 * 4000, [Member(f"m{i}", U32, 32 * i) for i in range(4000)])
    relocator = CoreRelocator([theirs])
    asked = [CoreRelocation(1, ours, f"0:{number}", CoreRelocationKind.FIELD_BYTE_OFFSET) for number in range(3000)]
    with bounded(), pytest.raises(CoreRelocationError, match=r"takes more than \d+ steps"):
        list(map(relocator.resolve, asked))


def test_many_relocations_of_an_enum_with_many_values_have_one_budget() -> None:
    values = [Enumerator(f"e{number}", number) for number in range(10_000)]
    ours, theirs = Enum("e", enumerators=values), Enum("e", enumerators=[*values[::-1]])
    builder = BtfBuilder()
    builder.add(theirs)
    relocator = CoreRelocator([Btf.from_bytes(builder.encode())])
    asked = [CoreRelocation(1, ours, str(number), CoreRelocationKind.ENUMVAL_VALUE) for number in range(10_000)]
    with bounded(), pytest.raises(CoreRelocationError, match=r"takes more than \d+ steps"):
        list(map(relocator.resolve, asked))


# --- texts ------------------------------------------------------------------------------------------------------------


def option(size: int = 8, count: int = 8) -> Extern:
    return Extern("CONFIG_X", ExternKind.KCONFIG, is_weak=False, type=Array(CHAR, U32, count), size=size)


def test_a_lone_quote_in_a_configuration_is_refused() -> None:
    # 82f60c9b read before the string.
    with bounded(), pytest.raises(SpecError, match='CONFIG_X=": a string without its closing quote'):
        parse_option("CONFIG_X", '"')


def test_a_string_longer_than_its_extern_is_cut_with_its_nul() -> None:
    with bounded():
        value = parse_option("CONFIG_X", '"' + "a" * 5000 + '"')
        assert encode_option(option(), value, "little") == b"aaaaaaa\0"


@pytest.mark.parametrize("text", ["yes", "Y", "mm", "", "0x", "1_0", "--1", "1e3", "9" * 5000])
def test_a_value_that_is_none_is_refused(text: str) -> None:
    with bounded(), pytest.raises(SpecError, match="CONFIG_X"):
        encode_option(option(), parse_option("CONFIG_X", text), "little")


def test_a_configuration_line_of_a_megabyte_is_one_value() -> None:
    line = b'CONFIG_X="' + b"a" * (1 << 20) + b'"\nCONFIG_Y=y\n' + b"CONFIG_Z=" + b"9" * (1 << 20)
    with bounded():
        options = parse_kernel_config(line)
        assert options["CONFIG_Y"] == "y"
        with pytest.raises(SpecError) as caught:
            parse_option("CONFIG_Z", options["CONFIG_Z"])
        assert len(str(caught.value)) < 300


def test_a_configuration_that_is_no_gzip_file_is_refused() -> None:
    with bounded(), pytest.raises(NotSupportedError):
        parse_kernel_config(b"\x1f\x8b" + bytes(100))


def test_a_verifier_log_of_ten_megabytes_is_read_from_its_end() -> None:
    log = (
        "\n".join(f"{number}: (b7) r0 = 0 ; R0_w=0" for number in range(300_000)) + "\nR1 invalid mem access 'scalar'\n"
    )
    with bounded():
        refusal = Refusal(log)
        assert "R1 invalid mem access" in refusal.verdict.reason
        assert len(refusal.explain()) < 1 << 20


def test_source_lines_of_a_megabyte_are_cut() -> None:
    """Each instruction with another line of source, of a megabyte, which all share the same bytes."""
    data = read("rejected")
    patch = Patch(data)
    file = patch.file
    btf = bytes(file.data(file.sections[patch.section(".BTF")]))
    size = struct.unpack_from("<I", btf, 20)[0]
    long = bytearray(btf + b"a" * (1 << 20) + b"\0")
    struct.pack_into("<I", long, 20, size + (1 << 20) + 1)

    def lines(content: bytes) -> bytes:
        made = bytearray(content)
        length, _, _, start, _ = struct.unpack_from("<5I", made, 4)
        at = length + start + 4
        number = 0
        while at + 8 <= len(made):
            _, count = struct.unpack_from("<II", made, at)
            at += 8
            for _ in range(count):
                if at + 16 > len(made):
                    return bytes(made)
                struct.pack_into("<I", made, at + 8, size + number)
                number += 1
                at += 16
        return bytes(made)

    data = with_section(with_section(data, ".BTF", bytes(long)), ".BTF.ext", lines)
    with bounded():
        for program in read_spec(data).programs.values():
            assert len(str(program.instructions)) < 1 << 20


def test_unions_that_double_at_every_level_are_refused() -> None:
    """Each is four bytes; as JSON, with all its alternatives, it would be 33 million parts."""
    found: Union | Int = U32
    for level in range(25):
        found = Union(f"u{level}", 4, [Member("a", found, 0), Member("b", found, 0)])
    with bounded(), pytest.raises(CodecError, match="overlap too much"):
        codec(found)


def test_functions_of_one_long_prototype_cost_no_more_than_they_are() -> None:
    functions = words(1, kind(12), 1) * 20_000
    with bounded():
        with pytest.raises(BtfError, match="a function of 20000 parameters"):
            Btf.from_bytes(raw(words(0, kind(13, 20_000), 0) + words(1, 0) * 20_000 + functions)).type_by_id(1)
        btf = Btf.from_bytes(raw(words(0, kind(13, 1000), 0) + words(1, 0) * 1000 + functions))
        assert not any(each.parameter_tags for each in btf.all_by_name("name", Function))


def test_a_program_that_loops_without_end_is_walked_for_a_while() -> None:
    """A check follows the constants of a program; this one counts to 2**64, in three thousand places."""
    body = [asm.add(asm.R1, 1), asm.jeq(asm.R1, 7, 1), asm.ja(-3)]
    code = Instructions([asm.mov(asm.R1, 0), *body * 3000, asm.call_helper(1), asm.exit_()])
    last = code.slot_count - 2
    with bounded():
        assert reach(code, Constants(refused={last: Refused()}))[last] in Reach


def test_many_programs_are_walked_within_one_budget() -> None:
    budget = Budget()
    for _ in range(100):
        budget.spend(budget.share)
    code = Instructions([asm.mov(asm.R1, 0), asm.call_helper(1), asm.exit_()])
    assert reach(code, Constants(refused={1: Refused()}), budget) == {1: Reach.UNDECIDED}
    assert reach(code, Constants(refused={1: Refused()}), Budget()) == {1: Reach.CERTAIN}
