"""Every type of map that the kernel has: made, written with what it is for, and read back."""

from __future__ import annotations

import errno
import os
import socket
import struct
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

import pytest

from aiobpf import CpuMapValue, DevMapValue, MapFlags, MapType, Program, asm
from aiobpf.asm import R0, R1, R2, R3, Instructions
from aiobpf.btf import Array, Int, Member, Struct
from aiobpf.errors import CodecError, KernelError, MapKeyError, NotSupportedError, SpecError, VerifierError
from aiobpf.kernel import features
from aiobpf.kernel.first_kernels import MAP_FLAGS_SINCE
from aiobpf.kernel.map_flag_probes import MAP_OF_FLAG
from aiobpf.runtime import Map
from aiobpf.runtime.code_value import BuildIdFrame, BuildIdStackElement, InstructionPlace
from aiobpf.spec import MapSpec, ProgramSpec
from aiobpf.uapi import AttachType, ProgramType
from tests.kernel_features import kernel_has

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.root, pytest.mark.everywhere]

U8 = Int("unsigned char", 1)
U32 = Int("unsigned int", 4)
U64 = Int("unsigned long", 8)
PREFIX = Struct("prefix", 8, [Member("bits", U32, 0), Member("address", Array(U8, U32, 4), 32)])
INNER = MapSpec(name="inner", type=MapType.ARRAY, key_size=4, value_size=8, max_entries=4, key=U32, value=U64)
PAGE = 4096
AF_XDP = 44


def program(type_: ProgramType, attach_type: AttachType | None = None, retval: int = 2) -> ProgramSpec:
    code = Instructions([asm.mov(R0, retval), asm.exit_()])
    return ProgramSpec(name="p", type=type_, attach_type=attach_type, license="GPL", instructions=code)


def spec(type_: MapType, **fields: Any) -> MapSpec:
    values: dict[str, Any] = {"name": "m", "type": type_, "key_size": 4, "value_size": 4, "max_entries": 4}
    return MapSpec(**(values | fields))


SIZES: dict[MapType, dict[str, Any]] = {
    MapType.LPM_TRIE: {"key_size": 8, "flags": MapFlags.NO_PREALLOC},
    MapType.ARRAY_OF_MAPS: {"inner": INNER},
    MapType.HASH_OF_MAPS: {"inner": INNER},
    MapType.STACK_TRACE: {"value_size": 8 * 16},
    MapType.CGROUP_STORAGE: {"key_size": 16, "max_entries": 0},
    MapType.PERCPU_CGROUP_STORAGE: {"key_size": 16, "max_entries": 0},
    MapType.QUEUE: {"key_size": 0},
    MapType.STACK: {"key_size": 0},
    MapType.BLOOM_FILTER: {"key_size": 0},
    MapType.SK_STORAGE: {"max_entries": 0},
    MapType.INODE_STORAGE: {"max_entries": 0},
    MapType.TASK_STORAGE: {"max_entries": 0},
    MapType.CGRP_STORAGE: {"max_entries": 0},
    MapType.RINGBUF: {"key_size": 0, "value_size": 0, "max_entries": PAGE},
    MapType.USER_RINGBUF: {"key_size": 0, "value_size": 0, "max_entries": PAGE},
    MapType.ARENA: {"key_size": 0, "value_size": 0},
    MapType.INSN_ARRAY: {"value_size": 16},
}
SINCE = {  # what 5.10 does not have
    MapType.TASK_STORAGE: "5.11", MapType.BLOOM_FILTER: "5.16", MapType.USER_RINGBUF: "6.1",
    MapType.CGRP_STORAGE: "6.2", MapType.ARENA: "6.9", MapType.INSN_ARRAY: "6.19", MapType.RHASH: "7.2",
}  # fmt: skip


@pytest.mark.shows("map_types")
@pytest.mark.parametrize(
    "type_", [each for each in MapType if each not in {MapType.UNSPEC, MapType.STRUCT_OPS}], ids=lambda each: each.name
)
async def test_every_type_is_made_or_is_said_to_be_newer_than_the_kernel(type_: MapType) -> None:
    """Struct_ops maps are made by their collection (tests/collection/test_struct_ops.py)."""
    wanted = spec(type_, **SIZES.get(type_, {}))
    answer = await features.probe(type_)
    if isinstance(answer, features.Unsupported):
        assert answer.since == SINCE.get(type_, answer.since)
        with pytest.raises(NotSupportedError, match=rf"map type {type_.name} .*needs Linux {answer.since}"):
            await Map.create(wanted)
        return
    async with Map.create(wanted) as made:
        assert made.info().type == type_


