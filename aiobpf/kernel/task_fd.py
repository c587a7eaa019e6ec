"""Which program hangs on a descriptor of a process (BPF_TASK_FD_QUERY)."""

from __future__ import annotations

import os
from enum import IntEnum

from attrs import frozen

from aiobpf.kernel.capabilities import Capability, privilege_error
from aiobpf.kernel.fd import FdLike, number
from aiobpf.kernel.layout import Layout
from aiobpf.kernel.syscall import bpf
from aiobpf.uapi import Command
from aiobpf.uapi.newer import member

_QUERY = Layout("pid:I fd:I flags:I buf_len:I buf:P prog_id:I fd_type:I probe_offset:Q probe_addr:Q")
_ROOM = 4096


class TaskFdKind(IntEnum):
    """What the program hangs on (enum bpf_task_fd_type)."""

    RAW_TRACEPOINT = 0
    TRACEPOINT = 1
    KPROBE = 2
    KRETPROBE = 3
    UPROBE = 4
    URETPROBE = 5


@frozen
class TaskFd:
    """A descriptor of a perf event or raw tracepoint with a program on it."""

    program_id: int
    kind: TaskFdKind
    name: str
    """The tracepoint, the kernel function, or the file of a uprobe."""
    offset: int
    """Bytes into the kernel function or the file."""
    address: int
    """Of a kprobe that was given an address, else 0."""


def task_fd_query(fd: FdLike, pid: int | None = None) -> TaskFd:
    """What hangs on the descriptor *fd* of the process *pid* (None: this one); 4.18.

    For programs on perf events by ioctl too, which have no link to ask. KernelError: ENOENT (no such process, or no
    program there), EBADF, EOPNOTSUPP (another kind of descriptor); MissingPrivilegeError without CAP_SYS_ADMIN.
    """
    name = bytearray(_ROOM)
    process = os.getpid() if pid is None else pid
    attr = _QUERY.make(pid=process, fd=number(fd), buf_len=len(name), buf=name)
    error = -bpf(Command.TASK_FD_QUERY, attr)
    if error > 0:
        subject = f"descriptor {number(fd)} of process {process}"
        raise privilege_error(error, "BPF_TASK_FD_QUERY", subject, (Capability.SYS_ADMIN,))
    return TaskFd(
        program_id=attr["prog_id"],
        kind=member(TaskFdKind, attr["fd_type"]),
        name=bytes(name).split(b"\0", 1)[0].decode(errors="replace"),
        offset=attr["probe_offset"],
        address=attr["probe_addr"],
    )
