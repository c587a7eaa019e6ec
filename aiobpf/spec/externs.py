"""What a program needs from the kernel by name."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf.asm.metadata import Key

if TYPE_CHECKING:
    from aiobpf.btf import Type


class ExternKind(Enum):
    """Where an extern is looked up."""

    KFUNC = "kfunc"
    KSYM = "ksym"
    KCONFIG = "kconfig"


@frozen
class Extern:
    """A kernel function, kernel symbol or kernel configuration value that an object refers to.

    A weak one may be missing: it reads as 0 (a weak kfunc's call is poisoned, as it must be guarded by a check).
    *type* is its BTF type: a Func for a kfunc, the variable's type for a ksym (None: untyped, an address) and a kconfig
    value. *offset* and *size* are its place in the .kconfig map, in bytes; 0 for the others.
    """

    name: str
    kind: ExternKind
    is_weak: bool = False
    type: Type | None = None
    offset: int = 0
    size: int = 0


EXTERN: Key[Extern] = Key("extern")
"""On an instruction that calls a kfunc, or loads a ksym's address or a kconfig value's place."""
