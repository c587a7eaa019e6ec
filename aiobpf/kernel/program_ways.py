"""The ways in which a program of each type loads, to ask the verifier about what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from attrs import frozen

from aiobpf.btf import Function, Struct, Typedef
from aiobpf.errors import BpfError, KernelError, NotSupportedError
from aiobpf.kernel.btf import shared_btf_cache
from aiobpf.kernel.feature_probes import EXPECTED_ATTACH_TYPES, RETURN_0
from aiobpf.kernel.programs import load_program, log_text
from aiobpf.kernel.release import kernel_version_code
from aiobpf.uapi import AttachType, ProgramFlags, ProgramType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aiobpf.btf import Type
    from aiobpf.kernel.fd import FdLike

_LOG_BYTES = 4096


@frozen
class _Way:
    attach_type: int = 0
    target: tuple[str, type[Type]] | None = None
    """What it is loaded to attach to, of the kernel's own types."""
    flags: int = 0


_FUNCTION = "vfs_read"
_WAYS: dict[ProgramType, Sequence[_Way]] = {
    ProgramType.TRACING: (
        _Way(AttachType.TRACE_RAW_TP, ("btf_trace_sys_enter", Typedef)),
        _Way(AttachType.TRACE_ITER, ("bpf_iter_task", Function)),
        _Way(AttachType.TRACE_ITER, ("bpf_iter_task", Function), ProgramFlags.SLEEPABLE),
        _Way(AttachType.TRACE_FENTRY, (_FUNCTION, Function)),
        _Way(AttachType.TRACE_FEXIT, (_FUNCTION, Function)),
        _Way(AttachType.TRACE_FENTRY, ("security_file_open", Function), ProgramFlags.SLEEPABLE),
        _Way(AttachType.MODIFY_RETURN, ("security_file_open", Function)),
    ),
    ProgramType.LSM: (
        _Way(AttachType.LSM_MAC, ("bpf_lsm_file_open", Function)),
        _Way(AttachType.LSM_MAC, ("bpf_lsm_file_open", Function), ProgramFlags.SLEEPABLE),
        _Way(AttachType.LSM_CGROUP, ("bpf_lsm_socket_bind", Function)),
    ),
    ProgramType.STRUCT_OPS: (_Way(0, ("tcp_congestion_ops", Struct)),),
    ProgramType.SYSCALL: (_Way(flags=ProgramFlags.SLEEPABLE),),
}
"""Extensions have none: they need a program to extend, and may call what that may."""


@final
class ProgramWays:
    """How programs of one type load on this kernel, found out once."""

    def __init__(self, program_type: ProgramType, token: FdLike | None = None) -> None:
        self.program_type = program_type
        self._token = token
        self._usable = list(self._find())

    def __bool__(self) -> bool:
        """Whether any program of the type loads."""
        return bool(self._usable)

    def answers(self, code: bytes, fd_array: Sequence[int] = ()) -> Iterator[str | None]:
        """What the verifier says to *code* in each way; None where it takes it. KernelError where it says nothing."""
        for way, target in self._usable:
            yield self._load(way, target, code, fd_array)

    def _find(self) -> Iterator[tuple[_Way, int]]:
        default = (_Way(EXPECTED_ATTACH_TYPES.get(self.program_type, 0)),)
        for way in _WAYS.get(self.program_type, default):
            target = 0 if way.target is None else _type_id(*way.target)
            if target is None:
                continue
            try:
                if self._load(way, target, RETURN_0) is None:
                    yield way, target
            except (KernelError, NotSupportedError):
                continue

    def _load(self, way: _Way, target: int, code: bytes, fd_array: Sequence[int] = ()) -> str | None:
        log = bytearray(_LOG_BYTES)
        try:
            load_program(
                self.program_type,
                code,
                expected_attach_type=way.attach_type or _member(self.program_type),
                attach_btf_id=target,
                flags=way.flags,
                kernel_version=kernel_version_code(),
                fd_array=fd_array,
                log=log,
                log_level=1,
                token=self._token,
            ).close()
        except KernelError:
            said = log_text(log)
            if not said:
                raise
            return said
        return None


def _member(program_type: ProgramType) -> int:
    """The member of tcp_congestion_ops to implement: one that returns a number and may do nothing, ssthresh."""
    if program_type != ProgramType.STRUCT_OPS:
        return 0
    members = shared_btf_cache().vmlinux().by_name("tcp_congestion_ops", Struct).members
    return next(index for index, member in enumerate(members) if member.name == "ssthresh")


def _type_id(name: str, kind: type[Type]) -> int | None:
    try:
        vmlinux = shared_btf_cache().vmlinux()
        return vmlinux.id_of(vmlinux.by_name(name, kind))
    except BpfError:  # no types, or not this one
        return None
