"""What programs and user space say to each other through maps of each kind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aiobpf
from aiobpf import CgroupStorageKey, kernel
from aiobpf.errors import CodecError, KernelError, SpecError, VerifierError
from aiobpf.link import Cgroup
from aiobpf.uapi import AttachType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.spec import CollectionSpec

OBJECT = Path(__file__).parent.parent / "objects" / "map_uses.bpf.o"
PACKET = bytes(range(64))

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


def only(*maps: str) -> CollectionSpec:
    """The object with no maps but these: no kernel before 6.4 has them all."""
    spec = aiobpf.read_spec(OBJECT)
    for name, each in spec.maps.items():
        each.autocreate = name in maps or name.startswith(".")
    return spec


@pytest.fixture
def datagrams() -> Iterator[tuple[socket.socket, tuple[str, int]]]:
    """A UDP socket, and where to send to."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
    ):
        to.bind(("127.0.0.1", 0))
        yield one, to.getsockname()


# --- storages ---------------------------------------------------------------------------------------------------------


@pytest.mark.shows("sk_storage")
async def test_a_program_counts_in_what_hangs_on_a_socket(
    cgroup: Path, datagrams: tuple[socket.socket, tuple[str, int]]
) -> None:
    one, to = datagrams
    async with aiobpf.load(only("sockets"), programs=["count_by_socket"]) as coll:
        sockets = coll.maps["sockets"]
        sockets[one] = 40
        async with coll.programs["count_by_socket"].attach(Cgroup(cgroup)):
            for _ in range(2):
                one.sendto(b"x", to)
        one.sendto(b"x", to)
        assert sockets[one] == sockets[one.fileno()] == 42
        with socket.socket() as other:
            assert sockets.get(other) is None
        with pytest.raises(CodecError, match="map 'sockets': it takes a socket"):
            sockets["socket"] = 1
        with pytest.raises(KernelError, match="does not list its keys"):
            list(sockets)
        assert sockets.pop(one) == 42
        assert one not in sockets


@pytest.mark.requires("task storage")
@pytest.mark.shows("task_storage")
async def test_a_program_counts_in_what_hangs_on_a_task() -> None:
    async with aiobpf.load(only("tasks"), programs=["count_by_task"]) as coll:
        tasks = coll.maps["tasks"]
        before = len(os.listdir("/proc/self/fd"))
        tasks[os.getpid()] = 0
        async with coll.attach():
            for _ in range(10):
                os.getppid()
        found = tasks[os.getpid()]
        assert found >= 10
        pidfd = os.pidfd_open(os.getpid())

        class Pidfd:
            def fileno(self) -> int:
                return pidfd

        assert tasks[Pidfd()] == found
        os.close(pidfd)
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        assert tasks.get(child.pid) is None
        assert tasks.update_many({child.pid: 5}) == 1
        assert tasks.delete_many([child.pid, os.getpid()]) == 2
        child.communicate(b"\n")
        with pytest.raises(KernelError, match=f"process {child.pid}: pidfd_open"):
            tasks[child.pid] = 1
        with pytest.raises(CodecError, match="it takes a process id or an object with the fileno"):
            tasks["init"] = 1
        with pytest.raises(CodecError, match="map 'tasks'"):
            tasks[os.getpid()] = "many"
        for use in (lambda: tasks.get(os.getpid(), cpu=0), lambda: tasks.update(os.getpid(), 1, cpu=0)):
            with pytest.raises(SpecError, match="one value for all CPUs"):
                use()
        with pytest.raises(CodecError, match="map 'tasks'"):
            tasks.update_many([(os.getpid(), 1), (os.getpid(), "many")])
        assert tasks.pop(os.getpid()) == 1
        assert tasks.pop(os.getpid(), None) is None
        assert len(os.listdir("/proc/self/fd")) == before, "whatever was opened for a key is closed"


