"""Programs on a control group (v2): what its processes send, bind, connect, open and so on."""

from __future__ import annotations

import errno
import os
from enum import Enum
from typing import TYPE_CHECKING

from attrs import field, frozen

from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError, SpecError, kernel_error
from aiobpf.kernel.fd import OwnedFd
from aiobpf.kernel.first_kernels import missing_attach_type
from aiobpf.kernel.mounts import mounts
from aiobpf.link.anchor import Replace
from aiobpf.link.attached_program import Sharing, attach_without_link
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.link import Link, make_link
from aiobpf.link.path_text import path_text
from aiobpf.uapi import AttachType, ProgramType

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.link.anchor import Anchor, Position
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
_PREORDER = 1 << 6  # BPF_F_PREORDER
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

    Programs of a child cgroup run before those of its parents, and in a cgroup as they were attached. With *preorder*
    (6.15) a program runs before all without it, and a parent's before its children's: it sees the address that the
    caller gave, not what a child made of it.

    *anchor* (6.17) is where among the programs of this cgroup that have the same order it goes: `First`, `Last`,
    `Before`, `After`; *expected_revision*, of a query, refuses a chain that has changed meanwhile (ESTALE).
    ``Replace(program)`` (5.6) takes the place of one that hangs there in mode MULTI in one step, and the Link of that
    has nothing left to do. What has a link is replaced by ``link.update(program)``.
    """

    path: str = field(converter=path_text)
    attach_type: AttachType | None = None
    mode: CgroupMode = field(default=CgroupMode.AUTO, converter=CgroupMode, kw_only=True)
    preorder: bool = field(default=False, kw_only=True)
    anchor: Anchor | None = field(default=None, kw_only=True)
    expected_revision: int = field(default=0, kw_only=True)

    @classmethod
    def parse(cls, _spec: ProgramSpec) -> Self | None:
        return None  # a section cannot say which cgroup

    async def attach_program(self, program: Program) -> Link:
        """Raises KernelError (ENOENT, ENOTDIR, EPERM beside a program in another mode ...), SpecError for a directory
        that is no cgroup v2, NotSupportedError for a hook or order that this kernel lacks."""
        if isinstance(self.anchor, Replace) and self.mode not in {CgroupMode.AUTO, CgroupMode.MULTI}:
            raise SpecError(f"{self!r}: a program is replaced in mode 'multi' only, a link's by link.update(program)")
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
        return await make_link(self, program, lambda program: self.hang(program, chosen))

    def hang(self, program: Program, attach_type: AttachType) -> Attachment:
        """What `attach_program` does in its worker; blocks."""
        subject = f"program {program.name!r} on cgroup {self.path!r} ({attach_type.name})"
        flags = _PREORDER if self.preorder else 0
        replace = self.anchor.other if isinstance(self.anchor, Replace) else None
        place = None if self.anchor is None or isinstance(self.anchor, Replace) else self.anchor.position()
        with _opened(self.path) as directory, building() as attachment:
            try:
                if self.mode in {CgroupMode.AUTO, CgroupMode.LINK} and replace is None:
                    try:
                        attachment.links.append(self._link(program, directory, attach_type, flags, place, subject))
                        return attachment
                    except KernelError as error:
                        # EINVAL: no links for cgroups before 5.7 (af6eea57437a), none with an order before 6.17, or
                        # this program is wrong for the hook, which the older way will say too.
                        if error.errno != errno.EINVAL or self.mode is CgroupMode.LINK:
                            raise
                mode = CgroupMode.MULTI if self.mode is CgroupMode.AUTO else self.mode
                undo = attach_without_link(
                    program,
                    directory,
                    attach_type,
                    where=f"cgroup {self.path!r}",
                    subject=subject,
                    sharing=Sharing.MANY if mode is CgroupMode.MULTI else Sharing.NONE,
                    flags=_FLAGS[mode] | flags,
                    replace=replace,
                    place=place,
                    expected_revision=self.expected_revision,
                )
            except KernelError as error:
                raise self._explained(error, subject, attach_type) from error
            attachment.undos.append(undo)
            return attachment

    def _link(
        self,
        program: Program,
        directory: OwnedFd,
        attach_type: AttachType,
        flags: int,
        place: Position | None,
        subject: str,
    ) -> OwnedFd:
        if place is None and not self.expected_revision:
            return kernel.link_create(program, directory, attach_type, flags=flags, subject=subject)
        return kernel.link_relative(
            program,
            directory,
            attach_type,
            flags=flags | (place.flags if place else 0),
            relative=place.relative if place else 0,
            expected_revision=self.expected_revision,
            subject=subject,
        )

    def _explained(self, error: KernelError, subject: str, attach_type: AttachType) -> Exception:
        hint = None
        if error.errno == errno.EBADF:
            roots = list(mounts("cgroup2"))
            where = f"it is mounted at {', '.join(roots)}" if roots else "it is not mounted here"
            return SpecError(f"{subject}: {self.path!r} is no cgroup v2 directory; {where}")
        if error.errno == errno.EINVAL:
            if missing := missing_attach_type(attach_type, subject):
                return missing
            if self.preorder and kernel.kernel_release() < (6, 15):
                return NotSupportedError(f"{subject}: an order of parents and children (preorder)", "6.15")
            is_ordered = bool(self.expected_revision) or not isinstance(self.anchor, Replace | None)
            if is_ordered and kernel.kernel_release() < (6, 17):
                return NotSupportedError(f"{subject}: a place among the programs of a cgroup (anchor)", "6.17")
            hint = f"The program was loaded for another hook than {attach_type.name}, or this kernel does not know it"
        elif error.errno == errno.EPERM and self.mode not in {CgroupMode.AUTO, CgroupMode.LINK}:
            hint = "A program in another mode may hang there, or on a parent, already"
        elif error.errno == errno.ENOENT and isinstance(self.anchor, Replace):
            hint = f"{self.anchor.other!r} does not hang there without a link, so it cannot be replaced"
        elif error.errno == errno.ENOENT and self.anchor is not None:
            return SpecError(f"{subject}: {self.anchor} speaks of what does not hang there")
        elif error.errno == errno.ESTALE:
            hint = f"The chain is not at revision {self.expected_revision} any more: query it again"
        return error if hint is None else kernel_error(error.errno or 0, error.operation, subject, hint)


def _opened(path: str) -> OwnedFd:
    try:
        return OwnedFd(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), f"cgroup {path!r}")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise kernel_error(getattr(error, "errno", None) or errno.EINVAL, "open", f"cgroup {path!r}") from error
