"""Networks of a test's own beside the veth pair of conftest.py: netkit, and asking about an interface."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import subprocess
from typing import TYPE_CHECKING

from aiobpf.kernel import netlink
from aiobpf.kernel.netlink import NetlinkSocket
from aiobpf.kernel.netns import NetNamespace

from .conftest import NetworkPair

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEWLINK = 16
_INTERFACE = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 0, 0, 0)
_IFNAME, _LINKINFO, _NET_NS_FD = 3, 18, 28
_KIND, _DATA, _PEER = 1, 2, 1


def index_of(interface: str, namespace: str) -> int:
    with NetNamespace.open(namespace) as inside, inside.entered():
        return socket.if_nametoindex(interface)


def output(command: str) -> str:
    return subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout


def filters_by_tc(namespace: str, interface: str, direction: str) -> list[tuple[int, int]]:
    """The (priority, handle) of each BPF filter, as tc(8) lists them."""
    told = output(f"tc -n {namespace} filter show dev {interface} {direction}")
    found = re.findall(r"pref (\d+) bpf chain 0 handle (0x[0-9a-f]+) .*direct-action", told)
    return [(int(priority), int(handle, 16)) for priority, handle in found]


def has_clsact(namespace: str, interface: str) -> bool:
    return "clsact" in output(f"tc -n {namespace} qdisc show dev {interface}")


@contextlib.contextmanager
def netkit_network(primary: str) -> Iterator[NetworkPair]:
    """As the fixture `network`, of a netkit pair, whose primary device is the interface *primary* ("near" or "far")."""
    pair = NetworkPair(f"aiobpf-netkit-near-{os.getpid()}", f"aiobpf-netkit-far-{os.getpid()}")
    names = {"near": pair.near, "far": pair.far}
    peer = "far" if primary == "near" else "near"
    try:
        for namespace in names.values():
            subprocess.run(["ip", "netns", "add", namespace], check=True)
        with (
            NetNamespace.open(names[peer]) as target,
            NetNamespace.open(names[primary]) as own,
            own.entered(),
            NetlinkSocket() as route,
        ):
            body = _INTERFACE + netlink.attribute(_IFNAME, netlink.text(primary))
            info = _INTERFACE + netlink.attribute(_IFNAME, netlink.text(peer))
            info += netlink.attribute(_NET_NS_FD, target.fileno())
            body += netlink.nested(
                _LINKINFO,
                netlink.attribute(_KIND, netlink.text("netkit")),
                netlink.nested(_DATA, netlink.nested(_PEER, info)),
            )
            flags = netlink.CREATE | netlink.EXCL
            route.request(_NEWLINK, body, flags=flags, operation="RTM_NEWLINK", subject="netkit pair")
        for number, (interface, namespace) in enumerate(names.items(), 1):
            output(f"ip -n {namespace} addr add 10.77.0.{number}/24 dev {interface}")
            output(f"ip -n {namespace} link set {interface} up")
        yield pair
    finally:
        for namespace in names.values():
            subprocess.run(["ip", "netns", "del", namespace], check=False)
