"""Netlink, as much as attaching needs: one request, its answers, and the kernel's own words where it refuses.

Messages are laid out by hand (RFC 3549; include/uapi/linux/netlink.h): docs/architecture.md says why not through a
library. A socket belongs to the network namespace of the thread that made it, whoever uses it later.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING, final

from attrs import frozen

from aiobpf.errors import KernelError, MissingPrivilegeError, kernel_error
from aiobpf.kernel.capabilities import Capability, privilege_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

ROUTE, NETFILTER = 0, 12  # NETLINK_ROUTE, NETLINK_NETFILTER

CREATE, EXCL, REPLACE, ECHO = 0x400, 0x200, 0x100, 0x8  # NLM_F_*
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_DUMP_INTERRUPTED = 0x10
_CAPPED, _ACK_TLVS = 0x100, 0x200
_ERROR, _DONE = 2, 3  # NLMSG_*

_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_EXT_MESSAGE = 1  # NLMSGERR_ATTR_MSG

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_NESTED, _KIND_MASK = 0x8000, 0x3FFF
_ROOM = 1 << 16
_DUMPS = 8
_PATIENCE_S = 30.0
"""The kernel answers within the send, once it has the lock of the network configuration; this is for a broken one."""


def attribute(kind: int, value: bytes | int) -> bytes:
    """One attribute: bytes as they are, a number as 32 bits."""
    payload = struct.pack("=I", value & 0xFFFFFFFF) if isinstance(value, int) else value
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(payload), kind) + payload + bytes(-len(payload) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute made of others."""
    return attribute(kind | _NESTED, b"".join(attributes))


def text(value: str) -> bytes:
    """A string as the kernel takes it."""
    return value.encode() + b"\0"


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes in *data*, in order, with their flags taken off; what is cut short ends them."""
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size or at + length > len(data):
            return
        yield kind & _KIND_MASK, data[at + _ATTRIBUTE.size : at + length]
        at += length + 3 & ~3


def number(payload: bytes | None, default: int = 0) -> int:
    """A number of the machine's byte order and of any width."""
    return default if not payload else int.from_bytes(payload, sys.byteorder)


@frozen
class Message:
    """One message of an answer, without its header."""

    kind: int
    body: bytes


@final
class NetlinkSocket:
    """One socket for requests one after the other; blocks, so it is for worker threads. `close` is idempotent."""

    def __init__(self, protocol: int = ROUTE) -> None:
        """In the network namespace of the calling thread. Raises KernelError."""
        try:
            made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        except OSError as error:
            raise kernel_error(error.errno or errno.EIO, "socket", "netlink socket") from error
        try:
            made.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
            made.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
            made.bind((0, 0))
            made.settimeout(_PATIENCE_S)
        except OSError as error:
            made.close()
            raise kernel_error(error.errno or errno.EIO, "bind", "netlink socket") from error
        self._socket = made
        self._sequence = 0

    def request(self, kind: int, body: bytes, *, flags: int = 0, operation: str, subject: str) -> list[Message]:
        """Send one request and wait until it is done; what it answered before it said so.

        KernelError with *operation* and *subject* where the kernel refuses, with its own message (extended ack, 4.12)
        as the hint; MissingPrivilegeError without CAP_NET_ADMIN.
        """
        return self._exchange(kind, body, _ACK | flags, operation, subject)[0]

    def dump(self, kind: int, body: bytes, *, operation: str, subject: str) -> list[Message]:
        """Everything of a kind. One that something else changed meanwhile is asked for again."""
        for _ in range(_DUMPS):
            messages, is_torn = self._exchange(kind, body, _DUMP, operation, subject)
            if not is_torn:
                return messages
        raise kernel_error(errno.EINTR, operation, subject, "It changes faster than it can be listed")

    def _exchange(self, kind: int, body: bytes, flags: int, operation: str, subject: str) -> tuple[list[Message], bool]:
        self._sequence += 1
        header = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, self._sequence, 0)
        answers: list[Message] = []
        is_torn = False
        try:
            self._socket.send(header + body)
            while True:
                for answer, marks, sequence, payload in _messages(self._received()):
                    if sequence != self._sequence:  # the rest of an exchange that was given up
                        continue
                    is_torn |= bool(marks & _DUMP_INTERRUPTED)
                    if answer in {_ERROR, _DONE}:
                        _check(answer, marks, payload, operation, subject)
                        return answers, is_torn
                    answers.append(Message(answer, payload))
        except TimeoutError as error:
            raise kernel_error(errno.ETIMEDOUT, operation, subject) from error
        except KernelError:
            raise
        except OSError as error:
            raise kernel_error(error.errno or errno.EIO, operation, subject) from error

    def _received(self) -> bytes:
        data, _, flags, _ = self._socket.recvmsg(_ROOM)
        if flags & socket.MSG_TRUNC:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        return data

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            return
        yield kind, flags, sequence, data[at + _HEADER.size : at + length]
        at += length + 3 & ~3


def _check(kind: int, flags: int, payload: bytes, operation: str, subject: str) -> None:
    failure = -struct.unpack_from("=i", payload)[0] if len(payload) >= 4 else 0
    if failure <= 0:
        return
    said = None
    if flags & _ACK_TLVS:
        behind = 4
        if kind == _ERROR:
            # The header of the request comes back, and all of the request unless the kernel left it out.
            length = _HEADER.unpack_from(payload, 4)[0] if len(payload) >= 4 + _HEADER.size else _HEADER.size
            behind += _HEADER.size if flags & _CAPPED else length + 3 & ~3
        said = dict(attributes(payload[behind:])).get(_EXT_MESSAGE)
    error = privilege_error(failure, operation, subject, (Capability.NET_ADMIN,))
    if said and not (isinstance(error, MissingPrivilegeError) and error.hint):
        words = said.rstrip(b"\0").decode(errors="replace")
        error = kernel_error(failure, operation, subject, f"The kernel says: {words}")
    raise error
