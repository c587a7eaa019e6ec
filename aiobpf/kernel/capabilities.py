"""Which privilege a refused call lacks."""

from __future__ import annotations

import resource
from enum import IntEnum
from typing import TYPE_CHECKING

from aiobpf.errors import KernelError, MissingPrivilegeError, kernel_error
from aiobpf.kernel.release import kernel_release
from aiobpf.uapi import AttachType, MapType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Iterable


class Capability(IntEnum):
    """The capabilities that BPF asks for, by their bit (include/uapi/linux/capability.h)."""

    NET_ADMIN = 12
    NET_RAW = 13
    SYS_ADMIN = 21
    SYS_RESOURCE = 24
    PERFMON = 38
    BPF = 39


_PERFMON_TYPES = frozenset(  # is_perfmon_prog_type, kernel/bpf/syscall.c
    {
        ProgramType.KPROBE,
        ProgramType.TRACEPOINT,
        ProgramType.PERF_EVENT,
        ProgramType.RAW_TRACEPOINT,
        ProgramType.RAW_TRACEPOINT_WRITABLE,
        ProgramType.TRACING,
        ProgramType.LSM,
        ProgramType.STRUCT_OPS,
        ProgramType.EXT,
    }
)
_NETWORK_TYPES = frozenset(  # is_net_admin_prog_type, kernel/bpf/syscall.c
    {
        ProgramType.SCHED_CLS,
        ProgramType.SCHED_ACT,
        ProgramType.XDP,
        ProgramType.LWT_IN,
        ProgramType.LWT_OUT,
        ProgramType.LWT_XMIT,
        ProgramType.LWT_SEG6LOCAL,
        ProgramType.SK_SKB,
        ProgramType.SK_MSG,
        ProgramType.FLOW_DISSECTOR,
        ProgramType.CGROUP_DEVICE,
        ProgramType.CGROUP_SOCK,
        ProgramType.CGROUP_SOCK_ADDR,
        ProgramType.CGROUP_SOCKOPT,
        ProgramType.CGROUP_SYSCTL,
        ProgramType.SOCK_OPS,
        ProgramType.EXT,
        ProgramType.NETFILTER,
    }
)
_NETWORK_MAPS = frozenset(  # map_create, kernel/bpf/syscall.c
    {MapType.SOCKMAP, MapType.SOCKHASH, MapType.DEVMAP, MapType.DEVMAP_HASH, MapType.XSKMAP}
)
TRAMPOLINE_ATTACH_TYPES = frozenset(
    {
        AttachType.TRACE_FENTRY,
        AttachType.TRACE_FEXIT,
        AttachType.TRACE_FSESSION,
        AttachType.TRACE_FENTRY_MULTI,
        AttachType.TRACE_FEXIT_MULTI,
        AttachType.TRACE_FSESSION_MULTI,
        AttachType.MODIFY_RETURN,
        AttachType.LSM_MAC,
        AttachType.LSM_CGROUP,
    }
)
"""How a program hangs in the kernel's text through a trampoline."""


def effective() -> frozenset[Capability]:
    """What the calling thread may do now."""
    with open("/proc/thread-self/status", "rb") as status:
        for line in status:
            if line.startswith(b"CapEff:"):
                mask = int(line.split()[1], 16)
                return frozenset(c for c in Capability if mask >> c & 1)
    return frozenset()


def needed_for_map(map_type: int) -> tuple[Capability, ...]:
    return (Capability.BPF, Capability.NET_ADMIN) if map_type in _NETWORK_MAPS else (Capability.BPF,)


def needed_for_program(program_type: int) -> tuple[Capability, ...]:
    needed = [Capability.BPF]
    if program_type in _PERFMON_TYPES:
        needed.append(Capability.PERFMON)
    if program_type in _NETWORK_TYPES:
        needed.append(Capability.NET_ADMIN)
    return tuple(needed)


def missing(needed: Iterable[Capability]) -> tuple[Capability, ...]:
    """Those of *needed* that the caller lacks. CAP_SYS_ADMIN stands for each; before 5.8 it alone did."""
    has = effective()
    if Capability.SYS_ADMIN in has:
        return ()
    if kernel_release() < (5, 8):
        return (Capability.SYS_ADMIN,)
    return tuple(c for c in needed if c not in has)


def privilege_error(
    errno: int, operation: str, subject: str, needed: Iterable[Capability] = (), *, locks_memory: bool = False
) -> KernelError:
    """The error for a failed call; for EPERM and EACCES it says which capability to give, if one is missing.

    *locks_memory*: before 5.11 the call charged RLIMIT_MEMLOCK and failed with EPERM beyond it (commit 97306be45fbe).
    """
    error = kernel_error(errno, operation, subject)
    if not isinstance(error, MissingPrivilegeError):
        return error
    lacking = missing(needed)
    if lacking:
        names = " and ".join(f"CAP_{c.name}" for c in lacking)
        error = MissingPrivilegeError(
            errno, operation, subject, f"This process lacks {names}: run it as root or grant it"
        )
        error.capability = f"CAP_{lacking[0].name}"
    elif locks_memory and kernel_release() < (5, 11):
        soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        if soft != resource.RLIM_INFINITY:
            hint = f"Before Linux 5.11 it counts against RLIMIT_MEMLOCK, which is {soft} bytes: raise it (ulimit -l)"
            error = MissingPrivilegeError(errno, operation, subject, hint)
    return error
