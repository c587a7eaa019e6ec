"""A section's name and the kind written by hand are the same data."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.errors import SpecError
from aiobpf.link import (
    KINDS,
    Fentry,
    FentryMulti,
    Fexit,
    FexitMulti,
    FmodRet,
    Fsession,
    FsessionMulti,
    Iter,
    Kprobe,
    KprobeMulti,
    KprobeSession,
    Kretprobe,
    KretprobeMulti,
    Kretsyscall,
    Ksyscall,
    Lsm,
    RawTracepoint,
    TpBtf,
    Tracepoint,
    Unattachable,
    Uprobe,
    UprobeMulti,
    UprobeSession,
    Uretprobe,
    UretprobeMulti,
    Usdt,
    kind_of,
)
from aiobpf.link.target import parse_offset, split_offset
from aiobpf.spec import ProgramSpec
from aiobpf.spec.sections import SECTIONS, parse_section


def spec_of(section: str) -> ProgramSpec:
    match = parse_section(section)
    return ProgramSpec(
        name="program", type=match.type, instructions=cast("Any", None), section=section,
        attach_type=match.attach_type, attach_to=match.attach_to,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ("kprobe/vfs_read", Kprobe("vfs_read")),
        ("?kprobe/vfs_read", Kprobe("vfs_read")),
        ("kprobe/vfs_read+0x10", Kprobe("vfs_read", 16)),
        ("kprobe/vfs_read+16", Kprobe("vfs_read", 16)),
        ("kretprobe/vfs_read", Kretprobe("vfs_read")),
        ("kprobe/kfree.part.0", Kprobe("kfree.part.0")),
        ("kprobe.multi/vfs_*", KprobeMulti("vfs_*")),
        ("kprobe.multi/veth:*", KprobeMulti("veth:*")),
        ("kretprobe.multi/vfs_read", KretprobeMulti("vfs_read")),
        ("kprobe.session/vfs_*", KprobeSession("vfs_*")),
        ("ksyscall/openat", Ksyscall("openat")),
        ("kretsyscall/openat", Kretsyscall("openat")),
        ("tracepoint/sched/sched_switch", Tracepoint("sched", "sched_switch")),
        ("tp/syscalls/sys_enter_execve", Tracepoint("syscalls", "sys_enter_execve")),
        ("raw_tp/sys_enter", RawTracepoint("sys_enter")),
        ("raw_tracepoint/sys_enter", RawTracepoint("sys_enter")),
        ("raw_tracepoint.w/nbd_send_request", RawTracepoint("nbd_send_request")),
        ("tp_btf/sched_switch", TpBtf("sched_switch")),
        ("fentry/vfs_read", Fentry("vfs_read")),
        ("fentry.s/vfs_read", Fentry("vfs_read")),
        ("fexit/vfs_read", Fexit("vfs_read")),
        ("iter/task", Iter("task")),
        ("iter.s/cgroup", Iter("cgroup")),
        ("iter/bpf_map_elem", None),
        ("fexit.s/veth:veth_xmit", Fexit("veth:veth_xmit")),
        ("fmod_ret/security_file_open", FmodRet("security_file_open")),
        ("fmod_ret.s/security_file_open", FmodRet("security_file_open")),
        ("fsession/vfs_read", Fsession("vfs_read")),
        ("fentry.multi/vfs_*", FentryMulti("vfs_*")),
        ("fexit.multi/veth:*", FexitMulti("veth:*")),
        ("fsession.multi.s/vfs_*", FsessionMulti("vfs_*")),
        ("lsm/file_open", Lsm("file_open")),
        ("lsm.s/file_open", Lsm("file_open")),
        ("uprobe//bin/bash:readline", Uprobe("/bin/bash", "readline")),
        ("uprobe/libc:malloc+0x4", Uprobe("libc", "malloc", 4)),
        ("uprobe/libc.so.6:memcpy@@GLIBC_2.14", Uprobe("libc.so.6", "memcpy@@GLIBC_2.14")),
        ("uprobe//bin/bash:0x1234", Uprobe("/bin/bash", offset=0x1234)),
        ("uprobe.s//bin/bash:readline", Uprobe("/bin/bash", "readline")),
        ("uretprobe//bin/bash:readline", Uretprobe("/bin/bash", "readline")),
        ("uprobe/base.apk!/lib/libapp.so:work", Uprobe("base.apk!/lib/libapp.so", "work")),
        ("uprobe//opt/app:ns::Class::method(int)", Uprobe("/opt/app", "ns::Class::method(int)")),
        ("usdt//bin/x:python:gc__start", Usdt("/bin/x", "python", "gc__start")),
        ("usdt.s/libstdc++.so.6:libstdcxx:throw", Usdt("libstdc++.so.6", "libstdcxx", "throw")),
        ("uprobe.multi/libc:mall*", UprobeMulti("libc", "mall*")),
        ("uprobe.multi.s/libc:mall*", UprobeMulti("libc", "mall*")),
        ("uretprobe.multi/libc:malloc", UretprobeMulti("libc", "malloc")),
        ("uprobe.session//opt/app:std::vector*", UprobeSession("/opt/app", "std::vector*")),
    ],
)
def test_a_section_says_where(section: str, kind: Any) -> None:
    assert kind_of(spec_of(section)) == kind


@pytest.mark.parametrize(
    "section",
    [
        "kprobe", "kretprobe", "uprobe", "uprobe/readline", "tracepoint", "tp", "raw_tp", "tp_btf", "fentry", "xdp",
        "xdp.frags", "cgroup_skb/ingress", "cgroup/bind4", "sockops", "perf_event", "socket", "tc", "lsm", "usdt",
        "struct_ops", "syscall", ".text", "no_such_section", "",
    ],
)  # fmt: skip
def test_a_section_that_does_not_say_where_has_no_kind(section: str) -> None:
    assert kind_of(spec_of(section)) is None


@pytest.mark.everywhere
@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("tracepoint/sched_switch", "tracepoint/CATEGORY/NAME"),
        ("tp/a/b/c", "tracepoint/CATEGORY/NAME"),
        ("kprobe/+16", r"NAME\+OFFSET"),
        ("kprobe/vfs_read+x", r"NAME\+OFFSET"),
        ("kretprobe/vfs_read+4", "a return has no offset"),
        ("uretprobe/libc:malloc+4", "a return has no offset"),
        ("uprobe/:f", "BINARY:FUNCTION"),
        ("uprobe.multi/libc:", "BINARY:PATTERN"),
        ("usdt/libc:setjmp", "usdt/BINARY:PROVIDER:NAME"),
        ("usdt/libc::setjmp", "usdt/BINARY:PROVIDER:NAME"),
        ("uprobe/libc:", "BINARY:FUNCTION"),
        ("uprobe/libc:0", "say which function"),
    ],
)
async def test_a_malformed_section_says_so_when_it_is_attached_not_when_it_is_loaded(section: str, said: str) -> None:
    kind = kind_of(spec_of(section))
    assert isinstance(kind, Unattachable)
    program = cast("Any", type("Named", (), {"name": "program"})())
    with pytest.raises(SpecError, match=f"program 'program': .*{said}"):
        await kind.attach_program(program)


def test_every_registered_kind_is_one_of_the_section_table() -> None:
    kinds = {row.kind for row in SECTIONS}
    assert set(KINDS) <= kinds


def test_every_section_that_says_where_has_a_kind() -> None:
    """To pass over one in silence would look like a program that sees no events. struct_ops hangs by its map."""
    assert {row.kind for row in SECTIONS if row.takes_target} - set(KINDS) == {"struct_ops"}


@given(st.sampled_from([row.prefix for row in SECTIONS]), st.text(max_size=30))
def test_no_section_name_makes_kind_of_raise(prefix: str, rest: str) -> None:
    kind_of(spec_of(f"{prefix}/{rest}"))


def test_kinds_are_values() -> None:
    assert Kprobe("f") == Kprobe("f", 0)
    assert len({Kprobe("f"), Kprobe("f"), Kprobe("g")}) == 2
    with pytest.raises(AttributeError):
        Kprobe("f").symbol = "g"  # type: ignore[misc]
    for make in (lambda: Kprobe(""), lambda: Kprobe("f", -1), lambda: Tracepoint("", "x"), lambda: RawTracepoint("")):
        with pytest.raises(ValueError, match=r"must be|Length"):
            make()


@given(st.integers(0, 2**64 - 1))
def test_offsets_are_written_as_in_c(value: int) -> None:
    assert parse_offset(str(value)) == value
    assert parse_offset(hex(value)) == value
    assert parse_offset("0" + oct(value)[2:]) == value
    assert split_offset(f"f+{value}") == ("f", value)


@pytest.mark.parametrize("text", ["", "x", "0x", "-1", "1.5", "0x1_0", "9" * 20, "0x1" + "0" * 16, "٣"])
def test_what_is_no_offset_is_none(text: str) -> None:
    assert parse_offset(text) is None
