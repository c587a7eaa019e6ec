"""One link on many functions of a library made here."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from aiobpf.errors import KernelError, NotSupportedError, SpecError, UnresolvedSymbolError
from aiobpf.link import Uprobe, UprobeMulti, UprobeSession, UretprobeMulti
from aiobpf.link.uprobe_symbols import function_offset
from aiobpf.symbols.elf_image import open_elf
from aiobpf.uapi import AttachType, LinkType, ProgramType
from tests.link.user_library import build

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Counted, Counters

pytestmark = pytest.mark.root

LIBRARY = """
unsigned short counter __attribute__((section(".probes"))) = 0;
#define WORK(name) __attribute__((noinline)) long name(long a) { __asm__ volatile(""); return a + 1; }
WORK(work_one) WORK(work_two) WORK(work_three) WORK(rest)
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("multi"), "libmulti.so", LIBRARY)


def call_all(library: Path) -> None:
    loaded = ctypes.CDLL(str(library))
    for name in ("work_one", "work_two", "work_three", "rest"):
        getattr(loaded, name)(1)


def multi(counters: Counters, **options: Any) -> Counted:
    return counters(ProgramType.KPROBE, AttachType.TRACE_UPROBE_MULTI, **options)


@pytest.mark.everywhere
@pytest.mark.shows("uprobe_multi")
@pytest.mark.requires("uprobe.multi")
@pytest.mark.parametrize("kind", [UprobeMulti, UretprobeMulti])
async def test_one_link_sees_every_function_like_a_pattern_until_it_is_closed(
    counters: Counters, library: Path, kind: type[UprobeMulti | UretprobeMulti]
) -> None:
    seen = multi(counters)
    async with seen.program.attach(kind(library, "work_*")) as link:
        call_all(library)
        assert seen.count == 3
        info = await link.info()
        assert (info.type, info.program_id) == (LinkType.UPROBE_MULTI, (await seen.program.info()).id)
    call_all(library)
    assert seen.count == 3


@pytest.mark.everywhere
@pytest.mark.requires("uprobe.multi")
async def test_each_place_has_its_cookie(counters: Counters, library: Path) -> None:
    seen = multi(counters, with_cookie=True)
    loaded = ctypes.CDLL(str(library))
    two = function_offset(str(library), "work_two")
    for kind in (
        UprobeMulti(library, symbols=["work_one", "work_two"], cookies=[11, 22]),
        UprobeMulti(library, offsets=[function_offset(str(library), "work_one"), two], cookies=[11, 22]),
    ):
        async with seen.program.attach(kind):
            loaded.work_one(1)
            assert seen.cookie == 11
            loaded.work_two(1)
            assert seen.cookie == 22
    async with seen.program.attach(UprobeMulti(library, "work_*", cookies=33)):
        loaded.work_three(1)
    assert (seen.count, seen.cookie) == (5, 33)


@pytest.mark.everywhere
@pytest.mark.requires("uprobe.multi")
async def test_the_counters_of_the_places_are_raised_while_the_link_is_there(counters: Counters, library: Path) -> None:
    counter = ctypes.c_ushort.in_dll(ctypes.CDLL(str(library)), "counter")
    with open_elf(str(library), "library") as image:
        section = image.section(".probes")
        assert section is not None
    kind = UprobeMulti(library, symbols=["work_one"], ref_ctr_offsets=[section.offset])
    async with multi(counters).program.attach(kind):
        assert counter.value == 1
    assert counter.value == 0


@pytest.mark.everywhere
@pytest.mark.requires("uprobe.multi")
async def test_one_process_is_watched_in_all_its_threads_and_others_are_not(counters: Counters, library: Path) -> None:
    own, child = multi(counters), multi(counters)
    code = f"import ctypes, sys; f = ctypes.CDLL({str(library)!r}).rest\nfor line in sys.stdin: f(1); print(flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        async with (
            own.program.attach(UprobeMulti(library, symbols="rest", pid=0)),
            child.program.attach(UprobeMulti("libmulti.so", symbols="rest", pid=process.pid)),
        ):
            call_all(library)
            thread = threading.Thread(target=call_all, args=(library,))
            thread.start()
            thread.join()
            assert (own.count, child.count) == (2, 0)
            process.stdin.write("\n")
            process.stdin.flush()
            process.stdout.readline()
            assert (own.count, child.count) == (2, 1)


@pytest.mark.everywhere
@pytest.mark.shows("uprobe_session")
@pytest.mark.requires("uprobe.session")
async def test_a_session_sees_both_ends_of_a_call_unless_it_declines_the_second(
    counters: Counters, library: Path
) -> None:
    both = counters(ProgramType.KPROBE, AttachType.TRACE_UPROBE_SESSION)
    entries = counters(ProgramType.KPROBE, AttachType.TRACE_UPROBE_SESSION, retval=1)
    async with (
        both.program.attach(UprobeSession(library, symbols="work_one")),
        entries.program.attach(UprobeSession(library, "work_one")),
    ):
        call_all(library)
        assert (both.count, entries.count) == (2, 1)
    call_all(library)
    assert (both.count, entries.count) == (2, 1)


