"""Section names: libbpf's rule to the letter, and a little more for objects from before libbpf 1.0."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.spec.sections import SECTIONS, SectionMatch, parse_section
from aiobpf.uapi import AttachType, ProgramFlags, ProgramType

P = ProgramType
A = AttachType


@pytest.mark.parametrize(
    ("name", "program_type", "attach_type", "kind", "attach_to"),
    [
        ("kprobe/vfs_read", P.KPROBE, None, "kprobe", "vfs_read"),
        ("kprobe", P.KPROBE, None, "kprobe", ""),
        ("kretprobe/vfs_read+0x4", P.KPROBE, None, "kretprobe", "vfs_read+0x4"),
        ("kprobe.multi/tcp_*", P.KPROBE, A.TRACE_KPROBE_MULTI, "kprobe.multi", "tcp_*"),
        ("kprobe.session/x", P.KPROBE, A.TRACE_KPROBE_SESSION, "kprobe.session", "x"),
        ("uprobe//bin/bash:readline", P.KPROBE, None, "uprobe", "/bin/bash:readline"),
        ("usdt/libc.so.6:libc:setjmp", P.KPROBE, None, "usdt", "libc.so.6:libc:setjmp"),
        ("ksyscall/kill", P.KPROBE, None, "ksyscall", "kill"),
        ("tracepoint/sched/sched_switch", P.TRACEPOINT, None, "tracepoint", "sched/sched_switch"),
        ("tp/sched/sched_switch", P.TRACEPOINT, None, "tracepoint", "sched/sched_switch"),
        ("raw_tp/sys_enter", P.RAW_TRACEPOINT, None, "raw_tracepoint", "sys_enter"),
        ("raw_tracepoint.w/x", P.RAW_TRACEPOINT_WRITABLE, None, "raw_tracepoint", "x"),
        ("tp_btf/sched_process_exec", P.TRACING, A.TRACE_RAW_TP, "tp_btf", "sched_process_exec"),
        ("fentry/vfs_read", P.TRACING, A.TRACE_FENTRY, "fentry", "vfs_read"),
        ("fexit.multi/tcp_*", P.TRACING, A.TRACE_FEXIT_MULTI, "fexit.multi", "tcp_*"),
        ("fsession/x", P.TRACING, A.TRACE_FSESSION, "fsession", "x"),
        ("freplace/xdp_filter", P.EXT, None, "freplace", "xdp_filter"),
        ("lsm/file_open", P.LSM, A.LSM_MAC, "lsm", "file_open"),
        ("lsm_cgroup/socket_create", P.LSM, A.LSM_CGROUP, "lsm_cgroup", "socket_create"),
        ("iter/task", P.TRACING, A.TRACE_ITER, "iter", "task"),
        ("xdp", P.XDP, A.XDP, "xdp", ""),
        ("xdp/devmap", P.XDP, A.XDP_DEVMAP, "", ""),
        ("tc", P.SCHED_CLS, None, "tc", ""),
        ("tc/ingress", P.SCHED_CLS, A.TCX_INGRESS, "tcx", ""),
        ("tcx/egress", P.SCHED_CLS, A.TCX_EGRESS, "tcx", ""),
        ("classifier", P.SCHED_CLS, None, "tc", ""),
        ("netkit/peer", P.SCHED_CLS, A.NETKIT_PEER, "netkit", ""),
        ("cgroup/connect_unix", P.CGROUP_SOCK_ADDR, A.CGROUP_UNIX_CONNECT, "cgroup", ""),
        ("cgroup_skb/egress", P.CGROUP_SKB, A.CGROUP_INET_EGRESS, "cgroup", ""),
        ("cgroup/skb", P.CGROUP_SKB, None, "cgroup", ""),
        ("sockops", P.SOCK_OPS, A.CGROUP_SOCK_OPS, "cgroup", ""),
        ("sk_skb/stream_verdict", P.SK_SKB, A.SK_SKB_STREAM_VERDICT, "sockmap", ""),
        ("sk_reuseport/migrate", P.SK_REUSEPORT, A.SK_REUSEPORT_SELECT_OR_MIGRATE, "sk_reuseport", ""),
        ("struct_ops/ssthresh", P.STRUCT_OPS, None, "struct_ops", "ssthresh"),
        ("netfilter", P.NETFILTER, A.NETFILTER, "netfilter", ""),
    ],
)
def test_a_known_name_says_what_its_programs_are(
    name: str, program_type: ProgramType, attach_type: AttachType | None, kind: str, attach_to: str
) -> None:
    assert parse_section(name) == SectionMatch(name, program_type, attach_type, ProgramFlags(0), attach_to, kind)


@pytest.mark.parametrize(
    "name", ["uprobe.s/x", "usdt.s", "fentry.s/x", "lsm.s/x", "iter.s/x", "syscall", "struct_ops.s/x"]
)
def test_programs_that_may_sleep_have_the_flag(name: str) -> None:
    assert parse_section(name).flags == ProgramFlags.SLEEPABLE


def test_frags_and_their_map_programs() -> None:
    assert parse_section("xdp.frags").flags == ProgramFlags.XDP_HAS_FRAGS
    match = parse_section("xdp.frags/cpumap")
    assert (match.attach_type, match.flags) == (A.XDP_CPUMAP, ProgramFlags.XDP_HAS_FRAGS)


def test_a_question_mark_only_switches_autoload_off() -> None:
    match = parse_section("?kprobe/vfs_read")
    assert not match.autoload
    assert (match.type, match.kind, match.attach_to) == (P.KPROBE, "kprobe", "vfs_read")


@pytest.mark.parametrize("name", ["xdp_drop", "xdp/my_filter", "xdp1", "xdp-x"])
def test_a_prefix_is_enough_as_before_libbpf_1_0(name: str) -> None:
    match = parse_section(name)
    assert (match.type, match.attach_type, match.kind, match.attach_to) == (P.XDP, A.XDP, "xdp", "")
    assert match.autoload


def test_the_longest_row_wins_among_prefixes() -> None:
    assert parse_section("cgroup_skb/ingress/x").attach_type is A.CGROUP_INET_INGRESS
    assert parse_section("sk_skb/stream_parser_2").attach_type is A.SK_SKB_STREAM_PARSER


@pytest.mark.parametrize(
    "name",
    ["", "?", "foo", "kprobes/x", "kprobe_x", "xdpx", "xdp.unknown", "maps", "action.x", "tracepoints", "fentry.x/y"],
)
def test_any_other_name_is_of_no_type_and_not_loaded(name: str) -> None:
    assert parse_section(name) == SectionMatch(name, P.UNSPEC, autoload=False)


def test_no_two_rows_have_one_pattern() -> None:
    prefixes = [row.prefix for row in SECTIONS]
    assert len(set(prefixes)) == len(prefixes)


def test_every_row_matches_its_own_pattern() -> None:
    for row in SECTIONS:
        match = parse_section(row.prefix)
        assert (match.type, match.attach_type, match.kind, match.flags) == (
            row.type,
            row.attach_type,
            row.kind,
            row.flags,
        )
        assert parse_section(row.prefix + "/a/b").attach_to == ("a/b" if row.takes_target else "")


@given(st.text())
def test_any_name_gives_an_answer(name: str) -> None:
    match = parse_section(name)
    assert match.name == name
    assert match.kind == "" or match.type is not P.UNSPEC
