"""One link on many kernel functions: thousands are attached in the time of one kprobe."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError, SpecError, UnresolvedSymbolError, kernel_error
from aiobpf.kernel.kallsyms import Kallsyms
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.kernel_functions import KernelFunction, functions_like, is_pattern
from aiobpf.link.kernel_probe import KernelProbe, attach_kernel_probe, wrapper_of
from aiobpf.link.link import Link, make_link
from aiobpf.link.multi_mode import MultiMode
from aiobpf.link.near import near_hint
from aiobpf.link.probe_mode import ProbeMode
from aiobpf.uapi import AttachType

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec

_NO_SUCH_FUNCTION = "aiobpf no such function"  # no symbol has a space
_NO_PLACE = "An address is not where a function begins, or a function may not be traced"
_NOT_FOUND = frozenset({errno.ENOENT, errno.ESRCH})


def _names(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _numbers(value: int | Iterable[int]) -> int | tuple[int, ...]:
    return value if isinstance(value, int) else tuple(value)


def _addresses(value: int | Iterable[int]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)


@frozen
class _Places:
    """Functions by name, or by address where there are *functions* or *addresses*."""

    symbols: tuple[str, ...] = ()
    addresses: tuple[int, ...] = ()
    functions: tuple[KernelFunction, ...] = ()

    def __len__(self) -> int:
        return len(self.symbols) or len(self.addresses)

    def probes(self, *, is_return: bool) -> list[KernelProbe]:
        if self.symbols:
            return [KernelProbe(symbol, is_return=is_return) for symbol in self.symbols]
        names = [each.name for each in self.functions] or [hex(address) for address in self.addresses]
        places = zip(names, self.addresses, strict=True)
        return [KernelProbe(name, is_return=is_return, address=address) for name, address in places]


@frozen
class _KernelFunctions:
    """The functions are said in one of three ways: a *pattern* of names ("vfs_*", or of one module "veth:*"; "*" and
    "?" are wild), *symbols*, or *addresses*.

    A pattern is held against the functions that ftrace can trace, others are passed over; there may be several of one
    name. A symbol may be a system call's own name ("sys_openat"), as `Kprobe` takes it. *cookies* is what
    bpf_get_attach_cookie gives: one number for all, or one for each symbol or address; with a pattern one for all.
    """

    pattern: str = ""
    symbols: tuple[str, ...] = field(default=(), kw_only=True, converter=_names)
    addresses: tuple[int, ...] = field(default=(), kw_only=True, converter=_addresses)
    cookies: int | tuple[int, ...] = field(default=(), kw_only=True, converter=_numbers)

    def __attrs_post_init__(self) -> None:
        if sum(map(bool, (self.pattern, self.symbols, self.addresses))) != 1:
            raise SpecError(f"{self}: say either a pattern, or symbols=, or addresses=")
        count = len(self.symbols) or len(self.addresses)
        if not isinstance(self.cookies, int) and self.cookies and len(self.cookies) != count:
            raise SpecError(
                f"{self}: cookies has {len(self.cookies)} values for {count or 'who knows how many'} functions"
            )

    @classmethod
    def parse(cls, spec: ProgramSpec) -> Self | None:
        return cls(spec.attach_to) if spec.attach_to else None

    def _places(self) -> _Places:
        if self.symbols or self.addresses:
            return _Places(self.symbols, self.addresses)
        if not is_pattern(self.pattern) and ":" not in self.pattern:
            return _Places((self.pattern,))  # the kernel finds one name faster than its list of functions is read
        functions = functions_like(self.pattern)
        return _Places((), tuple(each.address for each in functions), tuple(functions))

    def _cookies(self, count: int) -> Sequence[int]:
        return [self.cookies] * count if isinstance(self.cookies, int) else self.cookies

    async def _attach_program(
        self,
        program: Program,
        *,
        is_return: bool = False,
        attach_type: AttachType = AttachType.TRACE_KPROBE_MULTI,
        mode: MultiMode = MultiMode.LINK,
    ) -> Link:
        def attach(program: Program) -> Attachment:
            subject = f"program {program.name!r} on {self}"
            try:
                places = self._places()
            except UnresolvedSymbolError as error:
                raise UnresolvedSymbolError(f"program {program.name!r}: {error}", error.symbol) from error
            if mode is not MultiMode.SINGLES:
                try:
                    return self._by_one_link(program, places, is_return, attach_type, subject)
                except NotSupportedError:
                    if mode is MultiMode.LINK:
                        raise
            return self._one_by_one(program, places, is_return)

        return await make_link(self, program, attach)

    def _by_one_link(
        self, program: Program, places: _Places, is_return: bool, attach_type: AttachType, subject: str
    ) -> Attachment:
        def link(places: _Places) -> kernel.OwnedFd:
            return kernel.link_kprobe_multi(
                program,
                symbols=places.symbols,
                addresses=places.addresses,
                cookies=self._cookies(len(places)),
                is_return=is_return,
                attach_type=attach_type,
                subject=subject,
            )

        with building() as attachment:
            try:
                attachment.links.append(link(places))
            except KernelError as error:
                wrapped = tuple(wrapper_of(symbol) or symbol for symbol in places.symbols)
                if error.errno not in _NOT_FOUND or wrapped == places.symbols:
                    raise _explained(error, program, places, attach_type, subject) from error
                try:
                    attachment.links.append(link(evolve(places, symbols=wrapped)))
                except KernelError:
                    raise _explained(error, program, places, attach_type, subject) from error
            return attachment

    def _one_by_one(self, program: Program, places: _Places, is_return: bool) -> Attachment:
        with building() as attachment:
            cookies = self._cookies(len(places)) or [0] * len(places)
            for probe, cookie in zip(places.probes(is_return=is_return), cookies, strict=True):
                attachment.take(attach_kernel_probe(probe, program, cookie, ProbeMode.AUTO))
            return attachment


@frozen
class KprobeMulti(_KernelFunctions):
    __doc__ = f"""The entries of many kernel functions, through one link. Section ``kprobe.multi/PATTERN``. Since 5.18.

    {_KernelFunctions.__doc__}
    *mode* is a `MultiMode` or its word: "either" makes a kprobe for each function where the kernel has no such link."""

    mode: MultiMode = field(default=MultiMode.LINK, converter=MultiMode, kw_only=True)

    async def attach_program(self, program: Program) -> Link:
        """Raises UnresolvedSymbolError (with near matches) where the kernel lacks a symbol, or has none of the pattern;
        NotSupportedError for a kernel without such links (CONFIG_FPROBE), with nothing attached; SpecError for a
        program that was loaded for another kind; KernelError (EINVAL) for an address that is no function's."""
        return await self._attach_program(program, mode=self.mode)


