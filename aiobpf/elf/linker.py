"""From functions to programs: each entry point with all that it calls, once each.

Metadata sits on the instructions, so joining functions moves symbols, source lines, CO-RE relocations and references
along; calls go by name. Nothing is renumbered here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, final

from aiobpf.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiobpf.asm import Instructions

# What the kernel would refuse anyway, or no compiler makes: a small file in which every program calls every function
# must not become a large spec. The kernel takes 256 functions (BPF_MAX_SUBPROGS) and a million instructions a program.
_MAX_FUNCTIONS: Final = 1024
_MAX_SLOTS: Final = 4 << 20
_MAX_JOINS: Final = 1 << 16


class Callable(Protocol):
    """A function with the functions that it calls, or takes the address of, in the order in which it does."""

    @property
    def name(self) -> str: ...
    @property
    def instructions(self) -> Instructions: ...
    @property
    def callees(self) -> Sequence[Callable]: ...


@final
class Linker:
    """Links the programs of one spec, within one budget."""

    def __init__(self) -> None:
        self._slots = 0
        self._joins = 0

    def link(self, entry: Callable) -> Instructions:
        """The instructions of *entry* and of every function that it reaches, in the order that libbpf puts them.

        That is depth first, at the first call of each: any order works for the kernel, and this one makes a loaded
        program comparable, slot by slot. Iterative, as a chain of calls may be as long as the file.
        """
        if not entry.callees:
            return entry.instructions
        linked = entry.instructions.copy()
        seen: set[Callable] = {entry}
        pending = list(reversed(entry.callees))
        while pending:
            function = pending.pop()
            if function in seen:
                continue
            seen.add(function)
            self._spend(entry, len(seen), function)
            linked.extend(function.instructions)
            pending.extend(callee for callee in reversed(function.callees) if callee not in seen)
        return linked

    def _spend(self, entry: Callable, functions: int, added: Callable) -> None:
        self._slots += added.instructions.slot_count
        self._joins += 1
        if functions > _MAX_FUNCTIONS:
            raise ElfError(f"program {entry.name!r} calls more than {_MAX_FUNCTIONS} functions")
        if self._slots > _MAX_SLOTS or self._joins > _MAX_JOINS:
            raise ElfError(
                f"program {entry.name!r}: the programs of the object come to more than {_MAX_SLOTS} slots "
                f"or {_MAX_JOINS} function copies"
            )
