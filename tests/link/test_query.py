"""query: what hangs on an interface, a cgroup and a network namespace, by whoever."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from aiobpf import asm
from aiobpf.errors import KernelError
from aiobpf.kernel import program_info
from aiobpf.link import (
    Cgroup,
    Direction,
    First,
    FlowDissector,
    Netfilter,
    NetfilterFamily,
    NetfilterHook,
    Netkit,
    QueriedProgram,
    SkLookup,
    Tc,
    Tcx,
    Xdp,
    XdpMode,
    query,
)
from aiobpf.runtime import Program
from aiobpf.spec import ProgramSpec
from aiobpf.uapi import AttachType, ProgramType
from tests.kernel_features import kernel_has

from .networks import netkit_network, output

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Counters, NetworkPair

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


def id_of(program: Program) -> int:
    return program_info(program).id


async def test_an_interface_tells_its_xdp_program_and_filters(counters: Counters, network: NetworkPair) -> None:
    xdp = counters(ProgramType.XDP, AttachType.XDP, retval=2)
    tc = counters(ProgramType.SCHED_CLS, retval=0)
    assert await query(interface="near", netns=network.near) == []
    async with (
        xdp.program.attach(Xdp("near", "skb", netns=network.near)) as link,
        tc.program.attach(Tc("near", "ingress", priority=4, handle=2, netns=network.near)),
        tc.program.attach(Tc("near", "egress", priority=4, handle=3, netns=network.near)),
    ):
        link_id = (await link.info()).id
        assert await query(interface="near", netns=network.near) == [
            QueriedProgram(
                where="xdp", program_id=id_of(xdp.program), program_name="counting", link_id=link_id, mode=XdpMode.SKB
            ),
            *(
                QueriedProgram(
                    where="clsact", program_id=id_of(tc.program), program_name="counting", direction=direction,
                    priority=4, handle=handle,
                )
                for direction, handle in ((Direction.INGRESS, 2), (Direction.EGRESS, 3))
            ),
        ]  # fmt: skip
    async with xdp.program.attach(Xdp("near", link=False, netns=network.near)):
        (row,) = await query(interface="near", netns=network.near)
        assert (row.mode, row.link_id) == (XdpMode.NATIVE, None)
    assert await query(interface="near", netns=network.near) == []


@pytest.mark.requires("tcx")
async def test_a_chain_is_told_in_its_order_with_links_and_revision(counters: Counters, network: NetworkPair) -> None:
    one, two = (counters(ProgramType.SCHED_CLS, retval=-1).program for _ in range(2))
    async with (
        one.attach(Tcx("near", "egress", netns=network.near)) as link,
        two.attach(Tcx("near", "egress", anchor=First(), link=False, netns=network.near)),
    ):
        first, second = await query(interface="near", netns=network.near)
        assert (first.program_id, first.position, first.link_id) == (id_of(two), 0, None)
        assert (second.program_id, second.position, second.link_id) == (id_of(one), 1, (await link.info()).id)
        assert first.direction is Direction.EGRESS
        assert first.attach_type is AttachType.TCX_EGRESS
        assert first.revision == second.revision > 0


@pytest.mark.requires("netkit")
async def test_a_netkit_device_tells_its_programs(counters: Counters) -> None:
    seen = counters(ProgramType.SCHED_CLS, retval=-1).program
    with netkit_network("near") as network:
        async with seen.attach(Netkit("near", "peer", netns=network.near)) as link:
            (row,) = await query(interface="near", netns=network.near)
            assert (row.where, row.program_id, row.link_id) == ("netkit", id_of(seen), (await link.info()).id)
            assert row.attach_type is AttachType.NETKIT_PEER
            assert await query(interface="far", netns=network.far) == []


async def test_a_cgroup_tells_every_hook_and_what_is_handed_down(counters: Counters, cgroup: Path) -> None:
    bind = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=1).program
    egress = counters(ProgramType.CGROUP_SKB, AttachType.CGROUP_INET_EGRESS, retval=1).program
    child = cgroup / "child"
    child.mkdir()
    try:
        async with bind.attach(Cgroup(cgroup)) as link, egress.attach(Cgroup(cgroup, mode="multi")):
            rows = {row.attach_type: row for row in await query(cgroup=cgroup)}
            assert set(rows) == {AttachType.CGROUP_INET4_BIND, AttachType.CGROUP_INET_EGRESS}
            of_link, of_none = rows[AttachType.CGROUP_INET4_BIND], rows[AttachType.CGROUP_INET_EGRESS]
            assert (of_link.program_id, of_link.link_id) == (id_of(bind), (await link.info()).id)
            assert (of_none.program_id, of_none.link_id, of_none.flags) == (id_of(egress), None, 2)
            assert await query(cgroup=child) == []
            handed = {row.attach_type: row for row in await query(cgroup=child, effective=True)}
            assert handed[AttachType.CGROUP_INET4_BIND].link_id == of_link.link_id
            assert AttachType.CGROUP_INET_EGRESS in handed
        assert await query(cgroup=cgroup) == []
    finally:
        child.rmdir()


async def test_a_network_namespace_tells_its_dissector_and_lookups(network: NetworkPair) -> None:
    def spec(type_: ProgramType, attach_type: AttachType) -> ProgramSpec:
        code = asm.Instructions([asm.mov(asm.R0, 1), asm.exit_()])
        return ProgramSpec(name="by_hand", type=type_, license="GPL", instructions=code, attach_type=attach_type)

    async with (
        Program.load(spec(ProgramType.FLOW_DISSECTOR, AttachType.FLOW_DISSECTOR)) as dissector,
        Program.load(spec(ProgramType.SK_LOOKUP, AttachType.SK_LOOKUP)) as lookup,
        dissector.attach(FlowDissector(network.near)) as one,
        lookup.attach(SkLookup(network.near)) as two,
    ):
        rows = [row for row in await query(netns=network.near) if row.where == "netns"]
        assert [(row.attach_type, row.program_id, row.link_id) for row in rows] == [
            (AttachType.FLOW_DISSECTOR, id_of(dissector), (await one.info()).id),
            (AttachType.SK_LOOKUP, id_of(lookup), (await two.info()).id),
        ]
        assert [row for row in await query(netns=network.far) if row.where == "netns"] == []


@pytest.mark.requires("netfilter programs")
async def test_a_network_namespace_tells_its_netfilter_programs(counters: Counters, network: NetworkPair) -> None:
    seen = counters(ProgramType.NETFILTER, AttachType.NETFILTER, retval=1).program
    async with (
        seen.attach(Netfilter("ipv4", "local_in", priority=-7, netns=network.near)) as link,
        seen.attach(Netfilter("ipv4", "local_in", priority=9, netns=network.near)),
        seen.attach(Netfilter("ipv6", "forward", netns=network.near)),
    ):
        rows = [row for row in await query(netns=network.near) if row.program_id == id_of(seen)]
        assert [(row.family, row.hook, row.priority, row.position) for row in rows] == [
            (NetfilterFamily.IPV4, NetfilterHook.LOCAL_IN, -7, 0),
            (NetfilterFamily.IPV4, NetfilterHook.LOCAL_IN, 9, 1),
            (NetfilterFamily.IPV6, NetfilterHook.FORWARD, 0, 0),
        ]
        assert rows[0].link_id == (await link.info()).id
        elsewhere = [row for row in await query(netns=network.far) if row.program_id == id_of(seen)]
        tells = kernel_has("netfilter hooks")
        assert len(elsewhere) == (0 if tells else 3)
        assert all(row.may_be_elsewhere is not tells for row in rows + elsewhere)


async def test_what_cannot_be_asked_is_said(network: NetworkPair) -> None:
    with pytest.raises(KernelError, match=r"interface 'nera'.*There are: near"):
        await query(interface="nera", netns=network.near)
    with pytest.raises(KernelError, match="interface 4711"):
        await query(interface=4711, netns=network.near)
    with pytest.raises(KernelError, match="cgroup '/no/such'"):
        await query(cgroup="/no/such")
    with pytest.raises(KernelError, match="EBADF"):
        await query(cgroup=os.curdir)
    for wrong in ({"cgroup": "/", "interface": 1}, {"interface": 1, "effective": True}):
        with pytest.raises(ValueError, match=r"query\("):
            await query(**wrong)


async def test_bpftool_lists_the_same(counters: Counters, network: NetworkPair) -> None:
    xdp = counters(ProgramType.XDP, AttachType.XDP, retval=2)
    tc = counters(ProgramType.SCHED_CLS, retval=0)
    async with (
        xdp.program.attach(Xdp("near", "skb", netns=network.near)),
        tc.program.attach(Tc("near", "ingress", priority=4, handle=2, netns=network.near)),
        tc.program.attach(Tc("near", "egress", netns=network.near)),
    ):
        (told,) = json.loads(output(f"nsenter --net=/run/netns/{network.near} bpftool -j net show dev near"))
        rows = await query(interface="near", netns=network.near)
    assert [each["id"] for each in told["xdp"]] == [row.program_id for row in rows if row.where == "xdp"]
    filters = [(row.program_id, f"clsact/{row.direction.value}") for row in rows if row.direction is not None]
    assert [(each["id"], each["kind"]) for each in told["tc"]] == filters
