"""Raw tracepoints: a tracepoint's own arguments, with no record built from them."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from attrs import field, frozen, validators

from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError, UnresolvedSymbolError
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.link import Link, make_link

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec


@frozen
class RawTracepoint:
    """The raw tracepoint *name* ("sys_enter", "sched_switch"), as in /sys/kernel/tracing/events without its category.

    Sections ``raw_tp/NAME``, ``raw_tracepoint/NAME`` and, for writable ones, ``raw_tp.w/NAME``. Since 4.17. *cookie* is
    what bpf_get_attach_cookie gives, since 6.10.
    """

    name: str = field(validator=validators.min_len(1))
    cookie: int = field(default=0, kw_only=True)

    @classmethod
    def parse(cls, spec: ProgramSpec) -> Self | None:
        return cls(spec.attach_to) if spec.attach_to else None

    async def attach_program(self, program: Program) -> Link:
        """Raises UnresolvedSymbolError where the kernel has no such tracepoint, NotSupportedError for a cookie before
        6.10."""
        return await make_link(self, program, self._attach)

    def _attach(self, program: Program) -> Attachment:
        with building() as attachment:
            subject = f"program {program.name!r} on raw tracepoint {self.name!r}"
            try:
                link = kernel.raw_tracepoint_open(self.name, program, cookie=self.cookie, subject=subject)
            except KernelError as error:
                if error.errno == errno.ENOENT:
                    raise UnresolvedSymbolError(
                        f"program {program.name!r}: this kernel has no raw tracepoint {self.name!r} (or its module is "
                        "not loaded)",
                        self.name,
                    ) from error
                if self.cookie and error.errno in {errno.EINVAL, errno.E2BIG}:
                    raise NotSupportedError(f"{subject}: a cookie", "6.10") from error
                raise
            attachment.links.append(link)
            return attachment
