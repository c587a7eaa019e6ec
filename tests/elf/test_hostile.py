"""Files that lie: each gives an error that names what is wrong, at once and without taking memory.

The vectors are those that have broken libelf's and libbpf's users (peers.md 6.3). Each changes one thing in a good
object.
"""

from __future__ import annotations

import struct
import time
import tracemalloc
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiobpf.elf import read_spec
from aiobpf.elf.file import SHT_NOBITS, SHT_PROGBITS, SHT_RELA, ElfFile
from aiobpf.errors import BpfError, BtfError, ElfError
from tests.hostile.patch import SYMBOL, Patch

if TYPE_CHECKING:
    from pathlib import Path

BUDGET_S = 2.0


@pytest.fixture
def globals_(objects: Path) -> Patch:
    return Patch((objects / "globals.bpf.o").read_bytes())


@pytest.fixture
def maps(objects: Path) -> Patch:
    return Patch((objects / "map_kinds.bpf.o").read_bytes())


@pytest.fixture
def calls(objects: Path) -> Patch:
    return Patch((objects / "subprograms.bpf.o").read_bytes())


@pytest.fixture
def legacy(objects: Path) -> Patch:
    return Patch((objects / "legacy_maps.bpf.o").read_bytes())


def refused(patch: Patch, match: str) -> None:
    with pytest.raises(ElfError, match=match):
        patch.read()


# --- the header -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "value", "match"),
    [
        (0, b"\x7fELG", "magic"),
        (4, b"\1", "32-bit"),
        (4, b"\3", "class 3"),
        (5, b"\3", "byte order 3"),
        (16, b"\2\0", "ET_EXEC"),
        (16, b"\x34\x12", "not ET_REL"),
        (18, b"\x3e\0", "EM_X86_64, not BPF"),
        (18, b"\xfe\xfe", "0xfefe, not BPF"),
        (40, bytes(8), "no sections"),
        (40, b"\xff" * 8, "past the end"),
        (58, b"\x20\0", "of 32 bytes"),
        (60, b"\xff\xff", "past the end"),
        (62, b"\xfe\xff", "section names are in section 65534"),
        (62, bytes(2), "section names are in section 0"),
    ],
)
def test_a_header_that_lies(globals_: Patch, offset: int, value: bytes, match: str) -> None:
    globals_.data[offset : offset + len(value)] = value
    refused(globals_, match)


def test_machine_0_is_taken_for_old_llvm(globals_: Patch) -> None:
    globals_.data[18:20] = bytes(2)
    globals_.read()


def test_extended_numbering_without_a_number(globals_: Patch) -> None:
    globals_.data[60:62] = bytes(2)  # e_shnum 0: it is in the first header, which says 0 too
    refused(globals_, "section names are in section")


def test_extended_numbering_with_too_many(globals_: Patch) -> None:
    globals_.data[60:62] = bytes(2)
    struct.pack_into("<Q", globals_.data, globals_.headers + 32, 1 << 40)
    refused(globals_, "limit")


def test_a_truncated_file_is_refused_at_every_length(objects: Path) -> None:
    data = (objects / "rejected.bpf.o").read_bytes()
    for length in range(0, len(data), 7):
        with pytest.raises((ElfError, BtfError)):
            read_spec(data[:length])


def test_the_path_is_in_the_message(tmp_path: Path) -> None:
    path = tmp_path / "broken.bpf.o"
    path.write_bytes(b"no object")
    with pytest.raises(ElfError, match=r"broken\.bpf\.o: no ELF file"):
        read_spec(path)


