"""Where a program wants to hang: functions, tracepoints and hooks, as far as a kernel's BTF knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiobpf.btf import Function, Typedef
from aiobpf.compatibility.report import Finding, Need, Stage, Status
from aiobpf.spec.attach_target import split_module, target_name
from aiobpf.spec.sections import parse_section
from aiobpf.uapi import ProgramType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.btf import Type
    from aiobpf.compatibility.kernel import TargetKernel
    from aiobpf.spec import ProgramSpec

_NOT_IN_VMLINUX: Final = "vmlinux does not have it, and its modules were not given"
_PROBES: Final = frozenset({"kprobe", "kretprobe"})
_SYSCALLS: Final = frozenset({"ksyscall", "kretsyscall"})
_ARCHES: Final = ("x64", "arm64", "s390x", "riscv", "arm", "ia32", "mips", "powerpc")


def attach_target(spec: ProgramSpec, kernel: TargetKernel) -> Iterator[Finding]:
    """What the kernel says to the place that *spec*'s section names, if it names one in the kernel."""
    wanted = target_name(spec)
    if wanted is not None:
        yield _bound_at_load(spec, wanted.word, wanted.prefix, wanted.kind, kernel)
        return
    if spec.type == ProgramType.EXT:
        subject = f"function {spec.attach_to} of another program" if spec.attach_to else "function of another program"
        reason = "which program it replaces a function of is said when it is loaded"
        yield Finding(Need.ATTACH_TARGET, subject, Status.UNKNOWN, program=spec.name, reason=reason)
        return
    kind = parse_section(spec.section).kind
    if not spec.attach_to:
        return
    if kind in _PROBES:
        yield _probe(spec, kernel)
    elif kind in _SYSCALLS:
        yield _system_call(spec, kernel)
    elif kind == "raw_tracepoint":
        yield _tracepoint(spec, f"tracepoint {spec.attach_to}", spec.attach_to, kernel, is_event=False)
    elif spec.type == ProgramType.TRACEPOINT:
        event = spec.attach_to.rpartition("/")[2]
        yield _tracepoint(spec, f"trace event {spec.attach_to}", event, kernel, is_event=True)


def _bound_at_load(spec: ProgramSpec, word: str, prefix: str, kind: type[Type], kernel: TargetKernel) -> Finding:
    """A target that the program is verified against: without it, it does not load."""
    if not spec.attach_to:
        reason = "the section does not say which: set attach_to in the spec"
        return Finding(Need.ATTACH_TARGET, word, Status.MISSING, program=spec.name, reason=reason)
    module, name = split_module(spec.attach_to)
    subject = f"{word} {spec.attach_to}"
    found = kernel.find(prefix + name, kind, module)
    if found is not None:
        return Finding(Need.ATTACH_TARGET, subject, Status.RESOLVED, answer=found[1] or "vmlinux", program=spec.name)
    if kernel.is_complete or module == "vmlinux" or spec.type == ProgramType.LSM:  # no module has a hook of LSM
        return Finding(Need.ATTACH_TARGET, subject, Status.MISSING, program=spec.name)
    return Finding(Need.ATTACH_TARGET, subject, Status.UNKNOWN, program=spec.name, reason=_NOT_IN_VMLINUX)


def _probe(spec: ProgramSpec, kernel: TargetKernel) -> Finding:
    module, rest = split_module(spec.attach_to)
    name = rest.partition("+")[0]
    found = kernel.find(name, Function, module)
    subject = f"function {spec.attach_to}"
    if found is not None:
        return _at_attach(spec, subject, Status.RESOLVED, found[1] or "vmlinux")
    if kernel.symbols is None:
        # BTF leaves functions out: those that were inlined, and those whose arguments the compiler rearranged.
        return _at_attach(spec, subject, Status.UNKNOWN, reason="BTF does not have it, and kallsyms was not given")
    if name in kernel.symbols:
        return _at_attach(spec, subject, Status.RESOLVED, "kallsyms")
    return _at_attach(spec, subject, Status.MISSING)


def _system_call(spec: ProgramSpec, kernel: TargetKernel) -> Finding:
    names = [f"__{arch}_sys_{spec.attach_to}" for arch in _ARCHES] + [f"__se_sys_{spec.attach_to}"]
    subject = f"system call {spec.attach_to}"
    if any(kernel.find(name, Function) is not None for name in names):
        return _at_attach(spec, subject, Status.RESOLVED, "vmlinux")
    if kernel.symbols is None:
        return _at_attach(spec, subject, Status.UNKNOWN, reason="BTF does not have it, and kallsyms was not given")
    if any(name in kernel.symbols for name in (*names, f"sys_{spec.attach_to}")):
        return _at_attach(spec, subject, Status.RESOLVED, "kallsyms")
    return _at_attach(spec, subject, Status.MISSING)


def _tracepoint(spec: ProgramSpec, subject: str, name: str, kernel: TargetKernel, *, is_event: bool) -> Finding:
    found = kernel.find(f"btf_trace_{name}", Typedef)
    if found is not None:
        return _at_attach(spec, subject, Status.RESOLVED, found[1] or "vmlinux")
    if is_event:
        # Some events are no tracepoints of their own: those of system calls, those that a user made.
        return _at_attach(spec, subject, Status.UNKNOWN, reason="BTF does not name every trace event")
    if kernel.is_complete and kernel.has_tracepoints:
        return _at_attach(spec, subject, Status.MISSING)
    return _at_attach(spec, subject, Status.UNKNOWN, reason=_NOT_IN_VMLINUX)


def _at_attach(spec: ProgramSpec, subject: str, status: Status, answer: str = "", reason: str = "") -> Finding:
    return Finding(Need.ATTACH_TARGET, subject, status, Stage.ATTACH, answer=answer, reason=reason, program=spec.name)
