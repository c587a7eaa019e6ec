"""A library in a zip archive, mapped from there as Android's linker does it."""

from __future__ import annotations

import ctypes
import io
import mmap
import os
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.errors import ElfError, KernelError, SpecError
from aiobpf.link import Uprobe
from aiobpf.link.uprobe_symbols import function_offset
from aiobpf.symbols.archive import Member, open_member, split_archive
from aiobpf.symbols.elf_image import open_elf
from aiobpf.uapi import ProgramType
from tests.link.user_library import build

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Counters

SOURCE = '__attribute__((noinline)) long work(long a) { __asm__ volatile(""); return a + 1; }'


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("archive"), "libapp.so", SOURCE)


@pytest.fixture(scope="module")
def archive(library: Path) -> Path:
    """An archive with the library twice: stored at a page's beginning, and compressed."""
    path = library.parent / "base.apk"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("AndroidManifest.xml", "<manifest/>")
        entry = zipfile.ZipInfo("lib/libapp.so")
        assert made.fp is not None
        entry.extra = bytes(-(made.fp.tell() + 30 + len(entry.filename)) % mmap.PAGESIZE)
        made.writestr(entry, library.read_bytes())
        made.write(library, "lib/libsmall.so", zipfile.ZIP_DEFLATED)
    return path


def function_in(archive: Path, place: int) -> tuple[Callable[[int], int], Callable[[], None]]:
    """The function at file offset *place*, mapped from the archive, and how to unmap it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    page = place // mmap.PAGESIZE * mmap.PAGESIZE
    fd = os.open(archive, os.O_RDONLY)
    address = libc.mmap(None, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC, mmap.MAP_PRIVATE, fd, page)
    os.close(fd)
    assert address not in {None, ctypes.c_void_p(-1).value}
    return ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_long)(address + place - page), lambda: libc.munmap(
        address, mmap.PAGESIZE
    )


@pytest.mark.root
@pytest.mark.everywhere
async def test_a_function_of_a_library_in_an_archive_is_seen_until_it_is_closed(
    counters: Counters, archive: Path
) -> None:
    place = function_offset(f"{archive}!/lib/libapp.so", "work")
    work, unmap = function_in(archive, place)
    by_name, by_offset = counters(ProgramType.KPROBE), counters(ProgramType.KPROBE)
    with open_elf(f"{archive}!/lib/libapp.so", "library") as image:
        inside = place - image.base
    async with (
        by_name.program.attach(Uprobe(f"{archive}!/lib/libapp.so", "work")),
        by_offset.program.attach(Uprobe(f"{archive}!/lib/libapp.so", offset=inside)),
    ):
        assert work(41) == 42
        assert (by_name.count, by_offset.count) == (1, 1)
    work(1)
    assert by_name.count == 1
    unmap()


def test_a_place_in_an_archive_is_that_in_the_library_further_on(archive: Path, library: Path) -> None:
    with open_elf(f"{archive}!/lib/libapp.so", "library") as image:
        assert image.base % mmap.PAGESIZE == 0
        assert image.base > 0
        assert function_offset(f"{archive}!/lib/libapp.so", "work") == image.base + function_offset(
            str(library), "work"
        )


@pytest.mark.parametrize(
    ("member", "said"),
    [("lib/libsmall.so", "is compressed"), ("lib/libno.so", r"no such member; its libraries: lib/libapp\.so")],
)
def test_a_member_that_cannot_be_probed_is_named(archive: Path, member: str, said: str) -> None:
    with pytest.raises(ElfError, match=said):
        function_offset(f"{archive}!/{member}", "work")


def test_what_is_no_archive_is_named(library: Path, tmp_path: Path) -> None:
    with pytest.raises(ElfError, match="cannot be read as a zip archive"):
        function_offset(f"{library}!/x.so", "work")
    with pytest.raises(KernelError):
        function_offset(f"{tmp_path}/none.apk!/x.so", "work")
    with pytest.raises(SpecError, match="say which function"):
        Uprobe("base.apk!/lib/libapp.so")


def test_a_file_whose_name_looks_like_a_place_in_an_archive_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "a!").mkdir()
    (tmp_path / "a!" / "b").touch()
    assert split_archive(f"{tmp_path}/a!/b") == (f"{tmp_path}/a!/b", None)
    assert split_archive("base.apk!/lib/x.so") == ("base.apk", "lib/x.so")
    assert split_archive("/lib/x.so") == ("/lib/x.so", None)


@given(st.binary(max_size=200), st.integers(0, 250), st.integers(0, 30))
def test_any_bytes_give_a_member_or_an_error(garbage: bytes, cut: int, at: int) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a.so", b"contents")
    data = bytearray(made.getvalue()[: cut or None])
    data[at : at + len(garbage) % 8] = garbage[: len(garbage) % 8]
    for each in (garbage, bytes(data)):
        try:
            member = open_member(io.BytesIO(each), "a.so", "archive")
        except ElfError:
            continue
        assert isinstance(member, Member)
        assert len(member.read()) <= len(each)