@pytest.mark.requires("cgroup local storage")
@pytest.mark.shows("cgrp_storage")
async def test_a_program_counts_in_what_hangs_on_a_cgroup(cgroup: Path) -> None:
    async with aiobpf.load(only("cgroups"), programs=["count_by_cgroup"]) as coll:
        groups = coll.maps["cgroups"]
        groups[cgroup] = 0
        async with coll.attach():
            for _ in range(10):
                os.getppid()
        found = groups[str(cgroup)]
        assert found >= 10
        fd = os.open(cgroup, os.O_RDONLY)
        assert groups[fd] == found
        os.close(fd)
        with pytest.raises(FileNotFoundError, match="no-such"):
            groups[cgroup / "no-such"] = 1
        assert groups.pop(cgroup) == found
        assert cgroup not in groups


@pytest.mark.requires("trampolines", "inode storage")
@pytest.mark.shows("inode_storage")
async def test_a_program_counts_in_what_hangs_on_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("text")
    async with aiobpf.load(only("inodes"), programs=["count_by_file"]) as coll:
        inodes = coll.maps["inodes"]
        inodes[path] = 0
        link = kernel.raw_tracepoint_open(None, coll.programs["count_by_file"])
        path.read_text()
        path.read_text()
        link.close()
        path.read_text()
        assert inodes[path] == 2
        with path.open() as file:
            assert inodes[file] == 2
        os.link(path, tmp_path / "other name")
        assert inodes[tmp_path / "other name"] == 2, "it is of the file, not of the name"
        del inodes[path]
        assert inodes.get(path) is None


@pytest.mark.shows("cgroup_storage")
@pytest.mark.parametrize("is_per_cpu", [False, True], ids=["shared", "per CPU"])
async def test_a_program_counts_in_what_hangs_on_its_hook(
    cgroup: Path, datagrams: tuple[socket.socket, tuple[str, int]], is_per_cpu: bool
) -> None:
    one, to = datagrams
    key = CgroupStorageKey(cgroup, AttachType.CGROUP_INET_EGRESS)
    name, program = ("hooks_by_cpu", "count_by_hook_and_cpu") if is_per_cpu else ("hooks", "count_by_hook")
    async with aiobpf.load(only(name), programs=[program]) as coll:
        hooks = coll.maps[name]
        assert hooks.get(key) is None, "the kernel makes it when the program is attached"
        async with coll.programs[program].attach(Cgroup(cgroup)):
            one.sendto(b"x", to)
            one.sendto(b"x", to)
            found = hooks[key]
            assert (found.sum() if is_per_cpu else found) == 2
            assert list(hooks) == [CgroupStorageKey(cgroup.stat().st_ino, AttachType.CGROUP_INET_EGRESS)]
            hooks[key] = 7
            one.sendto(b"x", to)
            assert (hooks[key].max() if is_per_cpu else hooks[key]) == 8
        assert hooks.get(key) is None or (await Gone.of(hooks, key))
        with pytest.raises(CodecError, match=r"it takes CgroupStorageKey\(cgroup, attach_type\)"):
            hooks[5] = 1


class Gone:
    """Since 5.9 a storage lives until its cgroup or its map goes, not only as long as the program hangs there."""

    @staticmethod
    async def of(hooks: aiobpf.Map, key: CgroupStorageKey) -> bool:
        return hooks.get(key) is not None


# --- what programs find -----------------------------------------------------------------------------------------------


@pytest.mark.requires("bloom filters")
@pytest.mark.shows("bloom_mapvalue")
async def test_a_program_looks_into_a_bloom_filter_with_a_value_in_a_map() -> None:
    async with aiobpf.load(only("seen", "wanted"), programs=["look_in_a_map"]) as coll:
        coll.maps["seen"].add(5)
        for value, expected in ((5, 1), (6, 0)):
            coll.maps["wanted"][0] = value
            assert (await coll.programs["look_in_a_map"].run(PACKET)).retval == expected


