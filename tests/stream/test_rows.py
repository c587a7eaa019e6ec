"""Iterators: links, and the rows that are read from them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest

import aiobpf
from aiobpf.errors import ClosedError, CodecError, KernelError, SpecError, StreamBusyError
from aiobpf.kernel import link_by_id
from aiobpf.kernel.fd import OwnedFd
from aiobpf.kernel.mounts import mounts
from aiobpf.link import CgroupOrder, Iter, Link
from aiobpf.stream import Rows
from aiobpf.uapi import LinkType
from tests.kernel_features import kernel_has

OBJECT = Path(__file__).parent.parent / "objects" / "iterators.bpf.o"
ME = os.getpid()

pytestmark = pytest.mark.root


async def all_rows(name: str, kind: Any = None, **options: Any) -> list[Any]:
    async with aiobpf.load(OBJECT, programs=[name]) as coll, coll.rows(name, kind, **options) as rows:
        return [row async for row in rows]


@pytest.mark.everywhere
@pytest.mark.shows("iter_task")
async def test_rows_of_tasks_are_typed_by_btf() -> None:
    rows = await all_rows("tasks", type="struct object_row")
    mine = [row for row in rows if row.id == ME]
    assert [row.name for row in mine] == [Path("/proc/self/comm").read_text().strip()]
    assert {1, ME} & {row.id for row in rows}


@pytest.mark.everywhere
@pytest.mark.shows("iter_task")
async def test_a_program_that_prints_gives_lines() -> None:
    lines = await all_rows("task_lines")
    assert f"{ME} {Path('/proc/self/comm').read_text().strip()}" in lines
    assert all(line.split()[0].isdigit() for line in lines)


@pytest.mark.everywhere
async def test_rows_fill_a_class_by_name_and_come_in_batches() -> None:
    @attrs.define
    class Task:
        __btf_type__ = "struct object_row"
        id: int
        name: str

    async with aiobpf.load(OBJECT, programs=["tasks"]) as coll:
        async with coll.rows("tasks", type=Task) as rows:
            names = {row.id: row.name async for row in rows}
            assert rows.count == len(names)
        async with coll.rows("tasks", type=Task, batch_bytes=1) as rows:
            batched = [row async for batch in rows.batches() for row in batch]
        async with coll.rows("tasks", type=bytes) as rows:
            data = b"".join([piece async for piece in rows])
    assert all(isinstance(row, Task) for row in batched)
    assert ME in names
    assert ME in {row.id for row in batched}
    assert len(data) % 20 == 0


@pytest.mark.everywhere
@pytest.mark.shows("iter_bpf_map")
async def test_rows_of_maps_have_the_map_that_is_open_here() -> None:
    async with aiobpf.load(OBJECT, programs=["maps", "elements"]) as coll:
        wanted = coll.maps["numbers"].info()
        async with coll.rows("maps", type="struct object_row") as rows:
            found = {row.id: row.name async for row in rows}
    assert found[wanted.id] == "numbers"


@pytest.mark.everywhere
@pytest.mark.shows("iter_bpf_prog")
async def test_rows_of_programs_have_the_program_itself() -> None:
    async with aiobpf.load(OBJECT, programs=["programs"]) as coll:
        wanted = coll.programs["programs"].id
        async with coll.rows("programs", type="struct object_row") as rows:
            found = {row.id: row.name async for row in rows}
    assert found[wanted] == "programs"


@pytest.mark.everywhere
@pytest.mark.shows("iter_map_elem")
async def test_rows_of_a_map_are_its_elements() -> None:
    async with aiobpf.load(OBJECT, programs=["elements"]) as coll:
        numbers = coll.maps["numbers"]
        wanted = {key: key * key for key in range(3000)}
        numbers.update_many(wanted)
        async with coll.rows("elements", Iter(map=numbers), type="struct element_row", batch_bytes=4096) as rows:
            found = {row.key: row.value async for row in rows}
        assert found == wanted
        with pytest.raises(SpecError, match=r"runs over one map: attach it as Iter\('bpf_map_elem', map=...\)"):
            await coll.programs["elements"].attach(Iter("bpf_map_elem"))
        assert (await coll.programs["elements"].info()).name == "elements"


@pytest.mark.everywhere
@pytest.mark.shows("iter_tcp")
async def test_rows_of_tcp_have_the_socket_that_listens() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        rows = await all_rows("connections", type="struct tcp_row")
        assert (port, 10) in {(row.port, row.state) for row in rows}, "10: TCP_LISTEN"
    rows = await all_rows("connections", type="struct tcp_row")
    assert (port, 10) not in {(row.port, row.state) for row in rows}


@pytest.mark.everywhere
@pytest.mark.requires("iterators of one task")
@pytest.mark.shows("iter_task_vma")
async def test_the_mappings_of_one_process_are_those_of_its_maps_file() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        rows = await all_rows("ranges", Iter("task_vma", pid=child.pid), type="struct range_row")
        before = {row.start for row in rows}
        starts = {int(line.split("-")[0], 16) for line in Path(f"/proc/{child.pid}/maps").read_text().splitlines()}
        assert len(before & starts) >= 3, "the program's own segments, whatever was mapped meanwhile"
    finally:
        child.kill()
        child.communicate()


@pytest.mark.asyncio
@pytest.mark.requires("iterators of mappings")
@pytest.mark.shows("iter_task_vma")
async def test_the_mappings_of_all_processes_have_those_of_this_one() -> None:
    rows = await all_rows("ranges", type="struct range_row")
    first = int(Path("/proc/self/maps").read_text().split("-")[0], 16)
    assert first in {row.start for row in rows}


@pytest.mark.everywhere
@pytest.mark.requires("iterators of symbols")
@pytest.mark.shows("iter_ksym")
async def test_a_program_that_writes_one_row_of_a_hundred_thousand_does_not_hold_the_loop() -> None:
    async with aiobpf.load(OBJECT, programs=["symbols"]) as coll, coll.rows("symbols", type="struct ksym_row") as rows:
        assert [row.name async for row in rows] == ["vfs_read"]


@pytest.mark.everywhere
@pytest.mark.requires("iterators of cgroups")
@pytest.mark.shows("iter_cgroup")
async def test_cgroups_come_in_the_order_that_was_asked_for() -> None:
    root = next(iter(mounts("cgroup2")))
    outer = Path(root) / f"aiobpf-rows-{ME}"
    inner = outer / "inner"
    inner.mkdir(parents=True)
    try:
        ids = {outer.stat().st_ino: "outer", inner.stat().st_ino: "inner"}
        seen = {}
        for order in CgroupOrder:
            rows = await all_rows("cgroups", Iter("cgroup", cgroup=outer, order=order), type="struct cgroup_row")
            seen[order] = [ids.get(row.id, "above") for row in rows]
    finally:
        inner.rmdir()
        outer.rmdir()
    assert seen[CgroupOrder.SELF] == ["outer"]
    assert seen[CgroupOrder.DESCENDANTS] == ["outer", "inner"]
    assert seen[CgroupOrder.DESCENDANTS_FIRST] == ["inner", "outer"]
    assert seen[CgroupOrder.ANCESTORS][0] == "outer"
    assert set(seen[CgroupOrder.ANCESTORS][1:]) == {"above"}


@pytest.mark.asyncio
async def test_one_thread_or_one_process_or_a_named_lack() -> None:
    if not kernel_has("iterators of one task"):
        for kind in (Iter("task", tid=threading.get_native_id()), Iter("task", pid=ME)):
            with pytest.raises(aiobpf.NotSupportedError, match=r"6\.1"):
                await all_rows("tasks", kind)
        return
    ended, begun = threading.Event(), threading.Event()

    def stay() -> None:
        begun.set()
        ended.wait()

    thread = threading.Thread(target=stay)
    thread.start()
    pidfd = os.pidfd_open(ME)
    try:
        begun.wait()
        one = await all_rows("tasks", Iter("task", tid=thread.native_id or 0), type="struct object_row")
        assert [row.id for row in one] == [thread.native_id]
        for kind in (Iter("task", pid=ME), Iter("task", pidfd=pidfd)):
            threads = {row.id for row in await all_rows("tasks", kind, type="struct object_row")}
            assert {ME, thread.native_id} <= threads
            assert 1 not in threads
    finally:
        ended.set()
        thread.join()
        os.close(pidfd)
    assert await all_rows("tasks", Iter("task", pid=(1 << 22) - 1), type="struct object_row") == [], "no such process"


@pytest.mark.asyncio
async def test_a_link_makes_any_number_of_iterators_and_lives_in_a_pin(tmp_path: Path) -> None:
    async with aiobpf.load(OBJECT, programs=["tasks"]) as coll:
        types = coll.spec.types
        async with coll.programs["tasks"].attach(Iter("task")) as link:
            info = await link.info()
            assert (info.type, info.name) == (LinkType.ITER, "task")
            for _ in range(2):
                async with Rows(link, "struct object_row", types=types) as rows:
                    assert ME in [row.id async for row in rows]
            fd = link.open()
        async with Rows(fd, "struct object_row", types=types) as rows:
            assert ME in [row.id async for row in rows], "an iterator outlives its link"
        with pytest.raises(ClosedError):
            link.open()


@pytest.mark.asyncio
async def test_a_pinned_iterator_is_a_file_that_anybody_reads(bpffs: Path) -> None:
    pin = bpffs / "tasks"
    async with aiobpf.load(OBJECT, programs=["task_lines"]) as coll, coll.programs["task_lines"].attach(Iter()) as link:
        link.pin(pin)
    try:
        assert f"\n{ME} " in pin.read_text()
        async with await Link.from_pin(pin) as link, Rows(link) as rows:
            assert any(line.startswith(f"{ME} ") for line in [line async for line in rows])
    finally:
        pin.unlink()


VICTIM = """
import anyio, sys, aiobpf

