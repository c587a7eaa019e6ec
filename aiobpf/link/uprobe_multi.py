"""One link on many user functions: faster to attach than as many uprobes, and one object to pin."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from attrs import field, frozen, validators

from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError, SpecError, kernel_error
from aiobpf.kernel import Feature, features
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.library_path import resolve_binary
from aiobpf.link.link import Link, make_link
from aiobpf.link.path_text import path_text
from aiobpf.link.target import split_binary, split_offset
from aiobpf.link.uprobe_names import functions_like
from aiobpf.link.uprobe_symbols import absolute_offset, function_offset
from aiobpf.symbols.archive import split_archive
from aiobpf.symbols.elf_image import open_elf
from aiobpf.uapi import AttachType

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec


def _names(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _numbers(value: int | Iterable[int]) -> int | tuple[int, ...]:
    return value if isinstance(value, int) else tuple(value)


def _places(value: int | Iterable[int]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)


@frozen
class _UserFunctions:
    """The places are said in one of three ways: a *pattern* of names ("SSL_*"; "*" and "?" are wild), *symbols*, each
    as `Uprobe` takes one and with an offset if need be ("malloc", "read+0x4"), or *offsets* in the file.

    *binary* and *pid* are as `Uprobe` has them. *cookies* is what bpf_get_attach_cookie gives: one number for all, or
    one for each place; with a pattern, whose places are in the order of their offsets, one for all.
    *ref_ctr_offsets* are file offsets of counters that the kernel raises (semaphores), one for each symbol or offset.
    """

    binary: str = field(converter=path_text, validator=validators.min_len(1))
    pattern: str = ""
    symbols: tuple[str, ...] = field(default=(), kw_only=True, converter=_names)
    offsets: tuple[int, ...] = field(default=(), kw_only=True, converter=_places)
    cookies: int | tuple[int, ...] = field(default=(), kw_only=True, converter=_numbers)
    ref_ctr_offsets: tuple[int, ...] = field(default=(), kw_only=True, converter=_places)
    pid: int | None = field(default=None, kw_only=True, validator=validators.optional(validators.ge(0)))

    def __attrs_post_init__(self) -> None:
        if sum(map(bool, (self.pattern, self.symbols, self.offsets))) != 1:
            raise SpecError(f"{self}: say either a pattern, or symbols=, or offsets=")
        count = len(self.symbols) or len(self.offsets)
        for name in ("cookies", "ref_ctr_offsets"):
            values: Any = getattr(self, name)
            if not isinstance(values, int) and values and len(values) != count:
                raise SpecError(f"{self}: {name} has {len(values)} values for {count or 'who knows how many'} places")

    @classmethod
    def parse(cls, spec: ProgramSpec) -> Self | None:
        place = split_binary(spec.attach_to)
        if place is None:
            return None
        binary, pattern = place
        if not binary or not pattern:
            raise SpecError(f"section {spec.section!r} is not {spec.section.partition('/')[0]}/BINARY:PATTERN")
        return cls(binary, pattern)

    def _places_in(self, path: str) -> list[int]:
        if self.pattern:
            with open_elf(path, f"binary {path!r}") as image:
                return [function.offset for function in functions_like(image, self.pattern)]
        if self.symbols:
            return [function_offset(path, *split_offset(symbol)) for symbol in self.symbols]
        return [absolute_offset(path, offset) for offset in self.offsets]

    async def _attach_program(
        self, program: Program, *, is_return: bool = False, attach_type: AttachType = AttachType.TRACE_UPROBE_MULTI
    ) -> Link:
        def attach(program: Program) -> Attachment:
            path = resolve_binary(self.binary, self.pid)
            places = self._places_in(path)
            cookies = [self.cookies] * len(places) if isinstance(self.cookies, int) else self.cookies
            with building() as attachment:
                attachment.links.append(
                    hang_on_places(
                        program,
                        split_archive(path)[0],
                        places,
                        cookies=cookies,
                        semaphores=self.ref_ctr_offsets,
                        pid=self.pid,
                        is_return=is_return,
                        attach_type=attach_type,
                        subject=f"program {program.name!r} on {self}",
                    )
                )
                return attachment

        return await make_link(self, program, attach)


@frozen
class UprobeMulti(_UserFunctions):
    __doc__ = f"""The entries of many functions of one binary, through one link. Since 6.6.

    Section ``uprobe.multi/BINARY:PATTERN``, and ``uprobe.multi.s/`` for a program that may sleep.

    {_UserFunctions.__doc__}"""

    async def attach_program(self, program: Program) -> Link:
        """Raises as `Uprobe.attach_program`, and NotSupportedError where the kernel has no such links."""
        return await self._attach_program(program)


@frozen
class UretprobeMulti(_UserFunctions):
    __doc__ = f"""The returns of many functions of one binary, through one link. Since 6.6.

    Section ``uretprobe.multi/BINARY:PATTERN``, and ``uretprobe.multi.s/``.

    {_UserFunctions.__doc__}"""

    async def attach_program(self, program: Program) -> Link:
        """As `UprobeMulti.attach_program`."""
        return await self._attach_program(program, is_return=True)


@frozen
class UprobeSession(_UserFunctions):
    __doc__ = f"""Entry and return of each call of many functions: one program sees both. Since 6.13.

    Section ``uprobe.session/BINARY:PATTERN``, and ``uprobe.session.s/``. The kfunc bpf_session_is_return tells which
    one it is, bpf_session_cookie gives 8 bytes that last from one to the other; the return is left out where the
    program returned 1 at the entry.

    {_UserFunctions.__doc__}"""

    async def attach_program(self, program: Program) -> Link:
        """As `UprobeMulti.attach_program`."""
        return await self._attach_program(program, attach_type=AttachType.TRACE_UPROBE_SESSION)


def hang_on_places(
    program: Program,
    path: str,
    places: list[int],
    *,
    cookies: Iterable[int] = (),
    semaphores: Iterable[int] = (),
    pid: int | None,
    is_return: bool = False,
    attach_type: AttachType = AttachType.TRACE_UPROBE_MULTI,
    subject: str,
) -> kernel.OwnedFd:
    """A uprobe.multi link of *program* on *places* of the file at *path*; blocks. 0 is this process, None every one."""
    process = 0 if pid is None else pid or os.getpid()
    if (
        process
        and features.may_support(Feature.UPROBE_MULTI)
        and not features.may_support(Feature.UPROBE_MULTI_PROCESS)
    ):
        raise NotSupportedError(
            f"{subject}: uprobe.multi of one process",
            "6.10",
            hint="This kernel would watch its main thread alone (46ba0e49b642 corrects it)",
        )
    try:
        return kernel.link_uprobe_multi(
            program,
            os.fsencode(path),
            places,
            semaphores=list(semaphores),
            cookies=list(cookies),
            pid=process,
            is_return=is_return,
            attach_type=attach_type,
            subject=subject,
        )
    except KernelError as error:
        raise _explained(error, program, attach_type, process, subject) from error


def _explained(error: KernelError, program: Program, attach_type: AttachType, pid: int, subject: str) -> Exception:
    is_session = attach_type == AttachType.TRACE_UPROBE_SESSION
    section = "uprobe.session" if is_session else "uprobe.multi"
    if error.errno in {errno.EINVAL, errno.EOPNOTSUPP}:
        if not features.may_support(Feature.UPROBE_MULTI):
            return NotSupportedError(
                f"{subject}: {section} links", "6.13" if is_session else "6.6", hint="Uprobe works here"
            )
        if program.spec is not None and program.spec.attach_type != attach_type:
            return SpecError(
                f"{subject}: the program was loaded for another kind of link; its section is to be {section!r}, or its "
                f"spec's attach_type {attach_type.name}"
            )
        if is_session and not _has_sessions(program):
            return NotSupportedError(f"{subject}: {section} links", "6.13")
    if error.errno == errno.ESRCH:
        return kernel_error(errno.ESRCH, error.operation, subject, f"There is no process {pid}")
    if error.errno == errno.EINVAL and error.hint is None:
        hint = "A place has no code, or the file system cannot be probed"
        return kernel_error(errno.EINVAL, error.operation, subject, hint)
    return error


def _has_sessions(program: Program) -> bool:
    try:
        kernel.link_uprobe_multi(program, "/", [1], attach_type=AttachType.TRACE_UPROBE_SESSION).close()
    except KernelError as error:
        return error.errno == errno.EBADF
    return True
