"""What is open for as long as an ``async with`` lasts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Scoped(ABC):
    """Open from entering ``async with`` (or `open`) until its end (or `aclose`)."""

    _is_closed: bool = False

    @abstractmethod
    async def open(self) -> Self:
        """What ``async with`` does first."""

    @abstractmethod
    async def aclose(self) -> None:
        """What ``async with`` does last; idempotent."""

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def is_closed(self) -> bool:
        return self._is_closed
