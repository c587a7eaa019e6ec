"""Sampling: a program that runs at a clock's tick or at every so many events, on each CPU or in one process."""

from __future__ import annotations

import errno
import os
from enum import Enum
from typing import TYPE_CHECKING

from attrs import field, frozen, validators

from aiobpf.errors import KernelError, NotSupportedError, SpecError, kernel_error
from aiobpf.kernel import online_cpus, perf_events
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.link import Link, make_link
from aiobpf.link.perf_link import hang_on_event
from aiobpf.link.probe_mode import ProbeMode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from aiobpf.kernel import OwnedFd
    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec


class SoftwareEvent(Enum):
    """What the kernel itself can count (perf_event_open(2), enum perf_sw_ids)."""

    CPU_CLOCK = 0
    TASK_CLOCK = 1
    PAGE_FAULTS = 2
    CONTEXT_SWITCHES = 3
    CPU_MIGRATIONS = 4
    MINOR_FAULTS = 5
    MAJOR_FAULTS = 6
    ALIGNMENT_FAULTS = 7
    EMULATION_FAULTS = 8


def _event(event: SoftwareEvent | str) -> SoftwareEvent:
    if isinstance(event, SoftwareEvent):
        return event
    try:
        return SoftwareEvent[str(event).upper().replace("-", "_")]
    except KeyError:
        known = ", ".join(each.name.lower().replace("_", "-") for each in SoftwareEvent)
        raise SpecError(f"there is no software event {event!r}; there are {known}") from None


def _cpus(cpus: Sequence[int] | None) -> tuple[int, ...] | None:
    return None if cpus is None else tuple(cpus)


@frozen
class PerfEvent:
    """A software event, sampled *frequency* times a second, or at each *period*-th event (a clock's period is ns).

    On each online CPU, or on *cpus* alone; or, with *pid* (0: this one), in that process: the threads that it has when
    the program is attached, and those that they start. Sections ``perf_event`` do not say which event. *event* may be
    given by its name, as perf(1) has it: "cpu-clock".

    Since 4.9; *cookie* since 5.15. Its Link holds one kernel link a CPU or thread, so in general it cannot be pinned.
    """

    event: SoftwareEvent = field(default=SoftwareEvent.CPU_CLOCK, converter=_event)
    frequency: int = field(default=0, kw_only=True, validator=validators.ge(0))
    period: int = field(default=0, kw_only=True, validator=validators.ge(0))
    pid: int | None = field(default=None, kw_only=True, validator=validators.optional(validators.ge(0)))
    cpus: tuple[int, ...] | None = field(default=None, kw_only=True, converter=_cpus)
    cookie: int = field(default=0, kw_only=True)
    mode: ProbeMode = field(default=ProbeMode.AUTO, converter=ProbeMode, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if bool(self.frequency) == bool(self.period):
            raise SpecError(f"{self}: say either frequency= (samples a second) or period= (events a sample)")
        if self.pid is not None and self.cpus is not None:
            raise SpecError(f"{self}: say either pid= or cpus=")
        if self.mode is ProbeMode.TRACEFS:
            raise SpecError(f"{self}: a perf event has nothing to do with tracefs")

    @classmethod
    def parse(cls, _spec: ProgramSpec) -> Self | None:
        return None  # a section cannot say which event, or how often

    async def attach_program(self, program: Program) -> Link:
        """Raises KernelError (EINVAL above kernel.perf_event_max_sample_rate), NotSupportedError."""
        return await make_link(self, program, self._attach)

    def _attach(self, program: Program) -> Attachment:
        subject = f"program {program.name!r} on perf event {self.event.name.lower()}"
        with building() as attachment:
            for thread, cpu in self._places(subject):
                try:
                    event = self._open(thread, cpu, subject)
                except KernelError as error:
                    if error.errno in {errno.ENODEV, errno.ESRCH} and self.cpus is None:
                        continue  # the CPU went offline, or the thread ended, since the list was read
                    raise self._explained(error, subject) from error
                attachment.events.append(event)
                hang_on_event(attachment, program, event, cookie=self.cookie, mode=self.mode, subject=subject)
            if not attachment.events:
                raise kernel_error(errno.ESRCH, "perf_event_open", subject, "The process ended meanwhile")
            return attachment

    def _places(self, subject: str) -> list[tuple[int, int]]:
        """The (thread, CPU) of each event."""
        if self.pid is None:
            return [(-1, cpu) for cpu in (online_cpus() if self.cpus is None else self.cpus)]
        pid = self.pid or os.getpid()
        try:
            # An event belongs to one thread; the pid alone would be its main thread.
            return [(int(thread), -1) for thread in os.listdir(f"/proc/{pid}/task")]
        except OSError as error:
            raise kernel_error(errno.ESRCH, "perf_event_open", subject, f"There is no process {pid}") from error

    def _open(self, thread: int, cpu: int, subject: str) -> OwnedFd:
        return perf_events.perf_event_open(
            perf_events.TYPE_SOFTWARE,
            self.event.value,
            pid=thread,
            cpu=cpu,
            sample_period=self.period,
            sample_frequency=self.frequency or None,
            inherit=thread >= 0,
            subject=subject,
        )

    def _explained(self, error: KernelError, subject: str) -> Exception:
        if error.errno == errno.ENOENT:
            return NotSupportedError(f"{subject}: this machine has no such event")
        if error.errno == errno.EINVAL and self.frequency:
            return kernel_error(
                errno.EINVAL,
                error.operation,
                subject,
                f"{self.frequency} Hz may be above /proc/sys/kernel/perf_event_max_sample_rate",
            )
        return error
