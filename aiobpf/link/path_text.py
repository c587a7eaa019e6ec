"""Paths as attach kinds keep them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike


def path_text(path: str | PathLike[str]) -> str:
    """`os.fspath` for text alone: a converter whose type checkers can read."""
    return os.fspath(path)


def optional_path_text(path: str | PathLike[str] | None) -> str | None:
    """The same, passing None on."""
    return None if path is None else os.fspath(path)
