"""The BPF programs among the netfilter hooks of a network namespace (nfnetlink_hook, 5.14; with programs, 6.4)."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf.errors import KernelError
from aiobpf.kernel import netlink

if TYPE_CHECKING:
    from aiobpf.kernel.netlink import NetlinkSocket

_HOOK_GET = 12 << 8  # NFNL_SUBSYS_HOOK, NFNL_MSG_HOOK_GET
_HEADER = struct.Struct("=BBH")  # struct nfgenmsg: family, version, res_id
_HOOKNUM, _PRIORITY, _CHAIN_INFO = 1, 2, 6  # NFNLA_HOOK_*
_DESC, _TYPE, _BPF_ID = 1, 2, 1  # NFNLA_HOOK_INFO_DESC, NFNLA_HOOK_INFO_TYPE, NFNLA_HOOK_BPF_ID
_TYPE_BPF = 2  # NFNL_HOOK_TYPE_BPF
_FAMILIES = (2, 10)  # NFPROTO_IPV4, NFPROTO_IPV6
_HOOKS = 5  # NF_INET_NUMHOOKS


@frozen
class HookedProgram:
    family: int
    hook: int
    priority: int
    program_id: int


def hooked_programs(socket: NetlinkSocket, *, subject: str) -> list[HookedProgram] | None:
    """Those of the namespace that *socket* (of NETLINK_NETFILTER) was made in, in the order in which they run.

    None where the kernel does not tell (CONFIG_NETFILTER_NETLINK_HOOK).
    """
    found = []
    for family in _FAMILIES:
        for hook in range(_HOOKS):
            body = _HEADER.pack(family, 0, 0) + netlink.attribute(_HOOKNUM, struct.pack("!I", hook))
            try:
                messages = socket.dump(_HOOK_GET, body, operation="NFNL_MSG_HOOK_GET", subject=subject)
            except KernelError as error:
                if error.errno in {errno.EINVAL, errno.ENOENT, errno.EOPNOTSUPP}:
                    return None
                raise
            for message in messages:
                values = dict(netlink.attributes(message.body[_HEADER.size :]))
                info = dict(netlink.attributes(values.get(_CHAIN_INFO, b"")))
                if _number(info.get(_TYPE, b"")) != _TYPE_BPF:
                    continue
                described = dict(netlink.attributes(info.get(_DESC, b"")))
                priority = int.from_bytes(values.get(_PRIORITY, b""), "big", signed=True)
                found.append(HookedProgram(family, hook, priority, _number(described.get(_BPF_ID, b""))))
    return found


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
