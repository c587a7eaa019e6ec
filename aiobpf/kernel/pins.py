"""Names in a bpffs, which keep an object alive: a bpffs has directories, and a file for each pin."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Literal

from attrs import frozen

from aiobpf.errors import KernelError, SpecError, kernel_error
from aiobpf.kernel.fd import FdLike, OwnedFd, number
from aiobpf.kernel.ids import ObjectKind
from aiobpf.kernel.info import object_id
from aiobpf.kernel.layout import Layout
from aiobpf.kernel.syscall import bpf, new_fd
from aiobpf.uapi import Command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

_OBJECT = Layout("pathname:P bpf_fd:I file_flags:I path_fd:i")


def pin(fd: FdLike, path: str | PathLike[str], *, subject: str = "") -> None:
    """Give a map, program or link a name in a bpffs (BPF_OBJ_PIN); it lives as long as that.

    Directories that are missing in the bpffs are made, for their owner alone. KernelError: EEXIST, EINVAL or EPERM (no
    bpffs there; the message says how to mount one).
    """
    text = os.fspath(path)
    error = -bpf(Command.OBJ_PIN, _OBJECT.make(pathname=os.fsencode(text) + b"\0", bpf_fd=number(fd)))
    if error == errno.ENOENT and is_bpffs(_existing_parent(text)):
        with contextlib.suppress(OSError):  # the second try says what is wrong
            _make_directories(os.path.dirname(os.path.abspath(text)))
            error = -bpf(Command.OBJ_PIN, _OBJECT.make(pathname=os.fsencode(text) + b"\0", bpf_fd=number(fd)))
    if error > 0:
        what = f"{subject} at {text}" if subject else text
        # EPERM, since the directory's file system has no inode operation for it (kernel/bpf/inode.c).
        # ENOENT, since the name of a bpffs that is not mounted is an empty directory of sysfs.
        is_elsewhere = error in {errno.EINVAL, errno.EPERM, errno.ENOENT} and not is_bpffs(_existing_parent(text))
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
        found = kind_of_fd(fd)
        if found is not None and found is not _KINDS[kind]:
            fd.close()
            hint = f"It is a bpf-{_WORDS[found]}, not a bpf-{kind}"
            raise kernel_error(errno.EINVAL, "BPF_OBJ_GET", f"pin {text}", hint)
    return fd


_KINDS = {"map": ObjectKind.MAP, "prog": ObjectKind.PROGRAM, "link": ObjectKind.LINK}
_WORDS = {kind: word for word, kind in _KINDS.items()} | {ObjectKind.BTF: "btf"}
_FILES = {
    "bpf-map": ObjectKind.MAP,
    "bpf-prog": ObjectKind.PROGRAM,
    "bpf_link": ObjectKind.LINK,
    "bpf-link": ObjectKind.LINK,
    "btf": ObjectKind.BTF,
}


def kind_of_fd(fd: FdLike) -> ObjectKind | None:
    """What kind of object a descriptor is of; None for another file, and where there is no /proc to tell.

    BPF_OBJ_GET_INFO_BY_FD takes any kind and fills in its own struct; only the file's name tells them apart.
    """
    try:
        name = os.readlink(f"/proc/self/fd/{number(fd)}")
    except FileNotFoundError:
        return None
    return kind_of_file(name)


def kind_of_file(name: str) -> ObjectKind | None:
    """What /proc/PID/fd says that a descriptor is of: "anon_inode:bpf-map", "anon_inode:[bpf_link]"."""
    return _FILES.get(name.removeprefix("anon_inode:").strip("[]"))


@frozen
class PinnedObject:
    """A file of a bpffs, and what it kept alive when it was looked at."""

    path: str
    kind: ObjectKind
    id: int


def walk_pins(directory: str | PathLike[str]) -> Iterator[PinnedObject]:
    """Every pin in *directory* of a bpffs and below, by name, each looked at by BPF_OBJ_GET and closed again.

    Only regular files on a bpffs are asked about, and none is opened as a file; symbolic links and other mounts are not
    followed. What vanishes or may not be opened is left out. SpecError where *directory* is in no bpffs; OSError where
    it cannot be read.
    """
    top = os.fspath(directory)
    os.stat(top)  # says what is wrong with the path, if anything is
    if not is_bpffs(top):
        raise SpecError(f"{top} is in no bpffs: mount -t bpf bpf {top}")
    yield from _walk(top, os.stat(top).st_dev)


def _walk(directory: str, device: int) -> Iterator[PinnedObject]:
    with os.scandir(directory) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        try:
            if entry.is_dir(follow_symlinks=False):
                if entry.stat(follow_symlinks=False).st_dev == device:
                    yield from _walk(entry.path, device)
            elif entry.is_file(follow_symlinks=False):
                pinned = look_at_pin(entry.path)
                if pinned is not None:
                    yield pinned
        except (FileNotFoundError, PermissionError):
            continue


def look_at_pin(path: str) -> PinnedObject | None:
    """What is pinned at *path* now; None for a file that is no pin. KernelError as `open_pin`."""
    try:
        fd = open_pin(path)
    except KernelError as error:
        if error.errno in {errno.EINVAL, errno.EACCES}:  # a file of another kind; EACCES also: not for this user
            return None
        raise
    with fd:
        kind = kind_of_fd(fd)
        return None if kind is None else PinnedObject(path, kind, object_id(fd, kind))


def remove_pin(path: str, kind: ObjectKind, id: int) -> bool:  # noqa: A002 the field's own word
    """Remove the pin at *path* if it is still that object's; whether it was.

    Someone else may have put another object there meanwhile, which is theirs to remove. OSError where it may not be.
    """
    try:
        found = look_at_pin(path)
        if found is not None and (found.kind, found.id) != (kind, id):
            return False
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def _make_directories(path: str) -> None:
    if not os.path.isdir(path):
        _make_directories(os.path.dirname(path))
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)


def _existing_parent(path: str) -> str:
    parent = os.path.dirname(os.path.abspath(path))
    while not os.path.exists(parent):
        parent = os.path.dirname(parent)
    return parent


def is_bpffs(directory: str) -> bool:
    """Whether *directory* is in a bpffs; True where nobody can say."""
    from aiobpf.kernel.mounts import BPF_FS_MAGIC, filesystem_magic

    try:
        return filesystem_magic(directory) == BPF_FS_MAGIC
    except OSError:
        return True  # the directory itself is the trouble, and the errno says so
