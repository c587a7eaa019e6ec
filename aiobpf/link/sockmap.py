"""Programs on a map of sockets: what becomes of the data that those sockets send and receive."""

from __future__ import annotations

import errno
from enum import Enum
from typing import TYPE_CHECKING

from attrs import field, frozen

from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError, SpecError, kernel_error
from aiobpf.kernel.first_kernels import missing_attach_type
from aiobpf.link.attached_program import Sharing, attach_without_link
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.link import Link, make_link
from aiobpf.uapi import AttachType, MapType, ProgramType

if TYPE_CHECKING:
    from typing import Any, Self

    from aiobpf.runtime.map import Map
    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec


class SockmapMode(Enum):
    """How a program hangs on a map of sockets."""

    AUTO = "auto"
    """LINK, and ATTACH where the kernel has no link for it (before 6.10)."""
    LINK = "link"
    """A bpf link: no other program takes the place while it is there."""
    ATTACH = "attach"
    """BPF_PROG_ATTACH: a program that is there without a link is replaced, and this one stays as long as the map."""


_TYPES = {
    ProgramType.SK_MSG: {AttachType.SK_MSG_VERDICT},
    ProgramType.SK_SKB: {
        AttachType.SK_SKB_STREAM_PARSER,
        AttachType.SK_SKB_STREAM_VERDICT,
        AttachType.SK_SKB_VERDICT,
    },
}


@frozen
class Sockmap:
    """A SOCKMAP or SOCKHASH *map*: sections ``sk_msg``, ``sk_skb/stream_parser``, ``sk_skb/stream_verdict`` and
    ``sk_skb/verdict`` (5.13).

    ``sk_msg`` sees what sockets of the map send; ``sk_skb`` what they receive, cut into messages by a stream parser.
    *attach_type* is taken from the program's section, and must be given for ``sk_skb`` alone.

    A socket takes along the programs that hang on the map at the moment when it is put in, and keeps them until it is
    taken out (or put into another map). So attach first, then add sockets; a program has no more effect on a socket
    once the link is closed *and* the socket was taken out of the map.
    """

    map: Map[Any, Any]
    attach_type: AttachType | None = None
    mode: SockmapMode = field(default=SockmapMode.AUTO, converter=SockmapMode, kw_only=True)

    @classmethod
    def parse(cls, _spec: ProgramSpec) -> Self | None:
        return None  # a section cannot say which map

    async def attach_program(self, program: Program) -> Link:
        """Raises SpecError for another type of map or program, KernelError EBUSY beside a program with a link or a
        verdict of the other kind, NotSupportedError for what this kernel lacks."""
        if self.map.type not in {MapType.SOCKMAP, MapType.SOCKHASH}:
            raise SpecError(f"map {self.map.name!r} is a {self.map.type.name} map, not one of sockets")
        attach_type = self.attach_type
        if attach_type is None and program.spec is not None:
            attach_type = program.spec.attach_type
        if attach_type is None and program.type == ProgramType.SK_MSG:
            attach_type = AttachType.SK_MSG_VERDICT
        if attach_type is None or attach_type not in _TYPES.get(program.type, ()):
            said = "does not say whether it parses or gives a verdict" if attach_type is None else "is none for it"
            raise SpecError(
                f"program {program.name!r} ({program.type.name}) {said}: a map of sockets takes SK_MSG programs, and "
                "SK_SKB programs with Sockmap(map, AttachType.SK_SKB_STREAM_VERDICT) or another of SK_SKB_*"
            )
        chosen = attach_type
        return await make_link(self, program, lambda program: self._attach(program, chosen))

    def _attach(self, program: Program, attach_type: AttachType) -> Attachment:
        where = f"map {self.map.name!r}"
        subject = f"program {program.name!r} on {where} ({attach_type.name})"
        with building() as attachment:
            try:
                if self.mode is not SockmapMode.ATTACH:
                    try:
                        link = kernel.link_create(program, self.map, attach_type, subject=subject)
                        attachment.links.append(link)
                        return attachment
                    except KernelError as error:
                        # EINVAL: no links for sockmaps before 6.10 (699c23f02c65)
                        if error.errno != errno.EINVAL or self.mode is SockmapMode.LINK:
                            raise
                undo = attach_without_link(
                    program, self.map, attach_type, where=where, subject=subject, sharing=Sharing.ONE
                )
            except KernelError as error:
                raise self._explained(error, subject, attach_type) from error
            attachment.undos.append(undo)
            return attachment

    def _explained(self, error: KernelError, subject: str, attach_type: AttachType) -> Exception:
        hint = None
        if error.errno == errno.EINVAL:
            if missing := missing_attach_type(attach_type, subject):
                return missing
            if self.mode is SockmapMode.LINK and kernel.kernel_release() < (6, 10):
                return NotSupportedError(
                    f"{subject}: a bpf link of a map of sockets", "6.10", hint="Sockmap(map, mode='attach') works here"
                )
        elif error.errno == errno.EBUSY:
            hint = (
                "A program with a link has this place, or the map has a verdict of the other kind (stream or not): "
                "there is room for one of either"
            )
        elif error.errno == errno.EOPNOTSUPP:
            hint = "This kernel was built without CONFIG_BPF_STREAM_PARSER"
        return error if hint is None else kernel_error(error.errno or 0, error.operation, subject, hint)
