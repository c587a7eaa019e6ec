"""The dynamic linker's cache, in both layouts, and what a bare name means."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.errors import SpecError
from aiobpf.link.ld_cache import CachedLibrary, is_library_named, parse_ld_cache, pick_library, version_of

X86_64, I386 = 0x0300, 0


def cache(*libraries: CachedLibrary, old: int | None = None) -> bytes:
    """A cache file; with *old* entries of the old layout in front of it."""
    strings, entries = b"", b""
    table_end = 48 + 24 * len(libraries)
    for library in libraries:
        key = table_end + len(strings)
        strings += library.name.encode() + b"\0"
        value = table_end + len(strings)
        strings += library.path.encode() + b"\0"
        entries += struct.pack("=iIIIQ", 3 | library.abi, key, value, 0, library.hwcap)
    new = struct.pack("=20sIIB3xI12x", b"glibc-ld.so.cache1.1", len(libraries), len(strings), 2, 0) + entries + strings
    if old is None:
        return new
    front = b"ld.so-1.7.0\0" + struct.pack("=I", old) + bytes(12 * old)
    return front.ljust((len(front) + 7) & ~7, b"\0") + new


LIBRARIES = (
    CachedLibrary("libssl.so.3", "/lib/libssl.so.3", X86_64, 0),
    CachedLibrary("libssl.so.1.1", "/opt/libssl.so.1.1", X86_64, 0),
    CachedLibrary("libc.so.6", "/lib32/libc.so.6", I386, 0),
    CachedLibrary("libc.so.6", "/lib64/v3/libc.so.6", X86_64, 1 << 62),
    CachedLibrary("libc.so.6", "/lib64/libc.so.6", X86_64, 0),
)


@pytest.mark.parametrize("old", [None, 0, 1, 2])
def test_both_layouts_give_the_entries_in_order(old: int | None) -> None:
    assert parse_ld_cache(cache(*LIBRARIES, old=old)) == list(LIBRARIES)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("libc.so.6", "/lib64/libc.so.6"),
        ("libc.so", "/lib64/libc.so.6"),
        ("libc", "/lib64/libc.so.6"),
        ("c", "/lib64/libc.so.6"),
        ("ssl", "/lib/libssl.so.3"),
        ("libssl.so.1.1", "/opt/libssl.so.1.1"),
        ("libssl.so.1", "/opt/libssl.so.1.1"),
        ("libs", None),
        ("", None),
    ],
)
def test_a_bare_name_is_the_newest_library_of_this_abi(name: str, path: str | None) -> None:
    assert pick_library(LIBRARIES, name, X86_64) == path


def test_without_a_known_abi_any_will_do() -> None:
    assert pick_library(LIBRARIES[:3], "libc", None) == "/lib32/libc.so.6"


def test_versions_compare_as_numbers() -> None:
    assert version_of("libx.so.10") > version_of("libx.so.9.2") > version_of("libx.so.9") > version_of("libx.so")


def test_a_name_is_matched_whole() -> None:
    assert is_library_named("c", "libc.so.6")
    assert not is_library_named("c", "libcrypt.so.1")
    assert not is_library_named("libc.so.6", "libc.so.60")


@pytest.mark.parametrize(
    "data",
    [b"", b"\x7fELF", cache(*LIBRARIES)[:40], cache(*LIBRARIES)[:100], cache(*LIBRARIES, old=3)[:20], b"ld.so-1.7.0\0"],
)
def test_what_is_no_cache_is_a_named_error(data: bytes) -> None:
    with pytest.raises(SpecError, match=r"ld\.so\.cache"):
        parse_ld_cache(data)


def test_a_count_beyond_the_file_is_refused_before_anything_is_read() -> None:
    data = bytearray(cache(*LIBRARIES))
    struct.pack_into("=I", data, 20, 0xFFFFFFFF)
    with pytest.raises(SpecError, match="claims 4294967295"):
        parse_ld_cache(bytes(data))


@given(st.binary(max_size=200), st.integers(0, 250), st.binary(max_size=8))
def test_any_bytes_give_a_list_or_the_error(data: bytes, at: int, change: bytes) -> None:
    whole = bytearray(cache(*LIBRARIES))
    whole[at : at + len(change)] = change
    for candidate in (data, bytes(whole)):
        with contextlib.suppress(SpecError):
            assert isinstance(parse_ld_cache(candidate), list)