def test_as_many_sections_as_there_can_be_are_looked_at_in_time(objects: Path) -> None:
    data = bytearray((objects / "no_btf.bpf.o").read_bytes())
    file = ElfFile(bytes(data))
    (headers,) = struct.unpack_from("<Q", data, 40)
    moved = len(data)
    data += data[headers : headers + 64 * len(file.sections)]
    data += bytes(64 * (0xFF00 - len(file.sections)))
    struct.pack_into("<Q", data, 40, moved)
    struct.pack_into("<H", data, 60, 0xFF00)
    start = time.perf_counter()
    assert read_spec(data).programs.keys() == {"advance"}
    assert time.perf_counter() - start < BUDGET_S


# --- sections ---------------------------------------------------------------------------------------------------------


def test_a_section_past_the_end(globals_: Patch) -> None:
    refused(globals_.set_section(".data", size=1 << 31), r"section '\.data'.* past the end")


def test_a_section_whose_end_wraps(globals_: Patch) -> None:
    refused(globals_.set_section(".data", offset=(1 << 64) - 1), r"section '\.data'.* past the end")


def test_a_huge_promise_of_zeros_takes_no_memory(globals_: Patch) -> None:
    tracemalloc.start()
    refused(globals_.set_section(".bss", size=1 << 60), "too large for a map")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_a_large_bss_is_a_number_only(globals_: Patch) -> None:
    tracemalloc.start()
    globals_.set_section(".bss", size=1 << 31).read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_a_section_name_past_its_table(globals_: Patch) -> None:
    refused(globals_.set_section(".data", name=1 << 20), "table of section names")


def test_btf_without_bytes(globals_: Patch) -> None:
    refused(globals_.set_section(".BTF", type=SHT_NOBITS), r"'\.BTF' has no bytes")


def test_ext_infos_without_bytes(globals_: Patch) -> None:
    refused(globals_.set_section(".BTF.ext", type=SHT_NOBITS), r"'\.BTF\.ext' has no bytes")


def test_a_compressed_section(globals_: Patch) -> None:
    refused(globals_.set_section(".data", flags=0x800), "compressed")


def test_garbled_btf_is_a_btf_error(globals_: Patch) -> None:
    with pytest.raises(BtfError):
        globals_.set_bytes(".BTF", 0, b"\0\0").read()


def test_maps_without_btf(maps: Patch) -> None:
    refused(maps.set_section(".BTF", name=0), r"'\.maps' needs BTF.*-g")


def test_code_that_is_no_multiple_of_8(calls: Patch) -> None:
    refused(calls.set_section("tc", size=12), "multiple of 8")


def test_half_of_a_wide_load(calls: Patch) -> None:
    patch = calls.set_bytes("cgroup_skb/egress", 8, b"\x18" + bytes(7))
    refused(patch, "section 'cgroup_skb/egress'.*64-bit immediate load")


def test_ext_infos_for_a_section_that_holds_no_code(calls: Patch) -> None:
    refused(calls.set_section("tc", flags=0), "'tc', which holds no code")


def test_ext_infos_past_the_code(objects: Path) -> None:
    patch = Patch((objects / "rejected.bpf.o").read_bytes())
    size = patch.file.sections[patch.section("socket")].size
    patch.set_symbol("accepted", value=0, size=8).set_symbol("unchecked", size=8)
    refused(patch.set_section("socket", size=size - 16), r"section 'socket'.*BTF\.ext")


def test_a_version_of_odd_size(objects: Path) -> None:
    patch = Patch((objects / "sections.bpf.o").read_bytes())
    refused(patch.set_section("version", size=3), "'version' has 3 bytes")


def test_a_license_without_its_nul(globals_: Patch) -> None:
    spec = read_spec(globals_.set_section("license", size=4).data)
    assert spec.programs["sum"].license == "Dual"


def test_names_that_are_no_utf_8_can_be_printed(calls: Patch) -> None:
    at = bytes(calls.data).index(b"\0tc\0") + 1
    calls.data[at] = 0xFF
    with pytest.raises(ElfError) as caught:  # the ext infos speak of "tc"
        calls.read()
    assert str(caught.value).isprintable()


# --- symbols ----------------------------------------------------------------------------------------------------------


