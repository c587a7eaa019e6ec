"""Every object of one kind in the kernel, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, final

from aiobpf import kernel
from aiobpf.kernel.worker import in_worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from aiobpf.kernel import ObjectKind, OwnedFd


T_co = TypeVar("T_co", covariant=True)


@final
class AllObjects(Generic[T_co]):
    """All programs (maps, links, BTF objects) of the kernel, by rising id: ``async for program in Program.all()``.

    Each belongs to who asked for it, who closes it (``async with program:``); the iterator itself holds nothing, and
    may be left at any time. Objects come and go meanwhile: one that vanishes before it is opened is passed over, as is
    a link that is not attached yet. Opening is done in a worker thread. CAP_SYS_ADMIN: MissingPrivilegeError.
    """

    __slots__ = ("_close", "_kind", "_last", "_make")

    def __init__(
        self, kind: ObjectKind, make: Callable[[OwnedFd], T_co], close: Callable[[T_co], object], after: int = 0
    ) -> None:
        self._kind = kind
        self._make = make
        self._close = close
        self._last = after

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T_co:
        found = await in_worker(self._next, self._last, dispose=self._dispose)
        if found is None:
            raise StopAsyncIteration
        self._last, opened = found
        return opened

    def _next(self, after: int) -> tuple[int, T_co] | None:
        found = kernel.open_next(self._kind, after)
        if found is None:
            return None
        number, fd = found
        return number, self._make(fd)  # closes the descriptor where it fails

    def _dispose(self, found: tuple[int, T_co] | None) -> None:
        if found is not None:
            self._close(found[1])