@frozen
class KretprobeMulti(_KernelFunctions):
    __doc__ = f"""The returns of many kernel functions, through one link. Since 5.18.

    Section ``kretprobe.multi/PATTERN``.

    {_KernelFunctions.__doc__}
    *mode* is as `KprobeMulti` has it."""

    mode: MultiMode = field(default=MultiMode.LINK, converter=MultiMode, kw_only=True)

    async def attach_program(self, program: Program) -> Link:
        """As `KprobeMulti.attach_program`."""
        return await self._attach_program(program, is_return=True, mode=self.mode)


@frozen
class KprobeSession(_KernelFunctions):
    __doc__ = f"""Entry and return of each call of many kernel functions: one program sees both. Since 6.10.

    Section ``kprobe.session/PATTERN``. The kfunc bpf_session_is_return tells which one it is, bpf_session_cookie gives
    8 bytes that last from one to the other; the return is left out where the program returned 1 at the entry.

    {_KernelFunctions.__doc__}"""

    async def attach_program(self, program: Program) -> Link:
        """As `KprobeMulti.attach_program`."""
        return await self._attach_program(program, attach_type=AttachType.TRACE_KPROBE_SESSION)


def _explained(
    error: KernelError, program: Program, places: _Places, attach_type: AttachType, subject: str
) -> Exception:
    is_session = attach_type == AttachType.TRACE_KPROBE_SESSION
    word, since = ("kprobe.session", "6.10") if is_session else ("kprobe.multi", "5.18")
    hint = None
    if error.errno == errno.EOPNOTSUPP:
        plan = "" if is_session else f"; {_plan(len(places))}"
        return NotSupportedError(
            f"{subject}: {word} links", since, hint=f"This kernel is built without CONFIG_FPROBE{plan}"
        )
    if error.errno in _NOT_FOUND and places.symbols:
        return _missing_symbol(error, program, places.symbols)
    if error.errno == errno.EINVAL:
        if program.spec is not None and program.spec.attach_type != attach_type:
            return SpecError(
                f"{subject}: the program was loaded for another kind of link; its section is to be {word!r}, or its "
                f"spec's attach_type {attach_type.name}"
            )
        if not _has_links(program, attach_type):
            return NotSupportedError(f"{subject}: {word} links", since, hint=None if is_session else _plan(len(places)))
        hint = _NO_PLACE
    elif error.errno in _NOT_FOUND:  # what newer kernels say of an address (seen on 7.3, where 6.12 says EINVAL)
        hint = _NO_PLACE
    return error if hint is None else kernel_error(error.errno or 0, error.operation, subject, hint)


def _plan(count: int) -> str:
    return f"mode='singles' puts a kprobe on each of {count} functions" if count > 1 else "Kprobe works without"


def _has_links(program: Program, attach_type: AttachType) -> bool:
    try:
        kernel.link_kprobe_multi(program, symbols=[_NO_SUCH_FUNCTION], attach_type=attach_type).close()
    except KernelError as error:
        return error.errno in _NOT_FOUND
    return True


def _missing_symbol(error: KernelError, program: Program, symbols: Sequence[str]) -> Exception:
    known = Kallsyms.read().function_names()
    missing: list[Any] = [symbol for symbol in symbols if symbol not in known and wrapper_of(symbol) not in known]
    if not missing:
        listed = ", ".join(map(repr, symbols[:8])) + (", ..." if len(symbols) > 8 else "")
        return UnresolvedSymbolError(
            f"program {program.name!r}: one of the functions {listed} is there, but may not be traced", symbols[0]
        )
    return UnresolvedSymbolError(
        f"program {program.name!r}: this kernel has no function {missing[0]!r}{near_hint(missing[0], known)}",
        missing[0],
    )
