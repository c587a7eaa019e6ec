"""Names that instructions carry: their own, and those of what they refer to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf.asm.metadata import Key

if TYPE_CHECKING:
    from typing import Final


@frozen
class Reference:
    """What an instruction refers to: a map, a function, a label or an extern, by its name.

    *variable* is the global variable, where *name* is the data section it lives in (".rodata").
    """

    name: str
    variable: str | None = None

    def __str__(self) -> str:
        return self.name if self.variable is None else f"{self.name}:{self.variable}"


SYMBOL: Final[Key[str]] = Key("symbol")
"""The function that begins at this instruction. Unique in a program where something refers to it."""

LABEL: Final[Key[str]] = Key("label")
"""A place to jump to. Unique in its function only, so that functions can be joined without renaming labels."""

REFERENCE: Final[Key[Reference]] = Key("reference")
"""What this instruction refers to. For a jump, call or function address the reference decides, not the number."""

COMMENT: Final[Key[str]] = Key("comment", is_source=True)
"""A note that becomes a source line of the loaded program, and so shows in the verifier's log."""
