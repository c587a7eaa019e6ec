"""Loading programs, and the BTF that describes them."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from aiobpf.errors import KernelError, NotSupportedError
from aiobpf.kernel.capabilities import (
    TRAMPOLINE_ATTACH_TYPES,
    Capability,
    missing,
    needed_for_program,
    privilege_error,
)
from aiobpf.kernel.fd import FdLike, OwnedFd, number
from aiobpf.kernel.layout import Layout
from aiobpf.kernel.syscall import checked, object_name, try_fd
from aiobpf.uapi import AttachType, Command, ProgramFlags, ProgramType

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence

    from typing_extensions import Buffer

_LOAD = Layout(
    "prog_type:I insn_cnt:I insns:P license:P log_level:I log_size:I log_buf:P kern_version:I prog_flags:I"
    " prog_name:16s prog_ifindex:I expected_attach_type:I prog_btf_fd:I func_info_rec_size:I func_info:P"
    " func_info_cnt:I line_info_rec_size:I line_info:P line_info_cnt:I attach_btf_id:I attach_fd:I core_relo_cnt:I"
    " fd_array:P core_relos:P core_relo_rec_size:I log_true_size:I prog_token_fd:i fd_array_cnt:I"
)
_BTF_LOAD = Layout(
    "btf:P btf_log_buf:P btf_size:I btf_log_size:I btf_log_level:I btf_log_true_size:I btf_flags:I btf_token_fd:i"
)
_BIND = Layout("prog_fd:I map_fd:I flags:I")

FUNC_INFO_SIZE = 8
LINE_INFO_SIZE = 16
LOAD_ATTEMPTS = 5
"""As libbpf: a signal to the loading thread makes the verifier give up with EAGAIN, and each try may meet another."""
BTF_LOG_MAX = (1 << 32) - 1
LOG_MAX = (1 << 30) - 1
"""The longest verifier log that every kernel takes: UINT_MAX >> 2 since 5.12 (older: >> 8, 16 MiB)."""


class LogTooSmallError(KernelError):
    """The verifier's log did not fit: *needed* is the bytes it takes (6.4), or 0 where the kernel does not say."""

    needed: int = 0


def load_program(
    type: int,  # noqa: A002 the field's own word
    code: Buffer,
    license: str | bytes = "GPL",  # noqa: A002 the field's own word
    *,
    name: str = "",
    flags: int = 0,
    expected_attach_type: int = 0,
    attach_btf_id: int = 0,
    attach_btf: FdLike | None = None,
    attach_program: FdLike | None = None,
    btf: FdLike | None = None,
    func_info: Buffer = b"",
    line_info: Buffer = b"",
    fd_array: Sequence[int] | array[int] = (),
    fd_array_bound: bool = False,
    kernel_version: int = 0,
    ifindex: int = 0,
    log: bytearray | None = None,
    log_level: int = 0,
    token: FdLike | None = None,
    subject: str = "",
) -> OwnedFd:
    """BPF_PROG_LOAD (bpf(2)): verify and load *code*, wire slots of 8 bytes in the kernel's byte order.

    *func_info* and *line_info* are records of 8 and 16 bytes (struct bpf_func_info, bpf_line_info) into *btf*.
    *attach_btf_id* is a type of vmlinux, of the module whose BTF object is *attach_btf*, or of *attach_program*.
    *fd_array*: what pseudo sources with an index refer to; *fd_array_bound* (6.14) also binds each map to the program.

    The verifier writes *log* (NUL-terminated; `log_text`) at *log_level* 1 to 7. Where it does not fit, the load fails
    with LogTooSmallError (ENOSPC), and *log* has its beginning (before 6.4) or its end.

    Tried again up to `LOAD_ATTEMPTS` times on EAGAIN, never on EINTR. KernelError with the errno; what the verifier
    meant is the caller's to find in *log*. EPERM of a trampoline type with all privileges is NotSupportedError.
    """
    what = subject or (f"program {name!r}" if name else f"program of type {_type_name(type)}")
    slots = memoryview(code).nbytes // 8
    functions = memoryview(func_info).nbytes // FUNC_INFO_SIZE
    lines = memoryview(line_info).nbytes // LINE_INFO_SIZE
    descriptors = memoryview(_ints(fd_array)) if fd_array else b""
    if token is not None:
        flags |= ProgramFlags.TOKEN_FD
    attach = attach_program if attach_program is not None else attach_btf
    attr = _LOAD.make(
        prog_type=type,
        insn_cnt=slots,
        insns=code,
        license=(license.encode() if isinstance(license, str) else license) + b"\0",
        log_level=log_level,
        log_size=len(log) if log is not None else 0,
        log_buf=log,
        kern_version=kernel_version,
        prog_flags=flags,
        prog_name=object_name(name),
        prog_ifindex=ifindex,
        expected_attach_type=expected_attach_type,
        prog_btf_fd=0 if btf is None else number(btf),
        func_info_rec_size=FUNC_INFO_SIZE if functions else 0,
        func_info=func_info,
        func_info_cnt=functions,
        line_info_rec_size=LINE_INFO_SIZE if lines else 0,
        line_info=line_info,
        line_info_cnt=lines,
        attach_btf_id=attach_btf_id,
        attach_fd=0 if attach is None else number(attach),
        fd_array=descriptors,
        fd_array_cnt=len(fd_array) if fd_array_bound else 0,
        prog_token_fd=0 if token is None else number(token),
    )
    owner = OwnedFd(what=what)
    error = 0
    for _ in range(LOAD_ATTEMPTS):
        error = try_fd(Command.PROG_LOAD, attr, owner)
        if error != errno.EAGAIN:
            break
    if error == errno.ENOSPC and log is not None:
        cut = LogTooSmallError(error, "BPF_PROG_LOAD", what)
        cut.needed = attr["log_true_size"]
        raise cut
    if error:
        raise _load_error(error, what, type, expected_attach_type, log)
    return owner


