"""struct_ops: the kernel calls programs where it would call its own functions, until they are taken out again.

A TCP congestion control shows it: a socket asks for it by name, and its programs count what a loopback connection does.
"""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aiobpf
from aiobpf.errors import KernelError, NotSupportedError, SpecError
from aiobpf.kernel.netns import NetNamespace
from aiobpf.link import Link, StructOps
from aiobpf.uapi import LinkType, MapFlags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiobpf.spec import CollectionSpec, StructOpsMembers

OBJECT = Path(__file__).parent.parent / "objects" / "struct_ops.bpf.o"
PLAIN, LINKED = "aiobpf_plain", "aiobpf_linked"
PROGRAMS = ["count_init", "count_avoid", "undo", "threshold"]
NAMESPACE = "aiobpf-tcp"

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


@pytest.fixture
def plain() -> CollectionSpec:
    """The map that needs no link (5.6), alone."""
    spec = aiobpf.read_spec(OBJECT)
    spec.maps["linked"].autocreate = False
    return spec


@pytest.fixture
def linked() -> CollectionSpec:
    """The map with a link (6.4), alone."""
    spec = aiobpf.read_spec(OBJECT)
    spec.maps["plain"].autocreate = False
    return spec


@pytest.fixture
def talk() -> Iterator[Callable[[str], None]]:
    """Have a connection over a loopback of its own, its client under the congestion control of that name; OSError where
    there is none."""
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    try:
        subprocess.run(["ip", "-n", NAMESPACE, "link", "set", "lo", "up"], check=True)
        with NetNamespace.open(NAMESPACE) as namespace:

            def connect(name: str) -> None:
                with namespace.entered(), socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
                    client.connect(server.getsockname())
                    accepted, _ = server.accept()
                    with accepted:
                        for _ in range(20):
                            client.sendall(bytes(1000))
                            accepted.recv(2000)

            yield connect
    finally:
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=True)


def members_of(spec: CollectionSpec, name: str) -> StructOpsMembers:
    members = spec.maps[name].members
    assert members is not None
    return members


@pytest.mark.shows("struct_ops_tcpcc")
async def test_programs_serve_a_connection_until_the_map_is_detached(
    plain: CollectionSpec, talk: Callable[[str], None]
) -> None:
    async with aiobpf.load(plain) as coll:
        with pytest.raises(FileNotFoundError):
            talk(PLAIN)
        async with coll.attach() as attached:
            assert list(attached.links) == ["plain"]
            assert attached.skipped == ("bystander",), "the map's programs are attached by it"
            talk(PLAIN)
            assert coll.variables["inits"].value == 1
            assert coll.variables["avoided"].value >= 20
            assert coll.variables["releases"].value == 0, "not in this one"
        with pytest.raises(FileNotFoundError):
            talk(PLAIN)


@pytest.mark.requires("struct_ops links")
@pytest.mark.shows("struct_ops_link")
async def test_with_a_link_it_is_registered_again_and_again(
    linked: CollectionSpec, talk: Callable[[str], None]
) -> None:
    async with aiobpf.load(linked) as coll:
        for times in (1, 2):
            async with coll.maps["linked"].attach(StructOps()) as link:
                assert repr(link) == "<Link of map 'linked' on StructOps()>"
                info = await link.info()
                assert (info.type, info.map_id) == (LinkType.STRUCT_OPS, coll.maps["linked"].info().id)
                talk(LINKED)
                assert coll.variables["releases"].value == times
            with pytest.raises(FileNotFoundError):
                talk(LINKED)


@pytest.mark.requires("struct_ops links")
async def test_a_link_is_updated_with_another_map(linked: CollectionSpec, talk: Callable[[str], None]) -> None:
    linked.maps["successor"].autocreate = True
    async with aiobpf.load(linked) as coll, coll.maps["linked"].attach(StructOps()) as link:
        talk(LINKED)
        before = coll.variables["avoided"].value
        await link.update(coll.maps["successor"])
        talk(LINKED)
        assert coll.variables["avoided"].value == before > 0
        assert coll.variables["others"].value >= 20
        with pytest.raises(SpecError, match="is updated with a struct_ops map, not with <Program 'count_init'"):
            await link.update(coll.programs["count_init"])


