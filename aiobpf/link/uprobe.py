"""Uprobes: any function of an executable or library, in all processes that run it or in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen, validators

from aiobpf.errors import SpecError
from aiobpf.link.link import Link, make_link
from aiobpf.link.path_text import path_text
from aiobpf.link.probe_mode import ProbeMode
from aiobpf.link.target import parse_offset, split_binary, split_offset
from aiobpf.link.user_probe import UserProbe, attach_user_probe

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.link.attachment import Attachment
    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec


@frozen
class _UserFunction:
    """*binary* is a path, or a bare name: a library ("libc", "libssl.so.3") or a program ("bash"); a library that a zip
    archive holds uncompressed is ``base.apk!/lib/x86_64/libapp.so``.

    A bare name is looked for in what process *pid* has mapped, then as `aiobpf.link.library_path` says. *symbol* may
    carry a version (``memcpy@GLIBC_2.14``), or be a C++ or Rust name as the source has it (``ns::function``,
    ``ns::function(int)``: with the extra [demangle]); *offset* is added to it, or without a symbol is the place in the
    file itself. *pid* is the process to watch, None for all, 0 for this one.

    *ref_ctr_offset* is the file offset of a 16-bit counter that the kernel raises while the probe is there (a USDT
    semaphore, since 4.20). *cookie* is what bpf_get_attach_cookie gives (5.15).

    A probe belongs to the file, by its inode: a copy in a container image is another one.
    """

    binary: str = field(converter=path_text, validator=validators.min_len(1))
    symbol: str = ""
    offset: int = field(default=0, validator=validators.ge(0))
    pid: int | None = field(default=None, kw_only=True, validator=validators.optional(validators.ge(0)))
    cookie: int = field(default=0, kw_only=True)
    ref_ctr_offset: int = field(default=0, kw_only=True, validator=validators.ge(0))
    mode: ProbeMode = field(default=ProbeMode.AUTO, converter=ProbeMode, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not self.symbol and not self.offset:
            raise SpecError(f"{self}: say which function, or which offset in the file")

    @classmethod
    def parse(cls, spec: ProgramSpec) -> Self | None:
        # libbpf too attaches nothing for a section that names no function ("uprobe/readline"): the caller will say.
        place = split_binary(spec.attach_to)
        if place is None:
            return None
        binary, function = place
        if not binary or not function:
            raise SpecError(f"section {spec.section!r} is not {spec.section.partition('/')[0]}/BINARY:FUNCTION+OFFSET")
        offset = parse_offset(function)
        if offset is not None:
            return cls(binary, offset=offset)
        symbol, offset = split_offset(function)
        return cls(binary, symbol, offset)

    async def _attach_program(self, program: Program, *, is_return: bool) -> Link:
        def attach(program: Program) -> Attachment:
            probe = UserProbe(self.binary, self.symbol, self.offset, self.pid, self.ref_ctr_offset, is_return=is_return)
            return attach_user_probe(probe, program, self.cookie, self.mode)

        return await make_link(self, program, attach)


@frozen
class Uprobe(_UserFunction):
    __doc__ = f"""The entry of a user function. Section ``uprobe/BINARY:FUNCTION+OFFSET``. Since 4.3.

    {_UserFunction.__doc__}"""

    async def attach_program(self, program: Program) -> Link:
        """Raises KernelError (ENOENT) where there is no such binary or process, ElfError where it is no ELF file,
        UnresolvedSymbolError (with near matches), SpecError where several functions have it, NotSupportedError."""
        return await self._attach_program(program, is_return=False)


@frozen
class Uretprobe(_UserFunction):
    __doc__ = f"""The return of a user function. Section ``uretprobe/BINARY:FUNCTION``. Since 4.3.

    {_UserFunction.__doc__}"""

    @classmethod
    def parse(cls, spec: ProgramSpec) -> Self | None:
        probe = super().parse(spec)
        if probe is not None and probe.symbol and probe.offset:
            raise SpecError(f"section {spec.section!r}: a return has no offset")
        return probe

    async def attach_program(self, program: Program) -> Link:
        """As `Uprobe.attach_program`."""
        return await self._attach_program(program, is_return=True)
