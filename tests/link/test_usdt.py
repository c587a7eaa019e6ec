"""USDT probes: of a library and programs made here, of Debian's Python, and of the C++ library."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import aiobpf
from aiobpf.errors import KernelError, NotSupportedError, SpecError, UnresolvedSymbolError
from aiobpf.kernel import features
from aiobpf.link import Link, Usdt, usdt_probes
from aiobpf.symbols.elf_image import open_elf
from aiobpf.uapi import LinkType, ProgramType
from tests.link.test_registry import spec_of
from tests.link.usdt_target import ALL, INDEXED, PLAIN, SIMPLE, make_library, make_program, needs_x86, running
from tests.link.user_library import build

if TYPE_CHECKING:
    from .conftest import Counters

pytestmark = [pytest.mark.root, needs_x86]

OBJECTS = Path(__file__).parent.parent / "objects"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_library(tmp_path_factory.mktemp("usdt"))


@pytest.fixture(scope="module")
def executable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that is not position-independent."""
    return make_program(tmp_path_factory.mktemp("usdt"), "fixed", "-no-pie", "-fno-pie")


def taken(coll: Any) -> int:
    """How many elements of the map of places are taken."""
    specs = coll.maps["__bpf_usdt_specs"]
    return sum(any(specs.lookup_bytes(index)) for index in range(specs.max_entries))


def seen(coll: Any) -> tuple[list[int], set[int]]:
    """The values that the last event had, and the errors that reading them gave."""
    variables = coll.variables
    count = variables["count"].value
    return list(variables["values"].value)[:count], set(list(variables["errors"].value)[:count])


@pytest.mark.everywhere
@pytest.mark.shows("usdt_own")
async def test_every_form_of_argument_is_read_until_the_link_is_closed(library: Path) -> None:
    loaded = ctypes.CDLL(str(library))
    async with aiobpf.load(OBJECTS / "usdt.bpf.o") as coll:
        async with coll.programs["take_all"].attach(Usdt(library, "own", "all", pid=0, cookie=2**40 + 1)):
            loaded.fire_all()
            assert seen(coll) == (ALL, {0})
            assert coll.variables["cookie"].value == 2**40 + 1
            assert taken(coll) == 1
        loaded.fire_all()
        assert coll.variables["hits"].value == 1
        assert taken(coll) == 0


@pytest.mark.everywhere
@pytest.mark.parametrize("name", ["usdt", "usdt_without_sib", "usdt_libbpf"])
async def test_programs_by_either_header_and_layout_read_the_same(library: Path, name: str) -> None:
    loaded = ctypes.CDLL(str(library))
    async with aiobpf.load(OBJECTS / f"{name}.bpf.o") as coll:
        async with coll.programs["take_all"].attach(Usdt(library, "own", "plain", pid=0, cookie=7)):
            loaded.fire_plain()
            assert seen(coll) == (PLAIN, {0})
            assert coll.variables["cookie"].value == 7
        take = coll.programs["take_all"].attach(Usdt(library, "own", "indexed", pid=0))
        if name == "usdt":
            async with take:
                loaded.fire_indexed()
                assert seen(coll) == (INDEXED, {0})
        else:
            with pytest.raises(NotSupportedError, match=r"indexed address \(r8 \+ 8 \* rcx \+ 0\).*usdt\.bpf\.h"):
                await take


@pytest.mark.everywhere
async def test_each_place_of_a_probe_has_its_own_arguments(library: Path) -> None:
    loaded = ctypes.CDLL(str(library))
    async with (
        aiobpf.load(OBJECTS / "usdt.bpf.o") as coll,
        coll.programs["add_up"].attach(Usdt(library, "own", "twice", pid=0)) as link,
    ):
        assert taken(coll) == 2
        loaded.fire_twice(ctypes.c_long(5))
        assert coll.variables["sum"].value == 5 + 1000 + 1 + 5
        if features.may_support(features.Feature.UPROBE_MULTI_PROCESS):
            info = await link.info()
            assert (info.type, info.count) == (LinkType.UPROBE_MULTI, 2)


@pytest.mark.everywhere
async def test_a_program_that_reads_no_arguments_hangs_on_any_probe(counters: Counters, library: Path) -> None:
    loaded = ctypes.CDLL(str(library))
    counted = counters(ProgramType.KPROBE)
    async with counted.program.attach(Usdt(library, "own", "floating")):
        loaded.fire_floating()
        assert counted.count == 1
    loaded.fire_floating()
    assert counted.count == 1


@pytest.mark.everywhere
@pytest.mark.requires("cookies")
async def test_its_cookie_is_the_one_that_was_given(counters: Counters, library: Path) -> None:
    counted = counters(ProgramType.KPROBE, with_cookie=True)
    async with counted.program.attach(Usdt(library, "own", "none", cookie=77)):
        ctypes.CDLL(str(library)).fire_none()
        assert (counted.count, counted.cookie) == (1, 77)


