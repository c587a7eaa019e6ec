"""Lines for people: with colours on a terminal where rich is there, plain otherwise."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Part: TypeAlias = str | tuple[str, str]
"""A text, or a text and its style in rich's words ("bold", "red")."""


def text_of(parts: Sequence[Part]) -> str:
    return "".join(part if isinstance(part, str) else part[0] for part in parts)


def make_printer() -> Callable[..., None]:
    """``print(*parts)``: one line to stdout, never wrapped. Parts must be printable already."""
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        try:
            from rich.console import Console
            from rich.text import Text
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != "rich":
                raise
        else:
            console = Console(highlight=False, soft_wrap=True)

            def styled(*parts: Part) -> None:
                console.print(Text.assemble(*parts))

            return styled

    def plain(*parts: Part) -> None:
        print(text_of(parts))

    return plain


def terminal_width() -> int | None:
    """The columns of the terminal; None where stdout is none, and lines may be of any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
