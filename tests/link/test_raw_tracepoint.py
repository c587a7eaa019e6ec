"""raw_tp and tp_btf: the program runs while the link is there, and not after."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from aiobpf import asm
from aiobpf.errors import SpecError, UnresolvedSymbolError
from aiobpf.link import Fentry, RawTracepoint, TpBtf, kind_of
from aiobpf.runtime import Program
from aiobpf.spec import ProgramSpec
from aiobpf.uapi import AttachType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobpf.btf import Btf

    from .conftest import Counted, Counters

pytestmark = pytest.mark.root


@pytest.mark.everywhere
@pytest.mark.shows("raw_tp")
async def test_a_raw_tracepoint_counts_until_it_is_closed(
    counters: Counters, calls_getpgid: Callable[[int], None]
) -> None:
    seen = counters(ProgramType.RAW_TRACEPOINT, only_pid=os.getpid())
    async with seen.program.attach(RawTracepoint("sys_enter")) as link:
        calls_getpgid(10)
        assert seen.count >= 10
        assert not link.is_closed
    after = seen.count
    calls_getpgid(10)
    assert seen.count == after


@pytest.mark.everywhere
async def test_a_raw_tracepoint_that_does_not_exist_is_named(counters: Counters) -> None:
    seen = counters(ProgramType.RAW_TRACEPOINT)
    with pytest.raises(UnresolvedSymbolError, match="raw tracepoint 'no_such'") as error:
        await seen.program.attach(RawTracepoint("no_such"))
    assert error.value.symbol == "no_such"


def tp_btf(counters: Counters, vmlinux: Btf, **more: Any) -> Counted:
    typedef = vmlinux.by_name("btf_trace_sys_enter")
    return counters(
        ProgramType.TRACING, AttachType.TRACE_RAW_TP, attach_to="sys_enter",
        attach_btf_id=vmlinux.id_of(typedef), only_pid=os.getpid(), **more,
    )  # fmt: skip


@pytest.mark.everywhere
@pytest.mark.shows("tp_btf")
async def test_tp_btf_counts_until_it_is_closed(
    counters: Counters, vmlinux: Btf, calls_getpgid: Callable[[int], None]
) -> None:
    seen = tp_btf(counters, vmlinux)
    link = await seen.program.attach(TpBtf("sys_enter"))
    calls_getpgid(10)
    assert seen.count >= 10
    await link.aclose()
    after = seen.count
    calls_getpgid(10)
    assert seen.count == after


@pytest.mark.everywhere
async def test_tp_btf_needs_no_target_as_the_program_has_it(
    counters: Counters, vmlinux: Btf, calls_getpgid: Callable[[int], None]
) -> None:
    seen = tp_btf(counters, vmlinux, with_spec=False)
    async with seen.program.attach(TpBtf()):
        calls_getpgid(3)
        assert seen.count >= 3


@pytest.mark.everywhere
async def test_a_program_cannot_be_moved_to_another_target_after_load(counters: Counters, vmlinux: Btf) -> None:
    seen = tp_btf(counters, vmlinux)
    with pytest.raises(SpecError, match="loaded for tp_btf of 'sys_enter', not 'sched_switch'"):
        await seen.program.attach(TpBtf("sched_switch"))
    with pytest.raises(SpecError, match="loaded as TRACE_RAW_TP, not as fentry"):
        await seen.program.attach(Fentry("sys_enter"))


@pytest.mark.everywhere
@pytest.mark.requires("raw tracepoint cookies")
async def test_cookies_reach_raw_tracepoints_and_tp_btf(
    counters: Counters, vmlinux: Btf, calls_getpgid: Callable[[int], None]
) -> None:
    raw = counters(ProgramType.RAW_TRACEPOINT, only_pid=os.getpid(), with_cookie=True)
    typed = tp_btf(counters, vmlinux, with_cookie=True)
    async with (
        raw.program.attach(RawTracepoint("sys_enter", cookie=7)),
        typed.program.attach(TpBtf("sys_enter", cookie=1 << 63)),
    ):
        calls_getpgid(1)
        assert raw.cookie == 7
        assert typed.cookie == 1 << 63


@pytest.mark.everywhere
@pytest.mark.shows("raw_tp_writable")
async def test_a_writable_raw_tracepoint_changes_what_the_kernel_goes_on_with(counters: Counters) -> None:
    """bpf_test_finish hands out the errno that a test run ends with; that of this process alone is changed."""
    code = [
        asm.mov(asm.R6, asm.R1),
        asm.call_helper(14),  # bpf_get_current_pid_tgid
        asm.rsh(asm.R0, 32),
        asm.jne(asm.R0, os.getpid(), 2),
        asm.ldx(8, asm.R6, asm.R6, 0),
        asm.st(4, asm.R6, 0, -errno.EEXIST),
        asm.mov(asm.R0, 0),
        asm.exit_(),
    ]
    spec = ProgramSpec(
        name="changing", type=ProgramType.RAW_TRACEPOINT_WRITABLE, instructions=asm.Instructions(code),
        section="raw_tp.w/bpf_test_finish", attach_to="bpf_test_finish", license="GPL",
    )  # fmt: skip
    runs = counters(ProgramType.SOCKET_FILTER, retval=5).program
    async with Program.load(spec) as changing:
        assert runs.run_sync(bytes(64)).retval == 5
        async with changing.attach(kind_of(spec)):
            with pytest.raises(FileExistsError):
                runs.run_sync(bytes(64))
        assert runs.run_sync(bytes(64)).retval == 5
