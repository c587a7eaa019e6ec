"""What types consist of: members, enumerators and parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from aiobpf.btf.type_base import Holder, Immutable, Reference, set_slot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiobpf.btf.type_base import Type


@final
class Member(Holder):
    """A member of a struct or union, *bit_offset* bits from its start; *bitfield_size* is 0 but for a bit-field."""

    __slots__ = ("_tags", "_type", "bit_offset", "bitfield_size", "name")

    name: str
    bit_offset: int
    bitfield_size: int
    _tags: tuple[str, ...] | int
    _type: Type | int
    type = Reference()

    def __init__(
        self,
        name: str,
        type: Type,  # noqa: A002
        bit_offset: int,
        bitfield_size: int = 0,
        tags: Iterable[str] = (),
    ) -> None:
        super().__init__()
        set_slot(self, "name", name)
        set_slot(self, "_type", type)
        set_slot(self, "bit_offset", bit_offset)
        set_slot(self, "bitfield_size", bitfield_size)
        set_slot(self, "_tags", tuple(tags))

    @property
    def tags(self) -> tuple[str, ...]:
        """The declaration tags on it, in the order of the BTF."""
        tags = self._tags
        if isinstance(tags, int):  # the id of its type, and its own number in the low 24 bits
            tags = () if self._owner is None else self._owner.tags_of(tags >> 24, tags & 0xFFFFFF)
            set_slot(self, "_tags", tags)
        return tags

    @property
    def offset(self) -> int:
        """Bytes from the start; of a bit-field, the byte that its first bit is in."""
        return self.bit_offset // 8

    def __repr__(self) -> str:
        bits = f":{self.bitfield_size}" if self.bitfield_size else ""
        return f"<Member {self.name!r}{bits} at bit {self.bit_offset}>"


@final
class Enumerator(Immutable):
    """One name of an enum, and its value."""

    __slots__ = ("name", "value")

    name: str
    value: int

    def __init__(self, name: str, value: int) -> None:
        set_slot(self, "name", name)
        set_slot(self, "value", value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Enumerator):
            return NotImplemented
        return self.name == other.name and self.value == other.value

    def __hash__(self) -> int:
        return hash((self.name, self.value))

    def __repr__(self) -> str:
        return f"<Enumerator {self.name} = {self.value}>"


@final
class Parameter(Holder):
    """A parameter of a function; a last one without name and of type void stands for "..."."""

    __slots__ = ("_type", "name", "tags")

    name: str
    tags: tuple[str, ...]
    _type: Type | int
    type = Reference()

    def __init__(self, name: str, type: Type, tags: Iterable[str] = ()) -> None:  # noqa: A002
        super().__init__()
        set_slot(self, "name", name)
        set_slot(self, "_type", type)
        set_slot(self, "tags", tuple(tags))

    def __repr__(self) -> str:
        return f"<Parameter {self.name!r}>"
