"""Iterators: a program that is run once for each object of a kind, whenever somebody reads."""

from __future__ import annotations

import errno
import os
import struct
from enum import IntEnum
from typing import TYPE_CHECKING

from attrs import field, frozen

from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError, SpecError, kernel_error
from aiobpf.kernel.fd import OwnedFd
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.link import Link, make_link
from aiobpf.link.path_text import optional_path_text

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.runtime.map import Map
    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec

# union bpf_iter_link_info, include/uapi/linux/bpf.h
_MAP = struct.Struct("=I12x")
_CGROUP = struct.Struct("=IIQ")
_TASK = struct.Struct("=III4x")

_TASK_PARAMETERS_SINCE = "6.1"


class CgroupOrder(IntEnum):
    """Which cgroups, beginning at the one that was given (enum bpf_cgroup_iter_order)."""

    SELF = 1
    """That one alone."""
    DESCENDANTS = 2
    """It and all below, each before those below it."""
    DESCENDANTS_FIRST = 3
    """All below and then it, each after those below it."""
    ANCESTORS = 4
    """It and those above, up to the root."""


@frozen
class Iter:
    """The objects of the kind *target*: "task", "task_file", "task_vma", "bpf_map", "bpf_prog", "bpf_map_elem", "tcp",
    "udp", "unix", "netlink", "ksym", "cgroup" and what else the kernel has (``bpf_iter_...`` in its BTF).

    Section ``iter/TARGET``, ``iter.s/TARGET`` (sleepable). Since 5.8. *target* may be left out; given, it must be the
    one that the program was loaded for. `Link.open` makes an iterator, which `aiobpf.stream.Rows` reads.

    Parameters, as the target takes them: *map* for "bpf_map_elem" and "bpf_sk_storage_map" (5.9) and "sockmap" (5.10),
    needed there; *tid* one thread, *pid* the threads of one process, or *pidfd*, for the task targets (6.1);
    *cgroup* a directory of cgroup v2, and *order* which ones from there (6.1).
    """

    target: str = ""
    map: Map | None = field(default=None, kw_only=True)
    tid: int = field(default=0, kw_only=True)
    pid: int = field(default=0, kw_only=True)
    pidfd: int | None = field(default=None, kw_only=True)
    cgroup: str | None = field(default=None, converter=optional_path_text, kw_only=True)
    order: CgroupOrder = field(default=CgroupOrder.DESCENDANTS, converter=CgroupOrder, kw_only=True)

    def __attrs_post_init__(self) -> None:
        tasks = [name for name in ("tid", "pid") if getattr(self, name)] + (["pidfd"] if self.pidfd is not None else [])
        given = [*(["map"] if self.map is not None else []), *tasks, *(["cgroup"] if self.cgroup is not None else [])]
        if len(given) > 1:
            raise SpecError(f"an iterator takes one of map, tid, pid, pidfd and cgroup, not {' and '.join(given)}")
        for name in ("tid", "pid", "pidfd"):
            if (getattr(self, name) or 0) < 0:
                raise SpecError(f"iterator of {self.target!r}: {name} {getattr(self, name)} is none")

    @classmethod
    def parse(cls, spec: ProgramSpec) -> Self | None:
        # These run over one map, which a section cannot say.
        needs_map = spec.attach_to in {"bpf_map_elem", "bpf_sk_storage_map", "sockmap"}
        return cls(spec.attach_to) if spec.attach_to and not needs_map else None

    async def attach_program(self, program: Program) -> Link:
        """Raises SpecError where the program was loaded for other objects, or the target needs a map and has none."""
        spec = program.spec
        if spec is not None and self.target and spec.attach_to and self.target != spec.attach_to:
            raise SpecError(
                f"program {program.name!r} is loaded as an iterator of {spec.attach_to!r}, not of {self.target!r}: the "
                "kernel binds it at load, so set ProgramSpec.attach_to"
            )
        return await make_link(self, program, self._attach)

    def _attach(self, program: Program) -> Attachment:
        target = self.target or (program.spec.attach_to if program.spec is not None else "")
        subject = f"program {program.name!r}, an iterator of {target!r}"
        with building() as attachment:
            try:
                if self.cgroup is not None:
                    with _opened(self.cgroup) as directory:
                        info = _CGROUP.pack(self.order, directory.fileno(), 0)
                        attachment.links.append(kernel.link_iter(program, info, subject=subject))
                else:
                    attachment.links.append(kernel.link_iter(program, self._info(), subject=subject))
            except KernelError as error:
                raise self._explained(error, subject, target) from error
            self._check(attachment.links[0], subject)
            return attachment

    def _info(self) -> bytes:
        if self.map is not None:
            return _MAP.pack(self.map.fileno())
        if self.pidfd is not None:
            return _TASK.pack(0, 0, self.pidfd)
        return _TASK.pack(self.tid, self.pid, 0) if self.tid or self.pid else b""

    @property
    def _is_of_one_task(self) -> bool:
        return bool(self.tid or self.pid or self.pidfd is not None)

    def _check(self, link: OwnedFd, subject: str) -> None:
        # Before 6.1 the first word is read as a map, which iterators of tasks do not look at (f0d74c4da1f0).
        if self.tid and kernel.link_info(link, subject=subject).tid != self.tid:
            raise NotSupportedError(f"{subject}: one thread", _TASK_PARAMETERS_SINCE)

    def _explained(self, error: KernelError, subject: str, target: str) -> Exception:
        release = kernel.kernel_release()
        if self._is_of_one_task and error.errno in {errno.E2BIG, errno.EINVAL} and release < (6, 1):
            return NotSupportedError(f"{subject}: the tasks of one process", _TASK_PARAMETERS_SINCE)
        if (
            self.map is None
            and target in {"bpf_map_elem", "bpf_sk_storage_map", "sockmap"}
            and error.errno == errno.EBADF
        ):
            return SpecError(f"{subject} runs over one map: attach it as Iter({target!r}, map=...)")
        if self.map is not None and error.errno == errno.EINVAL:
            return kernel_error(
                errno.EINVAL,
                error.operation,
                subject,
                f"It does not run over the elements of a {self.map.type.name} map",
            )
        return error


def _opened(path: str) -> OwnedFd:
    try:
        return OwnedFd(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), f"cgroup {path!r}")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise kernel_error(getattr(error, "errno", None) or errno.EINVAL, "open", f"cgroup {path!r}") from error
