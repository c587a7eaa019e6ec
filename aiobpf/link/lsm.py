"""Hooks of the Linux security modules: a program that is asked, and may say no."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

from aiobpf.errors import NotSupportedError
from aiobpf.link.cgroup import Cgroup, CgroupMode
from aiobpf.link.link import Link, make_link
from aiobpf.link.path_text import path_text
from aiobpf.link.tracing import Tracing
from aiobpf.uapi import AttachType

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.link.attachment import Attachment
    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec

_ACTIVE = Path("/sys/kernel/security/lsm")


@frozen
class Lsm(Tracing):
    """The LSM hook *target* ("file_open", as in include/linux/lsm_hook_defs.h): what the program returns is an answer.

    0 is yes, a negative errno no; of a hook without an answer nothing is expected. Sections ``lsm/NAME`` and, for a
    program that may sleep, ``lsm.s/NAME``. Since 5.7, with CONFIG_BPF_LSM and "bpf" among the kernel's active security
    modules (``lsm=``); *cookie* since 5.19.
    """

    attach_type = AttachType.LSM_MAC
    word = "LSM hook"

    def _attach(self, program: Program) -> Attachment:
        require_active(f"program {program.name!r} on {self.word} of {self.target!r}")
        return super()._attach(program)


@frozen
class LsmCgroup:
    """The LSM hook that the program was loaded for, for processes of the cgroup v2 directory *path* and all below it.

    Section ``lsm_cgroup/NAME``, which cannot say which cgroup. The program answers 1 for yes, and for no 0 (EPERM, or
    what bpf_set_retval says). Since 6.0, with CONFIG_BPF_LSM, and active as `Lsm`. Several programs run together.
    """

    path: str = field(converter=path_text)

    @classmethod
    def parse(cls, _spec: ProgramSpec) -> Self | None:
        return None

    async def attach_program(self, program: Program) -> Link:
        """Raises KernelError (ENOENT, ENOTDIR, EINVAL for a program of another type), SpecError for a directory that is
        no cgroup v2, NotSupportedError for a kernel without."""
        return await make_link(self, program, self._attach)

    def _attach(self, program: Program) -> Attachment:
        require_active(f"program {program.name!r} on an LSM hook of cgroup {self.path!r}")
        attach_type = AttachType.LSM_CGROUP
        return Cgroup(self.path, attach_type, mode=CgroupMode.LINK).hang(program, attach_type)


def require_active(subject: str, active: Path = _ACTIVE) -> None:
    """NotSupportedError where the kernel says that it asks no BPF program: one would be attached and never run."""
    try:
        modules = active.read_text(encoding="ascii").strip().split(",")
    except OSError:  # securityfs is not mounted: it cannot be told
        return
    if "bpf" not in modules:
        raise NotSupportedError(
            f"{subject}: the BPF security module is not active (there are {', '.join(modules)})",
            hint="Boot with bpf in the kernel's lsm= option",
        )
