"""Traffic control: a program as a filter of the clsact qdisc, which every kernel since 4.5 has. See Tcx for 6.6 on."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, final

from attrs import field, frozen, validators

from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError, kernel_error
from aiobpf.kernel import traffic_control
from aiobpf.kernel.interfaces import find_interface, no_interface
from aiobpf.kernel.netlink import NetlinkSocket
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.direction import Direction
from aiobpf.link.interface import make_link_in_namespace, netns_name

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.kernel import FdLike
    from aiobpf.kernel.netns import NetNamespace
    from aiobpf.kernel.traffic_control import Filter
    from aiobpf.link.link import Link
    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec

_PARENTS = {Direction.INGRESS: traffic_control.INGRESS, Direction.EGRESS: traffic_control.EGRESS}


@frozen
class Tc:
    """A classifier on *interface* (name or index) in direct action: what it returns is the verdict (TC_ACT_*).

    *direction* is "ingress" or "egress". Filters run by *priority*, the smallest first (1 to 65535; 0 lets the kernel
    choose one before all that it chose so far), and *handle* tells those of one priority apart. With *replace* a filter
    of that priority and handle gives way without a gap; else it is EEXIST.

    The clsact qdisc is made where there is none, and taken off with the last filter if this made it. There is no bpf
    link: the program outlives this process unless the Link is closed. Closing takes off only what is still ours.
    """

    interface: str | int
    direction: Direction = field(converter=Direction)
    priority: int = field(default=0, kw_only=True, validator=[validators.ge(0), validators.lt(1 << 16)])
    handle: int = field(default=0, kw_only=True, validator=[validators.ge(0), validators.lt(1 << 32)])
    replace: bool = field(default=False, kw_only=True)
    netns: str | FdLike | None = field(default=None, kw_only=True, converter=netns_name)

    def __attrs_post_init__(self) -> None:
        if self.replace and not (self.priority and self.handle):
            raise ValueError("Tc(replace=True) needs the priority and the handle of the filter to replace")

    @classmethod
    def parse(cls, _spec: ProgramSpec) -> Self | None:
        return None  # a section cannot say which interface

    async def attach_program(self, program: Program) -> Link:
        """Raises KernelError (ENODEV with the interfaces that there are, EEXIST), with the kernel's own words."""
        return await make_link_in_namespace(self, self.netns, program, self._attach)

    def _attach(self, program: Program, _namespace: NetNamespace) -> Attachment:
        index = find_interface(self.interface)
        subject = f"program {program.name!r} on interface {self.interface!r} ({self.direction.value})"
        with building() as attachment:
            hook = _OnChain(NetlinkSocket(), index, subject)
            attachment.undos.append(hook)
            try:
                hook.made_qdisc = traffic_control.add_clsact(hook.route, index, subject=subject)
            except KernelError as error:
                if error.errno == errno.ENODEV:
                    raise no_interface(self.interface) from error
                # An "ingress" qdisc stands in the way of clsact, and has the one chain as well.
                if error.errno != errno.EEXIST or self.direction is Direction.EGRESS:
                    raise
            try:
                hook.add(program, self)
            except KernelError as error:
                if error.errno != errno.EEXIST:
                    raise
                hint = (
                    f"A filter of priority {self.priority} and handle {self.handle:#x} is there: replace=True takes "
                    "its place"
                )
                raise kernel_error(errno.EEXIST, error.operation, subject, hint) from error
            return attachment


@final
class _OnChain:
    """A filter of ours, and the qdisc if we made it. The socket keeps the network namespace that it was made in."""

    def __init__(self, route: NetlinkSocket, index: int, subject: str) -> None:
        """Take the socket over."""
        self.route = route
        self.made_qdisc = False
        self._index = index
        self._subject = subject
        self._filter: Filter | None = None

    def add(self, program: Program, kind: Tc) -> None:
        self._filter = traffic_control.add_filter(
            self.route,
            self._index,
            _PARENTS[kind.direction],
            program,
            name=program.name,
            priority=kind.priority,
            handle=kind.handle,
            replaces=kind.replace,
            subject=self._subject,
        )

    def replace(self, program: FdLike, expected: FdLike | None, subject: str) -> None:
        if expected is not None:
            raise NotSupportedError(f"{subject}: tc filters are replaced whatever they are", hint="Tcx links can be")
        was = self._filter
        assert was is not None
        self._filter = traffic_control.add_filter(
            self.route,
            self._index,
            was.parent,
            program,
            name=kernel.program_info(program).name,
            priority=was.priority,
            handle=was.handle,
            replaces=True,
            subject=subject,
        )

    def close(self) -> None:
        try:
            ours = self._filter
            if ours is not None and self._is_there(ours):
                traffic_control.remove_filter(self.route, self._index, ours, subject=self._subject)
            if self.made_qdisc:
                traffic_control.remove_empty_clsact(self.route, self._index, subject=self._subject)
        finally:
            self.leak()

    def _is_there(self, ours: Filter) -> bool:
        try:
            found = traffic_control.filters(self.route, self._index, ours.parent, subject=self._subject)
        except KernelError as error:
            if error.errno == errno.ENODEV:
                return False
            raise
        place = (ours.priority, ours.handle, ours.program_id)
        return any((each.priority, each.handle, each.program_id) == place for each in found)

    def leak(self) -> None:
        self.route.close()
