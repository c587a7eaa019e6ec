"""Kernel functions, symbols and configuration values, put into the instructions that ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiobpf import asm
from aiobpf.btf import Function, Variable
from aiobpf.errors import SpecError, UnresolvedSymbolError
from aiobpf.spec import EXTERN, ExternKind

if TYPE_CHECKING:
    from aiobpf.asm import Instructions
    from aiobpf.btf import Type
    from aiobpf.runtime.load_context import LoadContext
    from aiobpf.spec import Extern

POISONED_KFUNC: Final = 2002000000
"""The helper number that a call of a weak kernel function gets where it is missing: refused, if it is reached."""


def resolve_externs(instructions: Instructions, context: LoadContext, fd_array: list[int]) -> None:
    """Give each instruction that refers to a kernel function or symbol its number; kconfig values come with the maps.

    *fd_array* collects the BTF fds of modules that kfunc calls refer to by index (5.16); index 0 is vmlinux.
    UnresolvedSymbolError for what this kernel lacks and is not weak.
    """
    for index, extern in list(instructions.with_key(EXTERN)):
        if extern.kind is ExternKind.KFUNC:
            _resolve_kfunc(instructions, index, extern, context, fd_array)
        elif extern.kind is ExternKind.KSYM:
            _resolve_ksym(instructions, index, extern, context)


def _resolve_kfunc(
    instructions: Instructions, index: int, extern: Extern, context: LoadContext, fd_array: list[int]
) -> None:
    found = context.find_kernel_type(extern.name, Function)
    instruction = instructions[index]
    if instruction.is_load_imm64:  # `if (bpf_some_kfunc)`: is it there?
        if found is not None:
            instructions.patch(index, src=asm.Pseudo.BTF_ID, constant=(found.btf_fd or 0) << 32 | found.type_id)
            return
        if not extern.is_weak:
            raise _missing(extern, "function")
        instructions.patch(index, src=0, constant=0)
        return
    if found is None:
        if not extern.is_weak:
            raise _missing(extern, "function")
        # Guarded by a check of its address, the call is dead code that the verifier removes; reached, it is refused.
        instructions.patch(index, src=0, offset=0, constant=POISONED_KFUNC)
        return
    offset = 0
    if found.btf_fd is not None:
        if not fd_array:
            fd_array.append(0)  # index 0 means vmlinux: the kernel never looks at the slot
        if found.btf_fd not in fd_array[1:]:
            fd_array.append(found.btf_fd)
        offset = fd_array.index(found.btf_fd, 1)
    instructions.patch(index, src=asm.CallKind.KFUNC, offset=offset, constant=found.type_id)


def _resolve_ksym(instructions: Instructions, index: int, extern: Extern, context: LoadContext) -> None:
    if extern.type is None:
        address = context.kallsyms_address(extern.name, is_weak=extern.is_weak)
        if address is None:
            if not extern.is_weak:
                raise _missing(extern, "symbol")
            address = 0
        instructions.patch(index, src=0, constant=address)
        return
    kind: type[Type] = Function if isinstance(extern.type, Function) else Variable
    found = context.find_kernel_type(extern.name, kind)
    if found is None:
        if not extern.is_weak:
            raise _missing(extern, "variable")
        instructions.patch(index, src=0, constant=0)
        return
    instructions.patch(index, src=asm.Pseudo.BTF_ID, constant=(found.btf_fd or 0) << 32 | found.type_id)


def _missing(extern: Extern, what: str) -> UnresolvedSymbolError:
    return UnresolvedSymbolError(
        f"the kernel has no {what} {extern.name!r} that programs may use; declare it __weak to find out at run time",
        extern.name,
    )


def require_no_extern(instructions: Instructions, name: str) -> None:
    """SpecError where a program refers to kernel configuration but has no .kconfig map."""
    for _, extern in instructions.with_key(EXTERN):
        if extern.kind is ExternKind.KCONFIG:
            raise SpecError(f"program {name!r} refers to {extern.name}, but its collection has no .kconfig map")
