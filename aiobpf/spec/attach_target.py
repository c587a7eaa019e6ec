"""What a program is verified against: the name in its section, as the kernel's BTF spells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf.btf import Function, Typedef
from aiobpf.uapi import AttachType, ProgramType

if TYPE_CHECKING:
    from aiobpf.btf import Type
    from aiobpf.spec.program import ProgramSpec

_FUNCTION_TARGETS = frozenset(
    {AttachType.TRACE_FENTRY, AttachType.TRACE_FEXIT, AttachType.MODIFY_RETURN, AttachType.TRACE_FSESSION}
)

MULTI_ATTACH_TYPES = frozenset(
    {AttachType.TRACE_FENTRY_MULTI, AttachType.TRACE_FEXIT_MULTI, AttachType.TRACE_FSESSION_MULTI}
)
"""Programs that are verified for functions of any shape; which ones, their link says."""


@frozen
class TargetName:
    """How BTF calls the targets of one kind of program: *prefix* before the name, types of *kind*; *word* is ours."""

    prefix: str
    kind: type[Type]
    word: str


def target_name(spec: ProgramSpec) -> TargetName | None:
    """How the target of *spec* is called, or None where its type is verified against nothing of the kernel's.

    A tracepoint is ``typedef void (*btf_trace_NAME)(...)``, an LSM hook the function ``bpf_lsm_NAME``, an iterator
    ``bpf_iter_NAME`` (kernel/bpf/verifier.c, bpf_check_attach_target; libbpf's btf_get_kernel_prefix_kind).
    """
    if spec.type == ProgramType.TRACING:
        if spec.attach_type == AttachType.TRACE_RAW_TP:
            return TargetName("btf_trace_", Typedef, "tracepoint")
        if spec.attach_type == AttachType.TRACE_ITER:
            return TargetName("bpf_iter_", Function, "iterator")
        if spec.attach_type in _FUNCTION_TARGETS:
            return TargetName("", Function, "function")
    if spec.type == ProgramType.LSM:
        return TargetName("bpf_lsm_", Function, "LSM hook")
    return None


def split_module(name: str) -> tuple[str | None, str]:
    """(module, name) of a target that may say which module it is in: "xfs:xfs_file_open"."""
    module, _, plain = name.rpartition(":")
    return module or None, plain