@pytest.mark.parametrize("flag", MAP_OF_FLAG, ids=lambda each: str(each.name))
async def test_every_flag_is_taken_or_is_said_to_be_newer_than_the_kernel(flag: MapFlags) -> None:
    type_ = MAP_OF_FLAG[flag]
    numa_node = 0 if flag == MapFlags.NUMA_NODE else None
    wanted = spec(type_, **(SIZES.get(type_, {}) | {"flags": flag, "numa_node": numa_node}))
    if isinstance(await features.probe(type_), features.Unsupported):
        with pytest.raises(NotSupportedError, match=f"map type {type_.name}"):
            await Map.create(wanted)
    elif isinstance(await features.probe(flag), features.Unsupported):
        since = MAP_FLAGS_SINCE[flag]
        with pytest.raises(NotSupportedError, match=rf"map 'm': flag {flag.name} needs Linux {since}"):
            await Map.create(wanted)
    else:
        async with Map.create(wanted) as made:
            is_of_the_descriptor = flag in {MapFlags.RDONLY, MapFlags.WRONLY}
            assert is_of_the_descriptor or made.info().flags & flag


async def test_a_flag_that_only_other_types_take_is_not_called_new() -> None:
    with pytest.raises(KernelError) as caught:
        await Map.create(spec(MapType.HASH, flags=MapFlags.PRESERVE_ELEMS))
    assert not isinstance(caught.value, NotSupportedError)


async def test_flags_that_close_a_map_to_one_side_close_it() -> None:
    async with Map.create(spec(MapType.ARRAY, flags=MapFlags.RDONLY)) as m:
        assert m[0] == bytes(4)
        with pytest.raises(PermissionError, match="its descriptor does not allow that"):
            m[0] = 1
    async with Map.create(spec(MapType.ARRAY, flags=MapFlags.WRONLY)) as m:
        m[0] = 1
        with pytest.raises(PermissionError):
            m[0]


async def test_a_map_is_opened_for_reading_or_for_writing_alone() -> None:
    async with Map.create(spec(MapType.ARRAY)) as m:
        m[0] = 5
        number = m.info().id
        async with Map.from_id(number, flags=MapFlags.RDONLY) as reader_:
            assert reader_[0] == struct.pack("=I", 5)
            with pytest.raises(PermissionError):
                reader_[0] = 6
        async with Map.from_id(number, flags=MapFlags.WRONLY) as writer:
            writer[0] = 7
            with pytest.raises(PermissionError):
                writer[0]
        assert m[0] == struct.pack("=I", 7)


@pytest.mark.requires("task storage")
async def test_a_storage_without_types_has_bytes() -> None:
    async with Map.create(MapSpec(name="m", type=MapType.TASK_STORAGE, value_size=8)) as m:
        m[os.getpid()] = 3
        assert m[os.getpid()] == struct.pack("=Q", 3)
        m[os.getpid()] = b"12345678"
        assert m.pop(os.getpid()) == b"12345678"


async def test_a_map_is_made_on_a_memory_node() -> None:
    async with Map.create(spec(MapType.HASH, numa_node=0)) as m:
        m[1] = 2
        assert m.info().flags & MapFlags.NUMA_NODE


# --- Bloom filters ----------------------------------------------------------------------------------------------------


@pytest.mark.requires("bloom filters")
async def test_a_bloom_filter_is_certain_of_what_is_not_in_it() -> None:
    async with Map.create(spec(MapType.BLOOM_FILTER, key_size=0, max_entries=1000, value=U32, map_extra=3)) as seen:
        for value in range(100):
            seen.add(value)
        assert all(value in seen for value in range(100))
        assert sum(value in seen for value in range(1000, 2000)) < 100
        for use in (seen.peek, seen.pop, lambda: seen.push(1)):
            with pytest.raises(SpecError, match=r"gives nothing back: m\.add\(value\)"):
                use()
        with pytest.raises(CodecError, match="map 'm'"):
            seen.add("five")
    async with Map.create(spec(MapType.HASH)) as plain:
        with pytest.raises(SpecError, match="values are added to Bloom filters"):
            plain.add(1)


# --- tries ------------------------------------------------------------------------------------------------------------


