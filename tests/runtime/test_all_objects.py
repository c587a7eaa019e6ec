"""All programs, maps, links and BTF of the kernel: listed, opened by id, and who holds them."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import aiobpf
from aiobpf import asm, kernel
from aiobpf.asm import R0, Instructions
from aiobpf.btf import Function, Struct
from aiobpf.errors import ClosedError, KernelError, NoSuchObjectError, SpecError
from aiobpf.kernel import ObjectKind, perf_events, syscall
from aiobpf.kernel import ids as ids_module
from aiobpf.link import Link, RawTracepoint
from aiobpf.runtime import BtfObject, Map, Program
from aiobpf.spec import MapSpec, ProgramSpec
from aiobpf.uapi import LinkType, MapType, ProgramType

if TYPE_CHECKING:
    from aiobpf.kernel import OwnedFd

OBJECTS = Path(__file__).parent.parent / "objects"
TRACED = ProgramSpec(
    name="traced",
    type=ProgramType.RAW_TRACEPOINT,
    license="GPL",
    instructions=Instructions([asm.mov(R0, 0), asm.exit_()]),
)
TABLE = MapSpec(name="table", type=MapType.HASH, key_size=4, value_size=8, max_entries=3)

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


async def test_every_program_is_met_once_and_belongs_to_who_met_it() -> None:
    async with Program.load(TRACED) as program:
        met = []
        async for each in Program.all():
            async with each:
                met.append((each.id, each.name))
        assert met == sorted(met)
        assert (program.id, "traced") in met
    async for each in Program.all():
        async with each:
            assert each.id != program._id
        break  # the iterator holds nothing


async def test_every_map_is_met_with_its_shape() -> None:
    async with Map.create(TABLE) as made:
        met = {}
        async for each in Map.all():
            async with each:
                met[each.id] = (each.name, each.type, each.key_size, each.value_size, each.max_entries)
        assert met[made.id] == ("table", MapType.HASH, 4, 8, 3)


async def test_every_link_is_met_with_what_it_is() -> None:
    async with Program.load(TRACED) as program, program.attach(RawTracepoint("sys_enter")) as link:
        number = (await link.info()).id
        assert number in set(Link.ids())
        met = {}
        async for each in Link.all():
            async with each:
                info = await each.info()
                met[info.id] = (info.type, info.name, info.program_id)
        assert met[number] == (LinkType.RAW_TRACEPOINT, "sys_enter", program.id)


async def test_a_link_by_its_id_outlives_who_made_it() -> None:
    async with Program.load(TRACED) as program:
        link = await program.attach(RawTracepoint("sys_enter"))
        number = (await link.info()).id
        async with await Link.from_id(number) as again:
            assert repr(again) == f"<Link of program 'id {program.id}' on RAW_TRACEPOINT link {number}>"
            await link.aclose()
            assert number in set(Link.ids())
        assert number not in set(Link.ids())
        with pytest.raises(FileNotFoundError):
            await Link.from_id(number)


async def test_a_descriptor_of_something_else_is_no_link() -> None:
    async with Program.load(TRACED) as program:
        with pytest.raises(SpecError, match="is no link"):
            await Link.from_fd(kernel.program_by_id(program.id))


async def test_every_btf_object_is_met_and_read() -> None:
    async with aiobpf.load(OBJECTS / "globals.bpf.o", programs=["count"]) as coll:
        number = (await coll.programs["count"].info(code=False)).kernel.btf_id
        assert number in set(BtfObject.ids())
        met = {}
        async for each in BtfObject.all():
            async with each:
                met[each.id] = (each.name, each.is_kernel)
        assert met[number] == ("", False)
        async with BtfObject.from_id(number) as btf:
            assert (await btf.types()).by_name("count", Function).name == "count"
            assert str(number) in repr(btf)
        assert btf.is_closed
        with pytest.raises(ClosedError):
            btf.fileno()


@pytest.mark.requires("modules")
async def test_the_types_of_a_module_add_to_the_kernels() -> None:
    async for btf in BtfObject.all():
        async with btf:
            if btf.name == "veth":
                types = await btf.types()
                assert types.base is await aiobpf.kernel_btf()
                assert types.by_name("veth_xmit", Function).name == "veth_xmit"
                assert types.by_name("sk_buff", Struct).size > 100
                return
    pytest.fail("veth's types are not among the kernel's BTF objects")


async def test_a_map_by_its_id_is_typed_by_what_it_was_created_with() -> None:
    async with (
        aiobpf.load(OBJECTS / "globals.bpf.o", programs=["count"]) as coll,
        Map.from_id(coll.maps[".bss"].id) as found,
    ):
        assert found.key_type is None
        typed = await found.typed_by_kernel()
        assert typed.types is not None
        assert str(typed[0]) == str(coll.maps[".bss"][0])
        assert typed.shares_fd(found)
    async with Map.create(TABLE) as plain:
        assert (await plain.typed_by_kernel()).key_type is None


@pytest.mark.skipif(shutil.which("bpftool") is None, reason="needs bpftool")
async def test_the_lists_are_those_of_bpftool() -> None:
    def told(kind: str) -> dict[int, dict[str, Any]]:
        ran = subprocess.run(["bpftool", "-j", kind, "list"], capture_output=True, text=True, check=True)
        return {each["id"]: each for each in json.loads(ran.stdout or "[]")}

    async with aiobpf.load(OBJECTS / "globals.bpf.o", programs=["count"]) as coll:
        program, table = coll.programs["count"], coll.maps[".bss"]
        theirs = told("prog")[program.id]
        info = await program.info(code=False)
        assert (info.name, info.tag, info.uid) == (theirs["name"], theirs["tag"], theirs["uid"])
        assert sorted(info.map_ids) == sorted(theirs["map_ids"])
        assert info.memlock == theirs["bytes_memlock"]
        assert info.type is ProgramType.SOCKET_FILTER or info.type.name.lower() == theirs["type"]
        assert not info.instructions
        theirs = told("map")[table.id]
        assert (table.info().name, table.max_entries) == (theirs["name"], theirs["max_entries"])
        assert table.is_frozen == bool(theirs["frozen"])
        assert table.locked_memory() is not None


async def test_a_program_of_a_type_newer_than_the_library_is_in_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    read = kernel.program_info
    async with Program.load(TRACED) as program:
        number = program.id
        monkeypatch.setattr(kernel, "program_info", lambda fd, **_: attrs.evolve(read(fd), type=250))
        async with Program.from_id(number) as found:
            assert (found.type, found.type.name) == (250, "NUMBER_250")
            assert "NUMBER_250" in repr(found)
            assert (await found.info(code=False)).type == 250


async def test_what_vanishes_before_it_is_opened_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Program.load(TRACED) as program:
        number = program.id
        real = ids_module.fd_by_id

        def vanished(kind: ObjectKind, id: int, *, flags: int = 0) -> OwnedFd:  # noqa: A002
            if id == number:
                raise NoSuchObjectError(errno.ENOENT, "BPF_PROG_GET_FD_BY_ID", f"program {id}")
            return real(kind, id, flags=flags)

        monkeypatch.setattr(ids_module, "fd_by_id", vanished)
        async for each in Program.all():
            async with each:
                assert each.id != number


async def test_a_link_that_is_being_attached_is_waited_for() -> None:
    """Its id is there before the link can be opened: EAGAIN until it is attached."""
    seen: list[object] = []
    ended = threading.Event()
    real = syscall.try_fd

    def attach() -> None:
        with kernel.load_program(ProgramType.RAW_TRACEPOINT, TRACED.instructions.encode()) as program:
            for _ in range(40):
                kernel.raw_tracepoint_open("sys_enter", program).close()
                if seen:
                    break
        ended.set()

    def watch(*arguments: Any) -> int:
        error = real(*arguments)
        if error == errno.EAGAIN:
            seen.append(arguments)
        return error

    thread = threading.Thread(target=attach)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ids_module, "try_fd", watch)
        thread.start()
        try:
            while not ended.is_set():
                async for link in Link.all():
                    await link.aclose()
        finally:
            thread.join()
    assert seen


async def test_a_link_that_never_becomes_one_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids_module, "_SETTLING_S", 0.01)
    monkeypatch.setattr(ids_module, "try_fd", lambda *_: errno.EAGAIN)
    with pytest.raises(KernelError, match=r"link 7: BPF_LINK_GET_FD_BY_ID: .* \(EAGAIN\)"):
        await Link.from_id(7)
    monkeypatch.setattr(ids_module, "next_id", lambda _, after=0: 7 if after < 7 else None)
    assert [link async for link in Link.all()] == []


async def test_the_processes_that_hold_an_object_are_found() -> None:
    script = (
        "import sys; from aiobpf.kernel import program_by_id\n"
        "with program_by_id(int(sys.argv[1])):\n    print('ready', flush=True); sys.stdin.read()"
    )
    async with Program.load(TRACED) as program:
        other = subprocess.Popen(
            [sys.executable, "-c", script, str(program.id)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert other.stdin is not None
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == b"ready\n"
            held = await aiobpf.holders()
            found = {holder.pid: holder for holder in held[ObjectKind.PROGRAM, program.id]}
            assert found.keys() == {os.getpid(), other.pid}
            assert found[os.getpid()].fd == program.fileno()
            assert found[other.pid].command.startswith("python")
        finally:
            other.stdin.close()
            other.wait(30)
            other.stdout.close()
        held = await aiobpf.holders()
        assert [holder.pid for holder in held[ObjectKind.PROGRAM, program.id]] == [os.getpid()]


# --- what a program was loaded to attach to, and its run times --------------------------------------------------------


@pytest.mark.requires("tp_btf links")
async def test_what_a_program_was_loaded_to_attach_to_is_named() -> None:
    spec = ProgramSpec(
        name="entered",
        type=ProgramType.TRACING,
        attach_type=aiobpf.AttachType.TRACE_RAW_TP,
        attach_to="sys_enter",
        license="GPL",
        instructions=Instructions([asm.mov(R0, 0), asm.exit_()]),
    )
    async with Program.load(spec) as program:
        target = await program.target()
        assert target is not None
        assert (target.name, target.module, target.is_program) == ("btf_trace_sys_enter", None, False)
    async with Program.load(TRACED) as program:
        assert await program.target() is None


@pytest.mark.shows("stats")
async def test_runs_and_their_time_count_while_statistics_are_on() -> None:
    async with aiobpf.load(OBJECTS / "globals.bpf.o", programs=["count"]) as coll:
        program = coll.programs["count"]
        await program.run(bytes(64))
        before = program.stats()
        async with aiobpf.enable_stats():
            await program.run(bytes(64), repeat=1000)
        stats = program.stats()
        assert stats.run_count - before.run_count >= 1000
        assert stats.run_time_ns > before.run_time_ns
        assert stats.recursion_misses == 0
        await program.run(bytes(64), repeat=10)
        assert program.stats() == stats
        assert (await program.info()).stats == stats


async def test_statistics_stay_on_until_the_last_lets_go() -> None:
    async with Program.load(TRACED) as program:
        first = await aiobpf.enable_stats()
        second = await aiobpf.enable_stats()
        await first.aclose()
        await first.aclose()
        await program.run()
        await second.aclose()
        assert program.stats().run_count == 1
        await program.run()
        assert program.stats().run_count == 1


@pytest.mark.shows("task_fd_query")
async def test_what_hangs_on_a_descriptor_of_a_process_is_told() -> None:
    async with Program.load(TRACED) as program:
        with kernel.raw_tracepoint_open("sys_enter", program) as link:
            told = kernel.task_fd_query(link)
            assert (told.program_id, told.kind, told.name) == (program.id, 0, "sys_enter")
            info = kernel.link_info(link)
            assert (info.type, info.name) == (LinkType.RAW_TRACEPOINT, "sys_enter")
            number = link.fileno()
        with pytest.raises(KernelError, match=f"descriptor {number} of process {os.getpid()}"):
            kernel.task_fd_query(number)


@pytest.mark.shows("task_fd_query")
async def test_what_hangs_without_a_link_is_told_by_its_descriptor() -> None:
    """On a perf event, by ioctl: a tracepoint, and a place in a file."""
    executable = os.path.realpath(sys.executable)
    with kernel.Tracefs.open() as tracefs:
        number = tracefs.tracepoint_id("sched", "sched_switch")
    code = TRACED.instructions.encode()
    with (
        kernel.load_program(ProgramType.TRACEPOINT, code) as program,
        perf_events.open_tracepoint(number) as event,
    ):
        perf_events.set_bpf(event, program)
        told = kernel.task_fd_query(event)
        assert (told.kind.name, told.name) == ("TRACEPOINT", "sched_switch")
        assert told.program_id == kernel.program_info(program).id
    for is_return in (False, True):
        with (
            kernel.load_program(ProgramType.KPROBE, code) as program,
            perf_events.open_uprobe(executable, 0x1000, is_return=is_return) as event,
        ):
            perf_events.set_bpf(event, program)
            told = kernel.task_fd_query(event)
            assert (told.kind.name, told.name) == ("URETPROBE" if is_return else "UPROBE", executable)
            assert told.offset == 0x1000


async def test_duplicates_are_closed_apart() -> None:
    async with Program.load(TRACED) as program, program.duplicate() as copy:
        assert copy.id == program.id
        await program.aclose()
        assert (await copy.info()).name == "traced"
