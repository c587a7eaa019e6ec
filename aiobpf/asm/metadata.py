"""What an instruction carries beside its operation.

Metadata is the reason that programs can be cut and joined without bookkeeping: what an instruction means (its symbol,
source line, CO-RE relocation, the map it refers to) sits on the instruction itself, never in a table keyed by offset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


@final
class Key(Generic[T]):
    """A typed name for one kind of metadata. Identity counts: two keys of the same name are two keys.

    *is_source* says that the value's text is a line of source or a note, which a disassembly prints above the
    instruction. asm cannot know the BTF line that it prints; the key tells it that it may.
    """

    __slots__ = ("is_source", "name")

    def __init__(self, name: str, *, is_source: bool = False) -> None:
        self.name = name
        self.is_source = is_source

    def __repr__(self) -> str:
        return f"Key({self.name!r})"

    def __copy__(self) -> Key[T]:
        return self

    def __deepcopy__(self, memo: object) -> Key[T]:
        return self


@final
class Metadata:
    """An immutable set of typed values; changing one gives another, so instructions may share it.

    A flat tuple (key, value, key, value ...) rather than a dict: an instruction has at most a handful, and a tuple of
    two costs 56 bytes where a dict costs 232.
    """

    __slots__ = ("_items",)

    _items: tuple[object, ...]

    def __init__(self, _items: tuple[object, ...] = ()) -> None:
        object.__setattr__(self, "_items", _items)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("Metadata is immutable; use with_() or without()")

    def get(self, key: Key[T]) -> T | None:
        """The value under *key*, or None."""
        items = self._items
        for i in range(0, len(items), 2):
            if items[i] is key:
                return items[i + 1]  # type: ignore[return-value]
        return None

    def with_(self, key: Key[T], value: T | None) -> Metadata:
        """This metadata with *value* under *key*; None takes the key away."""
        if value is None:
            return self.without(key)
        return Metadata((*self.without(key)._items, key, value))

    def without(self, key: Key[T]) -> Metadata:
        """This metadata with nothing under *key*."""
        items = self._items
        for i in range(0, len(items), 2):
            if items[i] is key:
                return Metadata(items[:i] + items[i + 2 :])
        return self

    def __iter__(self) -> Iterator[tuple[Key[object], object]]:
        items = self._items
        for i in range(0, len(items), 2):
            yield items[i], items[i + 1]  # type: ignore[misc]

    def __contains__(self, key: object) -> bool:
        return any(k is key for k in self._items[::2])

    def __len__(self) -> int:
        return len(self._items) // 2

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Metadata):
            return NotImplemented
        if self._items is other._items:
            return True
        return len(self) == len(other) and all(key in other and other.get(key) == value for key, value in self)

    __hash__ = None  # type: ignore[assignment]

    def __copy__(self) -> Metadata:
        return self

    def __deepcopy__(self, memo: object) -> Metadata:
        return self

    def __repr__(self) -> str:
        return "Metadata({" + ", ".join(f"{k.name}: {v!r}" for k, v in self) + "})"


EMPTY = Metadata()
