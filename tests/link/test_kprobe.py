"""Kprobes, fentry and fexit where the kernel has them; where it has not, that it is said so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aiobpf.errors import KernelError, NotSupportedError, SpecError, UnresolvedSymbolError
from aiobpf.kernel.tracefs import Tracefs
from aiobpf.link import Fentry, Fexit, Kprobe, Kretprobe
from aiobpf.link.kernel_probe import wrapper_of
from aiobpf.uapi import AttachType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobpf.btf import Btf

    from .conftest import Counters

pytestmark = pytest.mark.root

has_kprobes = Path("/sys/bus/event_source/devices/kprobe").exists()
needs_kprobes = pytest.mark.requires("kprobes")


def events_left() -> list[str]:
    with Tracefs.open() as tracefs:
        return [line for line in tracefs.read("kprobe_events").splitlines() if f"_{os.getpid()}_" in line]


@needs_kprobes
@pytest.mark.everywhere
@pytest.mark.parametrize(
    "mode",
    [
        pytest.param("auto", marks=pytest.mark.shows("kprobe_perf")),
        pytest.param("link", marks=pytest.mark.requires("perf links")),
        "ioctl",
        pytest.param("tracefs", marks=pytest.mark.shows("kprobe_legacy")),
    ],
)
@pytest.mark.parametrize("kind", [Kprobe, pytest.param(Kretprobe, marks=pytest.mark.shows("kretprobe"))])
async def test_a_kernel_function_counts_until_it_is_closed(
    counters: Counters,
    calls_getpgid: Callable[[int], None],
    kind: Any,
    mode: str,
) -> None:
    seen = counters(ProgramType.KPROBE, only_pid=os.getpid())
    link = await seen.program.attach(kind("sys_getpgid", mode=mode))
    calls_getpgid(5)
    assert seen.count == 5
    await link.aclose()
    calls_getpgid(5)
    assert seen.count == 5
    assert events_left() == []


@needs_kprobes
@pytest.mark.everywhere
@pytest.mark.requires("cookies")
async def test_a_kprobe_has_a_cookie_and_an_offset(counters: Counters, calls_getpgid: Callable[[int], None]) -> None:
    seen = counters(ProgramType.KPROBE, only_pid=os.getpid(), with_cookie=True)
    name = wrapper_of("sys_getpgid") or "sys_getpgid"
    async with seen.program.attach(Kprobe(name, 0, cookie=77)):
        calls_getpgid(1)
        assert seen.cookie == 77


@needs_kprobes
@pytest.mark.everywhere
async def test_max_active_goes_through_tracefs(counters: Counters, calls_getpgid: Callable[[int], None]) -> None:
    seen = counters(ProgramType.KPROBE, only_pid=os.getpid())
    async with seen.program.attach(Kretprobe("sys_getpgid", max_active=64)):
        assert events_left()[0].startswith("r64:")
        calls_getpgid(1)
        assert seen.count == 1
    assert events_left() == []


@needs_kprobes
@pytest.mark.everywhere
@pytest.mark.parametrize("mode", ["auto", pytest.param("tracefs", marks=pytest.mark.slow)])
async def test_a_missing_function_is_named_with_its_neighbours(counters: Counters, mode: str) -> None:
    seen = counters(ProgramType.KPROBE)
    with pytest.raises(UnresolvedSymbolError, match=r"no function 'vfs_raed'; near: .*vfs_read"):
        await seen.program.attach(Kprobe("vfs_raed", mode=mode))
    with pytest.raises(UnresolvedSymbolError, match="'sys_no_such_call'"):
        await seen.program.attach(Kprobe("sys_no_such_call", mode=mode))
    assert events_left() == []


@needs_kprobes
@pytest.mark.everywhere
async def test_an_offset_outside_the_function_is_refused(counters: Counters) -> None:
    seen = counters(ProgramType.KPROBE)
    with pytest.raises(KernelError, match="kprobe 'vfs_read'"):
        await seen.program.attach(Kprobe("vfs_read", 0x20000000))


@pytest.mark.skipif(has_kprobes, reason="this kernel has kprobes")
@pytest.mark.everywhere
@pytest.mark.parametrize("mode", ["auto", "tracefs"])
async def test_a_kernel_without_kprobes_is_said_to_have_none(counters: Counters, mode: str) -> None:
    seen = counters(ProgramType.KPROBE)
    with pytest.raises(NotSupportedError, match="CONFIG_KPROBES"):
        await seen.program.attach(Kprobe("vfs_read", mode=mode))


@pytest.mark.everywhere
@pytest.mark.requires("trampolines")
@pytest.mark.parametrize(
    ("kind", "attach_type"),
    [
        pytest.param(Fentry, AttachType.TRACE_FENTRY, marks=pytest.mark.shows("fentry", "fentry_noip")),
        pytest.param(Fexit, AttachType.TRACE_FEXIT, marks=pytest.mark.shows("fexit")),
    ],
)
async def test_fentry_and_fexit_count_until_they_are_closed(
    counters: Counters, vmlinux: Btf, calls_getpgid: Callable[[int], None], kind: Any, attach_type: AttachType
) -> None:
    function = vmlinux.by_name("do_getpgid")
    seen = counters(
        ProgramType.TRACING, attach_type, attach_to="do_getpgid",
        attach_btf_id=vmlinux.id_of(function), only_pid=os.getpid(),
    )  # fmt: skip
    async with seen.program.attach(kind("do_getpgid")):
        calls_getpgid(5)
        assert seen.count == 5
    calls_getpgid(5)
    assert seen.count == 5


@pytest.mark.everywhere
@pytest.mark.requires("trampolines", "fentry cookies")
async def test_fentry_has_a_cookie(counters: Counters, vmlinux: Btf, calls_getpgid: Callable[[int], None]) -> None:
    seen = counters(
        ProgramType.TRACING, AttachType.TRACE_FENTRY, attach_btf_id=vmlinux.id_of(vmlinux.by_name("do_getpgid")),
        only_pid=os.getpid(), with_cookie=True,
    )  # fmt: skip
    async with seen.program.attach(Fentry(cookie=5)):
        calls_getpgid(1)
        assert seen.cookie == 5


def test_a_refused_trampoline_does_not_blame_privileges(counters: Counters, vmlinux: Btf) -> None:
    said = "trampoline"
    try:
        counters(ProgramType.TRACING, AttachType.TRACE_FENTRY, attach_btf_id=vmlinux.id_of(vmlinux.by_name("vfs_read")))
    except NotSupportedError as error:
        said = str(error)
    assert "trampoline" in said


def test_system_calls_have_a_wrapper_name_on_each_architecture() -> None:
    assert wrapper_of("sys_openat", "x86_64") == "__x64_sys_openat"
    assert wrapper_of("sys_openat", "aarch64") == "__arm64_sys_openat"
    assert wrapper_of("vfs_read", "x86_64") is None
    assert wrapper_of("sys_openat", "alpha") is None


@pytest.mark.everywhere
async def test_max_active_contradicts_other_modes(counters: Counters) -> None:
    seen = counters(ProgramType.KPROBE)
    with pytest.raises(SpecError, match="max_active"):
        await seen.program.attach(Kretprobe("vfs_read", max_active=4, mode="link"))
