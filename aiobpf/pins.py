"""The names in a bpffs, and the objects behind them: ``async for pin in aiobpf.pins.walk(): ...``."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias, final

from attrs import frozen

from aiobpf.errors import SpecError
from aiobpf.kernel import ObjectKind
from aiobpf.kernel.info import object_id
from aiobpf.kernel.pins import look_at_pin, walk_pins
from aiobpf.kernel.worker import in_worker
from aiobpf.link import Link
from aiobpf.runtime import Map, Program

if TYPE_CHECKING:
    from os import PathLike
    from typing import Self

__all__ = ["BPFFS", "Pin", "PinWalk", "Pinned", "look_at", "open_any", "walk"]

BPFFS = "/sys/fs/bpf"
_CHUNK = 64

Pinned: TypeAlias = "Map | Program | Link"


@frozen
class Pin:
    """A name in a bpffs and what it kept alive when it was looked at. It holds nothing: `open` takes the object."""

    path: str
    kind: ObjectKind
    """MAP, PROGRAM or LINK."""
    id: int

    async def open(self) -> Map | Program | Link:
        """The object that this is the name of; the caller closes it, and it stays pinned.

        SpecError where the name belongs to another object by now; FileNotFoundError where it is gone.
        """
        opened = await _open(self.path, self.kind)
        try:
            if await in_worker(lambda: object_id(opened, self.kind)) != self.id:
                raise SpecError(f"{self.path} is no longer {self.kind.name.lower()} {self.id}")
        except BaseException:
            await opened.aclose()
            raise
        return opened


@final
class PinWalk:
    """The pins below a directory, in the order of their names: an async iterator of `Pin`."""

    __slots__ = ("_found", "_pins")

    def __init__(self, directory: str | PathLike[str]) -> None:
        self._pins = walk_pins(directory)
        self._found: list[Pin] = []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Pin:
        if not self._found:
            chunk = await in_worker(lambda: list(islice(self._pins, _CHUNK)))
            self._found = [Pin(pin.path, pin.kind, pin.id) for pin in reversed(chunk)]
        if not self._found:
            raise StopAsyncIteration
        return self._found.pop()


def walk(directory: str | PathLike[str] = BPFFS) -> PinWalk:
    """``async for pin in aiobpf.pins.walk("/sys/fs/bpf"):`` every pin there and below, each with its kind and id.

    Nothing is kept open: ``await pin.open()`` takes one. Only regular files on a bpffs are looked at; symbolic links
    and other mounts are not followed. What vanishes meanwhile, or may not be opened, is left out. SpecError where
    *directory* is in no bpffs.
    """
    return PinWalk(directory)


async def look_at(path: str | PathLike[str]) -> Pin | None:
    """What is pinned at *path*; None for a file that is no pin. FileNotFoundError where there is none."""
    found = await in_worker(look_at_pin, os.fspath(path))
    return None if found is None else Pin(found.path, found.kind, found.id)


async def open_any(path: str | PathLike[str]) -> Map | Program | Link:
    """The map, program or link pinned at *path*; the caller closes it. KernelError: ENOENT, EACCES, EINVAL."""
    found = await look_at(path)
    if found is None:
        raise SpecError(f"{os.fspath(path)} is no pinned map, program or link")
    return await _open(found.path, found.kind)


async def _open(path: str, kind: ObjectKind) -> Map | Program | Link:
    if kind is ObjectKind.LINK:
        return await Link.from_pin(path)
    return Map.from_pin(path) if kind is ObjectKind.MAP else Program.from_pin(path)
