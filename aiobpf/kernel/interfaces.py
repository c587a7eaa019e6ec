"""Network interfaces over netlink: which there are, and the XDP programs on one (rtnetlink(7), 4.8)."""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf.errors import KernelError, kernel_error
from aiobpf.kernel import netlink
from aiobpf.kernel.fd import number

if TYPE_CHECKING:
    from aiobpf.kernel.fd import FdLike
    from aiobpf.kernel.netlink import NetlinkSocket

_GETLINK, _SETLINK = 18, 19  # RTM_*
_INTERFACE = struct.Struct("=BxHiII")  # struct ifinfomsg
_IFLA_XDP = 43
_XDP_FD, _XDP_ATTACHED, _XDP_FLAGS, _XDP_PROG_ID = 1, 2, 3, 4  # IFLA_XDP_*
_XDP_DRV_PROG_ID, _XDP_SKB_PROG_ID, _XDP_HW_PROG_ID, _XDP_EXPECTED_FD = 5, 6, 7, 8

XDP_UPDATE_IF_NOEXIST, XDP_SKB, XDP_DRIVER, XDP_HARDWARE, XDP_REPLACE = 1, 2, 4, 8, 16  # XDP_FLAGS_*
_MODES = {1: XDP_DRIVER, 2: XDP_SKB, 3: XDP_HARDWARE}  # XDP_ATTACHED_*
_MULTIPLE = 4


def find_interface(interface: str | int) -> int:
    """The index of *interface* in this thread's network namespace. KernelError ENODEV with the names that there are."""
    if isinstance(interface, int):
        return interface
    try:
        return socket.if_nametoindex(interface)
    except OSError as error:
        raise no_interface(interface) from error


def no_interface(interface: str | int) -> KernelError:
    """ENODEV with the names that there are."""
    names = sorted(name for _, name in socket.if_nameindex())
    from difflib import get_close_matches

    near = get_close_matches(str(interface), names, n=3) or names[:8]
    hint = f"There are: {', '.join(near)}" if near else "This network namespace has no interface"
    return kernel_error(errno.ENODEV, "attach", f"interface {interface!r}", hint)


def set_xdp(
    route: NetlinkSocket,
    index: int,
    program: FdLike | None,
    *,
    flags: int = 0,
    expected: FdLike | None = None,
    subject: str,
) -> None:
    """Put *program* on the interface, or take what is there off (None); *flags* are XDP_* of this file.

    With *expected*, only if that program is there (5.7, EEXIST otherwise). It stays when this process ends. KernelError
    with what the driver says: EBUSY where a bpf link holds the place, EOPNOTSUPP.
    """
    parts = [netlink.attribute(_XDP_FD, -1 if program is None else number(program))]
    if expected is not None:
        flags |= XDP_REPLACE
        parts.append(netlink.attribute(_XDP_EXPECTED_FD, number(expected)))
    parts.append(netlink.attribute(_XDP_FLAGS, flags))
    body = _INTERFACE.pack(socket.AF_UNSPEC, 0, index, 0, 0) + netlink.nested(_IFLA_XDP, *parts)
    route.request(_SETLINK, body, operation="RTM_SETLINK", subject=subject)


@frozen
class XdpProgram:
    """A program on an interface; *mode* is XDP_SKB, XDP_DRIVER or XDP_HARDWARE."""

    mode: int
    program_id: int


def xdp_programs(route: NetlinkSocket, index: int, *, subject: str) -> tuple[XdpProgram, ...]:
    """The XDP programs on the interface: one a mode at most. KernelError (ENODEV)."""
    body = _INTERFACE.pack(socket.AF_UNSPEC, 0, index, 0, 0)
    for message in route.request(_GETLINK, body, operation="RTM_GETLINK", subject=subject):
        found = dict(netlink.attributes(message.body[_INTERFACE.size :])).get(_IFLA_XDP, b"")
        xdp = {kind: netlink.number(value) for kind, value in netlink.attributes(found)}
        attached = xdp.get(_XDP_ATTACHED, 0)
        if attached == _MULTIPLE:
            by_mode = {XDP_DRIVER: _XDP_DRV_PROG_ID, XDP_SKB: _XDP_SKB_PROG_ID, XDP_HARDWARE: _XDP_HW_PROG_ID}
            return tuple(XdpProgram(mode, xdp[kind]) for mode, kind in by_mode.items() if xdp.get(kind))
        if attached in _MODES:
            return (XdpProgram(_MODES[attached], xdp.get(_XDP_PROG_ID, 0)),)
    return ()


def clear_xdp(route: NetlinkSocket, index: int, program: FdLike, *, flags: int, subject: str) -> None:
    """Take *program* off the interface if it is what hangs there; one that someone else put there stays."""
    try:
        set_xdp(route, index, None, flags=flags, expected=program, subject=subject)
    except KernelError as error:
        # ENODEV: the interface is gone, and the program with it. EEXIST: another program is there, or none.
        if error.errno not in {errno.ENODEV, errno.EEXIST}:
            raise
