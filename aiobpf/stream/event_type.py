"""What a record of a stream is to Python."""

from __future__ import annotations

import builtins
import re
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, Protocol, final, get_origin

from aiobpf._native._objects import Event as Event  # noqa: PLC0414 - `aiobpf.stream.Event`
from aiobpf.btf.types import Array, Enum, Struct, Type, Union, size_of, strip_qualifiers
from aiobpf.errors import BtfError, CodecError, SpecError

if TYPE_CHECKING:
    from aiobpf.btf import Btf, Codec
    from aiobpf.uapi import MapType

MAX_DEPTH: Final = 64

_KINDS: Final[dict[str, builtins.type[Type]]] = {"struct": Struct, "union": Union, "enum": Enum}


class EventMap(Protocol):
    """What a stream needs of a map; `aiobpf.Map` has it."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> MapType: ...
    @property
    def max_entries(self) -> int: ...
    @property
    def value_type(self) -> Type | None: ...
    @property
    def types(self) -> Btf | None: ...
    def fileno(self) -> int: ...


@final
class EventType:
    """A codec and the sizes of records that fit it; without a codec a record is bytes, of any size.

    A record may be longer than the type: what follows is not decoded, unless the type ends in a flexible array
    (``char path[]``), which then is as long as the record says. It may be shorter where the type ends in an
    array, as programs submit such a struct only as far as the array is filled (``args[FULL_MAX_ARGS]``): anything from
    *minimum* bytes on is one, and what is missing reads as zeros.
    """

    __slots__ = ("codec", "is_open_ended", "layout", "minimum", "name", "size")

    def __init__(
        self, name: str, codec: Codec | None, minimum: int | None = None, *, is_open_ended: bool = False
    ) -> None:
        """*is_open_ended*: the type ends in a flexible array, which takes what a record has beyond *codec*'s size."""
        self.name = name
        self.codec = codec
        # What makes events that decode a member when it is read; None where records are decoded whole, or not at all.
        self.layout = None if codec is None else codec.event_layout
        self.size = codec.size if codec is not None else 0
        self.minimum = self.size if minimum is None else minimum
        self.is_open_ended = is_open_ended

    @property
    def stride(self) -> int:
        """The length of a row where records are drained as rows of one length; 0 where each has its own."""
        return 0 if self.is_open_ended else self.size

    @property
    def expectation(self) -> str:
        """How long a record has to be, in words."""
        if self.minimum < self.size:
            return f"{self.name} has {self.size} bytes, and {self.minimum} before the array that it ends in"
        return f"{self.name} has {self.size} bytes"

    def __repr__(self) -> str:
        return f"<EventType {self.name}>"


BYTES: Final = EventType("bytes", None)


def resolve_event_type(map: EventMap, type: Type | str | builtins.type[Any] | UnionType | None) -> EventType:  # noqa: A002
    """The event type that *type* means for *map*.

    None is the BTF type of the map's values, or bytes where it has none. A str names a type of the map's object
    ("struct event", or "event" for whatever has that name). A class is filled by field name; its BTF type is what its
    attribute ``__btf_type__`` names, or the map's value type, or the struct called like the class (ExecEvent: struct
    exec_event). ``list[Point]`` and ``State | int`` are for maps that have a value type. ``bytes`` leaves records
    undecoded.

    SpecError names the map where no type can be found, BtfError where the object has none or several of that name.
    """
    if type is None:
        return BYTES if map.value_type is None else _event_type(map, map.value_type)
    if isinstance(type, str):
        return _event_type(map, _by_name(map, type))
    if isinstance(type, Type):
        return _event_type(map, type)
    if not isinstance(type, builtins.type):
        if map.value_type is not None and get_origin(type) in {list, UnionType}:
            return _event_type(map, map.value_type, type)
        raise SpecError(f"{_what(map)}: {type!r} is no event type: a BTF type, its name or a class is needed")
    if type is builtins.bytes:
        return BYTES
    return _event_type(map, _of_class(map, type), type)


def _what(map: EventMap) -> str:  # noqa: A002
    what: str = getattr(map, "what", "")  # where rows of an iterator are looked up there is no map
    return what or f"map {map.name!r}"


def _event_type(map: EventMap, type: Type, python_type: object = None) -> EventType:  # noqa: A002
    from aiobpf.btf import codec

    try:
        made = codec(type, python_type=python_type)
        minimum, is_open_ended = _shape(type)
    except (BtfError, CodecError) as error:
        error.add_note(f"as the event type of {_what(map)}")
        raise
    if made.size == 0 and not is_open_ended:
        raise SpecError(f"{_what(map)}: {made.name} has no bytes and cannot be an event type")
    # A class that leaves out the array at the end still takes records that stop in it: rows are filled up.
    keyword = next((each for each, kind in _KINDS.items() if isinstance(type, kind)), "")
    return EventType(
        f"{keyword} {made.name}".strip(), made, min(minimum, made.minimum_size), is_open_ended=is_open_ended
    )


def _by_name(map: EventMap, name: str) -> Type:  # noqa: A002
    if map.types is None:
        raise SpecError(f"{_what(map)}: there is no BTF to look {name!r} up in; give a BTF type")
    keyword, _, rest = name.strip().partition(" ")
    kind = _KINDS.get(keyword)
    try:
        return map.types.by_name(name.strip()) if kind is None else map.types.by_name(rest.strip(), kind)
    except BtfError as error:
        error.add_note(f"as the event type of {_what(map)}")
        raise


def _of_class(map: EventMap, cls: builtins.type[Any]) -> Type:  # noqa: A002
    named: str | None = getattr(cls, "__btf_type__", None)
    if named is not None:
        return _by_name(map, named)
    if map.value_type is not None:
        return map.value_type
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()
    for name in (cls.__name__, snake) if map.types is not None else ():
        assert map.types is not None
        found = [t for t in map.types.all_by_name(name) if isinstance(strip_qualifiers(t), Struct)]
        if len(found) == 1:
            return found[0]
    raise SpecError(
        f"{_what(map)} has no BTF value type, and its object no one struct {cls.__name__} or {snake}: "
        f"name it, as {cls.__name__}.__btf_type__ = 'struct ...'"
    )


def _shape(type: Type) -> tuple[int, bool]:  # noqa: A002
    """Bytes of the shortest record of *type*, and whether the type ends in an array without length."""
    total = size_of(type)
    offset = 0
    found = type
    for _ in range(MAX_DEPTH):
        found = strip_qualifiers(found)
        if isinstance(found, Array):
            is_flexible = offset > 0 and found.count == 0
            return (total if is_flexible or not offset else offset), is_flexible
        if not isinstance(found, Struct) or not found.members:
            break
        last = found.members[-1]
        offset += last.offset
        found = last.type
    return total, False