def test_no_symbol_table(globals_: Patch) -> None:
    refused(globals_.set_section(".symtab", type=SHT_PROGBITS), "no symbol table")


def test_a_symbol_table_of_odd_size(globals_: Patch) -> None:
    refused(globals_.set_section(".symtab", size=25), r"'\.symtab'.*multiple of 24")


def test_an_entry_size_of_0_is_not_divided_by(globals_: Patch) -> None:
    globals_.set_section(".symtab", entsize=0).read()


def test_symbol_names_in_a_section_that_is_not_there(globals_: Patch) -> None:
    refused(globals_.set_section(".symtab", link=9999), "section 9999")


def test_a_symbol_name_past_the_strings(globals_: Patch) -> None:
    refused(globals_.set_symbol("limits", name=1 << 24), "no name ends after byte")


def test_a_variable_whose_end_wraps(globals_: Patch) -> None:
    # CVE-2025-29481: value + size overflowed 64 bits in libbpf
    refused(globals_.set_symbol("limits", value=0xFFFF_FFFF_FFFF_FFB8, size=104), "variable 'limits'.*past the end")


def test_a_function_past_its_section(calls: Patch) -> None:
    refused(calls.set_symbol("loops", size=1 << 40), "function 'loops' of section 'tc'")


def test_a_function_of_no_size_past_its_section(calls: Patch) -> None:
    refused(calls.set_symbol("loops", value=1 << 40, size=0), "function 'loops' of section 'tc'.*past the section")


def test_a_function_of_no_size_goes_on_to_the_next(calls: Patch) -> None:
    whole = read_spec(bytes(calls.data)).programs["first"].instructions
    assert read_spec(calls.set_symbol("first", size=0).data).programs["first"].instructions.encode() == whole.encode()


def test_an_empty_function(calls: Patch) -> None:
    end = calls.file.sections[calls.section("tc")].size
    refused(calls.set_symbol("loops", value=end, size=0), "is empty")


def test_functions_that_overlap_again_and_again(objects: Path) -> None:
    patch = Patch((objects / "sections.bpf.o").read_bytes())
    name = "on_xdp"
    size = patch.file.sections[patch.section("xdp")].size
    for other in ("on_tc", "on_egress", "on_connect", "on_getpid", "on_switch"):
        patch.set_symbol(other, section=patch.section("xdp"), value=0, size=size)
    assert patch.symbol(name)
    refused(patch, "overlap")


def test_a_function_in_the_middle_of_an_instruction(calls: Patch) -> None:
    refused(calls.set_symbol("second", value=4), "no multiples of 8")


def test_a_function_in_the_middle_of_a_wide_load(calls: Patch) -> None:
    refused(calls.set_symbol("loops", value=8, size=16), "section 'tc'")


def test_two_functions_of_one_name(objects: Path) -> None:
    patch = Patch((objects / "map_kinds.bpf.o").read_bytes())
    name = SYMBOL.unpack_from(patch.data, patch.symbol("tail_one"))[0]
    refused(patch.set_symbol("tail_two", name=name), "two functions are named 'tail_one'")


def test_two_maps_of_one_name(maps: Patch) -> None:
    name = SYMBOL.unpack_from(maps.data, maps.symbol("hash"))[0]
    refused(maps.set_symbol("lru", name=name), "two maps are named 'hash'")


def test_a_map_past_the_end(maps: Patch) -> None:
    refused(maps.set_symbol("lru", value=1 << 40), "map 'lru'.*past the end")


def test_a_map_that_btf_does_not_know(maps: Patch) -> None:
    name = SYMBOL.unpack_from(maps.data, maps.symbol("use"))[0]
    refused(maps.set_symbol("lru", name=name), "map 'use' is not in the BTF")


def test_initial_bytes_in_a_map(maps: Patch) -> None:
    refused(maps.set_bytes(".maps", 0, b"\1"), "initial values")


