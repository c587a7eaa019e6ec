"""Can a program hang there? Each probe leaves something out, which only a kernel that can would look for."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from aiobpf.btf import Enum
from aiobpf.errors import KernelError, NotSupportedError
from aiobpf.kernel.btf import shared_btf_cache
from aiobpf.kernel.feature_probes import PROBES, RETURN_0, RETURN_1
from aiobpf.kernel.layout import Layout
from aiobpf.kernel.links import link_create, link_uprobe_multi, prog_query
from aiobpf.kernel.maps import create_map
from aiobpf.kernel.programs import load_program, log_text
from aiobpf.kernel.syscall import bpf, checked
from aiobpf.uapi import AttachType, Command, LinkType, MapType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiobpf.kernel.fd import FdLike, OwnedFd

_A, _P = AttachType, ProgramType
_NOWHERE = -1
_LOOPBACK = 1
_ATTACH = Layout("target_fd:I attach_bpf_fd:I attach_type:I attach_flags:I replace_bpf_fd:I")
_KPROBE_MULTI = Layout("prog_fd:I target:I attach_type:I flags:I multi_flags:I cnt:I syms:P addrs:P cookies:P")
_UNREADABLE = 1  # an address that the kernel cannot copy from

_CHECKED_AT_LOAD: Mapping[AttachType, ProgramType] = {
    **dict.fromkeys((_A.CGROUP_INET_INGRESS, _A.CGROUP_INET_EGRESS), _P.CGROUP_SKB),
    **dict.fromkeys(
        (
            _A.CGROUP_INET_SOCK_CREATE,
            _A.CGROUP_INET_SOCK_RELEASE,
            _A.CGROUP_INET4_POST_BIND,
            _A.CGROUP_INET6_POST_BIND,
        ),
        _P.CGROUP_SOCK,
    ),
    **dict.fromkeys(
        (
            _A.CGROUP_INET4_BIND,
            _A.CGROUP_INET6_BIND,
            _A.CGROUP_INET4_CONNECT,
            _A.CGROUP_INET6_CONNECT,
            _A.CGROUP_UDP4_SENDMSG,
            _A.CGROUP_UDP6_SENDMSG,
            _A.CGROUP_UDP4_RECVMSG,
            _A.CGROUP_UDP6_RECVMSG,
            _A.CGROUP_INET4_GETPEERNAME,
            _A.CGROUP_INET6_GETPEERNAME,
            _A.CGROUP_INET4_GETSOCKNAME,
            _A.CGROUP_INET6_GETSOCKNAME,
            _A.CGROUP_UNIX_CONNECT,
            _A.CGROUP_UNIX_SENDMSG,
            _A.CGROUP_UNIX_RECVMSG,
            _A.CGROUP_UNIX_GETPEERNAME,
            _A.CGROUP_UNIX_GETSOCKNAME,
        ),
        _P.CGROUP_SOCK_ADDR,
    ),
    **dict.fromkeys((_A.CGROUP_GETSOCKOPT, _A.CGROUP_SETSOCKOPT), _P.CGROUP_SOCKOPT),
    _A.SK_LOOKUP: _P.SK_LOOKUP,
    _A.NETFILTER: _P.NETFILTER,
}
"""Attach types that the kernel checks when it loads a program (bpf_prog_load_check_attach, kernel/bpf/syscall.c)."""

_LOOKED_FOR = frozenset(
    {
        _A.CGROUP_SOCK_OPS,
        _A.CGROUP_DEVICE,
        _A.CGROUP_SYSCTL,
        _A.SK_SKB_STREAM_PARSER,
        _A.SK_SKB_STREAM_VERDICT,
        _A.SK_SKB_VERDICT,
        _A.SK_MSG_VERDICT,
        _A.FLOW_DISSECTOR,
        _A.XDP,
    }
)
"""Those for which BPF_PROG_ATTACH then looks for the program: EBADF (attach_type_to_prog_type)."""

_TARGETS: Mapping[AttachType, ProgramType] = {
    _A.TRACE_RAW_TP: _P.TRACING,
    _A.TRACE_ITER: _P.TRACING,
    _A.TRACE_FENTRY: _P.TRACING,
    _A.TRACE_FEXIT: _P.TRACING,
    _A.MODIFY_RETURN: _P.TRACING,
    _A.TRACE_FSESSION: _P.TRACING,
    _A.LSM_MAC: _P.LSM,
    _A.LSM_CGROUP: _P.LSM,
}
"""Those with a target of the kernel's types: type 1 is none of them, which a kernel that knows the place says."""


