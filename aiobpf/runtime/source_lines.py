"""Where in the source an instruction of a program came from, for the words of errors."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Generic, TypeVar, final

from aiobpf.asm import COMMENT, SYMBOL
from aiobpf.btf import LINE

if TYPE_CHECKING:
    from aiobpf.asm import Instructions, Key

T = TypeVar("T")


@final
class SourceLines:
    """The source lines, comments and functions of a program, as it is now."""

    def __init__(self, instructions: Instructions) -> None:
        self._lines = _Stretches(instructions, LINE)
        self._comments = _Stretches(instructions, COMMENT)
        self._functions = _Stretches(instructions, SYMBOL)

    def at(self, slot: int) -> str | None:
        """The source line of the statement that *slot* belongs to: "exec.bpf.c:31  e->ppid = ...;".

        Where it was written by hand, the comment that stands for it.
        """
        line, comment = self._lines.around(slot), self._comments.around(slot)
        if comment is not None and (line is None or comment[0] > line[0]):
            return comment[1]
        if line is None:
            return None
        return f"{line[1].file_name.rsplit('/', 1)[-1]}:{line[1].line}  {line[1].text.strip()}"

    def function_at(self, slot: int) -> str | None:
        """The function that *slot* is in, None for the program's own."""
        found = self._functions.around(slot)
        return None if found is None or found[0] == 0 else found[1]


class _Stretches(Generic[T]):
    """The values of a key, each from its slot until the next one's."""

    def __init__(self, instructions: Instructions, key: Key[T]) -> None:
        self._values = list(instructions.with_key_by_slot(key))
        self._slots = [slot for slot, _ in self._values]

    def around(self, slot: int) -> tuple[int, T] | None:
        index = bisect_right(self._slots, slot)
        return self._values[index - 1] if index else None


def source_at(instructions: Instructions, slot: int) -> str | None:
    """The source line of one slot: see `SourceLines.at`."""
    return SourceLines(instructions).at(slot)
