"""Routes that run a program (lightweight tunnels, 4.10) over netlink: ip-route(8), "encap bpf", "encap seg6local"."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from typing import TYPE_CHECKING, TypeAlias

from attrs import frozen

from aiobpf.errors import KernelError
from aiobpf.kernel import netlink
from aiobpf.kernel.fd import number

if TYPE_CHECKING:
    from aiobpf.kernel.fd import FdLike
    from aiobpf.kernel.netlink import NetlinkSocket

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_NEWROUTE, _DELROUTE = 24, 25  # RTM_*
_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags
_DST, _OIF, _GATEWAY, _METRIC, _TABLE, _ENCAP_TYPE, _ENCAP = 1, 4, 5, 6, 15, 21, 22  # RTA_*
_PROTO_STATIC, _UNICAST, _SCOPE_UNIVERSE, _SCOPE_LINK = 4, 1, 0, 253
_ENCAP_BPF, _ENCAP_SEG6_LOCAL = 6, 7  # LWTUNNEL_ENCAP_*
_LWT_PROG_FD, _LWT_PROG_NAME, _LWT_HEADROOM = 1, 2, 4  # LWT_BPF_*
_SEG6_ACTION, _SEG6_BPF = 1, 8  # SEG6_LOCAL_*
_END_BPF = 15  # SEG6_LOCAL_ACTION_END_BPF
MAIN_TABLE = 254

LWT_IN, LWT_OUT, LWT_XMIT, SEG6_LOCAL = 1, 2, 3, 0
"""Where the program runs: LWT_BPF_IN, LWT_BPF_OUT, LWT_BPF_XMIT, or as a segment's endpoint."""


@frozen
class Route:
    """A route as it is asked for; enough of it to find it again."""

    destination: Network
    index: int
    gateway: Address | None = None
    metric: int = 0
    table: int = MAIN_TABLE

    def body(self) -> bytes:
        family = socket.AF_INET if self.destination.version == 4 else socket.AF_INET6
        scope = _SCOPE_LINK if self.gateway is None and family == socket.AF_INET else _SCOPE_UNIVERSE
        header = _ROUTE.pack(family, self.destination.prefixlen, 0, 0, 0, _PROTO_STATIC, scope, _UNICAST, 0)
        parts = [
            netlink.attribute(_DST, self.destination.network_address.packed),
            netlink.attribute(_OIF, self.index),
            netlink.attribute(_TABLE, self.table),
        ]
        if self.gateway is not None:
            parts.append(netlink.attribute(_GATEWAY, self.gateway.packed))
        if self.metric:
            parts.append(netlink.attribute(_METRIC, self.metric))
        return header + b"".join(parts)


def set_route(
    netlink_route: NetlinkSocket,
    route: Route,
    place: int,
    program: FdLike,
    *,
    name: str,
    headroom: int = 0,
    replaces: bool = False,
    subject: str,
) -> None:
    """Add *route* with *program* at *place*; *headroom* bytes are kept free before its packets (LWT_XMIT, 256 at most).

    *name* must differ from that of the program whose place it takes: the kernel compares nothing else. KernelError
    EEXIST where there is such a route, unless this *replaces* it. EOPNOTSUPP without CONFIG_LWTUNNEL_BPF.
    """
    if place == SEG6_LOCAL:
        kind = _ENCAP_SEG6_LOCAL
        parts = [
            netlink.attribute(_SEG6_ACTION, _END_BPF),
            netlink.nested(_SEG6_BPF, _program(program, name)),
        ]
    else:
        kind = _ENCAP_BPF
        parts = [netlink.nested(place, _program(program, name))]
        if headroom:
            parts.append(netlink.attribute(_LWT_HEADROOM, headroom))
    body = route.body() + netlink.attribute(_ENCAP_TYPE, struct.pack("=H", kind)) + netlink.nested(_ENCAP, *parts)
    flags = netlink.CREATE | (netlink.REPLACE if replaces else netlink.EXCL)
    netlink_route.request(_NEWROUTE, body, flags=flags, operation="RTM_NEWROUTE", subject=subject)


def remove_route(netlink_route: NetlinkSocket, route: Route, *, subject: str) -> None:
    """Remove it; if it, or its interface, is gone already, nothing."""
    try:
        netlink_route.request(_DELROUTE, route.body(), operation="RTM_DELROUTE", subject=subject)
    except KernelError as error:
        if error.errno not in {errno.ESRCH, errno.ENODEV}:
            raise


def _program(program: FdLike, name: str) -> bytes:
    # The numbers are the same for both tunnels: LWT_BPF_PROG_*, SEG6_LOCAL_BPF_PROG_*.
    return netlink.attribute(_LWT_PROG_FD, number(program)) + netlink.attribute(_LWT_PROG_NAME, netlink.text(name))
