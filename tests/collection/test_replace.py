"""Hot reload: another version under live links, with what the maps held."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

import aiobpf
from aiobpf import asm
from aiobpf.collection.collection import Collection
from aiobpf.collection.map_migration import MapMigration, Migrated
from aiobpf.errors import ClosedError, KernelError, SpecError, VerifierError
from aiobpf.link import Cgroup, Link, RawTracepoint, StructOps
from aiobpf.spec import Pinning
from tests.conftest import open_fds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.spec import CollectionSpec

OBJECTS = Path(__file__).parent.parent / "objects"
FIRST, SECOND = OBJECTS / "reload_first.bpf.o", OBJECTS / "reload_second.bpf.o"
PACKET = bytes(64)

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


def refused() -> CollectionSpec:
    """The second version, with a program that the verifier refuses."""
    spec = aiobpf.read_spec(SECOND)
    spec.programs["target"].instructions = asm.Instructions([asm.mov(asm.R0, asm.R9), asm.exit_()])
    return spec


@pytest.fixture
def cgroup() -> Iterator[Path]:
    roots = [Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")]
    root = next(each for each in roots if (each / "cgroup.procs").exists())
    here = root / f"aiobpf-reload-{os.getpid()}"
    here.mkdir()
    (here / "cgroup.procs").write_text(str(os.getpid()))
    yield here
    (root / "cgroup.procs").write_text(str(os.getpid()))
    here.rmdir()


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "bpffs"
    where.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(where)], check=True)
    yield where
    subprocess.run(["umount", str(where)], check=True)


def send(count: int = 1) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(count):
            sock.sendto(b"x", ("127.0.0.1", 9))


async def test_programs_and_values_become_those_of_the_new_version() -> None:
    async with aiobpf.load(FIRST) as coll:
        program, flows = coll.programs["on_packet"], coll.maps["flows"]
        flows[7] = {"count": 0, "bytes": 0}
        flows[9] = {"count": 5, "bytes": 6}
        runs, step = coll.variables["runs"], coll.variables["step"]
        step.value = 3
        assert (await program.run(PACKET, repeat=1)).retval == 1
        report = await coll.replace(SECOND)
        assert (await program.run(PACKET)).retval == 2
        assert program is coll.programs["on_packet"]
        assert flows is coll.maps["flows"]
        grown = flows[7]
        assert (grown.count, grown.drops, grown.note) == (6, 0, "")
        assert (flows[9].count, flows[9].bytes) == (5, 6)
        assert flows.max_entries == 128
        assert (runs.value, step.value) == (2, 3)
        assert coll.variables["since"].value == 1
        assert coll.maps["by_cpu"][0].sum() == 2
        assert set(report.kept) == {"untouched", "events", "jumps"}
        assert set(report.migrated) == {"flows", "by_cpu", ".bss", ".data"}
        assert report.migrated["flows"].elements == 2
        assert set(report.fresh) == {".rodata", "added"}
        assert coll.variables["version"].value == 2
        assert (await coll.programs["newcomer"].run(PACKET)).retval == 0


async def test_a_kept_map_is_the_same_map_and_what_was_taken_from_it_goes_on() -> None:
    async with aiobpf.load(FIRST) as coll:
        untouched = coll.maps["untouched"]
        untouched[1] = 2
        number = untouched.info().id
        await coll.replace(SECOND)
        assert coll.maps["untouched"] is untouched
        assert untouched.info().id == number
        assert untouched[1] == 2


async def test_a_program_array_gets_the_new_programs() -> None:
    async with aiobpf.load(FIRST) as coll:
        coll.maps["jumps"].elements.update(bytes(4), coll.programs["target"].fileno().to_bytes(4, "little"))
        assert (await coll.programs["jump"].run(PACKET)).retval == 11
        await coll.replace(SECOND)
        assert (await coll.programs["jump"].run(PACKET)).retval == 12


@pytest.mark.requires("struct_ops links")
async def test_a_registered_struct_ops_map_is_exchanged_with_its_programs() -> None:
    spec = aiobpf.read_spec(OBJECTS / "struct_ops.bpf.o")
    name = next(name for name, each in spec.maps.items() if each.type == aiobpf.MapType.STRUCT_OPS and each.flags)
    async with aiobpf.load(spec) as coll, coll.maps[name].attach(StructOps()) as link:
        before = (await link.info()).map_id
        report = await coll.replace(spec)
        assert name in report.swapped
        assert (await link.info()).map_id == coll.maps[name].info().id != before


async def test_a_link_that_can_be_updated_sees_every_packet_once(cgroup: Path) -> None:
    """Packets are sent all the time: each is counted by exactly one of the versions."""
    async with aiobpf.load(FIRST) as coll:
        coll.maps["flows"][7] = {"count": 0, "bytes": 0}
        coll.maps["untouched"].update_many({1: 0, 2: 0})
        sent = 0
        stop = threading.Event()

        def sender() -> None:
            nonlocal sent
            while not stop.is_set():
                send()
                sent += 1

        async with coll.programs["on_egress"].attach(Cgroup(cgroup)) as link:
            thread = threading.Thread(target=sender)
            thread.start()
            await anyio.sleep(0.05)
            report = await coll.replace(SECOND)
            await anyio.sleep(0.05)
            stop.set()
            await anyio.to_thread.run_sync(thread.join)
            assert report.swapped == ("on_egress",)
            assert not report.overlapped
            info = await link.info()
            assert info.program_id == (await coll.programs["on_egress"].info()).id
            first, second = coll.maps["untouched"][1], coll.maps["untouched"][2]
        assert first > 0
        assert second > 0
        assert first + second == sent
        assert coll.variables["since"].value == second


async def test_a_tracing_link_has_no_moment_without_a_program() -> None:
    async with aiobpf.load(FIRST) as coll, coll.stream("events") as events:
        async with coll.programs["on_syscall"].attach(RawTracepoint("sys_enter")) as link:
            coll.variables["numbered"].value = 1
            os.getpgid(0)
            report = await coll.replace(SECOND)
            assert report.overlapped == ("on_syscall",)
            coll.variables["numbered"].value = 2
            os.getpgid(0)
            coll.variables["numbered"].value = 0
            assert not link.is_closed
            seen = [(event.version, event.number) for event in events.drain().records()]
        assert (1, 1) in seen
        assert seen[-1] == (2, 2)
        assert {version for version, number in seen if number == 2} == {2}
        os.getpgid(0)
        assert not len(events.drain())


async def test_what_the_verifier_refuses_leaves_everything_as_it_was(cgroup: Path) -> None:
    before = len(open_fds())
    async with aiobpf.load(FIRST) as coll, coll.programs["on_egress"].attach(Cgroup(cgroup)) as link:
        coll.maps["flows"][7] = {"count": 1, "bytes": 1}
        ids = {name: program.fileno() for name, program in coll.programs.items()}
        number = (await link.info()).program_id
        held = len(open_fds())
        with pytest.raises(VerifierError):
            await coll.replace(refused())
        assert {name: program.fileno() for name, program in coll.programs.items()} == ids
        assert (await link.info()).program_id == number
        assert coll.maps["flows"][7].count == 1
        assert (await coll.programs["on_packet"].run(PACKET)).retval == 1
        assert len(open_fds()) == held
    assert len(open_fds()) == before


async def test_a_step_that_fails_takes_those_before_it_back(cgroup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with aiobpf.load(FIRST) as coll:
        egress, tracing = coll.programs["on_egress"], coll.programs["on_syscall"]
        async with egress.attach(Cgroup(cgroup)) as link, tracing.attach(RawTracepoint("sys_enter")):
            number = (await link.info()).program_id
            held = len(open_fds())

            async def fail(_self: RawTracepoint, _program: aiobpf.Program) -> aiobpf.Link:
                raise KernelError(12, "attach", "no room")

            monkeypatch.setattr(RawTracepoint, "attach_program", fail)
            with pytest.raises(KernelError):
                await coll.replace(SECOND)
            assert (await link.info()).program_id == number
            assert len(open_fds()) == held
            assert (await coll.programs["on_packet"].run(PACKET)).retval == 1


async def test_what_fails_once_the_new_version_runs_is_told_and_leaves_nothing(
    cgroup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: MapMigration) -> Migrated:
        raise KernelError(12, "BPF_MAP_LOOKUP_BATCH", "map 'flows'")

    async with aiobpf.load(FIRST) as coll, coll.programs["on_egress"].attach(Cgroup(cgroup)) as link:
        held = len(open_fds())
        monkeypatch.setattr(MapMigration, "catch_up", fail)
        with pytest.raises(ExceptionGroup, match="the new version runs") as told:
            await coll.replace(SECOND)
        assert {str(each) for each in told.value.exceptions} == {
            str(KernelError(12, "BPF_MAP_LOOKUP_BATCH", "map 'flows'"))
        }
        assert (await coll.programs["on_packet"].run(PACKET)).retval == 2
        assert coll.maps["flows"].max_entries == 128
        assert (await link.info()).program_id == (await coll.programs["on_egress"].info()).id
        more = (
            len(coll.programs)
            + len(coll.maps)
            - len(aiobpf.read_spec(FIRST).programs)
            - len(aiobpf.read_spec(FIRST).maps)
        )
        assert len(open_fds()) == held + more


async def test_every_difference_is_listed_before_anything_is_loaded() -> None:
    spec = aiobpf.read_spec(SECOND)
    spec.maps["untouched"].key_size = 8
    spec.maps["untouched"].key = None
    spec.maps["events"].max_entries = 4096
    async with aiobpf.load(FIRST) as coll:
        with pytest.raises(SpecError, match=r"'events': .*cannot be copied.*max_entries.*'untouched': its key"):
            await coll.replace(spec)
        report = await coll.replace(spec, fresh=["untouched", "events"])
        assert {"untouched", "events"} <= set(report.fresh)
        assert coll.maps["untouched"].key_size == 8
        with pytest.raises(SpecError, match="no map of both"):
            await coll.replace(spec, fresh=["nothing"])


async def test_what_the_new_version_has_no_place_for_is_told() -> None:
    async with aiobpf.load(SECOND) as coll:
        coll.maps["flows"][1] = {"bytes": 1, "count": 2, "drops": 3, "note": b"x"}
        with pytest.raises(SpecError, match=r"bytes is .*drops is gone"):
            await coll.replace(FIRST, lossy=False)


async def test_a_program_that_hangs_somewhere_may_not_vanish(cgroup: Path) -> None:
    spec = aiobpf.read_spec(SECOND)
    del spec.programs["on_egress"]
    async with aiobpf.load(FIRST) as coll:
        async with coll.programs["on_egress"].attach(Cgroup(cgroup)):
            with pytest.raises(SpecError, match="'on_egress' hang on something"):
                await coll.replace(spec)
        old = coll.programs["on_egress"]
        report = await coll.replace(spec)
        assert report.dropped == ("on_egress",)
        with pytest.raises(ClosedError):
            old.fileno()


async def test_maps_pinned_by_name_and_pinned_links_keep_their_names(bpffs: Path, cgroup: Path) -> None:
    first, second = aiobpf.read_spec(FIRST), aiobpf.read_spec(SECOND)
    for spec in (first, second):
        spec.maps["flows"].pinning = spec.maps["untouched"].pinning = Pinning.BY_NAME
    async with aiobpf.load(first, pin_path=bpffs) as coll:
        coll.maps["flows"][7] = {"count": 4, "bytes": 0}
        link = await coll.programs["on_syscall"].attach(RawTracepoint("sys_enter"))
        link.pin(bpffs / "link")
        try:
            await coll.replace(second)
            pinned = (await coll.programs["on_syscall"].info()).id
            async with await Link.from_pin(bpffs / "link") as again:
                assert (await again.info()).program_id == pinned
        finally:
            link.unpin()
            await link.aclose()
        async with aiobpf.Map.from_pin(bpffs / "flows") as found:
            assert found.max_entries == 128
        assert {path.name for path in bpffs.iterdir() if "." not in path.name} == {"flows", "untouched"}
        assert coll.maps["flows"].pin_path == str(bpffs / "flows")
        assert not (bpffs / "link").exists()
    async with aiobpf.load(second, pin_path=bpffs) as coll:
        assert coll.maps["flows"][7].count == 4


@pytest.mark.parametrize("tries", range(0, 12, 2))
async def test_a_cancelled_replace_is_done_or_not_done(tries: int) -> None:
    async with aiobpf.load(FIRST) as coll, coll.programs["on_syscall"].attach(RawTracepoint("sys_enter")):
        held = len(open_fds())
        with anyio.move_on_after(tries * 0.004):
            await coll.replace(SECOND)
        version = (await coll.programs["on_packet"].run(PACKET)).retval
        assert version in {1, 2}
        assert coll.maps["flows"].max_entries == (64 if version == 1 else 128)
        if version == 1:
            await anyio.sleep(0.1)  # what the worker made by then is taken back by it
            assert len(open_fds()) == held


async def test_closing_waits_for_a_replace_and_a_closed_collection_is_not_replaced() -> None:
    coll = await Collection.load(FIRST)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(coll.replace, SECOND)
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(coll.aclose)
    assert coll.is_closed
    with pytest.raises(ClosedError):
        await coll.replace(SECOND)