@pytest.mark.everywhere
async def test_an_executable_is_watched_in_every_process(executable: Path) -> None:
    async with aiobpf.load(OBJECTS / "usdt.bpf.o") as coll:
        with running(str(executable)) as first, running(str(executable)) as second:
            async with coll.programs["take_all"].attach(Usdt(executable, "own", "simple")):
                first.say("s")
                second.say("s")
                assert coll.variables["hits"].value == 2
                assert seen(coll) == (SIMPLE, {0})
            async with coll.programs["take_all"].attach(Usdt(executable, "own", "all", pid=second.pid)):
                first.say("a")
                assert coll.variables["hits"].value == 2
                second.say("a")
                assert seen(coll) == (ALL, {0})


@pytest.mark.everywhere
async def test_a_library_in_every_process_takes_cookies(library: Path) -> None:
    loaded = ctypes.CDLL(str(library))
    async with aiobpf.load(OBJECTS / "usdt.bpf.o") as coll:
        attaching = coll.programs["take_all"].attach(Usdt(library, "own", "simple"))
        if features.supports_bpf_cookie():
            async with attaching:
                loaded.fire_simple()
                assert seen(coll) == (SIMPLE, {0})
        else:
            with pytest.raises(NotSupportedError, match=r"every process.*5\.15.*pid="):
                await attaching
        assert taken(coll) == 0


@pytest.mark.everywhere
async def test_the_semaphore_is_up_while_somebody_watches(library: Path) -> None:
    loaded = ctypes.CDLL(str(library))
    assert loaded.semaphore() == 0
    async with aiobpf.load(OBJECTS / "usdt.bpf.o") as coll:
        async with coll.programs["take_all"].attach(Usdt(library, "own", "watched", pid=0)):
            assert loaded.semaphore() == 1
            loaded.fire_watched()
            assert seen(coll) == ([1], {0})
        assert loaded.semaphore() == 0


@pytest.mark.everywhere
@pytest.mark.shows("usdt_python")
async def test_a_python_tells_of_its_garbage_collections(tmp_path: Path) -> None:
    python = "/usr/bin/python3"
    assert {site.provider for site in usdt_probes(python)} == {"python"}
    code = "import gc, os\nwhile os.read(0, 1): gc.collect(1), os.write(1, b'.')"
    with running(python, "-c", code) as child:
        child.say(".")
        async with aiobpf.load(OBJECTS / "usdt.bpf.o") as coll:
            async with coll.programs["take_all"].attach(Usdt(python, "python", "gc__start", pid=child.pid)):
                child.say("...")
                assert coll.variables["hits"].value >= 3
                assert seen(coll) == ([1], {0})
            hits = coll.variables["hits"].value
            child.say(".")
            assert coll.variables["hits"].value == hits


@pytest.mark.everywhere
@pytest.mark.shows("usdt_libstdcxx")
async def test_the_cpp_library_tells_of_exceptions(tmp_path: Path) -> None:
    source = """
        extern "C" int getchar(); extern "C" long write(int, const char *, long);
        int main() { while (getchar() >= 0) { try { throw 5; } catch (int) {} write(1, ".", 1); } }
    """
    thrower = build(tmp_path, "thrower", source, suffix=".cpp")
    with running(str(thrower)) as child:
        child.say(".")
        async with aiobpf.load(OBJECTS / "usdt.bpf.o") as coll:
            async with coll.programs["take_all"].attach(Usdt("libstdc++", "libstdcxx", "throw", pid=child.pid)):
                child.say("..")
                assert coll.variables["hits"].value == 2
                assert len(seen(coll)[0]) >= 2
                assert seen(coll)[1] == {0}
            child.say(".")
            assert coll.variables["hits"].value == 2


@pytest.mark.everywhere
async def test_a_section_says_the_probe(executable: Path) -> None:
    spec = aiobpf.read_spec(OBJECTS / "usdt.bpf.o")
    program = spec.programs["take_all"]
    program.section, program.attach_to = f"usdt/{executable}:own:none", f"{executable}:own:none"
    with running(str(executable)) as child:
        async with aiobpf.load(spec) as coll:
            async with coll.attach():
                child.say("n")
                assert coll.variables["hits"].value == 1
            child.say("n")
            assert coll.variables["hits"].value == 1


