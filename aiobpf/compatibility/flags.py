"""Flags of maps and programs that kernels learnt since 5.10. No type says so: what came with the same kernel does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from aiobpf.compatibility.report import Finding, Need, Status
from aiobpf.uapi import AttachType, MapFlags, MapType, ProgramFlags, ProgramType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.compatibility.kernel import TargetKernel
    from aiobpf.spec import MapSpec, ProgramSpec


@frozen
class _Newer:
    """A flag, the first kernel that takes it, and a value of an enum that came with it."""

    since: str
    enum: str
    value: int
    program_type: ProgramType | None = None


_MAP_FLAGS: Final = {
    MapFlags.LINK: _Newer("6.4", "bpf_attach_type", AttachType.NETFILTER),
    MapFlags.SEGV_ON_FAULT: _Newer("6.9", "bpf_map_type", MapType.ARENA),
    MapFlags.NO_USER_CONV: _Newer("6.9", "bpf_map_type", MapType.ARENA),
    MapFlags.RB_OVERWRITE: _Newer("6.19", "bpf_map_type", MapType.INSN_ARRAY),
}
_PROGRAM_FLAGS: Final = {
    ProgramFlags.XDP_HAS_FRAGS: _Newer("5.18", "bpf_func_id", 188),  # bpf_xdp_get_buff_len
    # Of a uprobe; tracing and LSM programs may sleep since 5.10.
    ProgramFlags.SLEEPABLE: _Newer("6.0", "bpf_func_id", 207, ProgramType.KPROBE),  # bpf_tcp_raw_check_syncookie_ipv6
}


def map_flags(spec: MapSpec, kernel: TargetKernel) -> Iterator[Finding]:
    """The flags of a map that not every kernel has."""
    for flag, newer in _MAP_FLAGS.items():
        if spec.flags & flag:
            status, reason = _known(newer, kernel)
            yield Finding(Need.MAP_FLAG, flag.name or "", status, reason=reason, map=spec.name)


def program_flags(spec: ProgramSpec, kernel: TargetKernel) -> Iterator[Finding]:
    """The flags of a program that not every kernel has."""
    for flag, newer in _PROGRAM_FLAGS.items():
        if spec.flags & flag and newer.program_type in {None, spec.type}:
            status, reason = _known(newer, kernel)
            yield Finding(Need.PROGRAM_FLAG, flag.name or "", status, reason=reason, program=spec.name)


def _known(newer: _Newer, kernel: TargetKernel) -> tuple[Status, str]:
    values = kernel.enumerators(newer.enum)
    if values is None:
        return Status.UNKNOWN, f"its BTF has no enum {newer.enum}"
    return (Status.RESOLVED, "") if newer.value in values else (Status.MISSING, f"since Linux {newer.since}")