async def test_a_trie_takes_networks_and_addresses() -> None:
    async with Map.create(
        spec(MapType.LPM_TRIE, key_size=8, key=PREFIX, value=U32, flags=MapFlags.NO_PREALLOC, max_entries=16)
    ) as routes:
        routes[IPv4Network("10.0.0.0/8")] = 8
        routes[IPv4Network("10.1.2.0/24")] = 24
        routes[IPv4Interface("192.0.2.7/28")] = 28
        routes[{"bits": 0, "address": bytes(4)}] = 0
        assert routes[IPv4Address("10.1.2.3")] == 24
        assert routes[IPv4Address("10.200.0.1")] == 8
        assert routes[IPv4Address("192.0.2.1")] == 28
        assert routes[IPv4Address("8.8.8.8")] == 0
        assert routes[IPv4Network("10.1.0.0/16")] == 8, "a lookup finds what covers the whole of it"
        networks: Map[IPv4Network, int] = routes.typed(key=IPv4Network)
        assert dict(networks.items()) == {
            IPv4Network("0.0.0.0/0"): 0,
            IPv4Network("10.0.0.0/8"): 8,
            IPv4Network("10.1.2.0/24"): 24,
            IPv4Network("192.0.2.0/28"): 28,
        }
        assert sorted((key.bits, key.address[0]) for key in routes) == [(0, 0), (8, 10), (24, 10), (28, 192)]
        del routes[IPv4Network("10.1.2.0/24")]
        assert routes[IPv4Address("10.1.2.3")] == 8
        with pytest.raises(CodecError, match="an address of another version"):
            routes[IPv6Network("2001:db8::/32")] = 1
        with pytest.raises(CodecError, match="IPv6Network has 16"):
            routes.typed(key=IPv6Network)


async def test_a_trie_of_ipv6_networks() -> None:
    async with Map.create(spec(MapType.LPM_TRIE, key_size=20, value=U32, flags=MapFlags.NO_PREALLOC)) as routes:
        routes[IPv6Network("2001:db8::/32")] = 32
        assert routes[IPv6Address("2001:db8::1")] == 32
        assert list(routes.typed(key=IPv6Network)) == [IPv6Network("2001:db8::/32")]


# --- where packets go -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_", [MapType.DEVMAP, MapType.DEVMAP_HASH], ids=lambda each: each.name)
async def test_a_device_map_holds_interfaces_by_name_or_index(type_: MapType) -> None:
    async with Map.create(spec(type_)) as ports:
        ports[1] = "lo"
        ports[2] = 1
        ports[3] = DevMapValue("lo")
        assert dict(ports.items()) == {1: 1, 2: 1, 3: 1}
        with pytest.raises(CodecError, match="map 'm': there is no interface 'no such'"):
            ports[1] = "no such"
        with pytest.raises(CodecError, match="give the map a value_size of 8"):
            ports[1] = DevMapValue("lo", 5)


async def test_a_device_map_holds_the_program_that_runs_there() -> None:
    async with (
        Map.create(spec(MapType.DEVMAP, value_size=8)) as ports,
        Program.load(program(ProgramType.XDP, AttachType.XDP_DEVMAP)) as there,
    ):
        ports[0] = DevMapValue("lo", there)
        ports[1] = "lo"
        number = (await there.info()).id
        assert ports[0] == DevMapValue(1, number)
        assert ports[1] == DevMapValue(1, None)
        await there.aclose()
        assert ports[0].program == number, "the map holds the program"


async def test_a_cpu_map_holds_queues_and_the_programs_behind_them() -> None:
    async with (
        Map.create(spec(MapType.CPUMAP, value_size=8, max_entries=1)) as cpus,
        Program.load(program(ProgramType.XDP, AttachType.XDP_CPUMAP)) as there,
    ):
        cpus[0] = 192
        assert cpus[0] == CpuMapValue(192, None)
        cpus[0] = CpuMapValue(64, there)
        assert cpus[0] == CpuMapValue(64, (await there.info()).id)
    async with Map.create(spec(MapType.CPUMAP, max_entries=1)) as cpus:
        cpus[0] = CpuMapValue(8)
        assert cpus[0] == 8


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends of a TCP connection over the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as near:
        far, _ = server.accept()
        with far:
            yield near, far


@pytest.mark.parametrize("type_", [MapType.SOCKMAP, MapType.SOCKHASH], ids=lambda each: each.name)
async def test_a_socket_map_takes_sockets_and_gives_their_cookies(
    type_: MapType, connection: tuple[socket.socket, socket.socket]
) -> None:
    near, far = connection
    async with Map.create(spec(type_, value_size=8, key=U32)) as sockets:
        sockets[0] = near
        sockets[1] = far.fileno()
        cookies = [struct.unpack("=Q", each.getsockopt(socket.SOL_SOCKET, 57, 8))[0] for each in connection]
        assert [sockets[0], sockets[1]] == cookies  # SO_COOKIE
        del sockets[0]
        assert 0 not in sockets
        with pytest.raises(CodecError, match="the map takes objects that have an fd"):
            sockets[0] = "socket"
    async with Map.create(spec(type_)) as sockets:
        sockets[0] = near
        with pytest.raises(KernelError, match="It gives sockets back as their cookies, with a value_size of 8"):
            sockets[0]


