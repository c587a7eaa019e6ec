"""A program that BPF_PROG_ATTACH hung on a cgroup, a map of sockets or a device: no descriptor stands for its place."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, final

from aiobpf import kernel
from aiobpf.errors import KernelError
from aiobpf.kernel.fd import OwnedFd, number

if TYPE_CHECKING:
    from aiobpf.kernel import FdLike
    from aiobpf.runtime.program import Program
    from aiobpf.uapi import AttachType


@final
class AttachedProgram:
    """Nothing but BPF_PROG_DETACH takes it off, not even the end of this process."""

    __slots__ = ("_attach_type", "_is_alone", "_program", "_target", "_where")

    def __init__(
        self, program: OwnedFd, target: OwnedFd, attach_type: AttachType, where: str, *, is_alone: bool
    ) -> None:
        """Take both descriptors over. *is_alone*: the hook has one program at a time, and the kernel takes off
        whichever that is, whatever program the detaching names (kernel/bpf/cgroup.c, find_detach_entry)."""
        self._program = program
        self._target = target
        self._attach_type = attach_type
        self._where = where
        self._is_alone = is_alone

    def close(self) -> None:
        """Detach it, unless another took its place or it is gone already."""
        subject = f"{self._program.what} on {self._where}"
        try:
            if self._is_alone and not self._hangs_there(subject):
                return
            kernel.prog_detach(self._program, self._target, self._attach_type, subject=subject)
        except KernelError as error:
            if error.errno != errno.ENOENT:  # someone else took it off
                raise
        finally:
            self.leak()

    def _hangs_there(self, subject: str) -> bool:
        own = kernel.program_info(self._program, subject=subject).id
        return own in kernel.prog_query(self._target, self._attach_type, subject=subject).program_ids

    def leak(self) -> None:
        """Leave it where it hangs."""
        self._program.close()
        self._target.close()


def attach_without_link(
    program: Program,
    target: FdLike,
    attach_type: AttachType,
    *,
    where: str,
    subject: str,
    flags: int = 0,
    replace: Program | None = None,
    is_alone: bool = False,
) -> AttachedProgram:
    """BPF_PROG_ATTACH *program* to *target* (*where* in words), and what undoes that. Raises KernelError."""
    held = OwnedFd(os.dup(program.fileno()), f"program {program.name!r}")
    undo = AttachedProgram(held, OwnedFd(os.dup(number(target)), where), attach_type, where, is_alone=is_alone)
    try:
        kernel.prog_attach(held, target, attach_type, flags=flags, replace=replace, subject=subject)
    except BaseException:
        undo.leak()
        raise
    return undo