@pytest.mark.requires("struct_ops links")
async def test_a_pinned_link_serves_on(linked: CollectionSpec, talk: Callable[[str], None], tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "bpf", "bpf", str(tmp_path)], check=True)
    try:
        pin = tmp_path / "ops"
        async with aiobpf.load(linked) as coll, coll.attach() as attached:
            attached.links["linked"].pin(pin)
        talk(LINKED)
        async with await Link.from_pin(pin) as link:
            assert "of map 'id " in repr(link)
            link.unpin()
        with pytest.raises(FileNotFoundError):
            talk(LINKED)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


async def test_without_a_link_a_map_is_registered_once(plain: CollectionSpec) -> None:
    async with aiobpf.load(plain) as coll:
        async with coll.maps["plain"].attach():
            pass
        with pytest.raises(KernelError, match=r"map 'plain': .*EBUSY.* each map is once: load the collection again"):
            await coll.maps["plain"].attach()


async def test_a_registration_outlives_the_collection_until_it_is_closed(
    plain: CollectionSpec, talk: Callable[[str], None]
) -> None:
    async with aiobpf.load(plain) as coll:
        link = await coll.maps["plain"].attach(StructOps())
    talk(PLAIN)
    await link.aclose()
    with pytest.raises(FileNotFoundError):
        talk(PLAIN)


async def test_one_that_somebody_else_took_out_closes_in_peace(plain: CollectionSpec) -> None:
    async with aiobpf.load(plain) as coll, coll.attach():
        assert coll.maps["plain"].elements.delete(bytes(4))


async def test_two_of_one_name_are_an_error_that_names_the_map(plain: CollectionSpec) -> None:
    async with aiobpf.load(plain) as first, first.attach(), aiobpf.load(plain) as second:
        with pytest.raises(FileExistsError, match="struct_ops map 'plain'"):
            await second.attach()


async def test_members_are_edited_before_the_load(plain: CollectionSpec, talk: Callable[[str], None]) -> None:
    members = members_of(plain, "plain")
    members["name"] = "aiobpf_edited"
    members["cong_avoid"] = "other_avoid"
    members["init"] = None
    members["release"] = "count_release"
    async with aiobpf.load(plain) as coll:
        assert set(coll.programs) == {"count_release", "undo", "threshold", "other_avoid", "bystander"}, (
            "what no member refers to is not loaded"
        )
        async with coll.attach():
            talk("aiobpf_edited")
            with pytest.raises(FileNotFoundError):
                talk(PLAIN)
        values = {name: coll.variables[name].value for name in ("inits", "releases", "avoided")}
        assert values == {"inits": 0, "releases": 1, "avoided": 0}
        assert coll.variables["others"].value >= 20


async def test_loading_never_changes_the_spec(plain: CollectionSpec) -> None:
    before = plain.copy()
    for _ in range(2):
        async with aiobpf.load(plain) as coll, coll.attach():
            pass
    assert plain == before
    assert members_of(plain, "plain") == members_of(before, "plain")


async def test_the_kernels_struct_is_read_back_by_its_own_type(plain: CollectionSpec) -> None:
    async with aiobpf.load(plain) as coll, coll.attach():
        value = coll.maps["plain"][0].data
        assert value.name == PLAIN
        assert value.undo_cwnd == (await coll.programs["undo"].info()).id
        assert value.release == 0


async def test_a_member_that_the_kernel_lacks_must_be_left_out(plain: CollectionSpec) -> None:
    members = members_of(plain, "plain")
    members["no_such_number"] = 1
    with pytest.raises(NotSupportedError, match=r"member 'no_such_number' of struct_ops map 'plain'.* Set it to 0"):
        await aiobpf.load(plain)
    members["no_such_number"] = 0
    members["no_such_member"] = "count_release"
    with pytest.raises(NotSupportedError, match="this kernel's struct tcp_congestion_ops has no function 'no_such_m"):
        await aiobpf.load(plain)


