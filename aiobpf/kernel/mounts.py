"""What is mounted where, and private mounts of the kernel's own file systems."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aiobpf._native import ffi, lib
from aiobpf.errors import kernel_error
from aiobpf.kernel.fd import OwnedFd

if TYPE_CHECKING:
    from collections.abc import Iterator

BPF_FS_MAGIC = 0xCAFE4A11
TRACEFS_MAGIC = 0x74726163
CGROUP2_MAGIC = 0x63677270

_FSOPEN_CLOEXEC = 1
_FSCONFIG_CMD_CREATE = 6
_FSMOUNT_CLOEXEC = 1
_NOSUID_NODEV_NOEXEC = 0x2 | 0x4 | 0x8


def mounts(kind: str, *, with_option: str = "") -> Iterator[str]:
    """Where file systems of that kind ("tracefs", "bpf", "cgroup2") are mounted in this namespace, as /proc says.

    *with_option*: those alone that have an option which begins so.
    """
    with open("/proc/self/mounts", "rb") as lines:
        for line in lines:
            fields = line.split(b" ")
            if len(fields) < 4 or fields[2] != kind.encode():
                continue
            if any(option.startswith(with_option.encode()) for option in fields[3].split(b",")):
                yield os.fsdecode(_unescaped(fields[1]))


def filesystem_magic(path: str) -> int:
    """The magic number of the file system that *path* is on (statfs(2))."""
    magic = lib.filesystem_type(os.fsencode(path))
    if magic < 0:
        raise kernel_error(-magic, "statfs", path)
    return magic


def private_mount(kind: str) -> OwnedFd:
    """A new mount of a kernel file system that hangs nowhere: only this descriptor leads into it (fsmount(2), 5.2).

    It goes with the descriptor. Needs CAP_SYS_ADMIN: KernelError EPERM; ENODEV where the kernel has no such kind.
    """
    with OwnedFd(what=f"file system context of {kind}") as context:
        error = lib.sys_fsopen(kind.encode(), _FSOPEN_CLOEXEC, context.cell)
        if error:
            raise kernel_error(-error, "fsopen", kind)
        error = lib.sys_fsconfig(context.fileno(), _FSCONFIG_CMD_CREATE, ffi.NULL, ffi.NULL, 0)
        if error:
            raise kernel_error(-error, "fsconfig", kind)
        mount = OwnedFd(what=f"private mount of {kind}")
        error = lib.sys_fsmount(context.fileno(), _FSMOUNT_CLOEXEC, _NOSUID_NODEV_NOEXEC, mount.cell)
        if error:
            raise kernel_error(-error, "fsmount", kind)
        return mount


def _unescaped(path: bytes) -> bytes:
    """/proc/self/mounts writes space, tab, newline and backslash as three octal digits."""
    head, *rest = path.split(b"\\")
    return head + b"".join(bytes([int(part[:3], 8)]) + part[3:] for part in rest)