@pytest.mark.requires("bloom filters")
@pytest.mark.shows("bloom")
async def test_a_program_looks_into_a_bloom_filter_with_a_value_on_its_stack() -> None:
    """Where the verifier lets it: that of 7.3 does not, and says so."""
    spec = only("seen")
    try:
        coll = await aiobpf.Collection.load(spec, programs=["look_on_the_stack"])
    except VerifierError as error:
        assert kernel.kernel_release() >= (7, 0)
        assert "look_on_the_stack" in str(error)
        return
    async with coll:
        coll.maps["seen"].add(0)
        assert (await coll.programs["look_on_the_stack"].run(PACKET)).retval == 1
        assert 5 not in coll.maps["seen"]


@pytest.mark.requires("task kfuncs", "syscall programs")
@pytest.mark.shows("kptr")
async def test_a_map_holds_a_kernel_object_until_it_is_exchanged() -> None:
    async with aiobpf.load(only("held_tasks"), programs=["hold_a_task"]) as coll:
        held = coll.maps["held_tasks"]
        assert (await coll.programs["hold_a_task"].run()).retval == 0
        assert held[0].pid == 0, "the first one is still in it"
        assert (await coll.programs["hold_a_task"].run()).retval == 0
        assert held[0].pid == 2


@pytest.mark.requires("dynptrs")
@pytest.mark.shows("dynptr_ringbuf")
async def test_a_record_is_written_through_a_dynptr() -> None:
    async with (
        aiobpf.load(only("ring"), programs=["write_through_a_dynptr"]) as coll,
        coll.stream("ring") as records,
    ):
        assert (await coll.programs["write_through_a_dynptr"].run(PACKET)).retval == 0
        async for record in records:
            assert record == 4711
            break


@pytest.mark.requires("packet dynptrs")
@pytest.mark.shows("dynptr_skb")
async def test_a_packet_is_read_through_a_dynptr() -> None:
    async with aiobpf.load(only(), programs=["read_through_a_dynptr"]) as coll:
        assert (await coll.programs["read_through_a_dynptr"].run(PACKET)).retval == PACKET[23]


@pytest.mark.requires("callbacks")
@pytest.mark.shows("for_each_map_elem")
async def test_a_program_walks_a_map() -> None:
    async with aiobpf.load(only("numbers"), programs=["sum_of_all"]) as coll:
        coll.maps["numbers"].update_many({0: 1, 1: 2, 2: 3})
        assert (await coll.programs["sum_of_all"].run(PACKET)).retval == 6


@pytest.mark.requires("loops")
@pytest.mark.shows("bpf_loop")
async def test_a_program_loops_500_times() -> None:
    async with aiobpf.load(only(), programs=["loop"]) as coll:
        assert (await coll.programs["loop"].run(PACKET)).retval == 500
        assert coll.variables["rounds"].value == 500


@pytest.mark.shows("map_in_map")
async def test_a_program_writes_into_a_map_that_was_put_into_another() -> None:
    async with aiobpf.load(only("outer"), programs=["write_into_inner"]) as coll:
        write = coll.programs["write_into_inner"]
        assert (await write.run(PACKET)).retval == 2**32 - 1, "nothing is there"
        async with coll.maps["outer"].create_inner(7, contents={2: 40}) as inner:
            assert (await write.run(PACKET)).retval == 0
            assert inner[2] == 41


@pytest.mark.shows("tailcall")
async def test_a_program_jumps_to_the_one_that_was_put_there() -> None:
    async with aiobpf.load(only("jumps"), programs=["jump", "landing"]) as coll:
        assert (await coll.programs["jump"].run(PACKET)).retval == 1
        coll.maps["jumps"][1] = coll.programs["landing"]
        assert (await coll.programs["jump"].run(PACKET)).retval == 33
        del coll.maps["jumps"][1]
        assert (await coll.programs["jump"].run(PACKET)).retval == 1
