"""tcx: programs in an order, each until its link is closed."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from aiobpf.errors import KernelError, NotSupportedError, ObjectExistsError, SpecError
from aiobpf.kernel import prog_query, program_info
from aiobpf.kernel.netns import NetNamespace
from aiobpf.link import After, Before, Direction, First, Last, Replace, Tcx
from aiobpf.uapi import AttachType, LinkType, ProgramType
from tests.kernel_features import kernel_has

from .networks import index_of, output

if TYPE_CHECKING:
    from aiobpf.runtime import Program

    from .conftest import Counted, Counters, NetworkPair

pytestmark = pytest.mark.root
needs_tcx = pytest.mark.requires("tcx")

NEXT, PASS, DROP = -1, 0, 2


def id_of(program: Program) -> int:
    return program_info(program).id


def chain(network: NetworkPair) -> list[int]:
    with NetNamespace.open(network.near) as inside, inside.entered():
        return list(prog_query(index_of("near", network.near), AttachType.TCX_INGRESS).program_ids)


def revision(network: NetworkPair) -> int:
    with NetNamespace.open(network.near) as inside, inside.entered():
        return prog_query(index_of("near", network.near), AttachType.TCX_INGRESS).revision


@pytest.fixture
def three(counters: Counters) -> list[Counted]:
    return [counters(ProgramType.SCHED_CLS, retval=NEXT) for _ in range(3)]


@needs_tcx
@pytest.mark.everywhere
@pytest.mark.shows("tcx")
@pytest.mark.parametrize(("interface", "direction"), [("near", "ingress"), ("far", "egress")])
async def test_a_classifier_drops_until_it_is_closed(
    counters: Counters, network: NetworkPair, interface: str, direction: str
) -> None:
    namespace = getattr(network, interface)
    seen = counters(ProgramType.SCHED_CLS, retval=NEXT)
    dropping = counters(ProgramType.SCHED_CLS, retval=DROP)
    async with seen.program.attach(Tcx(interface, direction, netns=namespace)) as link:
        assert network.datagram_arrives()
        assert seen.count >= 1
        assert (await link.info()).type == LinkType.TCX
        async with dropping.program.attach(Tcx(interface, direction, netns=namespace)):
            assert not network.datagram_arrives(0.1)
            assert dropping.count >= 1
        assert network.datagram_arrives()


@needs_tcx
@pytest.mark.everywhere
async def test_anchors_are_places_in_the_chain(three: list[Counted], counters: Counters, network: NetworkPair) -> None:
    one, two, six = (counted.program for counted in three)
    ns = network.near
    async with one.attach(Tcx("near", "ingress", netns=ns)) as link:
        async with two.attach(Tcx("near", "ingress", anchor=First(), netns=ns)):
            assert chain(network) == [id_of(two), id_of(one)]
            for anchor in (Before(link), Before(link_id=(await link.info()).id)):
                async with six.attach(Tcx("near", "ingress", anchor=anchor, netns=ns)):
                    assert chain(network) == [id_of(two), id_of(six), id_of(one)]
            for last in (Last(), None, After(link)):
                async with six.attach(Tcx("near", "ingress", anchor=last, netns=ns)):
                    assert chain(network) == [id_of(two), id_of(one), id_of(six)]
        async with two.attach(Tcx("near", "ingress", link=False, netns=ns)):
            for place in (Before(two), Before(id_of(two))):
                async with six.attach(Tcx("near", "ingress", anchor=place, netns=ns)):
                    assert chain(network) == [id_of(one), id_of(six), id_of(two)]
    assert chain(network) == []


@needs_tcx
@pytest.mark.everywhere
async def test_a_program_without_a_link_is_replaced_and_taken_off(counters: Counters, network: NetworkPair) -> None:
    next_ = counters(ProgramType.SCHED_CLS, retval=NEXT)
    drop = counters(ProgramType.SCHED_CLS, retval=DROP)
    first = await next_.program.attach(Tcx("near", "ingress", link=False, netns=network.near))
    replacing = Tcx("near", "ingress", anchor=Replace(next_.program), link=False, netns=network.near)
    async with drop.program.attach(replacing) as link:
        assert chain(network) == [id_of(drop.program)]
        assert not network.datagram_arrives(0.1)
        await first.aclose()  # it is gone already
        assert chain(network) == [id_of(drop.program)]
        await link.update(next_.program)
        assert network.datagram_arrives()
        with pytest.raises(KernelError):
            await link.update(drop.program, expected=drop.program)
        await link.update(drop.program, expected=next_.program)
    assert chain(network) == []
    with pytest.raises(ValueError, match="Replace is for programs without a link"):
        Tcx("near", "ingress", anchor=Replace(next_.program))


@needs_tcx
@pytest.mark.everywhere
async def test_a_link_is_updated_only_from_the_program_that_is_expected(
    counters: Counters, network: NetworkPair
) -> None:
    next_ = counters(ProgramType.SCHED_CLS, retval=NEXT)
    drop = counters(ProgramType.SCHED_CLS, retval=DROP)
    async with next_.program.attach(Tcx("near", "ingress", netns=network.near)) as link:
        with pytest.raises(KernelError, match="Another program than 'counting' hangs there"):
            await link.update(drop.program, expected=drop.program)
        assert network.datagram_arrives()
        await link.update(drop.program, expected=next_.program)
        assert not network.datagram_arrives(0.1)


@needs_tcx
@pytest.mark.everywhere
async def test_a_chain_that_changed_meanwhile_is_stale(three: list[Counted], network: NetworkPair) -> None:
    one, two, _ = (counted.program for counted in three)
    async with one.attach(Tcx("near", "ingress", netns=network.near)):
        now = revision(network)
        with pytest.raises(KernelError, match=r"not at revision 4711 any more") as stale:
            await two.attach(Tcx("near", "ingress", expected_revision=4711, netns=network.near))
        assert stale.value.errno == errno.ESTALE
        async with two.attach(Tcx("near", "ingress", expected_revision=now, netns=network.near)):
            assert len(chain(network)) == 2


@needs_tcx
@pytest.mark.everywhere
async def test_what_cannot_be_is_said(three: list[Counted], network: NetworkPair) -> None:
    one, two, _ = (counted.program for counted in three)
    ns = network.near
    async with one.attach(Tcx("near", "ingress", netns=ns)) as link:
        with pytest.raises(ObjectExistsError, match="This program is in the chain already"):
            await one.attach(Tcx("near", "ingress", netns=ns))
        with pytest.raises(SpecError, match=r"Before\(.*speaks of what is not in the chain"):
            await two.attach(Tcx("near", "egress", anchor=Before(link), netns=ns))
    with pytest.raises(KernelError, match=r"interface 'nera'.*There are: near"):
        await one.attach(Tcx("nera", "ingress", netns=ns))
    with pytest.raises(SpecError, match="does not say which direction"):
        await one.attach(Tcx("near", netns=ns))


@needs_tcx
@pytest.mark.everywhere
async def test_the_section_says_the_direction(counters: Counters, network: NetworkPair) -> None:
    seen = counters(ProgramType.SCHED_CLS, AttachType.TCX_INGRESS, retval=NEXT)
    async with seen.program.attach(Tcx("near", netns=network.near)):
        assert chain(network) == [id_of(seen.program)]


@needs_tcx
@pytest.mark.everywhere
async def test_an_interface_that_goes_first_takes_its_programs_along(
    three: list[Counted], network: NetworkPair
) -> None:
    kinds = [Tcx("near", "ingress", netns=network.near), Tcx("near", "egress", link=False, netns=network.near)]
    async with three[0].program.attach(kinds[0]), three[1].program.attach(kinds[1]):
        output(f"ip -n {network.near} link del near")


@pytest.mark.everywhere
async def test_a_kernel_without_tcx_is_said_to_lack_it(counters: Counters, network: NetworkPair) -> None:
    if kernel_has("tcx"):
        return
    seen = counters(ProgramType.SCHED_CLS, retval=NEXT)
    for has_link in (True, False):
        with pytest.raises(NotSupportedError) as error:
            await seen.program.attach(Tcx("near", "ingress", link=has_link, netns=network.near))
        assert error.value.since == "6.6"


def test_an_anchor_is_beside_one_thing() -> None:
    assert Before(5) == Before(5)
    assert Tcx("eth0", "egress") == Tcx("eth0", Direction.EGRESS)
    for make in (Before, After, lambda: Before(5, link_id=6)):
        with pytest.raises(ValueError, match="one of these"):
            make()
