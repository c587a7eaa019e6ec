"""Names in a bpffs, which keep an object alive."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Literal

from aiobpf.errors import kernel_error
from aiobpf.kernel.fd import FdLike, OwnedFd, number
from aiobpf.kernel.layout import Layout
from aiobpf.kernel.syscall import bpf, new_fd
from aiobpf.uapi import Command

if TYPE_CHECKING:
    from os import PathLike

_OBJECT = Layout("pathname:P bpf_fd:I file_flags:I path_fd:i")


def pin(fd: FdLike, path: str | PathLike[str], *, subject: str = "") -> None:
    """Give a map, program, link or BTF object a name in a bpffs (BPF_OBJ_PIN); it lives as long as that.

    KernelError: EEXIST, ENOENT (no such directory), EINVAL (no bpffs there; the message says how to mount one).
    """
    text = os.fspath(path)
    error = -bpf(Command.OBJ_PIN, _OBJECT.make(pathname=os.fsencode(text) + b"\0", bpf_fd=number(fd)))
    if error > 0:
        what = f"{subject} at {text}" if subject else text
        # EPERM, since the directory's file system has no inode operation for it (kernel/bpf/inode.c).
        # ENOENT, since the name of a bpffs that is not mounted is an empty directory of sysfs.
        is_elsewhere = error in {errno.EINVAL, errno.EPERM, errno.ENOENT} and not _is_bpffs(_existing_parent(text))
        hint = "A pin needs a bpffs there: mount -t bpf bpf /sys/fs/bpf" if is_elsewhere else None
        raise kernel_error(error, "BPF_OBJ_PIN", what, hint)


def open_pin(
    path: str | PathLike[str], *, flags: int = 0, kind: Literal["map", "prog", "link"] | None = None
) -> OwnedFd:
    """The object pinned at *path* (BPF_OBJ_GET). *flags*: MapFlags.RDONLY or WRONLY for a map.

    KernelError: ENOENT, EACCES, EINVAL where it is another *kind* of object.
    """
    text = os.fspath(path)
    attr = _OBJECT.make(pathname=os.fsencode(text) + b"\0", file_flags=flags)
    fd = new_fd(Command.OBJ_GET, attr, f"pin {text}")
    if kind is not None:
        # BPF_OBJ_GET_INFO_BY_FD would take any kind and fill in its own struct; only the file tells.
        with contextlib.suppress(FileNotFoundError):  # no /proc
            found = os.readlink(f"/proc/self/fd/{fd.fileno()}").removeprefix("anon_inode:").strip("[]")
            if found.startswith("bpf") and found.partition("bpf")[2].lstrip("-_") != kind:
                fd.close()
                raise kernel_error(errno.EINVAL, "BPF_OBJ_GET", f"pin {text}", f"It is a {found}, not a bpf-{kind}")
    return fd


def _existing_parent(path: str) -> str:
    parent = os.path.dirname(os.path.abspath(path))
    while not os.path.exists(parent):
        parent = os.path.dirname(parent)
    return parent


def _is_bpffs(directory: str) -> bool:
    from aiobpf.kernel.mounts import BPF_FS_MAGIC, filesystem_magic

    try:
        return filesystem_magic(directory) == BPF_FS_MAGIC
    except OSError:
        return True  # the directory itself is the trouble, and the errno says so
