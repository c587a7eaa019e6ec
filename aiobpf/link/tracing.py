"""Hooks that a program is bound to when it is loaded, by BTF: tp_btf, fentry and its kin, freplace.

The target is an argument of BPF_PROG_LOAD (attach_btf_id), so attaching only switches it on.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, ClassVar

from attrs import field, frozen

from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError, SpecError
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.link import Link, make_link
from aiobpf.uapi import AttachType

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec

_EOPNOTSUPP_OF_BPF = 524  # ENOTSUPP, which the kernel lets out though errno(3) does not know it


@frozen
class Tracing:
    """What a program was loaded for: *target* may be left out; given, it must be the one that was said at the load."""

    target: str = ""
    cookie: int = field(default=0, kw_only=True)

    attach_type: ClassVar[AttachType]
    word: ClassVar[str]

    @classmethod
    def parse(cls, spec: ProgramSpec) -> Self | None:
        return cls(spec.attach_to) if spec.attach_to else None

    async def attach_program(self, program: Program) -> Link:
        """Raises SpecError where the program was loaded for something else, NotSupportedError for a kernel without."""
        spec = program.spec
        if spec is not None:
            if spec.attach_type is not None and spec.attach_type != self.attach_type:
                raise SpecError(f"program {program.name!r} is loaded as {spec.attach_type.name}, not as {self.word}")
            if self.target and spec.attach_to and self.target != spec.attach_to:
                raise SpecError(
                    f"program {program.name!r} is loaded for {self.word} of {spec.attach_to!r}, not {self.target!r}: "
                    "the kernel binds it at load, so set ProgramSpec.attach_to"
                )
        return await make_link(self, program, self._attach)

    def _attach(self, program: Program) -> Attachment:
        with building() as attachment:
            target = self.target or (program.spec.attach_to if program.spec is not None else "")
            subject = f"program {program.name!r} on {self.word} of {target!r}"
            try:
                if self.attach_type == AttachType.TRACE_RAW_TP:
                    # Also with a cookie: from 5.18 to 6.9 BPF_LINK_CREATE takes one for tp_btf and forgets it.
                    link = kernel.raw_tracepoint_open(None, program, cookie=self.cookie, subject=subject)
                elif self.cookie:
                    link = kernel.link_create(program, 0, self.attach_type, cookie=self.cookie, subject=subject)
                else:  # every kernel takes this one; BPF_LINK_CREATE for these only since 5.19 (df86ca0d2f0f)
                    link = kernel.raw_tracepoint_open(None, program, subject=subject)
            except KernelError as error:
                if error.errno == errno.EINVAL and self.cookie:
                    since = "6.10" if self.attach_type == AttachType.TRACE_RAW_TP else "5.19"
                    raise NotSupportedError(f"A cookie on {self.word}", since) from error
                if error.errno in {errno.EOPNOTSUPP, _EOPNOTSUPP_OF_BPF}:
                    raise NotSupportedError(f"{subject}: this machine's kernel has no BPF trampoline") from error
                raise
            attachment.links.append(link)
            return attachment


@frozen
class TpBtf(Tracing):
    """A tracepoint with arguments typed by BTF. Section ``tp_btf/NAME``. Since 5.5; *cookie* since 6.10."""

    attach_type = AttachType.TRACE_RAW_TP
    word = "tp_btf"


@frozen
class Fentry(Tracing):
    """The entry of *target*, a function of the kernel or of the program that it was loaded for.

    Section ``fentry/NAME`` or ``fentry/MODULE:NAME``. Since 5.5 (in modules since 5.11); *cookie* since 5.19.
    """

    attach_type = AttachType.TRACE_FENTRY
    word = "fentry"


@frozen
class Fexit(Tracing):
    """The return of the kernel function *target*, with its arguments too. Section ``fexit/NAME``. Since 5.5.

    Otherwise as `Fentry`.
    """

    attach_type = AttachType.TRACE_FEXIT
    word = "fexit"


@frozen
class FmodRet(Tracing):
    """The entry of the kernel function *target*, which does not run where the program returns another value than 0: the
    caller gets that one. Section ``fmod_ret/NAME``. Since 5.7; *cookie* since 5.19.

    The kernel allows that for functions called ``security_...``, and for those marked for error injection.
    """

    attach_type = AttachType.MODIFY_RETURN
    word = "fmod_ret"


@frozen
class Fsession(Tracing):
    """Entry and return of each call of the kernel function *target*: one program sees both. Section ``fsession/NAME``.

    Since 7.0. The kfunc bpf_session_is_return tells which one it is, bpf_session_cookie gives 8 bytes that last from
    one to the other; the return is left out where the program returned another value than 0 at the entry.
    """

    attach_type = AttachType.TRACE_FSESSION
    word = "fsession"


@frozen
class Freplace:
    """The function *target* of the program that this one was loaded for, which runs in its place while it is attached.

    Section ``freplace/NAME``. Since 5.6. *target* may be left out; given, it must be the one that was said at the load.
    """

    target: str = ""

    @classmethod
    def parse(cls, spec: ProgramSpec) -> Freplace:
        return cls(spec.attach_to)

    async def attach_program(self, program: Program) -> Link:
        """Raises SpecError where the program was loaded for another function."""
        spec = program.spec
        if spec is not None and self.target and spec.attach_to and self.target != spec.attach_to:
            raise SpecError(
                f"program {program.name!r} is loaded to replace {spec.attach_to!r}, not {self.target!r}: the kernel "
                "binds it at load, so set ProgramSpec.attach_to"
            )
        return await make_link(self, program, self._attach)

    def _attach(self, program: Program) -> Attachment:
        with building() as attachment:
            subject = f"program {program.name!r} in place of {self.target or 'another'!r}"
            attachment.links.append(kernel.raw_tracepoint_open(None, program, subject=subject))
            return attachment
