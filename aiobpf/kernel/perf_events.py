"""perf_event_open(2): what BPF hangs on (probes, tracepoints, samples) and the buffers of perf event arrays."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from aiobpf._native import lib
from aiobpf.errors import BpfError, KernelError, NotSupportedError, kernel_error
from aiobpf.kernel.capabilities import Capability, privilege_error
from aiobpf.kernel.fd import FdLike, OwnedFd, number
from aiobpf.kernel.layout import Layout

if TYPE_CHECKING:
    from typing_extensions import Buffer

_ATTR = Layout(
    "type:I size:I config:Q sample_period:Q sample_type:Q read_format:Q flags:Q wakeup:I bp_type:I config1:P config2:Q"
    " branch_sample_type:Q sample_regs_user:Q sample_stack_user:I clockid:i sample_regs_intr:Q aux_watermark:I"
    " sample_max_stack:H reserved_2:H"
)
_ATTR_SIZE = 112  # PERF_ATTR_SIZE_VER5 (4.1): what every kernel with BPF perf events takes

TYPE_HARDWARE = 0
TYPE_SOFTWARE = 1
TYPE_TRACEPOINT = 2
TYPE_HW_CACHE = 3
TYPE_RAW = 4
TYPE_BREAKPOINT = 5
COUNT_SW_CPU_CLOCK = 0
COUNT_SW_TASK_CLOCK = 1
COUNT_SW_PAGE_FAULTS = 2
COUNT_SW_BPF_OUTPUT = 10
SAMPLE_TIME = 1 << 2
SAMPLE_RAW = 1 << 10
FORMAT_LOST = 1 << 4

_DISABLED = 1 << 0
_INHERIT = 1 << 1
_FREQ = 1 << 10
_WATERMARK = 1 << 14
_USE_CLOCKID = 1 << 25
_WRITE_BACKWARD = 1 << 27
_FLAG_PID_CGROUP = 1 << 2
_FLAG_FD_CLOEXEC = 1 << 3

_IOC_ENABLE = 0x2400
_IOC_DISABLE = 0x2401
_IOC_SET_BPF = 0x40042408
_IOC_PAUSE_OUTPUT = 0x40042409

_EVENT_SOURCES = Path("/sys/bus/event_source/devices")


def perf_event_open(
    type: int,  # noqa: A002 the field's own word
    config: int,
    *,
    pid: int = -1,
    cpu: int = 0,
    sample_period: int = 0,
    sample_frequency: int | None = None,
    sample_type: int = 0,
    read_format: int = 0,
    config1: int | Buffer = 0,
    config2: int = 0,
    wakeup_events: int = 0,
    wakeup_watermark: int | None = None,
    clock: int | None = None,
    disabled: bool = False,
    inherit: bool = False,
    group: FdLike | None = None,
    cgroup: FdLike | None = None,
    breakpoint_access: int = 0,
    is_backward: bool = False,
    subject: str = "perf event",
) -> OwnedFd:
    """An event of *pid* (-1: every process, then *cpu* must be one) on *cpu* (-1: wherever *pid* runs), or of what runs
    in the *cgroup* (a descriptor of its folder) on *cpu*.

    *sample_frequency* (Hz) instead of *sample_period*; *wakeup_watermark* (bytes) instead of *wakeup_events*; *clock*
    is the clock id of the samples' time; *config1* may be a buffer that the kernel reads (a probe's function or path).
    *is_backward* (4.7): records are written from the buffer's end on, over the oldest where it is mapped read-only.
    A breakpoint has its address in *config1*, its length in *config2*, and HW_BREAKPOINT_* in *breakpoint_access*.
    KernelError: ENOENT (this machine has no such event), ENODEV, EINVAL, ESRCH (no process *pid*), and
    MissingPrivilegeError.
    """
    flags = (_DISABLED if disabled else 0) | (_INHERIT if inherit else 0)
    if sample_frequency is not None:
        flags |= _FREQ
    if wakeup_watermark is not None:
        flags |= _WATERMARK
    if clock is not None:
        flags |= _USE_CLOCKID
    if is_backward:
        flags |= _WRITE_BACKWARD
    attr = _ATTR.make(
        type=type,
        size=_ATTR_SIZE,
        config=config,
        sample_period=sample_period if sample_frequency is None else sample_frequency,
        sample_type=sample_type,
        read_format=read_format,
        flags=flags,
        wakeup=wakeup_events if wakeup_watermark is None else wakeup_watermark,
        bp_type=breakpoint_access,
        config1=config1,
        config2=config2,
        clockid=clock or 0,
    )
    owner = OwnedFd(what=subject)
    leader = -1 if group is None else number(group)
    open_flags = _FLAG_FD_CLOEXEC
    if cgroup is not None:
        pid, open_flags = number(cgroup), open_flags | _FLAG_PID_CGROUP
    error = -lib.sys_perf_event_open(attr.address, pid, cpu, leader, open_flags, owner.cell)
    if error:
        raise privilege_error(error, "perf_event_open", subject, (Capability.PERFMON,))
    return owner


def open_bpf_output(
    cpu: int, *, wakeup_events: int = 1, with_time: bool = False, is_backward: bool = False, subject: str = ""
) -> OwnedFd:
    """The event that bpf_perf_event_output writes to on *cpu*: for one slot of a perf event array.

    Wakes after *wakeup_events* samples. *with_time* puts the sample's CLOCK_MONOTONIC time (ns) before it.
    """

    def open_with(read_format: int) -> OwnedFd:
        return perf_event_open(
            TYPE_SOFTWARE,
            COUNT_SW_BPF_OUTPUT,
            cpu=cpu,
            sample_period=1,
            sample_type=SAMPLE_RAW | (SAMPLE_TIME if with_time else 0),
            read_format=read_format,
            wakeup_events=wakeup_events,
            clock=1 if with_time else None,
            is_backward=is_backward,
            subject=subject or f"perf buffer of CPU {cpu}",
        )

    try:
        return open_with(FORMAT_LOST)  # since 6.0 (119a784c8127)
    except KernelError as error:
        if error.errno != errno.EINVAL:
            raise
        return open_with(0)


def read_lost(event: FdLike) -> int | None:
    """How many samples an event of `open_bpf_output` had no room for; None before Linux 6.0, which does not tell."""
    raw = os.read(number(event), 16)
    if len(raw) < 16:
        return None
    lost: int = struct.unpack("=QQ", raw)[1]
    return lost


def open_tracepoint(tracepoint_id: int, *, pid: int = -1, cpu: int = 0, subject: str = "tracepoint") -> OwnedFd:
    """A tracepoint by the id that tracefs gives it. One event is enough for every CPU when BPF hangs on it."""
    return perf_event_open(TYPE_TRACEPOINT, tracepoint_id, pid=pid, cpu=cpu, sample_period=1, subject=subject)


def open_uprobe(
    path: str | bytes,
    offset: int,
    *,
    pid: int = -1,
    is_return: bool = False,
    semaphore: int = 0,
    subject: str = "",
) -> OwnedFd:
    """A probe on the byte at *offset* of the file *path* (4.17), of *pid* or every process (-1).

    *semaphore* is the file offset of the reference counter that the kernel raises while it is there (4.20).
    NotSupportedError where the kernel has no uprobe events. KernelError: ENOENT, EINVAL (not at an instruction).
    """
    source = event_source("uprobe")
    config = source.bit("retprobe") if is_return else 0
    if semaphore:
        config |= semaphore << source.shift("ref_ctr_offset")
    return perf_event_open(
        source.type,
        config,
        pid=pid,
        cpu=-1 if pid >= 0 else 0,
        config1=(path.encode() if isinstance(path, str) else path) + b"\0",
        config2=offset,
        subject=subject or f"uprobe {path!r}+{offset:#x}",
    )


def open_kprobe(
    function: str | None = None,
    *,
    offset: int = 0,
    address: int = 0,
    is_return: bool = False,
    subject: str = "",
) -> OwnedFd:
    """A probe on a kernel function (4.17), or with *function* None on *address*.

    NotSupportedError where the kernel has no kprobe events. KernelError: ENOENT (no such function), EINVAL (not there).
    """
    source = event_source("kprobe")
    return perf_event_open(
        source.type,
        source.bit("retprobe") if is_return else 0,
        cpu=0,
        config1=0 if function is None else function.encode() + b"\0",
        config2=offset if function is not None else address,
        subject=subject or f"kprobe {function or hex(address)}",
    )


def enable(event: FdLike, *, subject: str = "perf event") -> None:
    _ioctl(event, _IOC_ENABLE, 0, "PERF_EVENT_IOC_ENABLE", subject)


def disable(event: FdLike, *, subject: str = "perf event") -> None:
    _ioctl(event, _IOC_DISABLE, 0, "PERF_EVENT_IOC_DISABLE", subject)


def pause_output(event: FdLike, *, is_paused: bool, subject: str = "perf event") -> None:
    """Have the event's buffer written to no more, or again (4.7): samples of that time are lost."""
    _ioctl(event, _IOC_PAUSE_OUTPUT, int(is_paused), "PERF_EVENT_IOC_PAUSE_OUTPUT", subject)


