"""XDP: a program on a network interface, before the stack has seen the packet."""

from __future__ import annotations

import errno
from enum import Enum
from typing import TYPE_CHECKING, final

from attrs import field, frozen

from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError, SpecError, kernel_error
from aiobpf.kernel import interfaces
from aiobpf.kernel.fd import duplicate
from aiobpf.kernel.interfaces import find_interface, no_interface
from aiobpf.kernel.netlink import NetlinkSocket
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.interface import make_link_in_namespace, netns_name
from aiobpf.uapi import AttachType

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.kernel import FdLike, OwnedFd
    from aiobpf.kernel.netns import NetNamespace
    from aiobpf.link.link import Link
    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec


class XdpMode(Enum):
    """Where in the packet's way the program runs."""

    AUTO = "auto"
    """In the driver if it can, else in the stack; the kernel picks."""
    NATIVE = "native"
    """In the driver, before an skb is made; not every driver can."""
    SKB = "skb"
    """In the stack, after the skb is made ("generic", which is taken too): any interface, less speed."""
    HW = "hw"
    """On the network card: for programs that were loaded for that card (prog_ifindex), which `load` does not do."""

    @classmethod
    def _missing_(cls, value: object) -> XdpMode | None:
        return cls.SKB if value == "generic" else None


_FLAGS = {
    XdpMode.AUTO: 0,
    XdpMode.SKB: interfaces.XDP_SKB,
    XdpMode.NATIVE: interfaces.XDP_DRIVER,
    XdpMode.HW: interfaces.XDP_HARDWARE,
}

_NOT_ON_INTERFACES = {AttachType.XDP_DEVMAP: "device map", AttachType.XDP_CPUMAP: "CPU map"}


@frozen
class Xdp:
    """An XDP program on *interface*, by name or index.

    *mode* is an `XdpMode` or its word ("auto", "native", "skb", "hw"). The interface is looked for in the network
    namespace of the thread that attaches, or in *netns*: a path (/proc/PID/ns/net), a name that ``ip netns`` gave, or a
    descriptor.

    *link*: True for a bpf link (5.9), False for netlink, where the program outlives this process unless the Link is
    closed; None takes a link where the kernel has them. *replaces* is the program whose place to take, over netlink and
    in one step (5.7): KernelError EEXIST if it is not what hangs there. Without it a place that is taken is EBUSY.

    The program stays until the link is closed, or the interface goes away.
    """

    interface: str | int
    mode: XdpMode = field(default=XdpMode.AUTO, converter=XdpMode)
    netns: str | FdLike | None = field(default=None, kw_only=True, converter=netns_name)
    link: bool | None = field(default=None, kw_only=True)
    replaces: Program | None = field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.link and self.replaces is not None:
            raise ValueError("Xdp(replaces=...) is for netlink (link=False); the program of a link takes Link.update")

    @classmethod
    def parse(cls, _spec: ProgramSpec) -> Self | None:
        return None  # a section cannot say which interface

    async def attach_program(self, program: Program) -> Link:
        """Raises KernelError (ENODEV with the interfaces that there are, EBUSY), NotSupportedError for a mode that the
        driver lacks, SpecError for a program that was loaded for a map."""
        loaded_for = None if program.spec is None else program.spec.attach_type
        map_kind = None if loaded_for is None else _NOT_ON_INTERFACES.get(loaded_for)
        if map_kind is not None:
            raise SpecError(f"program {program.name!r} was loaded for a {map_kind}: it goes into a value of one")
        return await make_link_in_namespace(self, self.netns, program, self._attach)

    def _attach(self, program: Program, _namespace: NetNamespace) -> Attachment:
        index = find_interface(self.interface)
        subject = f"program {program.name!r} on interface {self.interface!r}"
        try:
            with building() as attachment:
                if self.link is not False and self.replaces is None:
                    try:
                        attachment.links.append(
                            kernel.link_create(program, index, AttachType.XDP, flags=_FLAGS[self.mode], subject=subject)
                        )
                        return attachment
                    except KernelError as error:
                        # EINVAL: no XDP links before 5.9 (aa8d3a716b59), or the program does not fit, which netlink
                        # says in words.
                        if error.errno != errno.EINVAL or self.link:
                            raise
                attachment.undos.append(self._put(program, index, subject))
                return attachment
        except KernelError as error:
            raise self._explained(error, subject) from error

    def _put(self, program: Program, index: int, subject: str) -> _OnInterface:
        flags = _FLAGS[self.mode]
        route = NetlinkSocket()
        try:
            held = duplicate(program, f"program {program.name!r}")
            undo = _OnInterface(route, index, held, flags, subject)
        except BaseException:
            route.close()
            raise
        try:
            if self.replaces is None:
                flags |= interfaces.XDP_UPDATE_IF_NOEXIST
            interfaces.set_xdp(route, index, program, flags=flags, expected=self.replaces, subject=subject)
        except BaseException:
            undo.leak()
            raise
        return undo

    def _explained(self, error: KernelError, subject: str) -> Exception:
        if error.errno == errno.ENODEV:
            return no_interface(self.interface)
        if error.errno == errno.EEXIST and self.replaces is not None:
            hint = f"Another program than {self.replaces.name!r} hangs there, or none"
            return kernel_error(errno.EEXIST, error.operation, subject, hint)
        if error.errno in {errno.EBUSY, errno.EEXIST}:
            said = f". {error.hint}" if error.hint else ""
            return kernel_error(
                errno.EBUSY,
                error.operation,
                subject,
                f"Another XDP program is on it: an interface takes one per mode{said}",
            )
        is_refused = error.errno == errno.EOPNOTSUPP or (error.errno == errno.EINVAL and self.mode is XdpMode.HW)
        if is_refused and self.mode is not XdpMode.SKB:
            return NotSupportedError(
                f"{subject}: its driver has no XDP in mode {self.mode.value!r}",
                hint=f"Xdp({self.interface!r}, mode='skb') works on every interface",
            )
        return error


@final
class _OnInterface:
    """A program put there over netlink: nothing but netlink takes it off, not even the end of this process.

    The socket stands for the network namespace that it was made in, and keeps that alive.
    """

    def __init__(self, route: NetlinkSocket, index: int, program: OwnedFd, flags: int, subject: str) -> None:
        """Take the socket and the descriptor over."""
        self._route = route
        self._index = index
        self._program = program
        self._flags = flags
        self._subject = subject

    def replace(self, program: FdLike, expected: FdLike | None, subject: str) -> None:
        new = duplicate(program, self._program.what)
        try:
            interfaces.set_xdp(
                self._route,
                self._index,
                new,
                flags=self._flags,
                expected=self._program if expected is None else expected,
                subject=subject,
            )
        except BaseException:
            new.close()
            raise
        self._program, old = new, self._program
        old.close()

    def close(self) -> None:
        try:
            interfaces.clear_xdp(self._route, self._index, self._program, flags=self._flags, subject=self._subject)
        finally:
            self.leak()

    def leak(self) -> None:
        self._program.close()
        self._route.close()
