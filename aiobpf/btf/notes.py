"""What BTF says about instructions: the function that begins, and the source line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from aiobpf.asm.metadata import Key

if TYPE_CHECKING:
    from aiobpf.btf.composites import Function


@frozen
class Line:
    """Where in the source an instruction came from: *text* is the line itself, *line* and *column* count from 1."""

    file_name: str
    text: str
    line: int
    column: int

    def __str__(self) -> str:
        return self.text.strip()


LINE: Final[Key[Line]] = Key("line", is_source=True)
"""The source line that begins at this instruction; it holds until the next one."""

FUNCTION_INFO: Final[Key[Function]] = Key("function_info")
"""The BTF function that begins at this instruction."""
