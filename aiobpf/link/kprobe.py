"""Kprobes: any kernel function, at its entry, its return, or an instruction within."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen, validators

from aiobpf.errors import SpecError
from aiobpf.link.kernel_probe import KernelProbe, attach_kernel_probe
from aiobpf.link.link import Link, make_link
from aiobpf.link.probe_mode import ProbeMode
from aiobpf.link.target import split_offset

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec


@frozen
class Kprobe:
    """The entry of the kernel function *symbol*, or the instruction *offset* bytes into it. Section ``kprobe/SYMBOL``.

    A system call's own name works too: where the kernel has no function ``sys_openat``, the architecture's wrapper
    (``__x64_sys_openat``) is meant. Since 4.1; *cookie* since 5.15.
    """

    symbol: str = field(validator=validators.min_len(1))
    offset: int = field(default=0, validator=validators.ge(0))
    cookie: int = field(default=0, kw_only=True)
    mode: ProbeMode = field(default=ProbeMode.AUTO, converter=ProbeMode, kw_only=True)

    @classmethod
    def parse(cls, spec: ProgramSpec) -> Self | None:
        if not spec.attach_to:
            return None
        symbol, offset = split_offset(spec.attach_to)
        return cls(symbol, offset)

    async def attach_program(self, program: Program) -> Link:
        """Raises UnresolvedSymbolError (with near matches) where the kernel has no such function, SpecError where
        several have the name, NotSupportedError for a kernel without kprobes (CONFIG_KPROBES) or without cookies."""
        probe = KernelProbe(self.symbol, self.offset)
        return await make_link(
            self, program, lambda program: attach_kernel_probe(probe, program, self.cookie, self.mode)
        )


@frozen
class Kretprobe:
    """The return of the kernel function *symbol*. Section ``kretprobe/SYMBOL``.

    *max_active* is how many calls may be under way at once before returns are missed (0: the kernel's choice); only the
    tracefs way can say so (4.12). Otherwise as `Kprobe`.
    """

    symbol: str = field(validator=validators.min_len(1))
    max_active: int = field(default=0, kw_only=True, validator=validators.in_(range(4097)))
    cookie: int = field(default=0, kw_only=True)
    mode: ProbeMode = field(default=ProbeMode.AUTO, converter=ProbeMode, kw_only=True)

    @classmethod
    def parse(cls, spec: ProgramSpec) -> Self | None:
        if not spec.attach_to:
            return None
        symbol, offset = split_offset(spec.attach_to)
        if offset:
            raise SpecError(f"section {spec.section!r}: a return has no offset")
        return cls(symbol)

    async def attach_program(self, program: Program) -> Link:
        """As `Kprobe.attach_program`."""
        if self.max_active and self.mode not in {ProbeMode.AUTO, ProbeMode.TRACEFS}:
            raise SpecError(f"{self}: max_active needs ProbeMode.TRACEFS")
        mode = ProbeMode.TRACEFS if self.max_active else self.mode
        probe = KernelProbe(self.symbol, is_return=True, max_active=self.max_active)
        return await make_link(self, program, lambda program: attach_kernel_probe(probe, program, self.cookie, mode))
