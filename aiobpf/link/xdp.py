"""XDP: a program on a network interface, before the stack has seen the packet."""

from __future__ import annotations

import difflib
import errno
import socket
from enum import Enum
from typing import TYPE_CHECKING

from attrs import field, frozen, validators

from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError, kernel_error
from aiobpf.kernel.netns import NetNamespace
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.link import Link, make_link
from aiobpf.link.path_text import optional_path_text
from aiobpf.uapi import AttachType

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec


class XdpMode(Enum):
    """Where in the packet's way the program runs."""

    AUTO = "auto"
    """In the driver if it can, else in the stack; the kernel picks."""
    NATIVE = "native"
    """In the driver, before an skb is made; not every driver can."""
    SKB = "skb"
    """In the stack, after the skb is made ("generic"): any interface, less speed."""
    HW = "hw"
    """On the network card."""


# XDP_FLAGS_* of include/uapi/linux/if_link.h
_FLAGS = {XdpMode.AUTO: 0, XdpMode.SKB: 1 << 1, XdpMode.NATIVE: 1 << 2, XdpMode.HW: 1 << 3}


@frozen
class Xdp:
    """An XDP program on *interface*, by name or index, as a bpf link (since 5.9).

    *mode* is an `XdpMode` or its word ("auto", "native", "skb", "hw"). The interface is looked for in the network
    namespace of the thread that attaches, or in *netns*: a path (/proc/PID/ns/net), or a name that ``ip netns`` gave.

    The program stays until the link is closed, or the interface goes away.
    """

    interface: str | int
    mode: XdpMode = field(default=XdpMode.AUTO, converter=XdpMode)
    netns: str | None = field(
        default=None,
        kw_only=True,
        converter=optional_path_text,
        validator=validators.optional(validators.min_len(1)),
    )

    @classmethod
    def parse(cls, _spec: ProgramSpec) -> Self | None:
        return None  # a section cannot say which interface

    async def attach_program(self, program: Program) -> Link:
        """Raises KernelError (ENODEV with the interfaces that there are, EBUSY), NotSupportedError for a mode that the
        driver lacks."""
        # A worker thread may live in another network namespace than the thread that asks.
        with NetNamespace.of_this_thread() if self.netns is None else NetNamespace.open(self.netns) as namespace:
            return await make_link(self, program, lambda program: self._attach(program, namespace.duplicate()))

    def _attach(self, program: Program, namespace: NetNamespace) -> Attachment:
        with namespace, namespace.entered(), building() as attachment:
            index = self._index()
            subject = f"program {program.name!r} on interface {self.interface!r}"
            try:
                link = kernel.link_create(program, index, AttachType.XDP, flags=_FLAGS[self.mode], subject=subject)
            except KernelError as error:
                raise self._explained(error, subject) from error
            attachment.links.append(link)
            return attachment

    def _index(self) -> int:
        if isinstance(self.interface, int):
            return self.interface
        try:
            return socket.if_nametoindex(self.interface)
        except OSError as error:
            raise self._missing() from error

    def _missing(self) -> KernelError:
        names = sorted(name for _, name in socket.if_nameindex())
        near = difflib.get_close_matches(str(self.interface), names, n=3) or names[:8]
        hint = f"There are: {', '.join(near)}" if near else "This network namespace has no interface"
        return kernel_error(errno.ENODEV, "attach XDP", f"interface {self.interface!r}", hint)

    def _explained(self, error: KernelError, subject: str) -> Exception:
        if error.errno == errno.ENODEV:
            return self._missing()
        if error.errno == errno.EBUSY:
            return kernel_error(
                errno.EBUSY, error.operation, subject, "Another XDP program is on it: an interface takes one per mode"
            )
        if error.errno == errno.EOPNOTSUPP and self.mode is not XdpMode.SKB:
            return NotSupportedError(
                f"{subject}: its driver has no XDP in mode {self.mode.value!r}",
                hint=f"Xdp({self.interface!r}, mode='skb') works on every interface",
            )
        return error