def probe_attach_type(attach_type: AttachType, token: FdLike | None = None) -> OwnedFd | bool:
    """Whether programs can be attached so; OSError where the kernel would not say."""
    if attach_type in _CHECKED_AT_LOAD:
        code = RETURN_1  # the one return value that every one of them takes
        kind = _CHECKED_AT_LOAD[attach_type]
        return load_program(kind, code, expected_attach_type=attach_type, token=token)
    if attach_type in _LOOKED_FOR:
        return _is_looked_for(attach_type)
    if attach_type in _TARGETS:
        return _is_known_to_verifier(_TARGETS[attach_type], attach_type, token)
    match attach_type:
        case _A.LIRC_MODE2:
            return load_program(_P.LIRC_MODE2, RETURN_0, expected_attach_type=attach_type, token=token)
        case _A.XDP_DEVMAP | _A.XDP_CPUMAP:  # values with room for the program's descriptor came with them
            kind_of_map = MapType.DEVMAP if attach_type == _A.XDP_DEVMAP else MapType.CPUMAP
            return create_map(kind_of_map, 4, 8, 1, token=token)
        case _A.SK_REUSEPORT_SELECT | _A.SK_REUSEPORT_SELECT_OR_MIGRATE:
            return _sk_reuseport(attach_type, token)
        case _A.PERF_EVENT:
            return PROBES["PERF_LINK"](token)
        case _A.TRACE_KPROBE_MULTI | _A.TRACE_KPROBE_SESSION:
            return _kprobe_multi(attach_type, token)
        case _A.TRACE_UPROBE_MULTI | _A.TRACE_UPROBE_SESSION:
            return _uprobe_multi(attach_type, token)
        case _A.TCX_INGRESS | _A.TCX_EGRESS:
            prog_query(_LOOPBACK, attach_type)
            return True
        case _A.NETKIT_PRIMARY | _A.NETKIT_PEER:
            return _netkit(attach_type)
        case _A.STRUCT_OPS:
            return knows_constant("bpf_struct_ops_state", "BPF_STRUCT_OPS_STATE_READY")
        case _:
            return knows_constant("bpf_attach_type", f"BPF_{attach_type.name}")


_CARRIED_BY: Mapping[LinkType, AttachType] = {
    LinkType.TRACING: _A.TRACE_FENTRY,
    LinkType.ITER: _A.TRACE_ITER,
    LinkType.XDP: _A.XDP,
    LinkType.PERF_EVENT: _A.PERF_EVENT,
    LinkType.KPROBE_MULTI: _A.TRACE_KPROBE_MULTI,
    LinkType.STRUCT_OPS: _A.STRUCT_OPS,
    LinkType.NETFILTER: _A.NETFILTER,
    LinkType.TCX: _A.TCX_INGRESS,
    LinkType.UPROBE_MULTI: _A.TRACE_UPROBE_MULTI,
    LinkType.NETKIT: _A.NETKIT_PRIMARY,
    LinkType.TRACING_MULTI: _A.TRACE_FENTRY_MULTI,
}
"""Link types that came with an attach type."""


