"""Program types, attach types, map types and helpers: the kernel's enums say which of them it knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiobpf.asm import CallKind, helper_name
from aiobpf.asm.older_helpers import OLDER_HELPERS
from aiobpf.asm.opcodes import CALL_OP
from aiobpf.btf import Function, Struct, member_places
from aiobpf.compatibility.report import Finding, Need, Stage, Status
from aiobpf.uapi import MapType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiobpf.asm import Instructions
    from aiobpf.compatibility.kernel import TargetKernel
    from aiobpf.spec import MapSpec, ProgramSpec, StructOpsMembers

_SAME_OPTION: Final[Mapping[MapType, ProgramType]] = {
    MapType.CGROUP_STORAGE: ProgramType.CGROUP_DEVICE,  # CONFIG_CGROUP_BPF
    MapType.PERCPU_CGROUP_STORAGE: ProgramType.CGROUP_DEVICE,
    MapType.INODE_STORAGE: ProgramType.LSM,  # CONFIG_BPF_LSM
    MapType.STRUCT_OPS: ProgramType.STRUCT_OPS,  # CONFIG_BPF_JIT
    MapType.REUSEPORT_SOCKARRAY: ProgramType.SK_REUSEPORT,  # CONFIG_INET
    MapType.DEVMAP: ProgramType.XDP,  # CONFIG_NET
    MapType.DEVMAP_HASH: ProgramType.XDP,
    MapType.CPUMAP: ProgramType.XDP,
    MapType.SK_STORAGE: ProgramType.XDP,
    MapType.SOCKMAP: ProgramType.XDP,
    MapType.SOCKHASH: ProgramType.XDP,
}
"""Map types, and program types that the same option builds in (include/linux/bpf_types.h)."""

_ALLOCATORS: Final[Mapping[MapType, str]] = {
    MapType.SOCKMAP: "sock_map_alloc",  # CONFIG_BPF_STREAM_PARSER before 5.13
    MapType.SOCKHASH: "sock_hash_alloc",
    MapType.STACK_TRACE: "stack_map_alloc",  # CONFIG_PERF_EVENTS
    MapType.XSKMAP: "xsk_map_alloc",  # CONFIG_XDP_SOCKETS
}
"""Functions without which there are no maps of a type that an option of its own builds in, as 5.10 to 7.3 call them."""

_ATTACH_TYPE_CHECKED_AT_LOAD: Final = frozenset(
    {
        ProgramType.CGROUP_SOCK,
        ProgramType.CGROUP_SOCK_ADDR,
        ProgramType.CGROUP_SKB,
        ProgramType.CGROUP_SOCKOPT,
        ProgramType.SK_LOOKUP,
        ProgramType.NETFILTER,
        ProgramType.TRACING,
        ProgramType.LSM,
    }
)
"""bpf_prog_load_check_attach and bpf_check_attach_target; the others take any number until they are attached."""


def program_type(spec: ProgramSpec, kernel: TargetKernel) -> Finding:
    """Whether the kernel was built with programs of that type."""

    def finding(status: Status, reason: str = "") -> Finding:
        return Finding(Need.PROGRAM_TYPE, spec.type.name, status, program=spec.name, reason=reason)

    if spec.type == ProgramType.UNSPEC:
        return finding(Status.MISSING, f"nothing is known of section {spec.section!r}: set the type in the spec")
    values = kernel.enumerators("bpf_prog_type")
    if values is None:
        return finding(Status.UNKNOWN, "its BTF has no enum bpf_prog_type")
    if spec.type not in values:
        return finding(Status.MISSING, "the kernel is older than it")
    built_in = kernel.program_types
    if built_in is not None and spec.type.name not in built_in:
        return finding(Status.MISSING, "the kernel knows it, but was built without it")
    return finding(Status.RESOLVED)


def attach_type(spec: ProgramSpec, kernel: TargetKernel) -> Iterator[Finding]:
    """Whether the kernel knows the attach type, if the program has one."""
    if spec.attach_type is None:
        return
    stage = Stage.LOAD if spec.type in _ATTACH_TYPE_CHECKED_AT_LOAD else Stage.ATTACH
    values = kernel.enumerators("bpf_attach_type")
    status, reason = Status.RESOLVED, ""
    if values is None:
        status, reason = Status.UNKNOWN, "its BTF has no enum bpf_attach_type"
    elif spec.attach_type not in values:
        status, reason = Status.MISSING, "the kernel is older than it"
    yield Finding(Need.ATTACH_TYPE, spec.attach_type.name, status, stage, program=spec.name, reason=reason)


def map_type(spec: MapSpec, kernel: TargetKernel) -> Iterator[Finding]:
    """Whether the kernel has maps of that type, and for struct_ops the operations."""

    def finding(status: Status, reason: str = "") -> Finding:
        return Finding(Need.MAP_TYPE, spec.type.name, status, map=spec.name, reason=reason)

    values, built_in = kernel.enumerators("bpf_map_type"), kernel.program_types
    same = _SAME_OPTION.get(spec.type)
    if values is None:
        yield finding(Status.UNKNOWN, "its BTF has no enum bpf_map_type")
    elif spec.type not in values:
        yield finding(Status.MISSING, "the kernel is older than it")
    elif built_in is not None and same is not None and same.name not in built_in:
        yield finding(Status.MISSING, "the kernel knows it, but was built without it")
    elif spec.type in _ALLOCATORS and _lacks(_ALLOCATORS[spec.type], kernel):
        yield finding(Status.UNKNOWN, "the kernel may have been built without it: its BTF lacks the function for it")
    else:
        yield finding(Status.RESOLVED)
    if spec.members is not None:
        yield from _struct_ops(spec, spec.members, kernel)
    if spec.inner is not None:
        yield from map_type(spec.inner, kernel)


def _lacks(allocator: str, kernel: TargetKernel) -> bool:
    """Whether BTF has functions, but not this one."""
    return bool(kernel.btf.all_by_name("array_map_alloc", Function)) and not kernel.btf.all_by_name(allocator, Function)


def _struct_ops(spec: MapSpec, members: StructOpsMembers, kernel: TargetKernel) -> Iterator[Finding]:
    """The kernel's struct, and its members that are to hold a program."""
    name = members.struct_name

    def finding(subject: str, status: Status, answer: str = "", reason: str = "") -> Finding:
        return Finding(Need.ATTACH_TARGET, subject, status, answer=answer, reason=reason, map=spec.name)

    subject = f"struct_ops {name}"
    # What a map of them holds: bpf_struct_ops_NAME, around struct NAME (kernel/bpf/bpf_struct_ops.c).
    found = kernel.find(f"bpf_struct_ops_{name}", Struct)
    if found is None:
        if kernel.is_complete:
            yield finding(subject, Status.MISSING)
        else:
            reason = "vmlinux does not have it, and its modules were not given"
            yield finding(subject, Status.UNKNOWN, reason=reason)
        return
    yield finding(subject, Status.RESOLVED, found[1] or "vmlinux")
    operations = kernel.find(name, Struct, found[1] or "vmlinux") or kernel.find(name, Struct)
    there = {} if operations is None else member_places(operations[0])
    for member in members.programs:
        yield finding(f"struct_ops {name}.{member}", Status.RESOLVED if member in there else Status.MISSING)


def helper_calls(instructions: Instructions) -> dict[int, int]:
    """The helpers that are called: the number, by the slot of the call."""
    return {
        instructions.slot_of(index): instructions.fields(index)[4]
        for index in instructions.find(CALL_OP, CallKind.HELPER)
    }


def has_helper(number: int, kernel: TargetKernel) -> bool | None:
    """Whether the kernel has the helper, or the older one that a load puts in its place; None: not known."""
    numbers = kernel.enumerators("bpf_func_id")
    if numbers is None:
        return None
    return number in numbers or OLDER_HELPERS.get(number, 0) in numbers - {0}


def helper_subject(number: int) -> str:
    name = helper_name(number)
    return name if "#" in name else f"{name}#{number}"