@pytest.mark.everywhere
@pytest.mark.requires("cookies")
async def test_a_pinned_link_keeps_what_its_arguments_are_read_by(library: Path, bpffs: Path) -> None:
    loaded = ctypes.CDLL(str(library))
    async with aiobpf.load(OBJECTS / "usdt.bpf.o") as coll:
        link = await coll.programs["take_all"].attach(Usdt(library, "own", "simple"))
        link.pin(bpffs / "link")
        await link.aclose()
        assert taken(coll) == 1
        async with coll.programs["add_up"].attach(Usdt(library, "own", "none")):
            loaded.fire_simple()
            assert seen(coll) == (SIMPLE, {0})
        async with await Link.from_pin(bpffs / "link") as pinned:
            pinned.unpin()
        loaded.fire_simple()
        assert coll.variables["hits"].value == 1


@pytest.mark.everywhere
async def test_a_program_that_was_pinned_by_others_reads_its_arguments_too(library: Path, bpffs: Path) -> None:
    loaded = ctypes.CDLL(str(library))
    async with aiobpf.load(OBJECTS / "usdt.bpf.o") as coll:
        coll.programs["take_all"].pin(bpffs / "program")
        async with aiobpf.Program.from_pin(bpffs / "program") as program:
            async with program.attach(Usdt(library, "own", "all", pid=0)):
                loaded.fire_all()
                assert seen(coll) == (ALL, {0})
            assert taken(coll) == 0


@pytest.mark.everywhere
async def test_attaching_again_and_again_takes_no_more_room(library: Path) -> None:
    async with aiobpf.load(OBJECTS / "usdt.bpf.o") as coll:
        for _ in range(6):
            async with coll.programs["take_all"].attach(Usdt(library, "own", "twice", pid=0)):
                assert taken(coll) == 2
    spec = aiobpf.read_spec(OBJECTS / "usdt.bpf.o")
    spec.maps["__bpf_usdt_specs"].max_entries = 1
    async with aiobpf.load(spec) as coll:
        with pytest.raises(NotSupportedError, match=r"has no room for 2 more kinds of places.*BPF_USDT_MAX_SPEC_CNT"):
            await coll.programs["take_all"].attach(Usdt(library, "own", "twice", pid=0))
        assert taken(coll) == 0


@pytest.mark.everywhere
async def test_what_is_not_there_is_named(library: Path) -> None:
    async with aiobpf.load(OBJECTS / "usdt.bpf.o") as coll:
        attach = coll.programs["take_all"].attach
        with pytest.raises(UnresolvedSymbolError, match=r"no USDT probe own:tvice; near: own:twice"):
            await attach(Usdt(library, "own", "tvice"))
        with pytest.raises(UnresolvedSymbolError, match="has no USDT probes"):
            await attach(Usdt("/bin/true", "own", "all"))
        with pytest.raises(KernelError, match="process 4194000"):
            await attach(Usdt(library, "own", "all", pid=4194000))
        with pytest.raises(NotSupportedError, match=r"'8f@%xmm0' is a floating-point number"):
            await attach(Usdt(library, "own", "floating", pid=0))
        with pytest.raises(UnresolvedSymbolError, match=r"own:missing is at 'no_such_symbol', and.*no symbol"):
            await attach(Usdt(library, "own", "missing", pid=0))
        assert taken(coll) == 0
        assert coll.variables["hits"].value == 0


def test_a_probe_is_said_whole() -> None:
    with pytest.raises(ValueError, match="provider"):
        Usdt("/bin/sh", "", "name")
    with pytest.raises(SpecError, match="BINARY:PROVIDER:NAME"):
        Usdt.parse(spec_of("usdt/x:y"))


def test_the_probes_of_a_binary_can_be_listed(library: Path) -> None:
    sites = usdt_probes(str(library))
    assert [site.name for site in sites if site.name == "twice"] == ["twice", "twice"]
    assert {site.name for site in sites} >= {"all", "plain", "simple", "indexed", "watched", "none"}
    assert all(bool(site.semaphore) == (site.name == "watched") for site in sites)
    code = library.read_bytes()
    assert all(code[site.offset] == 0x90 for site in sites)
    assert usdt_probes("/bin/true") == []


def test_a_prelinked_library_has_its_probes_where_it_was_moved_to(library: Path, tmp_path: Path) -> None:
    data = bytearray(library.read_bytes())
    with open_elf(str(library), "library") as image:
        section = image.section(".note.stapsdt")
        assert section is not None
    # As if the whole library had been 0x1000 lower when its notes were written.
    at = section.offset
    while at < section.offset + section.size:
        _, size, _ = struct.unpack_from("<III", data, at)
        words = struct.unpack_from("<3Q", data, at + 20)
        struct.pack_into("<3Q", data, at + 20, *(word and word - 0x1000 for word in words))
        at += 20 + (size + 3 & ~3)
    (tmp_path / "libmoved.so").write_bytes(data)
    assert usdt_probes(str(tmp_path / "libmoved.so")) == usdt_probes(str(library))
