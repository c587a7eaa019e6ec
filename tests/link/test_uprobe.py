"""Uprobes on this very process: its libc, and a small library made here."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from aiobpf.errors import ElfError, KernelError, NotSupportedError, SpecError, UnresolvedSymbolError
from aiobpf.kernel.tracefs import Tracefs
from aiobpf.link import Uprobe, Uretprobe
from aiobpf.link.library_path import resolve_binary
from aiobpf.link.uprobe_symbols import function_offset
from aiobpf.uapi import ProgramType

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Counters

pytestmark = pytest.mark.root

MODES = [
    "auto",
    pytest.param("link", marks=pytest.mark.requires("perf links")),
    pytest.param("ioctl", marks=pytest.mark.shows("uprobe_pmu_ioctl")),
    pytest.param("tracefs", marks=pytest.mark.shows("uprobe_legacy")),
]
LIBRARY = """
unsigned short semaphore __attribute__((section(".probes"))) = 0;
__attribute__((noinline)) long work(long a, long b) { __asm__ volatile(""); return a * b; }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with a function and a semaphore."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang", "clang-19"))), None)
    if compiler is None:
        pytest.skip("needs a C compiler")
    directory = tmp_path_factory.mktemp("library")
    (directory / "work.c").write_text(LIBRARY)
    path = directory / "libwork.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(path), str(directory / "work.c")], check=True)
    return path


def events_left() -> list[str]:
    with Tracefs.open() as tracefs:
        return [line for line in tracefs.read("uprobe_events").splitlines() if f"_{os.getpid()}_" in line]


@pytest.mark.everywhere
@pytest.mark.shows("uprobe_libc")
@pytest.mark.parametrize("mode", MODES)
async def test_a_libc_function_counts_in_this_process_until_it_is_closed(counters: Counters, mode: str) -> None:
    seen = counters(ProgramType.KPROBE, only_pid=os.getpid())
    link = await seen.program.attach(Uprobe("libc", "getppid", mode=mode))
    for _ in range(5):
        os.getppid()
    assert seen.count == 5
    await link.aclose()
    os.getppid()
    assert seen.count == 5
    assert events_left() == []


@pytest.mark.everywhere
@pytest.mark.shows("uretprobe")
@pytest.mark.parametrize("mode", MODES)
async def test_a_return_probe_sees_each_return(counters: Counters, library: Path, mode: str) -> None:
    work = ctypes.CDLL(str(library)).work
    seen = counters(ProgramType.KPROBE)
    async with seen.program.attach(Uretprobe(library, "work", mode=mode)):
        assert work(6, 7) == 42
        assert seen.count == 1
    work(1, 1)
    assert seen.count == 1


@pytest.mark.everywhere
async def test_one_process_is_watched_and_others_are_not(counters: Counters, library: Path) -> None:
    own = counters(ProgramType.KPROBE)
    child = counters(ProgramType.KPROBE)
    work = ctypes.CDLL(str(library)).work
    code = (
        f"import ctypes, sys; f = ctypes.CDLL({str(library)!r}).work\nfor line in sys.stdin: f(1, 1); print(flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        to_child, from_child = process.stdin, process.stdout
        assert to_child is not None
        assert from_child is not None

        def let_child_work() -> None:
            to_child.write("\n")
            to_child.flush()
            from_child.readline()

        let_child_work()
        async with (
            own.program.attach(Uprobe(library, "work", pid=0)),
            child.program.attach(Uprobe("libwork.so", "work", pid=process.pid)),
        ):
            work(1, 1)
            assert (own.count, child.count) == (1, 0)
            let_child_work()
            let_child_work()
            assert (own.count, child.count) == (1, 2)


@pytest.mark.everywhere
async def test_an_absolute_offset_and_a_symbol_with_offset_are_the_same_place(
    counters: Counters, library: Path
) -> None:
    work = ctypes.CDLL(str(library)).work
    place = function_offset(str(library), "work")
    absolute, relative = counters(ProgramType.KPROBE), counters(ProgramType.KPROBE)
    async with (
        absolute.program.attach(Uprobe(library, offset=place)),
        relative.program.attach(Uprobe(library, "work", 0)),
    ):
        work(1, 1)
    assert (absolute.count, relative.count) == (1, 1)


@pytest.mark.everywhere
@pytest.mark.shows("uprobe_perf")
@pytest.mark.requires("cookies")
async def test_a_cookie_reaches_the_program(counters: Counters, library: Path) -> None:
    seen = counters(ProgramType.KPROBE, with_cookie=True)
    async with seen.program.attach(Uprobe(library, "work", cookie=0xFEED)) as link:
        ctypes.CDLL(str(library)).work(1, 1)
        assert seen.cookie == 0xFEED
        assert "uprobe" in ((await link.info()).event or "uprobe")


@pytest.mark.everywhere
@pytest.mark.parametrize("mode", ["auto", "tracefs"])
async def test_the_reference_counter_is_raised_while_the_probe_is_there(
    counters: Counters, library: Path, mode: str
) -> None:
    loaded = ctypes.CDLL(str(library))
    semaphore = ctypes.c_ushort.in_dll(loaded, "semaphore")
    place = semaphore_offset(library)
    seen = counters(ProgramType.KPROBE)
    assert semaphore.value == 0
    async with seen.program.attach(Uprobe(library, "work", ref_ctr_offset=place, mode=mode)):
        assert semaphore.value == 1
    assert semaphore.value == 0


def semaphore_offset(library: Path) -> int:
    from aiobpf.symbols.elf_image import open_elf

    with open_elf(str(library), "library") as image:
        section = image.section(".probes")
        assert section is not None
        return section.offset


@pytest.mark.everywhere
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or platform.machine() != "x86_64", reason="glibc of x86_64")
async def test_versioned_symbols_and_ifuncs_of_libc_are_found(counters: Counters) -> None:
    libc = ctypes.CDLL(None)
    versioned, chosen = counters(ProgramType.KPROBE), counters(ProgramType.KPROBE)
    async with (
        versioned.program.attach(Uprobe("libc.so.6", "getppid@GLIBC_2.2.5", pid=0)),
        chosen.program.attach(Uprobe("c", "strcspn", pid=0)),  # an IFUNC: the probe is on what this CPU uses
    ):
        os.getppid()
        before = chosen.count
        libc.strcspn(b"abcdef", b"e")
        assert versioned.count == 1
        assert chosen.count >= before + 1


