"""Netlink: what is laid out is read back, any bytes are read, and the kernel's refusals come in its own words."""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.errors import KernelError, MissingPrivilegeError
from aiobpf.kernel import interfaces, netlink
from aiobpf.kernel.netlink import NetlinkSocket, attribute, attributes, nested, number, text
from aiobpf.kernel.netns import NetNamespace
from aiobpf.kernel.traffic_control import INGRESS, add_clsact, filters

if TYPE_CHECKING:
    from collections.abc import Iterator

_GETLINK = 18
_INTERFACE = struct.Struct("=BxHiII")


@given(st.lists(st.tuples(st.integers(1, 0x3FFF), st.binary(max_size=40)), max_size=8))
def test_attributes_come_back_as_they_were_laid_out(given_: list[tuple[int, bytes]]) -> None:
    assert list(attributes(b"".join(attribute(kind, data) for kind, data in given_))) == given_
    ((kind, inside),) = attributes(nested(7, *(attribute(kind, data) for kind, data in given_)))
    assert kind == 7  # the mark of nesting is no part of the kind
    assert list(attributes(inside)) == given_


@given(st.binary(max_size=200))
def test_any_bytes_are_attributes_up_to_where_they_are_cut(data: bytes) -> None:
    assert sum(4 + len(payload) for _, payload in attributes(data)) <= len(data)


@given(st.integers(0, 0xFFFFFFFF))
def test_numbers_are_of_the_machines_byte_order(value: int) -> None:
    ((_, payload),) = attributes(attribute(1, value))
    assert number(payload) == value
    assert number(b"") == number(None) == 0


@pytest.fixture
def namespace() -> Iterator[NetNamespace]:
    name = f"aiobpf-netlink-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        with NetNamespace.open(name) as opened:
            yield opened
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.mark.root
def test_a_socket_stays_in_the_namespace_that_it_was_made_in(namespace: NetNamespace) -> None:
    with namespace.entered():
        route = NetlinkSocket()
    with route:
        body = _INTERFACE.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        messages = route.dump(_GETLINK, body, operation="RTM_GETLINK", subject="all interfaces")
    names = [dict(attributes(message.body[_INTERFACE.size :]))[3] for message in messages]
    assert text("lo") in names
    with namespace.entered():
        assert len(names) == len(socket.if_nameindex())
    route.close()  # idempotent


@pytest.mark.root
def test_the_kernel_says_in_its_own_words_what_is_wrong(namespace: NetNamespace) -> None:
    with namespace.entered(), NetlinkSocket() as route:
        with pytest.raises(KernelError, match=r"interface 4711: RTM_NEWQDISC.*\(ENODEV\)") as missing:
            add_clsact(route, 4711, subject="interface 4711")
        assert missing.value.errno == errno.ENODEV
        body = struct.pack("=BxxxiIII", 0, 1, 0, 0xFFFFFFF1, 0) + attribute(1, text("no_such_qdisc"))
        with pytest.raises(KernelError, match=r"The kernel says: .*qdisc kind is unknown"):
            route.request(36, body, flags=netlink.CREATE, operation="RTM_NEWQDISC", subject="lo")
        # After a refusal the socket goes on.
        assert add_clsact(route, 1, subject="lo")
        assert not add_clsact(route, 1, subject="lo")
        assert filters(route, 1, INGRESS, subject="lo") == []
        assert interfaces.xdp_programs(route, 1, subject="lo") == ()


@pytest.mark.root
def test_without_the_capability_that_is_said() -> None:
    """In a child, whose thread keeps no capability."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setresuid(65534, 65534, 65534)
            with NetlinkSocket() as route:
                add_clsact(route, 1, subject="lo")
        except MissingPrivilegeError as error:
            status = 0 if error.capability == "CAP_NET_ADMIN" else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