def set_bpf(event: FdLike, program: FdLike, *, subject: str = "perf event") -> None:
    """Hang *program* on the event for as long as the event is open: the way before perf links (5.15).

    KernelError: EEXIST (it has a program), EINVAL (its type does not fit the event).
    """
    _ioctl(event, _IOC_SET_BPF, number(program), "PERF_EVENT_IOC_SET_BPF", subject)


def _ioctl(event: FdLike, request: int, argument: int, operation: str, subject: str) -> None:
    error = -lib.sys_ioctl(number(event), request, argument)
    if error > 0:
        raise kernel_error(error, operation, subject)


class EventSource:
    """A kind of event that the kernel describes in sysfs: its type, and where its options go in ``config``."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self._directory = directory
        try:
            self.type = int((directory / "type").read_text())
        except OSError as error:
            option = {"kprobe": "CONFIG_KPROBE_EVENTS", "uprobe": "CONFIG_UPROBE_EVENTS"}.get(name)
            if error.errno == errno.ENOENT:
                hint = f"It needs a kernel with {option}" if option else None
                raise NotSupportedError(f"{name} events", hint=hint) from None
            raise

    def bit(self, option: str) -> int:
        """The bit of config that *option* is."""
        return 1 << self.shift(option)

    def shift(self, option: str) -> int:
        """Where *option* begins in config. NotSupportedError if this kernel does not have it."""
        try:
            text = (self._directory / "format" / option).read_text()
        except FileNotFoundError:
            hint = "This kernel does not have it"
            raise NotSupportedError(f"option {option} of {self.name} events", hint=hint) from None
        place, _, bits = text.strip().partition(":")
        first = bits.partition("-")[0]
        if place != "config" or not first.isdigit():
            raise BpfError(f"{self._directory}/format/{option} says {text.strip()!r}")
        return int(first)


def event_source(name: str, root: Path = _EVENT_SOURCES) -> EventSource:
    """The event source of that name ("uprobe"). NotSupportedError if this kernel does not have it."""
    return EventSource(name, root / name)