# --- relocations ------------------------------------------------------------------------------------------------------


def test_a_relocation_of_an_unknown_type(calls: Patch) -> None:
    refused(calls.set_relocation(".reltc", 0, type=77), "section 'tc', byte 0x0: relocation type 77.*not known")


def test_a_relocation_of_a_symbol_that_is_not_there(calls: Patch) -> None:
    refused(calls.set_relocation(".reltc", 0, symbol=1 << 20), r"'\.reltc': symbol 1048576")


def test_a_relocation_past_the_code(calls: Patch) -> None:
    refused(calls.set_relocation(".reltc", 0, offset=1 << 40), "section 'tc', byte")


def test_a_relocation_inside_an_instruction(calls: Patch) -> None:
    refused(calls.set_relocation(".reltc", 0, offset=4), "middle of an instruction")


def test_a_relocation_in_the_second_half_of_a_wide_load(calls: Patch) -> None:
    refused(calls.set_relocation(".reltc", 0, offset=8), "does not fit an instruction with opcode 0x00")


def test_a_relocation_that_does_not_fit_its_instruction(calls: Patch) -> None:
    refused(calls.set_relocation(".reltc", 0, type=10), "does not fit an instruction with opcode 0x18")
    refused(calls.set_relocation(".relsocket", 0, type=1), "does not fit an instruction with opcode 0x85")


def test_a_call_of_no_function(calls: Patch) -> None:
    patch = calls.set_relocation(".relsocket", 0)
    at = patch.file.sections[patch.section(".relsocket")].offset
    (place,) = struct.unpack_from("<Q", patch.data, at)
    refused(patch.set_bytes("socket", place + 4, struct.pack("<i", 12345)), "no function begins at byte")


def test_a_relative_call_of_no_function(objects: Path) -> None:
    patch = Patch((objects / "local_scope.bpf.o").read_bytes())
    code = bytes(patch.file.data(patch.file.sections[patch.section("socket")]))
    at = next(i for i in range(0, len(code), 8) if code[i] == 0x85 and code[i + 1] == 0x10)
    refused(patch.set_bytes("socket", at + 4, struct.pack("<i", 4096)), "where no function begins")


def test_an_address_in_a_section_that_holds_nothing(globals_: Patch) -> None:
    refused(globals_.set_symbol("counters", section=globals_.section("license")), "'license' holds no map, variable")


def test_a_data_reference_before_the_section(globals_: Patch) -> None:
    at = globals_.file.sections[globals_.section(".relsocket")].offset
    (place,) = struct.unpack_from("<Q", globals_.data, at)
    patch = globals_.set_bytes("socket", place + 4, struct.pack("<i", -(1 << 20)))
    refused(patch, "outside of the section")


def test_a_map_reference_between_maps(objects: Path) -> None:
    patch = Patch((objects / "rejected.bpf.o").read_bytes())
    index = patch.file.sections[patch.section(".symtab")]
    info = SYMBOL.unpack_from(patch.data, patch.symbol("table"))[1]
    assert info & 15 == 1
    assert index.size
    patch.set_symbol("table", info=info & 0xF0 | 3, value=8)  # a section symbol, so that no map is at its value
    refused(patch, "no map begins there")


def test_a_symbol_that_nobody_defines(globals_: Patch) -> None:
    refused(globals_.set_symbol("counters", section=0), "symbol 'counters'.*defined nowhere")


def test_a_call_of_what_nobody_defines_is_left_to_the_linker(calls: Patch) -> None:
    spec = read_spec(calls.set_symbol("global_leaf", section=0).data)
    assert "global_leaf" in spec.programs["first"].instructions.references()
    with pytest.raises(BpfError, match="global_leaf"):
        spec.programs["first"].instructions.encode()


def test_relocations_for_a_section_that_is_not_there(calls: Patch) -> None:
    refused(calls.set_section(".reltc", info=999), r"'\.reltc' refers to section 999")


