"""What a program was loaded to attach to: tracing programs, LSM programs, extensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf import kernel
from aiobpf.kernel.loaded_btf import read_btf_object

if TYPE_CHECKING:
    from aiobpf.runtime.program import Program


@frozen
class ProgramTarget:
    """A function, a tracepoint (its typedef's name, "btf_trace_sys_enter") or a kernel's hook, by its type."""

    name: str
    module: str | None
    """The kernel module that it is in; None for the kernel itself, and for a function of a program."""
    is_program: bool
    """Whether it is a function of a program."""
    btf_object_id: int
    type_id: int


def read_target(program: Program) -> ProgramTarget | None:
    """Blocking; a worker thread runs it."""
    info = kernel.program_info(program.fileno(), subject=f"program {program.name!r}")
    if not info.attach_btf_id or not info.attach_btf_object_id:
        return None
    with kernel.btf_by_id(info.attach_btf_object_id) as fd:
        target = kernel.btf_info(fd)
        types = read_btf_object(fd)
    named = types.type_by_id(info.attach_btf_id).name
    module = target.name if target.is_kernel and target.name != "vmlinux" else None
    return ProgramTarget(named, module, not target.is_kernel, info.attach_btf_object_id, info.attach_btf_id)