async def test_a_member_whose_program_is_not_there_is_named(plain: CollectionSpec) -> None:
    members = members_of(plain, "plain")
    for program, message in (
        ("nowhere", "member 'release' of struct_ops map 'plain' is 'nowhere', and there is no such program"),
        ("bystander", "program 'bystander' .section 'socket'., which is of type SOCKET_FILTER, not STRUCT_OPS"),
        ("count_init", "program 'count_init' is both tcp_congestion_ops:init and tcp_congestion_ops:release"),
    ):
        members["release"] = program
        with pytest.raises(SpecError, match=message):
            await aiobpf.load(plain)


async def test_choosing_programs_chooses_the_maps_that_they_are_in(plain: CollectionSpec) -> None:
    async with aiobpf.load(plain, programs=["bystander"]) as coll:
        assert set(coll.maps) == {".bss"}
        assert (await coll.programs["bystander"].run(bytes(64))).retval == 3
    async with aiobpf.load(plain, programs=PROGRAMS) as coll:
        assert set(coll.maps) == {".bss", "plain"}
    with pytest.raises(
        SpecError, match=r"member 'undo_cwnd' .* is program 'undo', which was not chosen: load it too, or"
    ):
        await aiobpf.load(plain, programs=["count_init", "count_avoid"])


async def test_programs_and_maps_that_attach_nowhere_say_what_to_do(plain: CollectionSpec) -> None:
    async with aiobpf.load(plain) as coll:
        with pytest.raises(SpecError, match=r"program 'undo' is called through the struct_ops map .*: attach the map"):
            await coll.programs["undo"].attach()
        with pytest.raises(SpecError, match=r"map '.bss' is a ARRAY map, which says no place to attach to"):
            await coll.maps[".bss"].attach()
        with pytest.raises(SpecError, match=r"map '.bss' is a ARRAY map, not one of struct_ops"):
            await coll.maps[".bss"].attach(StructOps())
        async with coll.attach("plain") as attached:
            assert list(attached.links) == ["plain"]
    with pytest.raises(SpecError, match="struct_ops map 'plain' is made of this load's programs"):
        async with aiobpf.Map.create(plain.maps[".bss"]) as other:
            await aiobpf.load(plain, replace_maps={"plain": other})


async def test_a_program_loads_alone_for_its_member(plain: CollectionSpec) -> None:
    async with aiobpf.Program.load(plain.programs["undo"]) as program:
        assert program.type == aiobpf.ProgramType.STRUCT_OPS
    unbound = plain.programs["other_avoid"].copy()
    for place, error, message in (
        ("other_avoid", SpecError, "is in no struct_ops map, so nothing says which member"),
        ("tcp_congestion_opt:init", NotSupportedError, "Did you mean 'tcp_congestion_ops'"),
        ("tcp_congestion_ops:innit", NotSupportedError, "has no function 'innit'. Did you mean 'init'"),
        ("tcp_congestion_ops:name", NotSupportedError, "has no function 'name'"),
    ):
        unbound.attach_to = place
        with pytest.raises(error, match=message):
            await aiobpf.Program.load(unbound)


async def test_a_link_where_the_kernel_has_none_for_it_is_named(linked: CollectionSpec) -> None:
    from aiobpf.kernel import kernel_release

    if kernel_release() >= (6, 4):
        linked.maps["linked"].flags = 0  # the way out, which works everywhere
    else:
        with pytest.raises(NotSupportedError, match=r"'linked' with a link needs Linux 6\.4\. Register it without"):
            await aiobpf.load(linked)
        linked.maps["linked"].flags &= ~MapFlags.LINK
    async with aiobpf.load(linked) as coll, coll.attach() as attached:
        assert list(attached.links) == ["linked"]
        with pytest.raises(NotSupportedError, match="no bpf link"):
            attached.links["linked"].fileno()