def test_two_relocation_sections_for_one(calls: Patch) -> None:
    refused(calls.set_section(".reltc", info=calls.section("socket")), "two relocation sections")


def test_relocations_with_addends(calls: Patch) -> None:
    refused(calls.set_section(".reltc", type=SHT_RELA), "RELA")


def test_a_relocation_table_of_odd_size(calls: Patch) -> None:
    refused(calls.set_section(".reltc", size=17), "multiple of 16")


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"offset": 1}, "map .* has no 'values' there|no map is there"),
        ({"offset": 1 << 30}, "no map is there"),
        ({"type": 3}, "type 3 is not known"),
    ],
)
def test_initial_values_in_a_wrong_place(maps: Patch, fields: dict[str, int], match: str) -> None:
    refused(maps.set_relocation(".rel.maps", 0, **fields), match)


def test_initial_values_of_a_wrong_kind(maps: Patch) -> None:
    outer = SYMBOL.unpack_from(maps.data, maps.symbol("tail_one"))
    maps.set_symbol("inner_0", section=outer[3], value=outer[4])
    refused(maps, "it is no map, but map 'outer_array' holds maps")


def test_legacy_maps_without_symbols(legacy: Patch) -> None:
    legacy.set_symbol("counts", section=0).set_symbol("names", section=0)
    refused(legacy, "has no symbols")


def test_a_legacy_map_that_is_too_short(legacy: Patch) -> None:
    refused(legacy.set_symbol("counts", value=8), "map 'counts' .* has 12 bytes, not 20")


def test_a_legacy_map_of_no_type(legacy: Patch) -> None:
    refused(legacy.set_bytes("maps", 0, b"\xff\xff\0\0"), "map 'counts' is of type 65535")


# --- anything at all --------------------------------------------------------------------------------------------------

FUZZ = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def survives(data: bytes | bytearray) -> None:
    """The invariant of the whole package: a spec, or an error of its own."""
    start = time.perf_counter()
    with suppress(ElfError, BtfError):
        read_spec(data)
    assert time.perf_counter() - start < BUDGET_S


@given(st.binary(max_size=300))
def test_any_bytes_are_survived(data: bytes) -> None:
    survives(data)
    survives(b"\x7fELF\2\1\1" + data)


@FUZZ
@given(data=st.data())
def test_any_change_of_an_object_is_survived(data: st.DataObject, own_object: Path) -> None:
    raw = bytearray(own_object.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(raw) - 1))
        size = data.draw(st.sampled_from((1, 2, 4, 8)))
        value = data.draw(st.sampled_from((b"\0" * 8, b"\xff" * 8, b"\1" + b"\0" * 7, b"\0" * 7 + b"\x80")))
        raw[at : at + size] = value[: min(size, len(raw) - at)]
    survives(raw)


@FUZZ
@given(data=st.data())
def test_any_change_of_a_table_is_survived(data: st.DataObject, own_object: Path) -> None:
    """Changes where they matter most: section headers, symbols and relocations."""
    raw = bytearray(own_object.read_bytes())
    file = ElfFile(bytes(raw))
    order = file.byte_order
    tables = [
        (section.offset, section.size)
        for section in file.sections
        if section.name == ".symtab" or section.name.startswith((".rel", ".BTF"))
    ]
    headers = int.from_bytes(raw[40:48], order)
    tables.append((headers, 64 * len(file.sections)))
    for _ in range(data.draw(st.integers(1, 8))):
        start, size = data.draw(st.sampled_from(tables))
        at = start + data.draw(st.integers(0, max(size - 4, 0) // 4)) * 4
        value = data.draw(st.one_of(st.integers(0, 64), st.sampled_from((0xFFFF_FFFF, 0x8000_0000, 1 << 16))))
        raw[at : at + 4] = value.to_bytes(4, order)
    survives(raw)
