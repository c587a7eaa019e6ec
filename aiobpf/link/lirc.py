"""Programs on an infrared receiver: they turn pulses and spaces into keys."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from attrs import field, frozen

from aiobpf.errors import KernelError, SpecError, kernel_error
from aiobpf.kernel.fd import OwnedFd
from aiobpf.link.attached_program import Sharing, attach_without_link
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.link import Link, make_link
from aiobpf.link.path_text import path_text
from aiobpf.uapi import AttachType, ProgramType

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec

_MOST = 64  # BPF_MAX_PROGS of drivers/media/rc/bpf-lirc.c


@frozen
class Lirc:
    """The infrared receiver *device* ("/dev/lirc0"). Section ``lirc_mode2`` (4.18, CONFIG_BPF_LIRC_MODE2).

    Up to 64 programs share a receiver. There is no link for it: BPF_PROG_ATTACH, and the program stays until the Link
    is closed or the receiver is gone, whatever becomes of this process.
    """

    device: str = field(converter=path_text)

    @classmethod
    def parse(cls, _spec: ProgramSpec) -> Self | None:
        return None  # a section cannot say which receiver

    async def attach_program(self, program: Program) -> Link:
        """Raises KernelError (ENOENT, EACCES; E2BIG with 64 programs there), SpecError for another device or type of
        program."""
        if program.type != ProgramType.LIRC_MODE2:
            raise SpecError(f"{self!r} takes LIRC_MODE2 programs; {program.name!r} is a {program.type.name} program")
        return await make_link(self, program, self._attach)

    def _attach(self, program: Program) -> Attachment:
        where = f"device {self.device!r}"
        subject = f"program {program.name!r} on {where}"
        try:
            # The kernel asks for the right to write (since 6.4, 6a9d552483d5).
            number = os.open(self.device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            raise kernel_error(getattr(error, "errno", None) or errno.EINVAL, "open", where) from error
        with OwnedFd(number, where) as device, building() as attachment:
            try:
                undo = attach_without_link(
                    program, device, AttachType.LIRC_MODE2, where=where, subject=subject, sharing=Sharing.MANY
                )
            except KernelError as error:
                if error.errno in {errno.EINVAL, errno.ENODEV}:
                    raise SpecError(f"{subject}: it is no infrared receiver in raw mode") from error
                if error.errno == errno.E2BIG:
                    hint = f"A receiver has {_MOST} programs at most, and this one has"
                    raise kernel_error(error.errno or 0, error.operation, subject, hint) from error
                raise
            attachment.undos.append(undo)
            return attachment