@pytest.mark.everywhere
@pytest.mark.requires("uprobe.multi")
async def test_a_link_of_many_places_is_pinned_as_one(counters: Counters, library: Path, bpffs: Path) -> None:
    seen = multi(counters)
    link = await seen.program.attach(UprobeMulti(library, "work_*"))
    link.pin(bpffs / "link")
    await link.aclose()
    call_all(library)
    assert seen.count == 3
    from aiobpf.link import Link

    async with await Link.from_pin(bpffs / "link") as pinned:
        pinned.unpin()
    call_all(library)
    assert seen.count == 3


@pytest.mark.everywhere
@pytest.mark.requires("uprobe.multi")
async def test_what_is_not_there_is_named(counters: Counters, library: Path) -> None:
    seen = multi(counters)
    with pytest.raises(UnresolvedSymbolError, match=r"no function like 'wrok_\*'"):
        await seen.program.attach(UprobeMulti(library, "wrok_*"))
    with pytest.raises(UnresolvedSymbolError, match="no function 'wrok_one'; near: work_one"):
        await seen.program.attach(UprobeMulti(library, symbols=["work_one", "wrok_one"]))
    with pytest.raises(KernelError, match="There is no process 4194000"):
        await seen.program.attach(UprobeMulti(library, "work_*", pid=4194000))
    plain = counters(ProgramType.KPROBE)
    with pytest.raises(SpecError, match=r"section is to be 'uprobe\.multi'.*TRACE_UPROBE_MULTI"):
        await plain.program.attach(UprobeMulti(library, "work_*"))
    assert seen.count == 0


@pytest.mark.everywhere
async def test_a_kernel_without_such_links_says_since_when_they_are(counters: Counters, library: Path) -> None:
    from tests.kernel_features import FEATURES

    for kind, attach_type, feature, since in (
        (UprobeMulti(library, "work_*"), AttachType.TRACE_UPROBE_MULTI, "uprobe.multi", "6.6"),
        (UprobeSession(library, "work_*"), AttachType.TRACE_UPROBE_SESSION, "uprobe.session", "6.13"),
    ):
        program = counters(ProgramType.KPROBE, attach_type).program
        if FEATURES[feature].is_there():
            await (await program.attach(kind)).aclose()
        else:
            with pytest.raises(NotSupportedError, match=since):
                await program.attach(kind)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "say either"),
        ({"pattern": "a*", "symbols": ["a"]}, "say either"),
        ({"symbols": ["a"], "offsets": [1]}, "say either"),
        ({"symbols": ["a", "b"], "cookies": [1]}, "cookies has 1 values for 2"),
        ({"pattern": "a*", "cookies": [1, 2]}, "cookies has 2 values"),
        ({"offsets": [1], "ref_ctr_offsets": [1, 2]}, "ref_ctr_offsets has 2 values for 1"),
    ],
)
def test_the_places_are_said_once_and_what_goes_with_them_fits(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        UprobeMulti("/bin/sh", **options)


CPP = """
namespace shop {
template <typename T> struct Cart {
  T total;
  __attribute__((noinline)) T add(T x) { __asm__ volatile(""); return total += x; }
};
__attribute__((noinline)) int price(int a) { __asm__ volatile(""); return a; }
__attribute__((noinline)) int price(long a, int b) { __asm__ volatile(""); return a + b; }
}
template struct shop::Cart<int>;
extern "C" int run() { shop::Cart<int> cart{0}; cart.add(1); shop::price(1); return shop::price(1L, 2); }
"""


@pytest.fixture(scope="module")
def cpp_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("cpp"), "libshop.so", CPP, suffix=".cpp")


@pytest.mark.everywhere
async def test_a_function_is_found_by_the_name_that_its_source_has(counters: Counters, cpp_library: Path) -> None:
    one, cart = counters(ProgramType.KPROBE), counters(ProgramType.KPROBE)
    async with (
        one.program.attach(Uprobe(cpp_library, "shop::price(long, int)")),
        cart.program.attach(Uprobe(cpp_library, "shop::Cart<int>::add")),
    ):
        ctypes.CDLL(str(cpp_library)).run()
        assert (one.count, cart.count) == (1, 1)
        with pytest.raises(SpecError, match=r"2 functions 'shop::price'.*price\(int\) at 0x.*price\(long, int\) at"):
            await one.program.attach(Uprobe(cpp_library, "shop::price"))
        with pytest.raises(UnresolvedSymbolError, match="no function 'shop::prize'; near: shop::price"):
            await one.program.attach(Uprobe(cpp_library, "shop::prize"))


@pytest.mark.everywhere
@pytest.mark.requires("uprobe.multi")
async def test_a_pattern_may_be_of_source_names(counters: Counters, cpp_library: Path) -> None:
    seen = multi(counters)
    async with seen.program.attach(UprobeMulti(cpp_library, "shop::*")):
        ctypes.CDLL(str(cpp_library)).run()
        assert seen.count == 3


def test_without_the_extra_a_source_name_says_what_to_install(
    cpp_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiobpf.link.uprobe_names.can_demangle", lambda: False)
    with pytest.raises(NotSupportedError, match=r"pip install 'aiobpf\[demangle\]'"):
        function_offset(str(cpp_library), "shop::price")
    assert os.path.exists(cpp_library)
