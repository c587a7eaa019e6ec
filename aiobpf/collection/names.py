"""Maps, programs and variables by name: mappings whose names are attributes too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar, final

from aiobpf.errors import SpecError

T = TypeVar("T")


class UnknownNameError(SpecError, KeyError, AttributeError):
    """The collection has nothing of that name."""

    def __str__(self) -> str:
        return str(self.args[0])


@final
class Names(Mapping[str, T]):
    """``coll.maps["events"]`` and ``coll.maps.events`` alike; the names of the object file, in its order."""

    __slots__ = ("_items", "_kind")

    def __init__(self, kind: str, items: dict[str, T]) -> None:
        self._kind = kind
        self._items = items

    def __getitem__(self, name: str) -> T:
        try:
            return self._items[name]
        except KeyError:
            raise self._unknown(name) from None

    def __contains__(self, name: object) -> bool:
        return name in self._items  # that it is not there is no error to put into words

    def __getattr__(self, name: str) -> T:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._items]

    def __repr__(self) -> str:
        return f"<{self._kind}s {', '.join(self._items) or 'none'}>"

    def _unknown(self, name: str) -> UnknownNameError:
        from difflib import get_close_matches

        close = get_close_matches(name, self._items)
        known = f"did you mean {close[0]!r}?" if close else f"it has: {', '.join(self._items) or 'none'}"
        return UnknownNameError(f"the collection has no {self._kind} {name!r}; {known}")
