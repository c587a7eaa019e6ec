"""One link on many kernel functions through trampolines, with their arguments."""

from __future__ import annotations

import errno
from collections import Counter
from typing import TYPE_CHECKING, ClassVar

from attrs import field, frozen

from aiobpf import kernel
from aiobpf.btf import Enum, Function, Int, Pointer, Struct, Union, Void, size_of, strip_qualifiers
from aiobpf.errors import BtfError, KernelError, NotSupportedError, SpecError, UnresolvedSymbolError, kernel_error
from aiobpf.kernel.first_kernels import missing_attach_type
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.kernel_functions import functions_like
from aiobpf.link.link import Link, make_link
from aiobpf.link.near import near_hint
from aiobpf.spec.attach_target import split_module
from aiobpf.uapi import AttachType

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from aiobpf.btf import Btf, Type
    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec

# Of kernel/bpf/btf.c (btf_distill_func_proto) and include/linux/bpf.h.
_MAX_ARGUMENTS = 12
_MAX_ARGUMENT_SIZE = 16
# What kernel/bpf/verifier.c refuses by name: what trampolines use themselves, and for the kinds that see a return the
# functions that have none.
_DENIED = frozenset(
    {
        "__rcu_read_lock",
        "__rcu_read_unlock",
        "migrate_disable",
        "migrate_enable",
        "preempt_count_add",
        "preempt_count_sub",
        "rcu_read_unlock_strict",
    }
)
_NO_RETURN = frozenset({"do_exit", "do_group_exit", "kthread_complete_and_exit", "kthread_exit", "make_task_dead"})


