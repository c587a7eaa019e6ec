"""Sampling: a program that runs at a clock's tick, at every so many events, or when an address is accessed."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from attrs import field, frozen, validators

from aiobpf.errors import KernelError, NotSupportedError, SpecError, kernel_error
from aiobpf.kernel import OwnedFd, online_cpus, perf_events
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.link import Link, make_link
from aiobpf.link.path_text import optional_path_text
from aiobpf.link.perf_event_kinds import (
    Breakpoint,
    CacheEvent,
    Event,
    HardwareEvent,
    RawEvent,
    SoftwareEvent,
    event_named,
    name_of,
    numbers_of,
)
from aiobpf.link.perf_link import hang_on_event
from aiobpf.link.probe_mode import ProbeMode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec


def _cpus(cpus: Sequence[int] | None) -> tuple[int, ...] | None:
    return None if cpus is None else tuple(cpus)


@frozen
class PerfEvent:
    """An event, sampled *frequency* times a second, or at each *period*-th time (a clock's period is ns).

    *event* is a `SoftwareEvent`, `HardwareEvent`, `CacheEvent`, `RawEvent`, `PmuEvent` or `Breakpoint`, or its name as
    perf(1) has it: "cpu-clock", "cycles", "LLC-load-misses", "r1a8". On each online CPU, or on *cpus* alone, and there
    of everything or of what runs in *cgroup* (the path of a cgroup v2); or, with *pid* (0: this one), in that process:
    the threads that it has when the program is attached, and those that they start. Sections ``perf_event`` do not say
    which event.

    Since 4.9; *cookie* since 5.15. Its Link holds one kernel link a CPU or thread, so in general it cannot be pinned.
    """

    event: Event = field(default=SoftwareEvent.CPU_CLOCK, converter=event_named)
    frequency: int = field(default=0, kw_only=True, validator=validators.ge(0))
    period: int = field(default=0, kw_only=True, validator=validators.ge(0))
    pid: int | None = field(default=None, kw_only=True, validator=validators.optional(validators.ge(0)))
    cpus: tuple[int, ...] | None = field(default=None, kw_only=True, converter=_cpus)
    cgroup: str | None = field(default=None, kw_only=True, converter=optional_path_text)
    cookie: int = field(default=0, kw_only=True)
    mode: ProbeMode = field(default=ProbeMode.AUTO, converter=ProbeMode, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if bool(self.frequency) == bool(self.period):
            raise SpecError(f"{self}: say either frequency= (samples a second) or period= (events a sample)")
        if self.pid is not None and self.cpus is not None:
            raise SpecError(f"{self}: say either pid= or cpus=")
        if self.pid is not None and self.cgroup is not None:
            raise SpecError(f"{self}: say either pid= or cgroup=")
        if self.mode is ProbeMode.TRACEFS:
            raise SpecError(f"{self}: a perf event has nothing to do with tracefs")

    @classmethod
    def breakpoint(
        cls, address: int, length: int = 8, access: str = "w", *, pid: int | None = None, cookie: int = 0
    ) -> Self:
        """Each access to *length* bytes at *address*, as `Breakpoint` has it; without *pid* by anyone and the kernel.

        The program sees the registers right after the access ("x": before it). Processors watch four addresses.
        """
        return cls(Breakpoint(address, length, access), period=1, pid=pid, cookie=cookie)

    @classmethod
    def parse(cls, _spec: ProgramSpec) -> Self | None:
        return None  # a section cannot say which event, or how often

    async def attach_program(self, program: Program) -> Link:
        """Raises KernelError (EINVAL above kernel.perf_event_max_sample_rate, ENOENT for a cgroup that is not there,
        ENOSPC where the processor has no breakpoint left), NotSupportedError for an event that the machine lacks."""
        return await make_link(self, program, self._attach)

    def _attach(self, program: Program) -> Attachment:
        subject = f"program {program.name!r} on perf event {name_of(self.event)}"
        with building() as attachment, self._opened_cgroup(subject) as cgroup:
            for thread, cpu in self._places(subject):
                try:
                    event = self._open(thread, cpu, cgroup, subject)
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

    def _opened_cgroup(self, subject: str) -> contextlib.AbstractContextManager[OwnedFd | None]:
        if self.cgroup is None:
            return contextlib.nullcontext()
        try:
            return OwnedFd(os.open(self.cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), what="cgroup")
        except OSError as error:
            raise kernel_error(error.errno or errno.EIO, "open", f"{subject}, cgroup {self.cgroup!r}") from error

    def _open(self, thread: int, cpu: int, cgroup: OwnedFd | None, subject: str) -> OwnedFd:
        type_, config = numbers_of(self.event)
        at = self.event if isinstance(self.event, Breakpoint) else None
        return perf_events.perf_event_open(
            type_,
            config,
            config1=0 if at is None else at.address,
            config2=0 if at is None else at.length,
            breakpoint_access=0 if at is None else at.access_bits,
            cgroup=cgroup,
            pid=thread,
            cpu=cpu,
            sample_period=self.period,
            sample_frequency=self.frequency or None,
            inherit=thread >= 0,
            subject=subject,
        )

    def _explained(self, error: KernelError, subject: str) -> Exception:
        if error.errno == errno.ENOENT and self.cgroup is not None and isinstance(self.event, SoftwareEvent):
            return NotSupportedError(
                f"{subject}: cgroup {self.cgroup!r} has no perf_event controller",
                hint="Where cgroup v1 has that controller mounted, no cgroup v2 has it",
            )
        is_hardware = isinstance(self.event, (HardwareEvent, CacheEvent, RawEvent))
        if error.errno in {errno.ENOENT, errno.EOPNOTSUPP}:
            if is_hardware and error.errno == errno.ENOENT:
                return NotSupportedError(
                    f"{subject}: this machine has no counter for it",
                    hint="Virtual machines often have none at all; the software clocks work everywhere",
                )
            return NotSupportedError(f"{subject}: this machine has no such event, or cannot sample it")
        if isinstance(self.event, Breakpoint):
            hint = {
                errno.ENOSPC: "The processor watches no more addresses at once",
                errno.EINVAL: 'It cannot watch such an access ("r" alone, an address not aligned to the length)',
            }.get(error.errno or 0)
            return kernel_error(error.errno or 0, error.operation, subject, hint) if hint else error
        if error.errno == errno.EINVAL and self.frequency:
            return kernel_error(
                errno.EINVAL,
                error.operation,
                subject,
                f"{self.frequency} Hz may be above /proc/sys/kernel/perf_event_max_sample_rate",
            )
        return error