@pytest.mark.everywhere
async def test_what_is_not_there_is_named(counters: Counters, library: Path, tmp_path: Path) -> None:
    seen = counters(ProgramType.KPROBE)
    attach = seen.program.attach
    with pytest.raises(KernelError, match=r"binary 'no_such_library\.so'.*Looked through"):
        await attach(Uprobe("no_such_library.so", "f"))
    with pytest.raises(KernelError, match="binary '/no/such/file'"):
        await attach(Uprobe("/no/such/file", "f"))
    with pytest.raises(UnresolvedSymbolError, match="no function 'wrok'; near: work"):
        await attach(Uprobe(library, "wrok"))
    (tmp_path / "text").write_text("#!/bin/sh\n")
    with pytest.raises(ElfError, match="not an ELF file"):
        await attach(Uprobe(tmp_path / "text", "f"))
    with pytest.raises(SpecError, match="nothing is at offset"):
        await attach(Uprobe(library, offset=1 << 40))
    with pytest.raises(KernelError, match=r"There is no process 4194000|process 4194000"):
        await attach(Uprobe(library, "work", pid=4194000))
    with pytest.raises(KernelError, match="/proc/PID/maps"):
        await attach(Uprobe("libwork.so", "work", pid=4194000))
    assert seen.count == 0


@pytest.mark.everywhere
async def test_tracefs_takes_no_path_with_a_space(counters: Counters, library: Path, tmp_path: Path) -> None:
    copy = shutil.copy(library, tmp_path / "a b.so")
    with pytest.raises(NotSupportedError, match="space"):
        await counters(ProgramType.KPROBE).program.attach(Uprobe(copy, "work", mode="tracefs"))
    async with counters(ProgramType.KPROBE).program.attach(Uprobe(copy, "work")):
        pass


def test_a_uprobe_says_where() -> None:
    with pytest.raises(SpecError, match="which function"):
        Uprobe("/bin/sh")
    with pytest.raises(ValueError, match="'pid' must be >= 0"):
        Uprobe("/bin/sh", "f", pid=-1)


def test_a_program_is_found_on_path_as_the_binary_not_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bash").write_text("#!/bin/sh\n")
    (tmp_path / "bash").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert resolve_binary("bash") in {"/usr/bin/bash", "/bin/bash"}


def test_a_library_that_was_replaced_is_still_found_in_the_process_that_runs_it(library: Path, tmp_path: Path) -> None:
    copy = tmp_path / "libgone.so"
    copy.write_bytes(library.read_bytes())
    loaded = ctypes.CDLL(str(copy))
    copy.unlink()
    path = resolve_binary("libgone.so", 0)
    assert function_offset(path, "work") == function_offset(str(library), "work")
    assert loaded.work(2, 3) == 6
