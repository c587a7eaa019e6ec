"""Cgroup programs: what they forbid is forbidden while the link is there."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from aiobpf import asm, kernel
from aiobpf.asm import R0, R1, R2, Instructions
from aiobpf.errors import KernelError, NotSupportedError, SpecError
from aiobpf.kernel import OwnedFd
from aiobpf.link import After, Before, Cgroup, CgroupMode, First, Last, Link, Replace
from aiobpf.runtime import Program
from aiobpf.spec import ProgramSpec
from aiobpf.uapi import AttachType, ProgramType
from tests.kernel_features import kernel_has

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Counted, Counters

pytestmark = pytest.mark.root

DENY, ALLOW = 0, 1


def bind() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))


def send() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("127.0.0.1", 9))


def attached(cgroup: Path) -> list[int]:
    with OwnedFd(os.open(cgroup, os.O_RDONLY), "cgroup") as directory:
        return list(kernel.prog_query(directory, AttachType.CGROUP_INET4_BIND).program_ids)


def number_of(seen: Counted) -> int:
    return kernel.program_info(seen.program).id


def appending(digit: int) -> ProgramSpec:
    user_port = 24  # in struct bpf_sock_addr
    code = [
        asm.ldx(4, R2, R1, user_port),
        asm.mul(R2, 10),
        asm.add(R2, digit),
        asm.stx(4, R1, R2, user_port),
        asm.mov(R0, ALLOW),
        asm.exit_(),
    ]
    return ProgramSpec(
        name=f"append_{digit}",
        type=ProgramType.CGROUP_SOCK_ADDR,
        attach_type=AttachType.CGROUP_INET4_BIND,
        license="GPL",
        instructions=Instructions(code),
    )


def bound_port(port: int) -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", port))
        return int(sock.getsockname()[1])


MODES = [CgroupMode.AUTO, CgroupMode.LINK, CgroupMode.MULTI, CgroupMode.OVERRIDE, CgroupMode.EXCLUSIVE]


@pytest.mark.everywhere
@pytest.mark.parametrize("mode", MODES)
async def test_every_mode_denies_and_lets_go(counters: Counters, cgroup: Path, mode: CgroupMode) -> None:
    seen = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=DENY)
    link = await seen.program.attach(Cgroup(cgroup, mode=mode))
    with pytest.raises(PermissionError):
        bind()
    await link.aclose()
    bind()
    await link.aclose()


@pytest.mark.everywhere
async def test_a_link_can_be_updated_and_detached(counters: Counters, cgroup: Path) -> None:
    deny = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=DENY)
    allow = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=ALLOW)
    async with deny.program.attach(Cgroup(cgroup)) as link:
        await link.update(allow.program)
        bind()
        assert allow.count == 1
        await link.update(deny.program)
        with pytest.raises(PermissionError):
            bind()
        await link.detach()
        bind()


@pytest.mark.everywhere
async def test_without_a_link_detach_works_and_the_rest_says_why_not(
    counters: Counters, cgroup: Path, tmp_path: Path
) -> None:
    deny = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=DENY)
    async with deny.program.attach(Cgroup(cgroup, mode="multi")) as link:
        for attempt in (link.fileno, lambda: link.pin(tmp_path / "link")):
            with pytest.raises(NotSupportedError, match="no bpf link"):
                attempt()
        await link.detach()
        bind()


@pytest.mark.everywhere
@pytest.mark.parametrize("mode", ["link", "multi", "override", "exclusive"])
async def test_an_update_takes_effect_in_every_mode_if_it_is_what_was_expected(
    counters: Counters, cgroup: Path, mode: str
) -> None:
    deny = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=DENY)
    allow = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=ALLOW)
    async with deny.program.attach(Cgroup(cgroup, mode=mode)) as link:
        with pytest.raises(KernelError, match=r"EPERM|ENOENT"):
            await link.update(allow.program, expected=allow.program)
        with pytest.raises(PermissionError):
            bind()
        await link.update(allow.program, expected=deny.program)
        bind()
        assert attached(cgroup) == [number_of(allow)]
    assert attached(cgroup) == []


@pytest.mark.everywhere
@pytest.mark.requires("cgroup anchors")
@pytest.mark.parametrize("mode", ["link", "multi"])
async def test_programs_of_a_cgroup_run_in_the_order_that_anchors_give(
    counters: Counters, cgroup: Path, mode: str
) -> None:
    made = [counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=ALLOW) for _ in range(5)]
    a, b, c, d, e = (each.program for each in made)
    async with a.attach(Cgroup(cgroup, mode=mode)) as first:
        beside: Link | Program = first if mode == "link" else a
        async with (
            b.attach(Cgroup(cgroup, mode=mode, anchor=First())),
            c.attach(Cgroup(cgroup, mode=mode, anchor=Before(beside))),
            d.attach(Cgroup(cgroup, mode=mode, anchor=After(beside))),
            e.attach(Cgroup(cgroup, mode=mode, anchor=Last())),
        ):
            assert attached(cgroup) == [kernel.program_info(each).id for each in (b, c, a, d, e)]
            bind()
    assert [each.count for each in made] == [1] * 5


@pytest.mark.everywhere
@pytest.mark.requires("cgroup anchors")
async def test_a_chain_that_has_changed_is_not_the_one_that_was_meant(counters: Counters, cgroup: Path) -> None:
    first = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=ALLOW)
    second = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=ALLOW)
    with OwnedFd(os.open(cgroup, os.O_RDONLY), "cgroup") as directory:
        revision = kernel.prog_query(directory, AttachType.CGROUP_INET4_BIND).revision
    async with first.program.attach(Cgroup(cgroup, expected_revision=revision)):
        with pytest.raises(KernelError, match="query it again"):
            await second.program.attach(Cgroup(cgroup, expected_revision=revision))
        with pytest.raises(SpecError, match="what does not hang there"):
            await second.program.attach(Cgroup(cgroup, mode="multi", anchor=After(second.program)))


@pytest.mark.everywhere
@pytest.mark.shows("cgroup_multi_link")
@pytest.mark.parametrize("mode", ["link", "multi"])
async def test_several_programs_share_a_hook(counters: Counters, cgroup: Path, mode: str) -> None:
    first = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=ALLOW)
    second = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=ALLOW)
    async with first.program.attach(Cgroup(cgroup)), second.program.attach(Cgroup(cgroup, mode=mode)):
        bind()
        assert attached(cgroup) == [number_of(first), number_of(second)]
    assert (first.count, second.count) == (1, 1)
    assert attached(cgroup) == []


@pytest.mark.everywhere
async def test_a_program_takes_the_place_of_another_in_one_step(counters: Counters, cgroup: Path) -> None:
    deny = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=DENY)
    allow = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=ALLOW)
    async with deny.program.attach(Cgroup(cgroup, mode="multi")) as old:
        with pytest.raises(PermissionError):
            bind()
        async with allow.program.attach(Cgroup(cgroup, anchor=Replace(deny.program))):
            bind()
            assert attached(cgroup) == [number_of(allow)]
            await old.aclose()
            assert attached(cgroup) == [number_of(allow)]
        bind()
    assert allow.count == 1
    with pytest.raises(KernelError, match="does not hang there without a link"):
        await allow.program.attach(Cgroup(cgroup, anchor=Replace(deny.program)))
    with pytest.raises(SpecError, match="replaced in mode 'multi' only"):
        await allow.program.attach(Cgroup(cgroup, mode="link", anchor=Replace(deny.program)))


@pytest.mark.everywhere
@pytest.mark.parametrize("mode", ["override", "exclusive"])
async def test_closing_leaves_the_program_that_took_the_only_place(counters: Counters, cgroup: Path, mode: str) -> None:
    first = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=ALLOW)
    second = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=ALLOW)
    link = await first.program.attach(Cgroup(cgroup, mode=mode))
    async with second.program.attach(Cgroup(cgroup, mode=mode)):
        await link.aclose()
        assert attached(cgroup) == [number_of(second)]
    assert attached(cgroup) == []


@pytest.fixture
def child(cgroup: Path) -> Iterator[Path]:
    """A cgroup below, which this process is in."""
    where = cgroup / "child"
    where.mkdir()
    try:
        (where / "cgroup.procs").write_text(str(os.getpid()))
        yield where
    finally:
        (cgroup / "cgroup.procs").write_text(str(os.getpid()))
        where.rmdir()


@pytest.mark.everywhere
async def test_a_program_of_a_child_overrides_one_that_lets_it_and_not_an_exclusive_one(
    counters: Counters, cgroup: Path, child: Path
) -> None:
    deny = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=DENY)
    allow = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=ALLOW)
    async with deny.program.attach(Cgroup(cgroup, mode="override")):
        async with allow.program.attach(Cgroup(child, mode="override")):
            bind()
        with pytest.raises(PermissionError):
            bind()
    async with deny.program.attach(Cgroup(cgroup, mode="exclusive")):
        with pytest.raises(KernelError, match="or on a parent"):
            await allow.program.attach(Cgroup(child, mode="override"))


@pytest.mark.everywhere
@pytest.mark.requires("cgroup preorder")
@pytest.mark.parametrize(("mode", "preorder"), [("auto", True), ("multi", True), ("auto", False)])
async def test_with_preorder_a_parents_program_runs_before_its_childs(
    cgroup: Path, child: Path, mode: str, preorder: bool
) -> None:
    """Each makes the port ten times what it was and adds its own: the digits tell the order."""
    parents, childs = appending(1), appending(2)
    async with Program.load(parents) as first, Program.load(childs) as second:
        async with first.attach(Cgroup(cgroup, mode=mode, preorder=preorder)), second.attach(Cgroup(child)):
            assert bound_port(socket.ntohs(3)) == socket.ntohs(312 if preorder else 321)
        assert bound_port(socket.ntohs(3)) == socket.ntohs(3)


@pytest.mark.everywhere
async def test_an_order_that_this_kernel_lacks_is_named_with_its_kernel(counters: Counters, cgroup: Path) -> None:
    seen = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=ALLOW)
    if kernel_has("cgroup preorder"):
        async with seen.program.attach(Cgroup(cgroup, preorder=True)):
            bind()
        assert seen.count == 1
        return
    with pytest.raises(NotSupportedError, match=r"needs Linux 6\.15"):
        await seen.program.attach(Cgroup(cgroup, preorder=True))


@pytest.mark.everywhere
async def test_a_place_that_this_kernel_cannot_give_is_named_with_its_kernel(counters: Counters, cgroup: Path) -> None:
    seen = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=ALLOW)
    if kernel_has("cgroup anchors"):
        return
    with pytest.raises(NotSupportedError, match=r"needs Linux 6\.17"):
        await seen.program.attach(Cgroup(cgroup, anchor=First()))


@pytest.mark.everywhere
async def test_a_program_alone_does_not_share(counters: Counters, cgroup: Path) -> None:
    seen = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=ALLOW)
    async with seen.program.attach(Cgroup(cgroup)):
        with pytest.raises(KernelError, match="another mode"):
            await seen.program.attach(Cgroup(cgroup, mode="exclusive"))


@pytest.mark.everywhere
async def test_the_attach_type_can_be_said_where_the_section_does_not(counters: Counters, cgroup: Path) -> None:
    seen = counters(ProgramType.CGROUP_SKB, retval=DENY)
    with pytest.raises(SpecError, match="does not say which hook"):
        await seen.program.attach(Cgroup(cgroup))
    async with seen.program.attach(Cgroup(cgroup, AttachType.CGROUP_INET_EGRESS)):
        with pytest.raises(PermissionError):
            send()


@pytest.mark.everywhere
async def test_a_program_for_another_hook_is_refused(counters: Counters, cgroup: Path) -> None:
    seen = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=ALLOW)
    with pytest.raises(KernelError, match="loaded for another hook than CGROUP_INET4_CONNECT"):
        await seen.program.attach(Cgroup(cgroup, AttachType.CGROUP_INET4_CONNECT))


@pytest.mark.everywhere
async def test_what_is_no_cgroup_is_said_to_be_none(counters: Counters, tmp_path: Path) -> None:
    seen = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=ALLOW)
    with pytest.raises(SpecError, match="is no cgroup v2 directory; it is mounted at /"):
        await seen.program.attach(Cgroup(tmp_path))
    with pytest.raises(KernelError, match="nonesuch") as error:
        await seen.program.attach(Cgroup(tmp_path / "nonesuch"))
    assert error.value.errno == 2
    (tmp_path / "file").touch()
    with pytest.raises(KernelError, match="Not a directory"):
        await seen.program.attach(Cgroup(tmp_path / "file"))
