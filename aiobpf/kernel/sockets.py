"""Programs as options of a socket (socket(7)): its filter, and the choice among those that share its port."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
from typing import TYPE_CHECKING

from aiobpf.errors import KernelError, SpecError, kernel_error
from aiobpf.kernel.fd import FdLike, number
from aiobpf.kernel.programs import load_program
from aiobpf.uapi import AttachType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Iterator

# include/uapi/asm-generic/socket.h; of the architectures with BPF only sparc and parisc have others
SO_DETACH_FILTER = 27
SO_ATTACH_BPF = 50
SO_ATTACH_REUSEPORT_EBPF = 52
SO_DETACH_REUSEPORT_BPF = 68

_RETURNS_1 = struct.pack("=BBhiBBhi", 0xB7, 0, 0, 1, 0x95, 0, 0, 0)


def set_program(sock: FdLike, option: int, program: FdLike, *, subject: str) -> None:
    """``setsockopt(sock, SOL_SOCKET, option, program)``. Raises KernelError."""
    with _borrowed(sock, subject) as opened:
        _set(opened, option, number(program), subject)


def drop_program(sock: FdLike, option: int, *, subject: str) -> None:
    """The same with no program: *option* is one that detaches. KernelError ENOENT where there is none."""
    with _borrowed(sock, subject) as opened:
        _set(opened, option, 0, subject)


def socket_inode(sock: FdLike, *, subject: str) -> int:
    """The number by which /proc/net and ss(8) know the socket. Raises SpecError for what is no socket, KernelError
    EBADF for a descriptor that is closed."""
    try:
        told = os.fstat(number(sock))
    except OSError as error:
        raise kernel_error(error.errno or 0, "fstat", subject) from error
    if not stat.S_ISSOCK(told.st_mode):
        raise SpecError(f"{subject}: that descriptor is no socket")
    return told.st_ino


def migrates_requests() -> bool:
    """Whether programs of type SK_REUSEPORT can be there for migration (5.14, d5e4ddaeb6ab).

    Before, the kernel did not look at their attach type, and forgot it: one that makes no sense was taken.
    """
    try:
        load_program(ProgramType.SK_REUSEPORT, _RETURNS_1, expected_attach_type=AttachType.XDP).close()
    except KernelError:
        return True
    return False


@contextlib.contextmanager
def _borrowed(sock: FdLike, subject: str) -> Iterator[socket.socket]:
    """A socket object over a copy of the descriptor."""
    try:
        copy = os.dup(number(sock))
        try:
            opened = socket.socket(fileno=copy)
        except BaseException:
            os.close(copy)
            raise
    except OSError as error:
        raise kernel_error(error.errno or 0, "open", subject) from error
    with opened:
        yield opened


def _set(opened: socket.socket, option: int, value: int, subject: str) -> None:
    try:
        opened.setsockopt(socket.SOL_SOCKET, option, value)
    except OSError as error:
        raise kernel_error(error.errno or 0, "setsockopt", subject) from error
