"""What an object needs by name, and what it offers to others."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from attrs import frozen

from aiobpf.asm.metadata import Key

if TYPE_CHECKING:
    from aiobpf.btf import Type


class ExternKind(Enum):
    """Where an extern is looked up: in the kernel (the first three), or in other objects (`aiobpf.link_objects`)."""

    KFUNC = "kfunc"
    KSYM = "ksym"
    KCONFIG = "kconfig"
    FUNCTION = "function"
    MAP = "map"
    VARIABLE = "variable"

    @property
    def is_of_kernel(self) -> bool:
        """Whether the running kernel answers it; else another object has to, before the load."""
        return self in {ExternKind.KFUNC, ExternKind.KSYM, ExternKind.KCONFIG}


@frozen
class Extern:
    """What an object refers to and does not have: of the kernel, or of another object.

    A weak one of the kernel may be missing: it reads as 0 (a weak kfunc's call is poisoned, as it must be guarded by a
    check). *type* is its BTF type: a Func for a function, the definition for a map, the variable's type for a ksym
    (None: untyped, an address), a kconfig value and a variable; None where the object has no BTF. *offset* and *size*
    are its place in the .kconfig map, in bytes; 0 for the others. *section* is where a variable must be defined, ""
    where the declaration does not say; *is_hidden* makes the definition hidden.
    """

    name: str
    kind: ExternKind
    is_weak: bool = False
    type: Type | None = None
    offset: int = 0
    size: int = 0
    section: str = ""
    is_hidden: bool = False


class Export(NamedTuple):
    """A symbol that other objects may refer to: *kind* is FUNCTION (a program is one too), MAP or VARIABLE.

    A weak one gives way to one that is not. A hidden one is linked as any other, but is not part of what the result
    shows: a hidden variable has no `VariableSpec`, and a hidden function is verified like a static one, anew for each
    of its callers. *section* is the ELF section, *offset* and *size* a variable's place in it in bytes.
    """

    name: str
    kind: ExternKind
    is_weak: bool = False
    is_hidden: bool = False
    section: str = ""
    offset: int = 0
    size: int = 0


EXTERN: Key[Extern] = Key("extern")
"""On an instruction that calls, or loads the address or place of, what its object does not have."""
