"""Tracepoints: static places in the kernel, with a record that /sys/kernel/tracing/events describes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen, validators

from aiobpf.errors import KernelError, NotSupportedError, SpecError, UnresolvedSymbolError, kernel_error
from aiobpf.kernel import perf_events
from aiobpf.kernel.tracefs import Tracefs
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.link import Link, make_link
from aiobpf.link.near import near_hint
from aiobpf.link.perf_link import hang_on_event
from aiobpf.link.probe_mode import ProbeMode

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec


@frozen
class Tracepoint:
    """The tracepoint *category*/*name* ("sched", "sched_switch"). Section ``tracepoint/CATEGORY/NAME`` or ``tp/...``.

    Since 4.7; *cookie* (what bpf_get_attach_cookie gives) since 5.15. It is found through tracefs; where that is not
    mounted, root finds it through a private mount.
    """

    category: str = field(validator=validators.min_len(1))
    name: str = field(validator=validators.min_len(1))
    cookie: int = field(default=0, kw_only=True)
    mode: ProbeMode = field(default=ProbeMode.AUTO, converter=ProbeMode, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.mode is ProbeMode.TRACEFS:
            raise SpecError(f"{self}: a tracepoint is there already; ProbeMode.TRACEFS is for probes")

    @classmethod
    def parse(cls, spec: ProgramSpec) -> Self | None:
        if not spec.attach_to:
            return None
        category, slash, name = spec.attach_to.partition("/")
        if not slash or not category or not name or "/" in name:
            raise SpecError(f"section {spec.section!r} is not tracepoint/CATEGORY/NAME")
        return cls(category, name)

    async def attach_program(self, program: Program) -> Link:
        """Raises UnresolvedSymbolError where there is no such tracepoint, KernelError where tracefs cannot be read."""
        return await make_link(self, program, self._attach)

    def _attach(self, program: Program) -> Attachment:
        subject = f"program {program.name!r} on tracepoint {self.category}/{self.name}"
        with building() as attachment:
            event = perf_events.open_tracepoint(self._id(program), subject=subject)
            attachment.events.append(event)
            hang_on_event(attachment, program, event, cookie=self.cookie, mode=self.mode, subject=subject)
            return attachment

    def _id(self, program: Program) -> int:
        try:
            tracefs = Tracefs.open()
        except KernelError as error:
            subject = f"program {program.name!r} on tracepoint {self.category}/{self.name}: {error.subject}"
            raise kernel_error(error.errno or 0, error.operation, subject, error.hint) from error
        with tracefs:
            try:
                return tracefs.tracepoint_id(self.category, self.name)
            except (NotSupportedError, ValueError) as error:  # ValueError: characters that no name has
                whole = f"{self.category}/{self.name}"
                names = (line.replace(":", "/") for line in tracefs.read("available_events").splitlines())
                raise UnresolvedSymbolError(
                    f"program {program.name!r}: this kernel has no tracepoint {whole!r}{near_hint(whole, names)}", whole
                ) from error
