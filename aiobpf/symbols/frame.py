"""One level of a stack, as far as it is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@frozen
class Frame:
    """An address and what it is in; what could not be found out is "" or None, and *problem* says why."""

    address: int
    """As the stack has it: for all but the innermost frame, where the function goes on after its call."""
    symbol: str = ""
    """The function, as its symbol table has it, demangled where the Symbolizer does that."""
    offset: int = 0
    """Bytes from the function's beginning to the address."""
    binary: str = ""
    """The file; "[kernel]", "[MODULE]", "[bpf]" or "[vdso]" for what is none."""
    file_offset: int | None = None
    """Bytes into that file."""
    build_id: bytes = b""
    problem: str = ""

    @property
    def name(self) -> str:
        """The symbol, or what else there is: "libc.so.6+0x2a1ca", "0x7f12..."."""
        if self.symbol:
            return self.symbol
        if self.binary and self.file_offset is not None:
            return f"{self.binary.rsplit('/', 1)[-1]}+{self.file_offset:#x}"
        return f"{self.address:#x}"

    def __str__(self) -> str:
        offset = f"+{self.offset:#x}" if self.symbol else ""
        return f"{self.name}{offset} ({self.binary})" if self.binary and self.symbol else self.name


def folded(*stacks: Sequence[Frame], root: str = "") -> str:
    """The frames of *stacks*, innermost first in each, as one line for a flame graph: "main;work;read".

    Give the kernel's stack first, the user's after it: what the kernel did is above the call that led there. A ";" or
    a line's end in a name becomes ":" or a space.
    """
    names = [_plain(root)] if root else []
    names += [_plain(frame.name) for stack in reversed(stacks) for frame in reversed(stack)]
    return ";".join(names)


def _plain(name: str) -> str:
    return "".join(each if each.isprintable() else " " for each in name.replace(";", ":"))


def calls(addresses: Iterable[int]) -> list[int]:
    """Where to look each of *addresses* up: a return address may be the first of the next function, so one less."""
    return [address - (index > 0) for index, address in enumerate(addresses)]
