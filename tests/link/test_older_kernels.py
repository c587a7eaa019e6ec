"""What newer kernels brought to attaching works where it is there; elsewhere the error says which kernel has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aiobpf.errors import NotSupportedError
from aiobpf.link import Fentry, RawTracepoint, TpBtf, Tracepoint, Uprobe
from aiobpf.uapi import AttachType, ProgramType
from tests.kernel_features import FEATURES, kernel_has

if TYPE_CHECKING:
    from typing import Any

    from aiobpf.btf import Btf
    from aiobpf.runtime import AttachKind

    from .conftest import Counters

pytestmark = [pytest.mark.root, pytest.mark.asyncio]


@pytest.mark.parametrize(
    ("kind", "program_type", "feature"),
    [
        (Tracepoint("sched", "sched_switch", mode="link"), ProgramType.TRACEPOINT, "perf links"),
        (Tracepoint("sched", "sched_switch", cookie=1), ProgramType.TRACEPOINT, "cookies"),
        (Uprobe("libc", "getppid", mode="link"), ProgramType.KPROBE, "perf links"),
        (Uprobe("libc", "getppid", cookie=1), ProgramType.KPROBE, "cookies"),
        (RawTracepoint("sys_enter", cookie=1), ProgramType.RAW_TRACEPOINT, "raw tracepoint cookies"),
    ],
    ids=repr,
)
async def test_a_kind_attaches_or_names_the_kernel_that_has_it(
    counters: Counters, kind: AttachKind[Any], program_type: ProgramType, feature: str
) -> None:
    program = counters(program_type).program
    if kernel_has(feature):
        async with program.attach(kind):
            return
    with pytest.raises(NotSupportedError, match=r"a (cookie|bpf link over a perf event) needs Linux") as caught:
        await program.attach(kind)
    assert caught.value.since == version_of(feature)


async def test_a_cookie_of_tp_btf_is_given_or_the_kernel_that_has_it_named(counters: Counters, vmlinux: Btf) -> None:
    target = vmlinux.id_of(vmlinux.by_name("btf_trace_sys_enter"))
    program = counters(ProgramType.TRACING, AttachType.TRACE_RAW_TP, attach_btf_id=target).program
    if kernel_has("raw tracepoint cookies"):
        async with program.attach(TpBtf("sys_enter", cookie=1)):
            return
    with pytest.raises(NotSupportedError) as caught:
        await program.attach(TpBtf("sys_enter", cookie=1))
    assert caught.value.since == version_of("raw tracepoint cookies")


@pytest.mark.requires("trampolines")
async def test_a_cookie_of_fentry_is_given_or_the_kernel_that_has_it_named(counters: Counters, vmlinux: Btf) -> None:
    target = vmlinux.id_of(vmlinux.by_name("vfs_read"))
    program = counters(ProgramType.TRACING, AttachType.TRACE_FENTRY, attach_btf_id=target).program
    if kernel_has("fentry cookies"):
        async with program.attach(Fentry("vfs_read", cookie=1)):
            return
    with pytest.raises(NotSupportedError) as caught:
        await program.attach(Fentry("vfs_read", cookie=1))
    assert caught.value.since == version_of("fentry cookies")


def version_of(feature: str) -> str:
    major, minor = FEATURES[feature].since
    return f"{major}.{minor}"
