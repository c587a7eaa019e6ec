"""Lightweight tunnels: a program on a route, for the packets that take it (4.10)."""

from __future__ import annotations

import errno
import ipaddress
from typing import TYPE_CHECKING, final

from attrs import field, frozen, validators

from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError, SpecError, kernel_error
from aiobpf.kernel import routes
from aiobpf.kernel.interfaces import find_interface, no_interface
from aiobpf.kernel.netlink import NetlinkSocket
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.interface import make_link_in_namespace, netns_name
from aiobpf.uapi import ProgramType

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.kernel import FdLike
    from aiobpf.kernel.routes import Address, Network, Route
    from aiobpf.link.link import Link
    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec

_PLACES = {
    ProgramType.LWT_IN: routes.LWT_IN,
    ProgramType.LWT_OUT: routes.LWT_OUT,
    ProgramType.LWT_XMIT: routes.LWT_XMIT,
    ProgramType.LWT_SEG6LOCAL: routes.SEG6_LOCAL,
}


def _network(value: Network | str) -> Network:
    return ipaddress.ip_network(value)


def _address(value: Address | str | None) -> Address | None:
    return None if value is None else ipaddress.ip_address(value)


@frozen
class Lwt:
    """A route to *destination* ("10.1.0.0/16") over *interface*, which runs the program on each packet that takes it.

    Sections ``lwt_in``, ``lwt_out``, ``lwt_xmit``, ``lwt_seg6local``: the program's type says where on the way, for
    packets that arrive for the route, that this machine sends, all just before they leave, or those of an IPv6 segment
    (End.BPF). *via* is the gateway; *metric* and *table* as in ip-route(8). *headroom* bytes (256 at most) are kept
    free for what an lwt_xmit program puts before a packet. With *replace* a route of the same destination, metric and
    table gives way; else it is EEXIST.

    The route is made here and goes with the Link; there is no bpf link: it outlives this process unless that is closed.
    """

    destination: Network = field(converter=_network)
    interface: str | int
    via: Address | None = field(default=None, kw_only=True, converter=_address)
    metric: int = field(default=0, kw_only=True, validator=[validators.ge(0), validators.lt(1 << 32)])
    table: int = field(default=routes.MAIN_TABLE, kw_only=True, validator=[validators.gt(0), validators.lt(1 << 32)])
    headroom: int = field(default=0, kw_only=True, validator=[validators.ge(0), validators.le(256)])
    replace: bool = field(default=False, kw_only=True)
    netns: str | FdLike | None = field(default=None, kw_only=True, converter=netns_name)

    @classmethod
    def parse(cls, _spec: ProgramSpec) -> Self | None:
        return None  # a section cannot say which route

    async def attach_program(self, program: Program) -> Link:
        """Raises KernelError (EEXIST, ENODEV with the interfaces that there are), SpecError for another type of
        program, NotSupportedError on a kernel that is built without."""
        place = _PLACES.get(program.type)
        if place is None:
            raise SpecError(f"program {program.name!r} ({program.type.name}) is none for a route: those are LWT_*")
        return await make_link_in_namespace(self, self.netns, program, lambda program, _: self._attach(program, place))

    def _attach(self, program: Program, place: int) -> Attachment:
        subject = f"program {program.name!r} on the route to {self.destination} ({program.type.name})"
        route = routes.Route(self.destination, find_interface(self.interface), self.via, self.metric, self.table)
        with building() as attachment:
            hook = _OnRoute(NetlinkSocket(), route, place, self.headroom, subject)
            try:
                hook.put(program, replaces=self.replace, subject=subject)
            except KernelError as error:
                hook.leak()
                raise self._explained(error, subject) from error
            except BaseException:
                hook.leak()
                raise
            attachment.undos.append(hook)
            return attachment

    def _explained(self, error: KernelError, subject: str) -> Exception:
        if error.errno == errno.ENODEV:
            return no_interface(self.interface)
        if error.errno == errno.EEXIST:
            hint = "There is such a route: replace=True takes its place, metric= makes another beside it"
            return kernel_error(errno.EEXIST, error.operation, subject, hint)
        if error.errno == errno.EOPNOTSUPP:
            return NotSupportedError(f"{subject}: programs on routes need CONFIG_LWTUNNEL_BPF, CONFIG_IPV6_SEG6_BPF")
        return error


@final
class _OnRoute:
    """A route of ours. The socket stands for the network namespace that it was made in, and keeps that alive."""

    def __init__(self, netlink_route: NetlinkSocket, route: Route, place: int, headroom: int, subject: str) -> None:
        """Take the socket over."""
        self._netlink = netlink_route
        self._route = route
        self._place = place
        self._headroom = headroom
        self._subject = subject

    def put(self, program: FdLike, *, replaces: bool, subject: str) -> None:
        # To the kernel two programs are the same if their names are (bpf_lwt_prog_cmp), and it then keeps the old one.
        info = kernel.program_info(program, subject=subject)
        routes.set_route(
            self._netlink,
            self._route,
            self._place,
            program,
            name=f"{info.name} (id {info.id})",
            headroom=self._headroom,
            replaces=replaces,
            subject=subject,
        )

    def replace(self, program: FdLike, expected: FdLike | None, subject: str) -> None:
        if expected is not None:
            raise NotSupportedError(f"{subject}: routes are replaced whatever runs on them")
        self.put(program, replaces=True, subject=subject)

    def close(self) -> None:
        try:
            routes.remove_route(self._netlink, self._route, subject=self._subject)
        finally:
            self.leak()

    def leak(self) -> None:
        self._netlink.close()
