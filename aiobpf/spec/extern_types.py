"""What an object declares of the kernel, beside what a kernel has: does it fit?

The rules are libbpf's (bpf_object__resolve_ksym_func_btf_id and its kin, since 1.3), but for one: a struct that the
object only declares (``struct nf_conn;``) is any struct.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.btf import Function, Variable, essential_name, strip_qualifiers, types_compatible
from aiobpf.spec.externs import ExternKind

if TYPE_CHECKING:
    from aiobpf.btf import Type
    from aiobpf.spec.externs import Extern


def kernel_name(extern: Extern) -> str:
    """What the kernel calls it: what follows three underscores is no part of a function's name (bpf_f___v2)."""
    return essential_name(extern.name) if extern.kind is ExternKind.KFUNC else extern.name


def fits(extern: Extern, found: Type) -> bool:
    """Whether the kernel's function or variable *found* is what *extern* declares; one without a type takes any."""
    declared: Type | None = extern.type
    if isinstance(declared, Function) and isinstance(found, Function):
        declared = declared.type
    elif not isinstance(found, Function | Variable):
        return False
    # Without qualifiers and typedefs, as libbpf: a variable is declared const to its readers.
    return declared is None or types_compatible(strip_qualifiers(declared), strip_qualifiers(found.type), forwards=True)


def declaration(extern: Extern) -> str:
    """The object's declaration in C, "" where it has no type."""
    if extern.type is None:
        return ""
    from aiobpf.btf import format_c, format_type  # for errors only: a load goes without

    if isinstance(extern.type, Function):
        return format_c(extern.type)
    return f"extern {format_type(extern.type, extern.name)};"