async def test_a_reuseport_array_takes_listening_sockets() -> None:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("127.0.0.1", 0))
        one.listen()
        async with Map.create(spec(MapType.REUSEPORT_SOCKARRAY, value_size=8)) as sockets:
            sockets[0] = one
            assert sockets[0] == struct.unpack("=Q", one.getsockopt(socket.SOL_SOCKET, 57, 8))[0]
            del sockets[0]
            with pytest.raises(MapKeyError):
                sockets[0]


async def test_an_xsk_map_takes_af_xdp_sockets_alone() -> None:
    async with Map.create(spec(MapType.XSKMAP)) as sockets:
        with socket.socket() as tcp, pytest.raises(KernelError, match="map 'm': BPF_MAP_UPDATE_ELEM"):
            sockets[0] = tcp
        with socket.socket(AF_XDP, socket.SOCK_RAW) as xsk:
            try:
                sockets[0] = xsk
            except KernelError as error:  # since 7.x one that is bound to no queue is understood, and not taken
                assert error.errno == errno.ENOBUFS
            with pytest.raises(KernelError, match="What a map of this type holds cannot be read back"):
                sockets[0]


# --- programs, stacks, instructions ----------------------------------------------------------------------------------


async def test_a_program_array_holds_programs_that_are_closed() -> None:
    async with Map.create(spec(MapType.PROG_ARRAY)) as jumps:
        async with Program.load(program(ProgramType.XDP)) as there:
            jumps[1] = there
            number = (await there.info()).id
        assert jumps[1] == number
        assert dict(jumps.items()) == {1: number}
        del jumps[1]
        assert jumps.get(1) is None


async def test_a_stack_is_its_addresses_without_what_is_empty() -> None:
    """Run by a tracepoint in tests/link/test_storage.py; here the program asks for its own kernel stack."""
    code = Instructions(
        [
            asm.load_map_ptr(R2, "m"),
            asm.mov(R3, 0),
            asm.call_helper("get_stackid"),
            asm.exit_(),
        ]
    )
    stacks = spec(MapType.STACK_TRACE, value_size=8 * 100)
    taker = ProgramSpec(name="p", type=ProgramType.RAW_TRACEPOINT, license="GPL", instructions=code, maps={"m": stacks})
    async with Program.load(taker) as loaded:
        number = (await loaded.run()).retval
        frames = loaded.maps[0][number]
        assert 0 < len(frames) < 100
        assert all(frames)
        assert list(loaded.maps[0]) == [number]
        with pytest.raises(CodecError, match="the kernel alone writes stacks"):
            loaded.maps[0][0] = [1]


def test_a_stack_of_build_ids_ends_with_the_first_empty_frame() -> None:
    frames = struct.pack("=i20sQ", 1, b"\7" * 20, 0x1234) + struct.pack("=i20sQ", 2, bytes(20), 0xFFFF) + bytes(64)
    found = BuildIdStackElement(len(frames)).decode(frames)
    assert found == [BuildIdFrame(b"\7" * 20, 0x1234), BuildIdFrame(None, 0xFFFF)]


@pytest.mark.requires("instruction arrays")
async def test_an_instruction_array_says_where_instructions_went() -> None:
    places = spec(
        MapType.INSN_ARRAY, value_size=16, max_entries=2, is_frozen=True,
        contents={struct.pack("=I", i): struct.pack("=IIII", slot, 0, 0, 0) for i, slot in enumerate((0, 3))},
    )  # fmt: skip
    code = Instructions([asm.load_map_ptr(R1, "m"), asm.mov(R0, 0), asm.exit_()])
    owner = ProgramSpec(name="p", type=ProgramType.XDP, license="GPL", instructions=code, maps={"m": places})
    async with Program.load(owner) as loaded:
        first, last = loaded.maps[0][0], loaded.maps[0][1]
        assert isinstance(first, InstructionPlace)
        assert (first.original, last.original) == (0, 3)
        assert last.translated >= 3
    async with Map.create(spec(MapType.INSN_ARRAY, value_size=16)) as loose:
        loose[1] = 5
        assert loose[1].original == 5


