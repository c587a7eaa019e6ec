# The types of the objects written in C; the reasons stand in objects/*.c.

from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, TypeAlias, final

from typing_extensions import Buffer

# How a member is read: (code, offset, size, what else it takes), size -1 for all that is left of the record.
#   "u", "i"  an unsigned or signed number of 1, 2, 4 or 8 bytes; its names (value to member), or None
#   "?", "f"  a boolean of 1 byte, a float of 4 or 8
#   "s", "b"  text up to its NUL, bytes
#   "x"       bits of 1 to 8 bytes: (shift, width, is signed, is boolean, names or None)
#   "l"       a list: (count, how an element at offset 0 is read)
#   "r"       a struct: its Layout
#   "o"       anything else: what makes it of bytes
Description: TypeAlias = tuple[str, int, int, object]

class Event:
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __getattr__(self, name: str) -> Any: ...  # the members of the struct

@final
class Layout:
    @property
    def type(self) -> type[Event]: ...
    @property
    def size(self) -> int: ...
    def __new__(
        cls, name: str, size: int, is_open_ended: bool, members: tuple[tuple[str, Description], ...], /
    ) -> Layout: ...
    def event(self, record: Buffer, /) -> Event: ...
    def rows(self, buffer: Buffer, count: int, /) -> EventRun: ...
    def places(self, buffer: Buffer, offsets: Sequence[int], lengths: Sequence[int], /) -> EventRun: ...

@final
class EventRun(Iterator[Any]):
    def __next__(self) -> Any: ...
    def __length_hint__(self) -> int: ...

class EventReader:
    _events: Iterator[Any]
    def __anext__(self) -> Coroutine[Any, Any, Any]: ...

@final
class Lease:
    # lease.c
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class Leases:
    # Addresses; *memory* is what keeps them mapped.
    def __new__(cls, consumer: int, position: int, data: int, size: int, memory: object, /) -> Leases: ...
    def take(self, start: int, length: int, /) -> Lease: ...
    def settle(self) -> int: ...
