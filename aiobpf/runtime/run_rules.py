"""What a test run takes, by the type of program: for the words of an EINVAL, of which the kernel gives no reason.

Source: net/bpf/test_run.c, and bpf_prog_test_run_syscall in kernel/bpf/syscall.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.uapi import ProgramType

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKET = "data: a packet of at least 14 bytes that fits a page (Ethernet header first)"
_SKB = f"{_PACKET}; context: struct __sk_buff with only mark, priority, ifindex, cb, tstamp, wire_len and the like set"
_NO_DATA = "no data, no repeat, no batch_size"

RULES: Mapping[ProgramType, str] = {
    **dict.fromkeys(
        (
            ProgramType.SOCKET_FILTER,
            ProgramType.SCHED_CLS,
            ProgramType.SCHED_ACT,
            ProgramType.CGROUP_SKB,
            ProgramType.LWT_IN,
            ProgramType.LWT_OUT,
            ProgramType.LWT_XMIT,
        ),
        f"{_SKB}; no cpu",
    ),
    ProgramType.XDP: "data: a packet of at least 14 bytes, one that fits a page unless the program takes fragments; "
    "context: struct xdp_md whose data and data_end say where the packet lies in the data; batch_size with live frames "
    "alone",
    ProgramType.FLOW_DISSECTOR: "data: a packet of at least 14 bytes; context: struct bpf_flow_keys, only flags set",
    ProgramType.SK_LOOKUP: "context: struct bpf_sk_lookup; no data, no cpu, no batch_size",
    ProgramType.NETFILTER: "data: an Ethernet header and an IP packet that fit a page; no cpu",
    ProgramType.RAW_TRACEPOINT: f"context: up to 12 numbers of 64 bits, as many as the program reads; {_NO_DATA}; "
    "cpu with RUN_ON_CPU alone",
    ProgramType.TRACING: f"fentry, fexit and fmod_ret, without context; {_NO_DATA}, no cpu",
    ProgramType.SYSCALL: f"context: up to 65,535 bytes; {_NO_DATA}, no cpu",
}


def what_a_run_takes(program_type: ProgramType) -> str | None:
    """A sentence for who was refused (EINVAL), None for a type that says nothing."""
    rule = RULES.get(program_type)
    return None if rule is None else f"A run of {program_type.name} programs takes {rule}"
