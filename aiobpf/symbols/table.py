"""Addresses to the functions that they are in."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Iterable

_NESTING = 8


@final
class SymbolTable:
    """Functions by address, compact: 24 bytes each and one string of all names.

    A function of size 0 reaches to the next one, unless *exact*. Functions may lie in each other (aliases, parts that a
    compiler split off): the one that begins last before the address and reaches it is meant.
    """

    __slots__ = ("_addresses", "_ends", "_names", "_offsets")

    def __init__(self, symbols: Iterable[tuple[int, int, bytes]], *, exact: bool = False) -> None:
        """*symbols*: address, size, name. Of several at one address the first that has a size counts."""
        rows = sorted(symbols, key=lambda row: (row[0], not row[1]))
        self._addresses = array("Q")
        self._ends = array("Q")
        self._offsets = array("Q", [0])
        names = bytearray()
        last = -1
        for address, size, name in rows:
            if address == last:
                continue
            if self._ends and self._ends[-1] == 0 and not exact:
                self._ends[-1] = address
            last = address
            self._addresses.append(address)
            self._ends.append(min(address + size, (1 << 64) - 1) if size else 0)
            names += name
            self._offsets.append(len(names))
        self._names = bytes(names)

    def __len__(self) -> int:
        return len(self._addresses)

    def at(self, address: int) -> tuple[str, int] | None:
        """The name of the function at *address*, and how far into it that is."""
        index = bisect_right(self._addresses, address) - 1
        for candidate in range(index, max(index - _NESTING, -1), -1):
            end = self._ends[candidate]
            if address < end or address == self._addresses[candidate] or (end == 0 and candidate == len(self) - 1):
                start, stop = self._offsets[candidate], self._offsets[candidate + 1]
                return self._names[start:stop].decode("utf-8", "backslashreplace"), address - self._addresses[candidate]
        return None
