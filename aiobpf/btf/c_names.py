"""Names that compile: no keyword, no two alike.

C has one space of names for structs, unions and enums, and one for typedefs, enumerators and functions. A second type
of one name is "name___2", as libbpf has it: CO-RE takes what follows three underscores for a flavour, and finds it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiobpf.btf.type_base import Type

_RESERVED: Final = """
auto break case char const continue default do double else enum extern float for goto if inline int long register
restrict return short signed sizeof static struct switch typedef union unsigned void volatile while asm typeof
_Alignas _Alignof _Atomic _Bool _Complex _Generic _Imaginary _Noreturn _Static_assert _Thread_local
_Float16 _Float32 _Float64 _Float128 __float128 __bf16 __fp16 __int128
__asm __asm__ __attribute __attribute__ __inline __inline__ __restrict __typeof__ __volatile__
"""
_KEYWORDS: Final = frozenset(_RESERVED.split())
_PREDEFINED: Final = frozenset({"__builtin_va_list", "__builtin_ms_va_list", "__int128_t", "__uint128_t"})
"""What compilers declare themselves, and not as an x86 kernel's was."""
_NO_IDENTIFIER: Final = re.compile(r"[^0-9A-Za-z_]")


def identifier(name: str) -> str:
    """*name* as C takes it: other characters than letters, digits and "_" are "_", and a keyword ends with one."""
    if name.isidentifier() and name.isascii():
        return f"{name}_" if name in _KEYWORDS else name
    text = _NO_IDENTIFIER.sub("_", name)
    return f"_{text}" if text[:1].isdigit() else text


@final
class Names:
    """One space of names."""

    __slots__ = ("_counts", "_of", "_taken")

    def __init__(self, taken: Iterable[str] = _PREDEFINED) -> None:
        self._taken = set(taken)
        self._counts: dict[str, int] = {}
        self._of: dict[Type, str] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._taken

    def of(self, type: Type) -> str:  # noqa: A002
        """The name of *type*, its own from the first time it is asked for."""
        found = self._of.get(type)
        if found is None:
            found = self._of[type] = self.new(type.name)
        return found

    def share(self, type: Type, other: Type) -> str:  # noqa: A002
        """Give *type* the name of *other*."""
        found = self._of[type] = self.of(other)
        return found

    def new(self, name: str) -> str:
        """*name* if nothing has it, else with the next number."""
        wanted = identifier(name)
        found = wanted
        while found in self._taken:
            number = self._counts[wanted] = self._counts.get(wanted, 1) + 1
            found = f"{wanted}___{number}"
        self._taken.add(found)
        return found
