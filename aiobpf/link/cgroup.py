"""Programs on a control group (v2): what its processes send, bind, connect, open and so on."""

from __future__ import annotations

import errno
import os
from enum import Enum
from typing import TYPE_CHECKING, final

from attrs import field, frozen

from aiobpf import kernel
from aiobpf.errors import KernelError, SpecError, kernel_error
from aiobpf.kernel.fd import OwnedFd
from aiobpf.kernel.mounts import mounts
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.link import Link, make_link
from aiobpf.link.path_text import path_text
from aiobpf.uapi import AttachType, ProgramType

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec


class CgroupMode(Enum):
    """How a program shares a cgroup's hook with others."""

    AUTO = "auto"
    """LINK, and MULTI where the kernel has no link for cgroups (before 5.7)."""
    LINK = "link"
    """A bpf link: several run together, and each goes with its link."""
    MULTI = "multi"
    """BPF_PROG_ATTACH, several together; the program outlives this process unless the Link is closed."""
    OVERRIDE = "override"
    """BPF_PROG_ATTACH, one alone; a child cgroup may put its own in its place."""
    EXCLUSIVE = "exclusive"
    """BPF_PROG_ATTACH, one alone, for all children too."""


# BPF_F_ALLOW_OVERRIDE and BPF_F_ALLOW_MULTI of include/uapi/linux/bpf.h
_FLAGS = {CgroupMode.MULTI: 1 << 1, CgroupMode.OVERRIDE: 1 << 0, CgroupMode.EXCLUSIVE: 0}

# Types with one attach type, which older objects load without saying so.
_ONLY_ATTACH_TYPE = {
    ProgramType.SOCK_OPS: AttachType.CGROUP_SOCK_OPS,
    ProgramType.CGROUP_DEVICE: AttachType.CGROUP_DEVICE,
    ProgramType.CGROUP_SYSCTL: AttachType.CGROUP_SYSCTL,
    ProgramType.CGROUP_SOCK: AttachType.CGROUP_INET_SOCK_CREATE,
}


@frozen
class Cgroup:
    """The cgroup v2 directory *path* and all below it. Sections ``cgroup/...``, ``cgroup_skb/...``, ``sockops``.

    *attach_type* is taken from the program's section; it must be given for ``cgroup/skb``, which has two directions,
    and for a program that was not loaded from a spec. *mode* is a `CgroupMode` or its word.
    """

    path: str = field(converter=path_text)
    attach_type: AttachType | None = None
    mode: CgroupMode = field(default=CgroupMode.AUTO, converter=CgroupMode, kw_only=True)

    @classmethod
    def parse(cls, _spec: ProgramSpec) -> Self | None:
        return None  # a section cannot say which cgroup

    async def attach_program(self, program: Program) -> Link:
        """Raises KernelError (ENOENT, ENOTDIR ...), SpecError for a directory that is no cgroup v2."""
        attach_type = self.attach_type
        if attach_type is None and program.spec is not None:
            attach_type = program.spec.attach_type
        if attach_type is None:
            attach_type = _ONLY_ATTACH_TYPE.get(program.type)
        if attach_type is None:
            raise SpecError(
                f"program {program.name!r} ({program.type.name}) does not say which hook of the cgroup it is for: "
                "Cgroup(path, attach_type=AttachType.CGROUP_INET_INGRESS), for instance"
            )
        chosen = attach_type
        return await make_link(self, program, lambda program: self._attach(program, chosen))

    def _attach(self, program: Program, attach_type: AttachType) -> Attachment:
        subject = f"program {program.name!r} on cgroup {self.path!r} ({attach_type.name})"
        with _opened(self.path) as directory, building() as attachment:
            try:
                if self.mode in {CgroupMode.AUTO, CgroupMode.LINK}:
                    try:
                        attachment.links.append(kernel.link_create(program, directory, attach_type, subject=subject))
                        return attachment
                    except KernelError as error:
                        # EINVAL: no links for cgroups before 5.7 (af6eea57437a), or this program is wrong for the hook,
                        # which the older way will say too.
                        if error.errno != errno.EINVAL or self.mode is CgroupMode.LINK:
                            raise
                flags = _FLAGS[CgroupMode.MULTI if self.mode is CgroupMode.AUTO else self.mode]
                held = OwnedFd(os.dup(program.fileno()), f"program {program.name!r}")
                undo = _ProgramOnCgroup(self.path, directory.duplicate(), held, attach_type)
                try:
                    kernel.prog_attach(held, directory, attach_type, flags=flags, subject=subject)
                except BaseException:
                    undo.leak()
                    raise
            except KernelError as error:
                raise self._explained(error, subject, attach_type) from error
            attachment.undos.append(undo)
            return attachment

    def _explained(self, error: KernelError, subject: str, attach_type: AttachType) -> Exception:
        if error.errno == errno.EBADF:
            roots = list(mounts("cgroup2"))
            where = f"it is mounted at {', '.join(roots)}" if roots else "it is not mounted here"
            return SpecError(f"{subject}: {self.path!r} is no cgroup v2 directory; {where}")
        if error.errno == errno.EINVAL:
            return kernel_error(
                errno.EINVAL,
                error.operation,
                subject,
                f"The program was loaded for another hook than {attach_type.name}, or this kernel does not know it",
            )
        if error.errno == errno.EPERM and self.mode not in {CgroupMode.AUTO, CgroupMode.LINK}:
            return kernel_error(
                errno.EPERM,
                error.operation,
                subject,
                "A program in another mode may hang there, or on a parent, already",
            )
        return error


@final
class _ProgramOnCgroup:
    """A program attached without a link: nothing but BPF_PROG_DETACH takes it off, not even the end of this process."""

    def __init__(self, path: str, directory: OwnedFd, program: OwnedFd, attach_type: AttachType) -> None:
        """Take both descriptors over."""
        self._path = path
        self._directory = directory
        self._program = program
        self._attach_type = attach_type

    def close(self) -> None:
        try:
            kernel.prog_detach(
                self._program,
                self._directory,
                self._attach_type,
                subject=f"{self._program.what} on cgroup {self._path!r}",
            )
        except KernelError as error:
            if error.errno != errno.ENOENT:  # someone else took it off
                raise
        finally:
            self.leak()

    def leak(self) -> None:
        self._program.close()
        self._directory.close()


def _opened(path: str) -> OwnedFd:
    try:
        return OwnedFd(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), f"cgroup {path!r}")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise kernel_error(getattr(error, "errno", None) or errno.EINVAL, "open", f"cgroup {path!r}") from error
