"""Names in a bpffs for everything of a collection, or for all its links: all or nothing."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Protocol

from aiobpf.errors import SpecError
from aiobpf.runtime.map_create import pin_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike


class Pinnable(Protocol):
    """A program, a map or a link."""

    def pin(self, path: str | PathLike[str]) -> None: ...

    def unpin(self) -> None: ...


def pin_each(directory: str | PathLike[str], named: Iterable[tuple[str, Pinnable]]) -> tuple[str, ...]:
    """Pin each under its name in *directory*, which is made if need be; the paths. What fails takes all back.

    SpecError where two have one name there (`pin_name`).
    """
    wanted: dict[str, Pinnable] = {}
    for name, pinnable in named:
        path = os.path.join(os.fspath(directory), pin_name(name))
        if path in wanted:
            raise SpecError(f"{wanted[path]!r} and {pinnable!r} cannot both be pinned at {path}")
        wanted[path] = pinnable
    done: list[Pinnable] = []
    try:
        for path, pinnable in wanted.items():
            pinnable.pin(path)
            done.append(pinnable)
    except BaseException:
        unpin_each(done)
        raise
    return tuple(wanted)


def unpin_each(pinned: Iterable[Pinnable]) -> None:
    """Take back the names; never an error of its own."""
    for each in pinned:
        with contextlib.suppress(OSError):
            each.unpin()
