"""Cgroup programs: what they forbid is forbidden while the link is there."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from aiobpf.errors import KernelError, NotSupportedError, SpecError
from aiobpf.link import Cgroup, CgroupMode
from aiobpf.uapi import AttachType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Counters

pytestmark = pytest.mark.root

DENY, ALLOW = 0, 1


def bind() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))


def send() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("127.0.0.1", 9))


HOOKS = [
    pytest.param(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, bind, id="bind4"),
    pytest.param(ProgramType.CGROUP_SKB, AttachType.CGROUP_INET_EGRESS, send, id="egress"),
    pytest.param(ProgramType.CGROUP_SOCK, AttachType.CGROUP_INET_SOCK_CREATE, bind, id="sock_create"),
]
MODES = [CgroupMode.AUTO, CgroupMode.LINK, CgroupMode.MULTI, CgroupMode.OVERRIDE, CgroupMode.EXCLUSIVE]


@pytest.mark.everywhere
@pytest.mark.parametrize(("type_", "attach_type", "act"), HOOKS)
async def test_what_is_denied_is_allowed_again_after_close(
    counters: Counters, cgroup: Path, type_: ProgramType, attach_type: AttachType, act: Callable[[], None]
) -> None:
    seen = counters(type_, attach_type, retval=DENY)
    act()
    async with seen.program.attach(Cgroup(cgroup)):
        with pytest.raises(PermissionError):
            act()
        assert seen.count == 1
    act()
    assert seen.count == 1


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
        with pytest.raises(NotSupportedError, match="no bpf link"):
            await link.update(deny.program)
        await link.detach()
        bind()


@pytest.mark.everywhere
async def test_several_programs_share_a_hook(counters: Counters, cgroup: Path) -> None:
    first = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=ALLOW)
    second = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=ALLOW)
    async with first.program.attach(Cgroup(cgroup)), second.program.attach(Cgroup(cgroup, mode="multi")):
        bind()
    assert (first.count, second.count) == (1, 1)


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
