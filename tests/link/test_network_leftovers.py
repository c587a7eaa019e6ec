"""What a SIGKILL and a pin leave on interfaces, routes and netfilter hooks: what docs/links.md says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from aiobpf.link import Link, Netfilter, Tcx, Xdp, query
from aiobpf.uapi import AttachType, ProgramType

from .networks import output
from .test_crash import killed

if TYPE_CHECKING:
    from pathlib import Path

    from aiobpf.link import QueriedProgram
    from aiobpf.runtime.attach import AttachKind

    from .conftest import Counters, NetworkPair
    from .test_crash import Killed

__all__ = ["killed"]  # the fixture

pytestmark = pytest.mark.root


def on_near(network: NetworkPair) -> list[QueriedProgram]:
    async def ask() -> list[QueriedProgram]:
        return await query(interface="near", netns=network.near)

    return anyio.run(ask)


@pytest.mark.parametrize(
    ("type_", "attach_type", "kind", "left"),
    [
        ("XDP", AttachType.XDP, 'Xdp("near", netns={netns!r})', 0),
        ("XDP", AttachType.XDP, 'Xdp("near", link=False, netns={netns!r})', 1),
        ("SCHED_CLS", 0, 'Tc("near", "ingress", netns={netns!r})', 1),
        pytest.param("SCHED_CLS", 0, 'Tcx("near", "ingress", netns={netns!r})', 0, marks=pytest.mark.requires("tcx")),
        pytest.param(
            "SCHED_CLS", 0, 'Tcx("near", "ingress", link=False, netns={netns!r})', 1, marks=pytest.mark.requires("tcx")
        ),
    ],
)
def test_an_interface_keeps_a_program_that_has_no_link(
    killed: Killed, network: NetworkPair, type_: str, attach_type: int, kind: str, left: int
) -> None:
    _pid, link = killed(type_, attach_type, kind.format(netns=network.near))
    assert bool(link) == (left == 0)
    assert len(on_near(network)) == left


def test_a_route_outlives_who_made_it(killed: Killed, network: NetworkPair) -> None:
    killed("LWT_XMIT", 0, f'Lwt("10.88.0.0/24", "near", netns={network.near!r})')
    assert "encap bpf" in output(f"ip -n {network.near} route show 10.88.0.0/24")


@pytest.mark.requires("netfilter programs")
def test_a_netfilter_hook_keeps_no_program(killed: Killed, network: NetworkPair) -> None:
    """A killed process' program would return NF_DROP."""
    _pid, link = killed("NETFILTER", AttachType.NETFILTER, f'Netfilter("ipv4", "local_in", netns={network.near!r})')
    assert link
    assert network.datagram_arrives()


@pytest.mark.everywhere
@pytest.mark.parametrize(
    "where",
    [
        "xdp",
        pytest.param("tcx", marks=pytest.mark.requires("tcx")),
        pytest.param("netfilter", marks=pytest.mark.requires("netfilter programs")),
    ],
)
async def test_a_pinned_link_keeps_its_program_until_it_is_unpinned(
    counters: Counters, network: NetworkPair, bpffs: Path, where: str
) -> None:
    kinds: dict[str, tuple[ProgramType, AttachType | None, int, AttachKind[Link]]] = {
        "xdp": (ProgramType.XDP, AttachType.XDP, 1, Xdp("near", netns=network.near)),
        "tcx": (ProgramType.SCHED_CLS, None, 2, Tcx("near", "ingress", netns=network.near)),
        "netfilter": (
            ProgramType.NETFILTER, AttachType.NETFILTER, 0, Netfilter("ipv4", "local_in", netns=network.near)
        ),
    }  # fmt: skip
    type_, attach_type, retval, kind = kinds[where]
    drop = counters(type_, attach_type, retval=retval)
    async with drop.program.attach(kind) as link:
        link.pin(bpffs / "link")
    assert not network.datagram_arrives(0.1)
    async with await Link.from_pin(bpffs / "link") as link:
        link.unpin()
    assert network.datagram_arrives()
