"""System calls by the name that user space knows them by."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from attrs import field, frozen, validators

from aiobpf.errors import UnresolvedSymbolError
from aiobpf.kernel.kallsyms import WRAPPER_PREFIXES
from aiobpf.link.kernel_probe import KernelProbe, attach_kernel_probe
from aiobpf.link.link import Link, make_link
from aiobpf.link.probe_mode import ProbeMode

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.link.attachment import Attachment
    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec


def functions_of(call: str, machine: str | None = None) -> list[str]:
    """What the kernel may call the function of a system call on this architecture, the likeliest first."""
    prefix = WRAPPER_PREFIXES.get(machine or platform.machine())
    # __se_sys_ is where the arguments are whole on kernels without wrappers (include/linux/syscalls.h).
    return ([f"{prefix}{call}"] if prefix is not None else []) + [f"__se_sys_{call}"]


@frozen
class _SystemCall:
    name: str = field(validator=validators.min_len(1))
    cookie: int = field(default=0, kw_only=True)
    mode: ProbeMode = field(default=ProbeMode.AUTO, converter=ProbeMode, kw_only=True)

    @classmethod
    def parse(cls, spec: ProgramSpec) -> Self | None:
        return cls(spec.attach_to) if spec.attach_to else None

    async def _attach_program(self, program: Program, *, is_return: bool) -> Link:
        def attach(program: Program) -> Attachment:
            for name in functions_of(self.name):
                probe = KernelProbe(name, is_return=is_return)
                try:
                    return attach_kernel_probe(probe, program, self.cookie, self.mode)
                except UnresolvedSymbolError:
                    continue
            raise UnresolvedSymbolError(
                f"program {program.name!r}: this kernel has no system call {self.name!r} "
                f"(no function {' or '.join(functions_of(self.name))})",
                self.name,
            )

        return await make_link(self, program, attach)


@frozen
class Ksyscall(_SystemCall):
    """The entry of the system call *name* ("openat"), whatever its function is called here. Section ``ksyscall/NAME``.

    A kprobe on that function, so since 4.1 and *cookie* since 5.15. Where the kernel has wrappers (x86-64 since 4.17),
    the function's one argument is the caller's registers: BPF_KSYSCALL of bpf_tracing.h reads the arguments either way.
    Calls of 32-bit programs are other functions.
    """

    async def attach_program(self, program: Program) -> Link:
        """Raises UnresolvedSymbolError where there is no such system call; otherwise as `Kprobe.attach_program`."""
        return await self._attach_program(program, is_return=False)


@frozen
class Kretsyscall(_SystemCall):
    """The return of the system call *name*. Section ``kretsyscall/NAME``. Otherwise as `Ksyscall`."""

    async def attach_program(self, program: Program) -> Link:
        """As `Ksyscall.attach_program`."""
        return await self._attach_program(program, is_return=True)
