"""netkit: programs in the devices that are made for containers, instead of on them (6.7)."""

from __future__ import annotations

import errno
from enum import Enum
from typing import TYPE_CHECKING

from attrs import field, frozen

from aiobpf.errors import KernelError, SpecError
from aiobpf.link.chain import attach_in_chain, attach_type_of, check_anchor
from aiobpf.link.interface import make_link_in_namespace, netns_name
from aiobpf.uapi import AttachType

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.kernel import FdLike
    from aiobpf.kernel.netns import NetNamespace
    from aiobpf.link.anchor import Anchor
    from aiobpf.link.attachment import Attachment
    from aiobpf.link.link import Link
    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec


class NetkitEnd(Enum):
    """Whose packets a program sees: it runs where one of the pair sends."""

    PRIMARY = "primary"
    """What the primary device, the host's, sends to its peer."""
    PEER = "peer"
    """What the peer, the container's, sends."""


_ATTACH_TYPES = {NetkitEnd.PRIMARY: AttachType.NETKIT_PRIMARY, NetkitEnd.PEER: AttachType.NETKIT_PEER}


def _end(value: NetkitEnd | str | None) -> NetkitEnd | None:
    return None if value is None else NetkitEnd(value)


@frozen
class Netkit:
    """A program in a netkit device pair, of which *interface* (name or index) is the primary one, for either *end*.

    Sections ``netkit/primary``, ``netkit/peer``. *end* is "primary" or "peer"; None takes it from the program's
    section. *anchor*, *expected_revision* and *link* as for `Tcx`; verdicts are NETKIT_NEXT (-1), PASS (0), DROP (2),
    REDIRECT (7).
    """

    interface: str | int
    end: NetkitEnd | None = field(default=None, converter=_end)
    anchor: Anchor | None = field(default=None, kw_only=True)
    expected_revision: int = field(default=0, kw_only=True)
    link: bool = field(default=True, kw_only=True)
    netns: str | FdLike | None = field(default=None, kw_only=True, converter=netns_name)

    def __attrs_post_init__(self) -> None:
        check_anchor(self.anchor, self.link)

    @classmethod
    def parse(cls, _spec: ProgramSpec) -> Self | None:
        return None  # a section cannot say which interface

    async def attach_program(self, program: Program) -> Link:
        """Raises KernelError (ENODEV with the interfaces that there are, ESTALE, EEXIST), SpecError for what is no
        primary netkit device, NotSupportedError before 6.7 or without CONFIG_NETKIT."""
        chosen = None if self.end is None else _ATTACH_TYPES[self.end]
        attach_type = attach_type_of(program, chosen, _ATTACH_TYPES.values())
        if attach_type is None:
            raise SpecError(
                f"program {program.name!r} does not say which end it is for: Netkit({self.interface!r}, 'peer'), for "
                "instance"
            )
        return await make_link_in_namespace(
            self, self.netns, program, lambda program, namespace: self._attach(program, namespace, attach_type)
        )

    def _attach(self, program: Program, namespace: NetNamespace, attach_type: AttachType) -> Attachment:
        try:
            return attach_in_chain(
                program,
                namespace,
                self.interface,
                attach_type,
                anchor=self.anchor,
                expected_revision=self.expected_revision,
                has_link=self.link,
                since="6.7",
            )
        except KernelError as error:
            subject = f"program {program.name!r} on interface {self.interface!r} ({attach_type.name})"
            if error.errno == errno.ENXIO:
                raise SpecError(f"{subject}: {self.interface!r} is no netkit device") from error
            if error.errno == errno.EACCES:
                raise SpecError(f"{subject}: {self.interface!r} is the peer: programs go into the primary") from error
            raise
