"""Kernel functions, symbols and configuration values, put into the instructions that ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiobpf import asm
from aiobpf.asm import REFERENCE
from aiobpf.btf import Function, Variable
from aiobpf.errors import IncompatibleTypeError, SpecError, UnresolvedSymbolError
from aiobpf.spec import EXTERN, Extern, ExternKind
from aiobpf.spec.extern_types import declaration, fits, kernel_name

if TYPE_CHECKING:
    from aiobpf.asm import Instructions
    from aiobpf.kernel.btf import KernelType
    from aiobpf.runtime.load_context import LoadContext

_CALL = 0x85
_MAX_MODULES = 256
"""MAX_KFUNC_BTFS of kernel/bpf/verifier.c (5.16): beyond it the verifier gives up with E2BIG."""

POISONED_KFUNC: Final = 2002000000
"""The helper number that a call of a weak kernel function gets where it is missing: refused, if it is reached."""


def resolve_externs(instructions: Instructions, context: LoadContext, fd_array: list[int], program: str) -> None:
    """Give each instruction that refers to a kernel function or symbol its number; kconfig values come with the maps.

    *fd_array* collects the BTF fds of modules that kfunc calls refer to by index (5.16); index 0 is vmlinux.
    UnresolvedSymbolError for what this kernel lacks and is not weak, IncompatibleTypeError for what it has otherwise;
    both name *program*.
    """
    index = 0
    try:
        for index, extern in list(instructions.with_key(EXTERN)):
            if extern.kind is ExternKind.KFUNC:
                _resolve_kfunc(instructions, index, extern, context, fd_array, program)
            elif extern.kind is ExternKind.KSYM:
                _resolve_ksym(instructions, index, extern, context, program)
        for index in list(instructions.find(_CALL, asm.CallKind.KFUNC)):  # asm.call_kfunc("bpf_task_acquire")
            reference = instructions.get_metadata(index, REFERENCE)
            if reference is not None and instructions.get_metadata(index, EXTERN) is None:
                extern = Extern(reference.name, ExternKind.KFUNC)
                _resolve_kfunc(instructions, index, extern, context, fd_array, program)
    except UnresolvedSymbolError as error:
        from aiobpf.runtime.source_lines import source_at

        error.asked_for_at(source_at(instructions, instructions.slot_of(index)))
        raise


def _resolve_kfunc(
    instructions: Instructions, index: int, extern: Extern, context: LoadContext, fd_array: list[int], program: str
) -> None:
    found = _find_function(extern, context, program)
    instruction = instructions[index]
    if instruction.is_load_imm64:  # `if (bpf_some_kfunc)`: is it there?
        _put_address(instructions, index, found)
    elif found is None:
        # Guarded by a check of its address, the call is dead code that the verifier removes; reached, it is refused.
        instructions.patch(index, src=0, offset=0, constant=POISONED_KFUNC)
    else:
        offset = 0 if found.btf_fd is None else _place(found.btf_fd, fd_array, program)
        instructions.patch(index, src=asm.CallKind.KFUNC, offset=offset, constant=found.type_id)


def _place(btf_fd: int, fd_array: list[int], program: str) -> int:
    """The index of a module's BTF among the program's descriptors."""
    if not fd_array:
        fd_array.append(0)  # index 0 means vmlinux: the kernel never looks at the slot
    if btf_fd not in fd_array[1:]:
        if len(fd_array) > _MAX_MODULES:
            raise SpecError(f"program {program!r} calls functions of more than {_MAX_MODULES} kernel modules")
        fd_array.append(btf_fd)
    return fd_array.index(btf_fd, 1)


def _find_function(extern: Extern, context: LoadContext, program: str) -> KernelType | None:
    """The kernel's function of that name and prototype; None where a weak one is missing.

    A weak one of another prototype is missing, as to libbpf: an object may declare bpf_f___v1 and bpf_f___v2 and call
    the one that is there.
    """
    other: KernelType | None = None
    for found in context.kernel_types(kernel_name(extern), Function):
        if fits(extern, found.type):
            return found
        other = other or found
    if extern.is_weak:
        return None
    if other is None:
        raise _missing(extern, "function", program)
    raise _incompatible(extern, other, program)


def _resolve_ksym(instructions: Instructions, index: int, extern: Extern, context: LoadContext, program: str) -> None:
    if extern.type is None:
        address = context.kallsyms_address(extern.name, is_weak=extern.is_weak)
        if address is None:
            if not extern.is_weak:
                raise _missing(extern, "symbol", program)
            address = 0
        instructions.patch(index, src=0, constant=address)
        return
    other: KernelType | None = None
    for found in context.kernel_types(extern.name, Variable):
        if fits(extern, found.type):
            _put_address(instructions, index, found)
            return
        other = other or found
    if other is not None:  # weak or not, as libbpf: there is no reading it as something else
        raise _incompatible(extern, other, program)
    if not extern.is_weak:
        raise _missing(extern, "variable", program)
    _put_address(instructions, index, None)


def _put_address(instructions: Instructions, index: int, found: KernelType | None) -> None:
    """Let a 64-bit load give the address of the kernel's function or variable, or 0."""
    if found is None:
        instructions.patch(index, src=0, constant=0)
    else:
        instructions.patch(index, src=asm.Pseudo.BTF_ID, constant=(found.btf_fd or 0) << 32 | found.type_id)


def _missing(extern: Extern, what: str, program: str) -> UnresolvedSymbolError:
    return UnresolvedSymbolError(
        f"program {program!r}: the kernel has no {what} {kernel_name(extern)!r} that programs may use; declare it "
        "__weak to find out at run time",
        extern.name,
    )


def _incompatible(extern: Extern, found: KernelType, program: str) -> IncompatibleTypeError:
    from aiobpf.btf import format_c

    what = "function" if isinstance(found.type, Function) else "variable"
    where = "the kernel" if found.module is None else f"module {found.module!r}"
    return IncompatibleTypeError(
        f"program {program!r}: {where} has {what} {found.type.name!r}, but not as the object declares it",
        extern.name,
        expected=declaration(extern),
        found=format_c(found.type),
    )