async def main():
    async with aiobpf.load(sys.argv[1], programs=["tasks"]) as coll, coll.programs["tasks"].attach() as link:
        print((await link.info()).id, flush=True)
        await anyio.sleep(60)

anyio.run(main)
"""


def test_a_link_of_an_iterator_goes_with_its_process() -> None:
    with subprocess.Popen([sys.executable, "-c", VICTIM, str(OBJECT)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        number = int(process.stdout.readline())
        link_by_id(number).close()
        process.kill()
    with pytest.raises(OSError, match="ENOENT"):
        link_by_id(number)


@pytest.mark.everywhere
async def test_a_cancelled_wait_loses_no_rows() -> None:
    async with aiobpf.load(OBJECT, programs=["elements"]) as coll:
        numbers = coll.maps["numbers"]
        numbers.update_many({key: key for key in range(4000)})
        found = []
        rounds = 0
        async with coll.rows("elements", Iter(map=numbers), type="struct element_row", batch_bytes=1) as rows:
            while True:
                rounds += 1
                with anyio.move_on_after(rounds % 7 * 0.0002) as scope:
                    try:
                        found.append((await anext(rows)).key)
                    except StopAsyncIteration:
                        break
                if scope.cancelled_caught:
                    await anyio.lowlevel.checkpoint()
        assert sorted(found) == list(range(4000))


@pytest.mark.asyncio
async def test_what_is_wrong_with_rows_is_said_by_name() -> None:
    async with aiobpf.load(OBJECT, programs=["tasks", "half_rows"]) as coll:
        with pytest.raises(CodecError, match="the last row has 2 bytes; struct object_row has 20 bytes"):
            async with coll.rows("half_rows", type="struct object_row") as rows:
                await anext(rows)
        with pytest.raises(SpecError, match="not of 'tcp': the kernel binds it at load"):
            await coll.programs["tasks"].attach(Iter("tcp"))
        with pytest.raises(aiobpf.BtfError, match="no_such_row"):
            async with coll.rows("tasks", type="struct no_such_row"):
                pass
        async with coll.programs["tasks"].attach(Iter("task")) as link:
            rows = Rows(link)
            with pytest.raises(ClosedError, match="not open yet"):
                aiter(rows)
            async with rows:
                with pytest.raises(SpecError, match="open already"):
                    await rows.open()
                rows._is_reading = True
                with pytest.raises(StreamBusyError):
                    await anext(rows)
                rows._is_reading = False
            await rows.aclose()
            with pytest.raises(ClosedError, match="are closed"):
                aiter(rows)
            forgotten = await Rows(link).open()
            with pytest.warns(ResourceWarning, match="were never closed"):
                del forgotten
    with pytest.raises(SpecError, match="one of map, tid, pid, pidfd and cgroup, not tid and pid"):
        Iter("task", tid=1, pid=2)
    with pytest.raises(KernelError, match="EBADF"):
        async with Rows(OwnedFd(os.open("/", os.O_PATH), "no iterator")) as lines:
            await anext(lines)