def _names(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _numbers(value: int | Iterable[int]) -> int | tuple[int, ...]:
    return value if isinstance(value, int) else tuple(value)


@frozen
class _TracedFunctions:
    """The functions are a *pattern* of names ("vfs_*"; "*" and "?" are wild) or *functions* by name.

    Those of a module are said with it ("veth:veth_*"): a program is loaded for the kernel or for one module, which its
    section or its spec's attach_to says in the same way. A pattern passes over functions that cannot be traced: not
    known to ftrace or BTF, one of several of the name, more than 12 arguments, or of unusual types. *cookies* is what
    bpf_get_attach_cookie gives: one number for all, or one for each of *functions*. The program reads its arguments by
    bpf_get_func_arg, as their number and types differ.
    """

    pattern: str = ""
    functions: tuple[str, ...] = field(default=(), kw_only=True, converter=_names)
    cookies: int | tuple[int, ...] = field(default=(), kw_only=True, converter=_numbers)

    attach_type: ClassVar[AttachType]
    word: ClassVar[str]

    def __attrs_post_init__(self) -> None:
        if bool(self.pattern) == bool(self.functions):
            raise SpecError(f"{self}: say either a pattern, or functions=")
        count = len(self.functions)
        if not isinstance(self.cookies, int) and self.cookies and len(self.cookies) != count:
            raise SpecError(
                f"{self}: cookies has {len(self.cookies)} values for {count or 'who knows how many'} functions"
            )

    @classmethod
    def parse(cls, spec: ProgramSpec) -> Self | None:
        return cls(spec.attach_to) if spec.attach_to else None

    async def attach_program(self, program: Program) -> Link:
        """Raises UnresolvedSymbolError (with near matches) where there is no such function, SpecError for a program
        that was loaded for something else, NotSupportedError for a kernel or an architecture without, KernelError
        (EINVAL) for a function that the kernel does not let it trace."""
        return await make_link(self, program, self._attach)

    def _attach(self, program: Program) -> Attachment:
        subject = f"program {program.name!r} on {self}"
        spec = program.spec
        if spec is not None and spec.attach_type is not None and spec.attach_type != self.attach_type:
            raise SpecError(f"program {program.name!r} is loaded as {spec.attach_type.name}, not as {self.word}")
        module = self._module()
        if spec is not None and split_module(spec.attach_to)[0] != module:
            loaded = split_module(spec.attach_to)[0]
            raise SpecError(
                f"program {program.name!r} is loaded for functions of {_place(loaded)}, not of {_place(module)}: say "
                "MODULE:PATTERN in its section, or set ProgramSpec.attach_to"
            )
        cache = kernel.shared_btf_cache()
        types = cache.module(module) if module else cache.vmlinux()
        if self.functions:
            ids = [_type_id(types, split_module(name)[1], program) for name in self.functions]
        else:
            ids = self._ids_like(types, program)
        cookies = [self.cookies] * len(ids) if isinstance(self.cookies, int) else self.cookies
        with building() as attachment:
            try:
                link = kernel.link_tracing_multi(program, ids, self.attach_type, cookies=cookies, subject=subject)
            except KernelError as error:
                raise self._explained(error, subject) from error
            attachment.links.append(link)
            return attachment

    def _module(self) -> str | None:
        modules = {split_module(name)[0] for name in self.functions or (self.pattern,)} - {"vmlinux"}
        if len(modules) > 1:
            raise SpecError(f"{self}: one link traces functions of the kernel, or of one module")
        return modules.pop() if modules else None

    def _ids_like(self, types: Btf, program: Program) -> list[int]:
        try:
            known = functions_like(self.pattern if self._module() else f"vmlinux:{split_module(self.pattern)[1]}")
        except UnresolvedSymbolError as error:
            raise UnresolvedSymbolError(f"program {program.name!r}: {error}", error.symbol) from error
        several = Counter(function.name for function in known)
        skipped = _DENIED if self.attach_type == AttachType.TRACE_FENTRY_MULTI else _DENIED | _NO_RETURN
        ids = []
        for name, count in several.items():
            if count > 1 or name in skipped:
                continue
            found = types.all_by_name(name, Function)
            if len(found) == 1 and types.id_of(found[0]) >= types.first_id and is_traceable(found[0]):
                ids.append(types.id_of(found[0]))
        if not ids:
            raise UnresolvedSymbolError(
                f"program {program.name!r}: of the {len(known)} functions like {self.pattern!r} none can be traced "
                "with its arguments",
                self.pattern,
            )
        return ids

    def _explained(self, error: KernelError, subject: str) -> Exception:
        if error.errno == errno.EOPNOTSUPP:
            return NotSupportedError(f"{subject}: such links on this architecture")
        if error.errno == errno.EINVAL:
            hint = "The kernel does not let this program trace one of the functions (one that may sleep: few of them)"
            missing = missing_attach_type(self.attach_type, subject)
            return missing or kernel_error(errno.EINVAL, error.operation, subject, hint)
        return error


@frozen
class FentryMulti(_TracedFunctions):
    __doc__ = f"""The entries of many kernel functions, through one link. Section ``fentry.multi/PATTERN``. Since 7.2.

    {_TracedFunctions.__doc__}"""

    attach_type = AttachType.TRACE_FENTRY_MULTI
    word = "fentry.multi"


@frozen
class FexitMulti(_TracedFunctions):
    __doc__ = f"""The returns of many kernel functions, through one link. Section ``fexit.multi/PATTERN``. Since 7.2.

    {_TracedFunctions.__doc__}"""

    attach_type = AttachType.TRACE_FEXIT_MULTI
    word = "fexit.multi"


@frozen
class FsessionMulti(_TracedFunctions):
    __doc__ = f"""Entry and return of each call of many kernel functions, as `Fsession` has them. Since 7.2.

    Section ``fsession.multi/PATTERN``.

    {_TracedFunctions.__doc__}"""

    attach_type = AttachType.TRACE_FSESSION_MULTI
    word = "fsession.multi"


def is_traceable(function: Function) -> bool:
    """Whether a trampoline can pass on its arguments and its result: plain values, structs of 16 bytes at most."""
    try:
        prototype = function.type
        result = strip_qualifiers(prototype.return_type)
        returns_plain = isinstance(result, Void | Int | Enum | Pointer)
        return (
            returns_plain
            and len(prototype.parameters) <= _MAX_ARGUMENTS
            and all(_is_passed(parameter.type) for parameter in prototype.parameters)
        )
    except BtfError:
        return False


def _is_passed(argument: Type) -> bool:
    plain = strip_qualifiers(argument)
    return isinstance(plain, Int | Enum | Pointer | Struct | Union) and 0 < size_of(plain) <= _MAX_ARGUMENT_SIZE


def _type_id(types: Btf, name: str, program: Program) -> int:
    found = types.all_by_name(name, Function)
    if not found:
        near = near_hint(name, types.names(Function, name[:3]))
        raise UnresolvedSymbolError(f"program {program.name!r}: the kernel has no function {name!r}{near}", name)
    return types.id_of(found[0])


def _place(module: str | None) -> str:
    return f"module {module!r}" if module else "the kernel"
