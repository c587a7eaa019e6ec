"""bpf(2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiobpf._native import lib
from aiobpf.errors import kernel_error
from aiobpf.kernel.fd import OwnedFd

if TYPE_CHECKING:
    from aiobpf.kernel.layout import Record
    from aiobpf.uapi import Command

ENOTSUPP = 524
"""The kernel's own "not supported", which leaks out of bpf(2) and has no name in user space."""

_NAME_BYTES = 15  # BPF_OBJ_NAME_LEN without its NUL
_NO_NAME = re.compile(r"[^A-Za-z0-9_.]")


def bpf(command: Command, attr: Record) -> int:
    """The result, or -errno."""
    return lib.sys_bpf(command, attr.address, attr.size)


def checked(command: Command, attr: Record, subject: str = "", *, hint: str | None = None) -> int:
    """The result; KernelError that names the command and *subject*."""
    result = bpf(command, attr)
    if result < 0:
        raise kernel_error(-result, f"BPF_{command.name}", subject, hint)
    return result


def new_fd(command: Command, attr: Record, what: str, *, hint: str | None = None) -> OwnedFd:
    """The descriptor that the command makes; KernelError that names the command and *what*."""
    owner = OwnedFd(what=what)
    error = try_fd(command, attr, owner)
    if error:
        raise kernel_error(error, f"BPF_{command.name}", what, hint)
    return owner


def try_fd(command: Command, attr: Record, owner: OwnedFd) -> int:
    """Fill *owner* with the descriptor that the command makes; 0, or the errno."""
    return -lib.sys_bpf_fd(command, attr.address, attr.size, owner.cell)


def object_name(name: str) -> bytes:
    """*name* as the kernel takes it: up to 15 of [A-Za-z0-9_.] (kernel/bpf/syscall.c, bpf_obj_name_cpy)."""
    return _NO_NAME.sub("_", name[:_NAME_BYTES]).encode()