@pytest.mark.requires("resizable hashes")
async def test_a_resizable_hash_is_a_mapping() -> None:
    async with Map.create(spec(MapType.RHASH, key=U32, value=U32, max_entries=1000)) as table:
        table.update_many({i: i * i for i in range(500)})
        assert table[20] == 400
        assert sorted(table) == list(range(500))
        assert table.pop(20) == 400
        assert len(table.pop_all()) == 499
        assert list(table) == []


@pytest.mark.requires("overwriting rings")
async def test_a_ring_that_overwrites_its_oldest_is_made() -> None:
    async with Map.create(MapSpec(name="r", type=MapType.RINGBUF, max_entries=PAGE, flags=MapFlags.RB_OVERWRITE)) as m:
        assert m.info().flags & MapFlags.RB_OVERWRITE


# --- maps of maps -----------------------------------------------------------------------------------------------------


async def test_an_inner_map_is_made_where_it_is_held() -> None:
    outer = spec(MapType.HASH_OF_MAPS, key=U32, inner=INNER)
    async with Map.create(outer) as holder:
        async with holder.create_inner(5, contents={1: 11}, name="five") as inner:
            inner[2] = 22
        async with holder[5] as again:
            assert (again[1], again[2], again.name) == (11, 22, "five")
        async with Map.create(INNER) as six:
            await holder.put(6, six)
        async with holder.pop(6) as six:
            assert six[0] == 0
        with pytest.raises(KernelError):  # of another size
            await holder.create_inner(6, max_entries=100)
        assert 6 not in holder
        with pytest.raises(SpecError, match=r"use pop_all\(\)"):
            holder.batches(take=True)
        for key, held in holder.pop_all():
            assert (key, held[2]) == (5, 22)
            held.close()
        assert list(holder) == []
    async with Map.create(spec(MapType.HASH)) as plain:
        with pytest.raises(SpecError, match="does not say what the maps in it are"):
            await plain.create_inner(1)


async def test_arrays_of_any_length_are_held_where_they_may() -> None:
    inner = spec(MapType.ARRAY, name="inner", value_size=8, key=U32, value=U64, flags=MapFlags.INNER_MAP)
    async with Map.create(spec(MapType.ARRAY_OF_MAPS, inner=inner)) as holder:
        async with holder.create_inner(0, max_entries=100) as long:
            assert long.max_entries == 100
        async with holder[0] as again:
            assert again.info().max_entries == 100


# --- one program's own ------------------------------------------------------------------------------------------------


def reader(retval: int, own: MapSpec) -> ProgramSpec:
    code = Instructions([asm.load_map_ptr(R1, "own"), asm.mov(R0, retval), asm.exit_()])
    return ProgramSpec(name="p", type=ProgramType.XDP, license="GPL", instructions=code, maps={"own": own})


async def test_a_map_for_one_program_is_used_by_no_other() -> None:
    own = spec(MapType.ARRAY, name="own")
    owner, other = reader(1, own), reader(2, own)
    own.exclusive_program = await Program.digest(owner)
    if not kernel_has("exclusive maps"):
        with pytest.raises(NotSupportedError, match=r"map 'own': a map for one program alone needs Linux 6\.18"):
            await Program.load(owner)
        return
    async with Program.load(owner) as loaded:
        assert (await loaded.run(bytes(64))).retval == 1
    with pytest.raises(VerifierError, match="hash doesn't match"):
        await Program.load(other)
    own.exclusive_program = b"short"
    with pytest.raises(KernelError, match="exclusive_program is a SHA-256 of 32 bytes, not 5"):
        await Map.create(own)


# --- cgroup arrays ----------------------------------------------------------------------------------------------------


async def test_a_cgroup_array_takes_paths_and_descriptors_and_keeps_none_open(tmp_path: Any) -> None:
    from aiobpf.kernel.mounts import mounts

    root = next(iter(mounts("cgroup2")))
    async with Map.create(spec(MapType.CGROUP_ARRAY)) as groups:
        before = len(os.listdir("/proc/self/fd"))
        groups[0] = root
        groups.update_many({1: root})
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        groups[2] = fd
        os.close(fd)
        with pytest.raises(KernelError, match="map 'm'"):  # no cgroup
            groups[3] = tmp_path
        with pytest.raises(FileNotFoundError, match="no-such"):
            groups[3] = tmp_path / "no-such"
        assert len(os.listdir("/proc/self/fd")) == before
        with pytest.raises(KernelError, match="cannot be read back"):
            groups[0]
        del groups[0]
