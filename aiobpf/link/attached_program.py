"""A program that BPF_PROG_ATTACH hung on a cgroup, a map of sockets or a device: no descriptor stands for its place."""

from __future__ import annotations

import errno
from enum import Enum
from typing import TYPE_CHECKING, final

from aiobpf import kernel
from aiobpf.errors import KernelError, kernel_error
from aiobpf.kernel.fd import duplicate

if TYPE_CHECKING:
    from aiobpf.kernel import FdLike, OwnedFd
    from aiobpf.link.anchor import Position
    from aiobpf.runtime.program import Program
    from aiobpf.uapi import AttachType


class Sharing(Enum):
    """Whether a hook has other programs beside this one, and how one takes the place of another."""

    MANY = "many"
    """Several, each replaced by name (BPF_F_REPLACE)."""
    ONE = "one"
    """One: the next takes its place, and only that is detached which is named."""
    NONE = "none"
    """One: the next takes its place, and the kernel detaches whichever is there (kernel/bpf/cgroup.c,
    find_detach_entry)."""


@final
class AttachedProgram:
    """Nothing but BPF_PROG_DETACH takes it off, not even the end of this process."""

    __slots__ = ("_attach_type", "_flags", "_program", "_sharing", "_target", "_where")

    def __init__(
        self, program: OwnedFd, target: OwnedFd, attach_type: AttachType, where: str, flags: int, sharing: Sharing
    ) -> None:
        """Take both descriptors over; *flags* are those that it was attached with."""
        self._program = program
        self._target = target
        self._attach_type = attach_type
        self._where = where
        self._flags = flags
        self._sharing = sharing

    def replace(self, program: FdLike, expected: FdLike | None, subject: str) -> None:
        """Put *program* in its place. Raises KernelError (ENOENT or EPERM where *expected* does not hang there)."""
        new = duplicate(program, self._program.what)
        replaced = None
        try:
            if self._sharing is Sharing.MANY:
                replaced = self._program if expected is None else expected
            elif expected is not None and not self._hangs_there(expected, subject):
                raise kernel_error(errno.EPERM, "BPF_PROG_ATTACH", subject, "Another program than expected hangs there")
            kernel.prog_attach(
                new, self._target, self._attach_type, flags=self._flags, replace=replaced, subject=subject
            )
        except BaseException:
            new.close()
            raise
        self._program, old = new, self._program
        old.close()

    def close(self) -> None:
        """Detach it, unless another took its place or it is gone already."""
        subject = f"{self._program.what} on {self._where}"
        try:
            if self._sharing is Sharing.NONE and not self._hangs_there(self._program, subject):
                return
            kernel.prog_detach(self._program, self._target, self._attach_type, subject=subject)
        except KernelError as error:
            if error.errno != errno.ENOENT:  # someone else took it off
                raise
        finally:
            self.leak()

    def _hangs_there(self, program: FdLike, subject: str) -> bool:
        own = kernel.program_info(program, subject=subject).id
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
    sharing: Sharing,
    flags: int = 0,
    replace: Program | None = None,
    place: Position | None = None,
    expected_revision: int = 0,
) -> AttachedProgram:
    """BPF_PROG_ATTACH *program* to *target* (*where* in words), and what undoes that. Raises KernelError."""
    held = duplicate(program, f"program {program.name!r}")
    undo = AttachedProgram(held, duplicate(target, where), attach_type, where, flags, sharing)
    try:
        kernel.prog_attach(
            held,
            target,
            attach_type,
            flags=flags | (place.flags if place else 0),
            replace=replace,
            relative=place.relative if place else 0,
            expected_revision=expected_revision,
            subject=subject,
        )
    except BaseException:
        undo.leak()
        raise
    return undo
