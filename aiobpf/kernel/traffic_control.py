"""Classifiers of traffic control over netlink: the clsact qdisc (4.5) and the BPF filters on it (tc-bpf(8))."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf.errors import KernelError, kernel_error
from aiobpf.kernel import netlink
from aiobpf.kernel.fd import number

if TYPE_CHECKING:
    from aiobpf.kernel.fd import FdLike
    from aiobpf.kernel.netlink import NetlinkSocket

_NEWQDISC, _DELQDISC, _GETQDISC = 36, 37, 38  # RTM_*
_NEWTFILTER, _DELTFILTER, _GETTFILTER = 44, 45, 46
_TC = struct.Struct("=BxxxiIII")  # struct tcmsg: family, index, handle, parent, info
_KIND, _OPTIONS = 1, 2  # TCA_*
_BPF_FD, _BPF_NAME, _BPF_FLAGS, _BPF_ID = 6, 7, 8, 11  # TCA_BPF_*
_DIRECT_ACTION = 1  # TCA_BPF_FLAG_ACT_DIRECT: the return value is the verdict, no action follows
_CLSACT_HANDLE, _CLSACT_PARENT = 0xFFFF0000, 0xFFFFFFF1
INGRESS, EGRESS = 0xFFFFFFF2, 0xFFFFFFF3
"""The two chains of a clsact qdisc, as parents of filters."""
_ALL_PROTOCOLS = struct.unpack("=H", struct.pack("!H", 3))[0]  # ETH_P_ALL, in network order


@frozen
class Filter:
    """A filter on one chain; *program_id* is None for one that is not BPF."""

    parent: int
    priority: int
    handle: int
    kind: str
    program_id: int | None = None
    program_name: str = ""
    is_direct_action: bool = False


def add_clsact(route: NetlinkSocket, index: int, *, subject: str) -> bool:
    """Give the interface a clsact qdisc; whether it had none. KernelError EEXIST where one of another kind is in its
    place, with that kind in the hint."""
    body = _TC.pack(0, index, _CLSACT_HANDLE, _CLSACT_PARENT, 0) + netlink.attribute(_KIND, netlink.text("clsact"))
    try:
        route.request(
            _NEWQDISC, body, flags=netlink.CREATE | netlink.EXCL, operation="RTM_NEWQDISC clsact", subject=subject
        )
    except KernelError as error:
        if error.errno != errno.EEXIST:
            raise
        kind = _kind_there(route, index, subject)
        if kind != "clsact":  # "ingress", which has no chain for egress
            hint = f"It has a qdisc {kind!r} already: tc qdisc del dev INTERFACE {kind}"
            raise kernel_error(errno.EEXIST, "RTM_NEWQDISC clsact", subject, hint) from error
        return False
    return True


def _kind_there(route: NetlinkSocket, index: int, subject: str) -> str:
    for message in route.dump(_GETQDISC, _TC.pack(0, index, 0, 0, 0), operation="RTM_GETQDISC", subject=subject):
        _, where, handle, _, _ = _TC.unpack_from(message.body)
        if where == index and handle == _CLSACT_HANDLE:
            return _text(dict(netlink.attributes(message.body[_TC.size :])).get(_KIND, b""))
    return "clsact"


def remove_empty_clsact(route: NetlinkSocket, index: int, *, subject: str) -> None:
    """Take the clsact qdisc off unless a filter is on one of its chains. It, or the interface, may be gone already."""
    try:
        if filters(route, index, INGRESS, subject=subject) or filters(route, index, EGRESS, subject=subject):
            return
        body = _TC.pack(0, index, _CLSACT_HANDLE, _CLSACT_PARENT, 0) + netlink.attribute(_KIND, netlink.text("clsact"))
        route.request(_DELQDISC, body, operation="RTM_DELQDISC clsact", subject=subject)
    except KernelError as error:
        if error.errno not in {errno.ENODEV, errno.ENOENT, errno.EINVAL}:
            raise


def add_filter(
    route: NetlinkSocket,
    index: int,
    parent: int,
    program: FdLike,
    *,
    name: str,
    priority: int,
    handle: int,
    replaces: bool = False,
    subject: str,
) -> Filter:
    """A BPF filter in direct action on *parent*; what the kernel made of it, with the numbers that it chose for 0.

    With *replaces* one of the same priority and handle gives way, without a gap. KernelError EEXIST without it.
    """
    options = netlink.nested(
        _OPTIONS,
        netlink.attribute(_BPF_FD, number(program)),
        netlink.attribute(_BPF_NAME, netlink.text(name)),
        netlink.attribute(_BPF_FLAGS, _DIRECT_ACTION),
    )
    body = _TC.pack(0, index, handle, parent, priority << 16 | _ALL_PROTOCOLS)
    body += netlink.attribute(_KIND, netlink.text("bpf")) + options
    flags = netlink.CREATE | netlink.ECHO | (0 if replaces else netlink.EXCL)
    answers = route.request(_NEWTFILTER, body, flags=flags, operation="RTM_NEWTFILTER", subject=subject)
    for message in answers:
        if message.kind == _NEWTFILTER:
            made = _filter(message.body)
            if made is not None:
                return made
    raise kernel_error(errno.EIO, "RTM_NEWTFILTER", subject, "The kernel did not say what it made")


def remove_filter(route: NetlinkSocket, index: int, filter_: Filter, *, subject: str) -> None:
    """Take one filter off; if it, its qdisc or the interface is gone already, nothing."""
    body = _TC.pack(0, index, filter_.handle, filter_.parent, filter_.priority << 16 | _ALL_PROTOCOLS)
    body += netlink.attribute(_KIND, netlink.text("bpf"))
    try:
        route.request(_DELTFILTER, body, operation="RTM_DELTFILTER", subject=subject)
    except KernelError as error:
        if error.errno not in {errno.ENODEV, errno.ENOENT, errno.EINVAL}:
            raise


def filters(route: NetlinkSocket, index: int, parent: int, *, subject: str) -> list[Filter]:
    """The filters on one chain, in the order in which they run; none where there is no qdisc. KernelError (ENODEV)."""
    body = _TC.pack(0, index, 0, parent, 0)
    try:
        messages = route.dump(_GETTFILTER, body, operation="RTM_GETTFILTER", subject=subject)
    except KernelError as error:
        if error.errno == errno.EINVAL:  # no such parent
            return []
        raise
    found = [_filter(message.body) for message in messages if message.kind == _NEWTFILTER]
    return [each for each in found if each is not None]


def _filter(body: bytes) -> Filter | None:
    if len(body) < _TC.size:
        return None
    _, _, handle, parent, info = _TC.unpack_from(body)
    values = dict(netlink.attributes(body[_TC.size :]))
    if _OPTIONS not in values:  # a classifier announces itself before its filters
        return None
    options = dict(netlink.attributes(values.get(_OPTIONS, b"")))
    kind = _text(values.get(_KIND, b""))
    return Filter(
        parent=parent,
        priority=info >> 16,
        handle=handle,
        kind=kind,
        program_id=netlink.number(options[_BPF_ID]) if kind == "bpf" and _BPF_ID in options else None,
        program_name=_text(options.get(_BPF_NAME, b"")) if kind == "bpf" else "",
        is_direct_action=bool(kind == "bpf" and netlink.number(options.get(_BPF_FLAGS)) & _DIRECT_ACTION),
    )


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode(errors="replace")
