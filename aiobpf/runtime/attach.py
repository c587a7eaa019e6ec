"""How a program is asked to attach, without this floor knowing any way to attach.

A kind (``Kprobe("vfs_read")``, ``Xdp("eth0")``) is data with one method; the kinds live in `aiobpf.link`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, final, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from types import TracebackType

    from aiobpf.runtime.map import Map
    from aiobpf.runtime.program import Program


class Closeable(Protocol):
    """What has one way out."""

    async def aclose(self) -> None: ...


L_co = TypeVar("L_co", bound=Closeable, covariant=True)
C = TypeVar("C", bound=Closeable)


@runtime_checkable
class AttachKind(Protocol[L_co]):
    """A place where a program can hang, as data."""

    async def attach_program(self, program: Program) -> L_co:
        """Hang *program* there; what comes back hangs it until it is closed."""
        ...


@runtime_checkable
class MapAttachKind(Protocol[L_co]):
    """A place where a map of programs can hang, as data: `aiobpf.link.StructOps`."""

    async def attach_map(self, map_: Map) -> L_co:
        """Hang *map_* there; what comes back hangs it until it is closed."""
        ...


@final
class Opening(Generic[C]):
    """Something about to be opened: ``async with`` closes it at the end, ``await`` hands it over.

    One object for both, so that ``async with program.attach(kind) as link`` and ``link = await program.attach(kind)``
    read alike. Used neither way, nothing was done.
    """

    __slots__ = ("_open", "_opened")

    def __init__(self, open_: Callable[[], Awaitable[C]]) -> None:
        self._open = open_
        self._opened: C | None = None

    def __await__(self) -> Generator[Any, Any, C]:
        return self._open().__await__()

    async def __aenter__(self) -> C:
        self._opened = await self._open()
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.aclose()
