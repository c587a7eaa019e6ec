"""Kernel objects by their id."""

from __future__ import annotations

import errno
import time
from enum import Enum
from typing import TYPE_CHECKING

from aiobpf.errors import KernelError
from aiobpf.kernel.capabilities import Capability, privilege_error
from aiobpf.kernel.fd import OwnedFd
from aiobpf.kernel.layout import Layout
from aiobpf.kernel.syscall import bpf, try_fd
from aiobpf.uapi import Command

if TYPE_CHECKING:
    from collections.abc import Iterator

_ID = Layout("id:I next_id:I open_flags:I fd_by_id_token_fd:i")
_SETTLING_S = 1.0
_POLL_S = 0.001


class ObjectKind(Enum):
    """What has ids: the command that opens one, the one that finds the next."""

    MAP = (Command.MAP_GET_FD_BY_ID, Command.MAP_GET_NEXT_ID)
    PROGRAM = (Command.PROG_GET_FD_BY_ID, Command.PROG_GET_NEXT_ID)
    LINK = (Command.LINK_GET_FD_BY_ID, Command.LINK_GET_NEXT_ID)
    BTF = (Command.BTF_GET_FD_BY_ID, Command.BTF_GET_NEXT_ID)


def fd_by_id(kind: ObjectKind, id: int, *, flags: int = 0) -> OwnedFd:  # noqa: A002 the field's own word
    """A descriptor of the object. KernelError: ENOENT when it is gone, EPERM without CAP_SYS_ADMIN.

    A link has its id before it is attached, which takes tens of milliseconds for some; until then it cannot be opened
    (EAGAIN since 5.8, a3b80e107894). It is waited for, a second at most.
    """
    what = f"{kind.name.lower()} {id}"
    command = kind.value[0]
    owner = OwnedFd(what=what)
    error = try_fd(command, _ID.make(id=id, open_flags=flags), owner)
    if error == errno.EAGAIN:
        deadline = time.monotonic() + _SETTLING_S
        while error == errno.EAGAIN and time.monotonic() < deadline:
            time.sleep(_POLL_S)
            error = try_fd(command, _ID.make(id=id, open_flags=flags), owner)
    if error:
        raise privilege_error(error, f"BPF_{command.name}", what, (Capability.SYS_ADMIN,))
    return owner


def next_id(kind: ObjectKind, id: int = 0) -> int | None:  # noqa: A002 the field's own word
    """The smallest id above *id* that is in use, or None."""
    command = kind.value[1]
    attr = _ID.make(id=id)
    error = -bpf(command, attr)
    if error == errno.ENOENT:
        return None
    if error > 0:
        raise privilege_error(error, f"BPF_{command.name}", "", (Capability.SYS_ADMIN,))
    return attr["next_id"]


def all_ids(kind: ObjectKind) -> Iterator[int]:
    """The ids in use, rising; objects come and go meanwhile."""
    current = next_id(kind)
    while current is not None:
        yield current
        current = next_id(kind, current)


def open_next(kind: ObjectKind, after: int = 0) -> tuple[int, OwnedFd] | None:
    """The first object above the id *after* that can be opened, with its id; None at the end.

    One that vanishes between the look and the opening is passed over, as is a link that is not attached yet.
    """
    number = next_id(kind, after)
    while number is not None:
        try:
            return number, fd_by_id(kind, number)
        except KernelError as error:
            if error.errno not in {errno.ENOENT, errno.EAGAIN}:
                raise
        number = next_id(kind, number)
    return None


def map_by_id(id: int, *, flags: int = 0) -> OwnedFd:  # noqa: A002 the field's own word
    """*flags*: MapFlags.RDONLY or WRONLY."""
    return fd_by_id(ObjectKind.MAP, id, flags=flags)


def program_by_id(id: int) -> OwnedFd:  # noqa: A002 the field's own word
    return fd_by_id(ObjectKind.PROGRAM, id)


def link_by_id(id: int) -> OwnedFd:  # noqa: A002 the field's own word
    return fd_by_id(ObjectKind.LINK, id)


def btf_by_id(id: int) -> OwnedFd:  # noqa: A002 the field's own word
    return fd_by_id(ObjectKind.BTF, id)
