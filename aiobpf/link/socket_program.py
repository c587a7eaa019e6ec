"""Programs on one socket: its filter, and the choice among the sockets that share its port."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, final

from attrs import frozen

from aiobpf.errors import KernelError, NotSupportedError, SpecError, kernel_error
from aiobpf.kernel import sockets
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.link import Link, make_link
from aiobpf.uapi import AttachType, ProgramType

if TYPE_CHECKING:
    from socket import socket as Socket  # noqa: N812 the kinds have a field of that name
    from typing import Self

    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec


@frozen
class SocketFilter:
    """What *socket*, an object or a descriptor, receives: a program of section ``socket`` says how many bytes of each
    packet, 0 for none (SO_ATTACH_BPF, 3.19).

    A socket has one filter: this takes the place of one that is there, and closing the Link leaves it without any. The
    Link holds the socket only by its number: a socket that is closed takes the filter with it.
    """

    socket: Socket | int

    @classmethod
    def parse(cls, _spec: ProgramSpec) -> Self | None:
        return None  # a section cannot say which socket

    async def attach_program(self, program: Program) -> Link:
        """Raises SpecError for what is no socket or no SOCKET_FILTER program, KernelError (EPERM where the filter was
        locked by SO_LOCK_FILTER)."""
        if program.type != ProgramType.SOCKET_FILTER:
            raise SpecError(f"a socket's filter is a SOCKET_FILTER program; {program.name!r} is {program.type.name}")
        return await make_link(self, program, self._attach)

    def _attach(self, program: Program) -> Attachment:
        subject = f"program {program.name!r} on {self.socket!r}"
        with building() as attachment:
            undo = _SocketOption(self.socket, sockets.SO_DETACH_FILTER, subject)
            try:
                sockets.set_program(self.socket, sockets.SO_ATTACH_BPF, program, subject=subject)
            except KernelError as error:
                if error.errno != errno.EPERM:
                    raise
                hint = "The socket's filter was locked (SO_LOCK_FILTER)"
                raise kernel_error(error.errno or 0, error.operation, subject, hint) from error
            attachment.undos.append(undo)
            return attachment


@frozen
class SkReuseport:
    """Which of the sockets that share a port (SO_REUSEPORT) takes a connection or datagram (SO_ATTACH_REUSEPORT_EBPF).

    *socket*, an object or a descriptor, is any one of the group, and the program is the whole group's. A program of
    section ``sk_reuseport`` (4.19) selects a socket from a REUSEPORT_SOCKARRAY; one of ``sk_reuseport/migrate`` (5.14)
    is asked too where the connections that a closing listener has not accepted yet shall go; one of section ``socket``
    (4.5) gives the number of the socket in the order in which they were bound.

    A group has one program: this takes the place of one that is there, and closing the Link leaves it without any
    (5.3). The Link holds *socket* only by its number: give one that stays open at least as long, since once it is
    closed the program hangs there as long as the group has sockets.
    """

    socket: Socket | int

    @classmethod
    def parse(cls, _spec: ProgramSpec) -> Self | None:
        return None  # a section cannot say which socket

    async def attach_program(self, program: Program) -> Link:
        """Raises SpecError for what is no socket or no program for it, KernelError (EINVAL without SO_REUSEPORT),
        NotSupportedError for migration before 5.14."""
        if program.type not in {ProgramType.SK_REUSEPORT, ProgramType.SOCKET_FILTER}:
            raise SpecError(
                f"sockets with one port are chosen by SK_REUSEPORT or SOCKET_FILTER programs; {program.name!r} is "
                f"{program.type.name}"
            )
        return await make_link(self, program, self._attach)

    def _attach(self, program: Program) -> Attachment:
        subject = f"program {program.name!r} on {self.socket!r}"
        wanted = None if program.spec is None else program.spec.attach_type
        if wanted == AttachType.SK_REUSEPORT_SELECT_OR_MIGRATE and not sockets.migrates_requests():
            raise NotSupportedError(f"{subject}: migration of connections between listeners", "5.14")
        with building() as attachment:
            undo = _SocketOption(self.socket, sockets.SO_DETACH_REUSEPORT_BPF, subject)
            try:
                sockets.set_program(self.socket, sockets.SO_ATTACH_REUSEPORT_EBPF, program, subject=subject)
            except KernelError as error:
                if error.errno != errno.EINVAL:
                    raise
                hint = "The socket has no SO_REUSEPORT; it takes that before it is bound"
                raise kernel_error(error.errno or 0, error.operation, subject, hint) from error
            attachment.undos.append(undo)
            return attachment


@final
class _SocketOption:
    """A program on a socket that is not ours: a copy of its descriptor would hold a connection open, or a port."""

    __slots__ = ("_inode", "_number", "_option", "_subject")

    def __init__(self, socket: Socket | int, option: int, subject: str) -> None:
        self._number = socket if isinstance(socket, int) else socket.fileno()
        self._inode = sockets.socket_inode(self._number, subject=subject)
        self._option = option
        self._subject = subject

    def close(self) -> None:
        """Take the program off, if the number still means that socket and it still has one."""
        try:
            if sockets.socket_inode(self._number, subject=self._subject) != self._inode:
                return
            sockets.drop_program(self._number, self._option, subject=self._subject)
        except SpecError:  # closed, and the number is that of a file now
            return
        except KernelError as error:
            if error.errno not in {errno.ENOENT, errno.EBADF}:
                raise

    def leak(self) -> None:
        """It goes with the socket."""
