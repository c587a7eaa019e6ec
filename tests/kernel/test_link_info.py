"""What the kernel tells of each kind of link, as far as it tells it: many addresses, cookies, places."""

from __future__ import annotations

import os
import struct
import sys
from typing import TYPE_CHECKING

import pytest

from aiobpf import asm
from aiobpf.asm import R0, Instructions
from aiobpf.btf import Function
from aiobpf.kernel import (
    kernel_release,
    link_create,
    link_info,
    link_iter,
    link_kprobe_multi,
    link_netfilter,
    link_relative,
    link_uprobe_multi,
    load_program,
    perf_events,
    shared_btf_cache,
    symbol_address,
)
from aiobpf.kernel.info_links import LinkInfo
from aiobpf.uapi import AttachType, LinkType, ProgramType
from tests.kernel_features import kernel_has

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobpf.kernel import OwnedFd

pytestmark = pytest.mark.root

ACCEPT = Instructions([asm.mov(R0, 1), asm.exit_()]).encode()
EXECUTABLE = os.path.realpath(sys.executable)
PAGE_FAULTS = 2  # PERF_COUNT_SW_PAGE_FAULTS
PLACES = (0x1000, 0x1010)  # any offset will do for what never runs


def told(link: OwnedFd) -> LinkInfo:
    with link:
        return link_info(link)


@pytest.mark.requires("uprobe.multi")
def test_a_uprobe_multi_link_tells_its_places_and_cookies() -> None:
    kind = AttachType.TRACE_UPROBE_MULTI
    with load_program(ProgramType.KPROBE, ACCEPT, expected_attach_type=kind) as program:
        info = told(link_uprobe_multi(program, EXECUTABLE, PLACES, cookies=[7, 8], pid=os.getpid(), is_return=True))
    assert info.type == LinkType.UPROBE_MULTI
    if kernel_release() < (6, 8):
        assert info == LinkInfo(type=info.type, id=info.id, program_id=info.program_id)
        return
    assert (info.name, info.count, info.offsets, info.cookies) == (EXECUTABLE, 2, PLACES, (7, 8))
    assert (info.pid, info.is_return, info.semaphores) == (os.getpid(), True, (0, 0))


@pytest.mark.requires("kprobes")
def test_a_kprobe_multi_link_tells_its_functions_and_cookies() -> None:
    if kernel_release() < (6, 6):
        pytest.skip("since 6.6")
    kind = AttachType.TRACE_KPROBE_MULTI
    names = ["vfs_read", "vfs_write"]
    with load_program(ProgramType.KPROBE, ACCEPT, expected_attach_type=kind) as program:
        info = told(link_kprobe_multi(program, symbols=names, cookies=[5, 6]))
    assert (info.type, info.count, info.is_return, info.missed) == (LinkType.KPROBE_MULTI, 2, False, 0)
    by_address = dict(zip(info.addresses, info.cookies or (5, 6), strict=True))
    expected = {symbol_address(name): cookie for name, cookie in zip(names, (5, 6), strict=True)}
    if kernel_release() >= (6, 9):
        assert by_address == expected
    else:
        assert by_address.keys() == expected.keys()
        assert info.cookies == ()


@pytest.mark.requires("perf links")
def test_a_link_on_a_plain_perf_event_tells_what_it_counts() -> None:
    with (
        load_program(ProgramType.PERF_EVENT, ACCEPT) as program,
        perf_events.perf_event_open(perf_events.TYPE_SOFTWARE, PAGE_FAULTS, pid=0, cpu=-1, sample_period=1) as event,
    ):
        info = told(link_create(program, event, AttachType.PERF_EVENT, cookie=5))
    assert info.type == LinkType.PERF_EVENT
    if kernel_has("perf link infos"):
        assert (info.event, info.event_type, info.config) == ("event", perf_events.TYPE_SOFTWARE, PAGE_FAULTS)


@pytest.mark.requires("tcx")
def test_a_tcx_link_tells_its_interface_and_direction() -> None:
    with load_program(ProgramType.SCHED_CLS, ACCEPT) as program:
        info = told(link_relative(program, 1, AttachType.TCX_EGRESS))
    assert (info.type, info.ifindex, info.attach_type) == (LinkType.TCX, 1, AttachType.TCX_EGRESS)


def test_a_link_of_a_network_namespace_tells_its_inode(make_program: Callable[..., OwnedFd]) -> None:
    kind = AttachType.SK_LOOKUP
    program = make_program(ProgramType.SK_LOOKUP, 1, expected_attach_type=kind)
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        info = told(link_create(program, here, kind))
    finally:
        os.close(here)
    assert (info.type, info.attach_type) == (LinkType.NETNS, kind)
    assert info.netns_inode == os.stat("/proc/self/ns/net").st_ino


@pytest.mark.requires("netfilter programs")
def test_a_netfilter_link_tells_its_hook() -> None:
    with load_program(ProgramType.NETFILTER, ACCEPT, expected_attach_type=AttachType.NETFILTER) as program:
        info = told(link_netfilter(program, 2, 1, -128))
    assert (info.type, info.family, info.hook, info.priority) == (LinkType.NETFILTER, 2, 1, -128)


def test_an_iterator_link_tells_its_target_and_parameters() -> None:
    vmlinux = shared_btf_cache().vmlinux()

    def iterator(name: str, parameters: bytes = b"") -> LinkInfo:
        target = vmlinux.id_of(vmlinux.by_name(f"bpf_iter_{name}", Function))
        code = Instructions([asm.mov(R0, 0), asm.exit_()]).encode()
        with load_program(
            ProgramType.TRACING, code, expected_attach_type=AttachType.TRACE_ITER, attach_btf_id=target
        ) as program:
            return told(link_iter(program, parameters))

    info = iterator("task")
    assert (info.type, info.name) == (LinkType.ITER, "task")
    if kernel_release() >= (6, 1):
        info = iterator("task", struct.pack("=III4x", 0, os.getpid(), 0))  # tid, pid, pid_fd
        assert (info.name, info.pid) == ("task", os.getpid())
        assert iterator("cgroup", struct.pack("=IIQ", 1, 0, 0)).order == 1  # itself alone
