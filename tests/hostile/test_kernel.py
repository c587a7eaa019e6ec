"""Hostile names, sizes and neighbours where they meet the kernel and its files."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING

import pytest

import aiobpf
from aiobpf.errors import KernelError, SpecError
from aiobpf.runtime.map_create import create_map
from aiobpf.spec import MapSpec
from aiobpf.spec.map import Pinning
from aiobpf.symbols.mappings import file_mappings, parse_mappings
from aiobpf.uapi import MapType
from tests.fuzz.limits import bounded
from tests.hostile.patch import patched, read, with_btf, with_symbol_name
from tests.kernel_features import kernel_has

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fuzz.mutate_btf import Image as BtfImage


@pytest.mark.root
@pytest.mark.parametrize("name", ["../escaped", "../../../../../../tmp/escaped", "/etc/escaped", "..", ".", ""])
def test_a_map_that_is_named_like_a_path_is_pinned_nowhere(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    spec = MapSpec(name=name, type=MapType.ARRAY, key_size=4, value_size=4, max_entries=1, pinning=Pinning.BY_NAME)
    with bounded(), pytest.raises(SpecError, match="cannot be pinned by its name"):
        create_map(spec, folder)
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["inside"]


@pytest.mark.root
@pytest.mark.everywhere
async def test_an_object_with_a_map_named_like_a_path_pins_nothing(tmp_path: Path) -> None:
    def rename(image: BtfImage) -> None:
        at = len(image.strings)
        image.strings += b"../escaped\0"
        for words in image.types:
            if words[1] >> 24 & 0x7F == 14 and image.strings[words[0] :].startswith(b"pinned\0"):
                words[0] = at

    data = with_btf(with_symbol_name(read("map_kinds"), "pinned", b"../escaped"), rename)
    spec = aiobpf.read_spec(data)
    assert spec.maps["../escaped"].pinning is Pinning.BY_NAME
    spec.maps["bloom"].autocreate = kernel_has("bloom filters")
    folder = tmp_path / "inside"
    folder.mkdir()
    with pytest.raises(SpecError, match=r"'\.\./escaped' cannot be pinned"):
        async with aiobpf.load(spec, pin_path=folder, programs=[]):
            pass
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["inside"]


@pytest.mark.root
@pytest.mark.parametrize("size", [(1 << 31) + 1, (1 << 32) - 1])
def test_a_ring_whose_double_overflows_is_refused_by_the_kernel(size: int) -> None:
    # libbpf f056d1bd: 2 * size.
    with bounded(), pytest.raises(KernelError, match="map 'ring'"):
        create_map(MapSpec(name="ring", type=MapType.RINGBUF, max_entries=size))


@pytest.mark.parametrize("field", ["key_size", "value_size", "max_entries"])
@pytest.mark.parametrize("number", [1 << 32, 1 << 60, -1])
def test_numbers_that_do_not_fit_name_the_map_and_the_field(field: str, number: int) -> None:
    spec = MapSpec(name="wide", type=MapType.HASH, key_size=4, value_size=4, max_entries=1)
    setattr(spec, field, number)
    with bounded(), pytest.raises(SpecError, match=f"map 'wide': {field} is {number}"):
        create_map(spec)


@pytest.mark.root
def test_a_map_of_4_billion_elements_is_refused_by_the_kernel_or_made_by_it() -> None:
    spec = MapSpec(name="many", type=MapType.ARRAY, key_size=4, value_size=1 << 20, max_entries=0xFFFFFFFF)
    with bounded(), pytest.raises(KernelError, match="map 'many'"):
        create_map(spec)


# --- /proc/PID/maps: a process names the files in it ------------------------------------------------------------------


LINE = "7f0000000000-7f0000001000 r-xp 00002000 fd:01 1234    "


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r", " "])
def test_a_file_name_cannot_add_a_line_to_the_mappings(separator: str) -> None:
    """656323e6. Python's splitlines and text files know more ends of lines than the kernel, which escapes one."""
    name = f"/tmp/a{separator}6f0000000000-6f0000001000 r-xp 00000000 00:00 9 /lib/evil.so"
    (found,) = parse_mappings(LINE + name + "\n")
    assert found.path == name


def test_a_newline_in_a_file_name_is_one_again() -> None:
    (found,) = parse_mappings(LINE + "/tmp/a\\012b.so (deleted)\n")
    assert found.path == "/tmp/a\nb.so"


def test_names_longer_than_any_path_are_passed_on() -> None:
    with bounded():
        (found,) = parse_mappings(LINE + "/" + "a" * 1_000_000 + "\n")
        assert len(found.path) == 1_000_001
        assert list(parse_mappings("7f-8f r-xp 0 0:0 " * 50_000)) == []


@pytest.mark.parametrize("character", ["\n", "\r", "\u2028", "\x0c", "\\"])
def test_a_file_of_any_name_is_found_among_what_this_process_has_mapped(character: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{character}b.so"
    path.write_bytes(bytes(4096))
    with path.open("rb") as file:
        memory = mmap.mmap(file.fileno(), 4096, access=mmap.ACCESS_READ)
    try:
        found = [each for each in file_mappings(None) if each.path == os.fspath(path)]
        assert [each.inode for each in found] == [path.stat().st_ino]
    finally:
        memory.close()


# --- what is said of it -----------------------------------------------------------------------------------------------


def test_names_that_are_no_utf_8_are_printable_wherever_they_show() -> None:
    data = with_symbol_name(read("globals"), "limits", b"\xff\xfe\x1b[2J")
    spec = aiobpf.read_spec(data)
    (name,) = (name for name in spec.variables if "xff" in name)
    assert repr(spec.variables[name]).isprintable()
    patch = patched("subprograms")
    at = bytes(patch.data).index(b"\0tc\0") + 1
    patch.data[at] = 0xFF
    with pytest.raises(aiobpf.errors.ElfError) as caught:
        aiobpf.read_spec(patch.data)
    assert str(caught.value).isprintable()