def probe_link_type(link_type: LinkType, token: FdLike | None = None) -> OwnedFd | bool:
    """Whether the kernel has links of that type; OSError where it would not say."""
    if link_type in _CARRIED_BY:
        return probe_attach_type(_CARRIED_BY[link_type], token)
    match link_type:
        case LinkType.CGROUP:
            return _finds_no_target(_P.CGROUP_SKB, RETURN_1, _A.CGROUP_INET_EGRESS, token)
        case LinkType.NETNS:
            return _finds_no_target(_P.FLOW_DISSECTOR, RETURN_0, _A.FLOW_DISSECTOR, token)
        case LinkType.SOCKMAP:
            return _finds_no_target(_P.SK_MSG, RETURN_1, _A.SK_MSG_VERDICT, token)
        case LinkType.RAW_TRACEPOINT:
            return -bpf(Command.LINK_CREATE, _ATTACH.make(target_fd=_NOWHERE)) == errno.EBADF  # 5.7 has the command
        case _:
            return knows_constant("bpf_link_type", f"BPF_LINK_TYPE_{link_type.name}")


def knows_constant(enum: str, name: str) -> bool:
    """Whether the kernel's own types have that constant; OSError where it has no types."""
    try:
        found = shared_btf_cache().vmlinux().all_by_name(enum, Enum)
    except NotSupportedError as error:
        raise KernelError(errno.EPERM, "reading the kernel's types", str(error)) from error
    return any(each.name == name for type_ in found for each in type_.enumerators)


def _is_looked_for(attach_type: AttachType) -> bool:
    attr = _ATTACH.make(target_fd=_NOWHERE, attach_bpf_fd=_NOWHERE, attach_type=attach_type)
    try:
        checked(Command.PROG_ATTACH, attr, f"{attach_type.name} attachment")
    except KernelError as error:
        if error.errno == errno.EBADF:
            return True
        raise
    return True


def _is_known_to_verifier(kind: ProgramType, attach_type: AttachType, token: FdLike | None) -> bool:
    log = bytearray(4096)
    try:
        load_program(
            kind, RETURN_0, expected_attach_type=attach_type, attach_btf_id=1, log=log, log_level=1, token=token
        ).close()
    except NotSupportedError:  # this kernel refuses trampolines
        return False
    except KernelError as error:
        said = log_text(log)
        if "is not a function" in said or "is not a typedef" in said:
            return True
        if error.errno == errno.EINVAL:
            return False
        raise
    return True


def _finds_no_target(kind: ProgramType, code: bytes, attach_type: AttachType, token: FdLike | None) -> bool:
    with load_program(kind, code, expected_attach_type=attach_type, token=token) as program:
        try:
            link_create(program, _NOWHERE, attach_type).close()
        except KernelError as error:
            if error.errno == errno.EBADF:
                return True
            raise
    return True


def _kprobe_multi(attach_type: AttachType, token: FdLike | None) -> bool:
    with load_program(_P.KPROBE, RETURN_0, expected_attach_type=attach_type, token=token) as program:
        attr = _KPROBE_MULTI.make(prog_fd=program.fileno(), attach_type=attach_type, cnt=1, addrs=_UNREADABLE)
        try:
            checked(Command.LINK_CREATE, attr, f"{attach_type.name} link")
        except KernelError as error:
            if error.errno == errno.EFAULT:  # it wanted to read the addresses
                return True
            raise
    return True


def _uprobe_multi(attach_type: AttachType, token: FdLike | None) -> bool:
    with load_program(_P.KPROBE, RETURN_0, expected_attach_type=attach_type, token=token) as program:
        try:
            link_uprobe_multi(program, "/", [0], attach_type=attach_type).close()
        except KernelError as error:
            if error.errno == errno.EBADF:  # it looked at the file, which is none
                return True
            raise
    return True


def _sk_reuseport(attach_type: AttachType, token: FdLike | None) -> bool:
    """An older kernel takes any attach type for such programs, and looks at none."""
    try:
        load_program(_P.SK_REUSEPORT, RETURN_1, expected_attach_type=_A.XDP, token=token).close()
    except KernelError as error:
        if error.errno != errno.EINVAL:
            raise
    else:
        return False
    load_program(_P.SK_REUSEPORT, RETURN_1, expected_attach_type=attach_type, token=token).close()
    return True


def _netkit(attach_type: AttachType) -> bool:
    try:
        prog_query(_LOOPBACK, attach_type)
    except KernelError as error:
        if error.errno == errno.ENXIO:  # the loopback interface is none
            return True
        raise
    return True
