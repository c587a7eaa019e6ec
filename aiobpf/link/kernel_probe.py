"""How a kprobe gets onto a kernel function: through the PMU or tracefs, under the name that the kernel has for it."""

from __future__ import annotations

import errno
import platform
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from aiobpf.errors import KernelError, NotSupportedError, SpecError, UnresolvedSymbolError, kernel_error
from aiobpf.kernel import perf_events
from aiobpf.kernel.kallsyms import WRAPPER_PREFIXES, Kallsyms
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.near import near_hint
from aiobpf.link.perf_link import hang_on_event
from aiobpf.link.probe_events import hang_on_probe_event
from aiobpf.link.probe_mode import ProbeMode

if TYPE_CHECKING:
    from aiobpf.runtime.program import Program


@frozen
class KernelProbe:
    """A place in a kernel function; with *address* that one, whatever else is called *symbol* (static functions)."""

    symbol: str
    offset: int = 0
    is_return: bool = False
    max_active: int = 0
    address: int = 0

    def __str__(self) -> str:
        word = "kretprobe" if self.is_return else "kprobe"
        return f"{word} {self.symbol!r}" + (f"+{self.offset:#x}" if self.offset else "")


def wrapper_of(symbol: str, machine: str | None = None) -> str | None:
    """The function that a system call's own name ("sys_openat") stands for on this architecture, None if none."""
    prefix = WRAPPER_PREFIXES.get(machine or platform.machine())
    return prefix + symbol.removeprefix("sys_") if prefix is not None and symbol.startswith("sys_") else None


def attach_kernel_probe(probe: KernelProbe, program: Program, cookie: int, mode: ProbeMode) -> Attachment:
    """Put *program* on *probe*; blocks. Raises as `aiobpf.link.Kprobe.attach_program` says."""
    try:
        return _attach(probe, program, cookie, mode)
    except KernelError as error:
        wrapper = wrapper_of(probe.symbol)
        # EINVAL: what tracefs says of a name that it does not know, and of an alias that cannot be probed.
        if wrapper is not None and error.errno in {errno.ENOENT, errno.EINVAL}:
            wrapped = evolve(probe, symbol=wrapper)
            try:
                return _attach(wrapped, program, cookie, mode)
            except KernelError as second:
                explained = _explained(second, wrapped, program)
                if not isinstance(explained, UnresolvedSymbolError):
                    raise explained from second
        raise _explained(error, probe, program) from error


def _attach(probe: KernelProbe, program: Program, cookie: int, mode: ProbeMode) -> Attachment:
    subject = f"program {program.name!r} on {probe}"
    with building() as attachment:
        if mode is not ProbeMode.TRACEFS:
            try:
                event = perf_events.open_kprobe(
                    None if probe.address else probe.symbol,
                    offset=probe.offset,
                    address=probe.address,
                    is_return=probe.is_return,
                    subject=subject,
                )
            except NotSupportedError:
                if mode is not ProbeMode.AUTO:
                    raise
            else:
                attachment.events.append(event)
                hang_on_event(attachment, program, event, cookie=cookie, mode=mode, subject=subject)
                return attachment
        hang_on_probe_event(
            attachment,
            program,
            "kprobe",
            probe.symbol,
            hex(probe.address) if probe.address else f"{probe.symbol}+{probe.offset}" if probe.offset else probe.symbol,
            is_return=probe.is_return,
            max_active=probe.max_active,
            cookie=cookie,
            subject=subject,
        )
        return attachment


def _explained(error: KernelError, probe: KernelProbe, program: Program) -> Exception:
    subject = f"program {program.name!r} on {probe}"
    # EADDRNOTAVAIL: several functions have the name (since 6.7, b022f0c7e404; before, the first was taken).
    if error.errno not in {errno.ENOENT, errno.EINVAL, errno.EADDRNOTAVAIL, errno.EILSEQ, errno.EOPNOTSUPP}:
        return error
    try:
        symbols = Kallsyms.read()
    except OSError:
        return error
    found = symbols.lookup(probe.symbol)
    if not found:
        names = symbols.function_names()
        return UnresolvedSymbolError(
            f"program {program.name!r}: this kernel has no function {probe.symbol!r}{near_hint(probe.symbol, names)}",
            probe.symbol,
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return SpecError(f"{subject}: this kernel has {len(found)} functions of that name")
    if error.errno == errno.EILSEQ:
        return kernel_error(error.errno, error.operation, subject, "The offset is not where an instruction begins")
    return kernel_error(
        error.errno or errno.EINVAL,
        error.operation,
        subject,
        "The function is there, but may not be probed (notrace, or on the blacklist), or the offset is outside it",
    )