def load_btf(
    data: Buffer,
    *,
    log: bytearray | None = None,
    log_level: int = 0,
    token: FdLike | None = None,
    subject: str = "BTF",
) -> OwnedFd:
    """BPF_BTF_LOAD (4.18): *data* is a raw .BTF in the kernel's byte order. The kernel's reasons go to *log*."""
    attr = _BTF_LOAD.make(
        btf=data,
        btf_size=memoryview(data).nbytes,
        btf_log_buf=log,
        btf_log_size=len(log) if log is not None else 0,
        btf_log_level=log_level,
        btf_flags=ProgramFlags.TOKEN_FD if token is not None else 0,
        btf_token_fd=0 if token is None else number(token),
    )
    owner = OwnedFd(what=subject)
    error = try_fd(Command.BTF_LOAD, attr, owner)
    if error:
        raise privilege_error(error, "BPF_BTF_LOAD", subject, (Capability.BPF,), locks_memory=True)
    return owner


def log_text(log: bytearray) -> str:
    """What the kernel wrote into a log buffer."""
    end = log.find(b"\0")
    return bytes(log if end < 0 else log[:end]).decode(errors="replace")


def bind_map(program: FdLike, map: FdLike, *, subject: str = "program") -> None:  # noqa: A002 the field's own word
    """Let *program* hold *map*, though its instructions do not refer to it (BPF_PROG_BIND_MAP, 5.10)."""
    checked(Command.PROG_BIND_MAP, _BIND.make(prog_fd=number(program), map_fd=number(map)), subject)


def _load_error(
    error: int, what: str, program_type: int, attach_type: int, log: bytearray | None
) -> KernelError | NotSupportedError:
    needed = needed_for_program(program_type)
    # Measured: a kernel that refuses trampolines says EPERM to those who may do everything, and writes no log.
    needs_trampoline = program_type in {ProgramType.TRACING, ProgramType.LSM} and attach_type in TRAMPOLINE_ATTACH_TYPES
    if (
        error == errno.EPERM
        and (needs_trampoline or program_type == ProgramType.EXT)
        and not (log and log[0])
        and not missing(needed)
    ):
        try:
            kind = AttachType(attach_type).name.removeprefix("TRACE_").lower()
        except ValueError:
            kind = str(attach_type)
        if program_type == ProgramType.EXT:
            kind = "freplace"
        return NotSupportedError(
            f"{what}: this kernel refuses trampolines, which {kind} needs (EPERM with every privilege given)",
            hint="A raw tracepoint, tp_btf or kprobe works without one",
        )
    return privilege_error(error, "BPF_PROG_LOAD", what, needed, locks_memory=True)


def _ints(fds: Sequence[int] | array[int]) -> array[int]:
    from array import array

    return array("i", fds)


def _type_name(program_type: int) -> str:
    try:
        return ProgramType(program_type).name
    except ValueError:
        return str(program_type)
