"""What CO-RE is asked: one relocation, as the compiler recorded it beside an instruction.

Source: enum bpf_core_relo_kind and struct bpf_core_relo in the UAPI header linux/bpf.h (since 5.17; the numbers are
those that clang emits since 10).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol, final

from aiobpf.asm.metadata import Key
from aiobpf.btf.type_base import Type


class CoreRelocationKind(IntEnum):
    """What a relocation asks of the target's types; the numbers are the kernel's."""

    FIELD_BYTE_OFFSET = 0
    FIELD_BYTE_SIZE = 1
    FIELD_EXISTS = 2
    FIELD_SIGNED = 3
    FIELD_LSHIFT_U64 = 4
    FIELD_RSHIFT_U64 = 5
    TYPE_ID_LOCAL = 6
    TYPE_ID_TARGET = 7
    TYPE_EXISTS = 8
    TYPE_SIZE = 9
    ENUMVAL_EXISTS = 10
    ENUMVAL_VALUE = 11
    TYPE_MATCHES = 12

    @property
    def label(self) -> str:
        """The short name that libbpf's debug output and bpftool use ("byte_off")."""
        return _LABELS[self]

    @property
    def is_field_based(self) -> bool:
        """Whether the access string walks members and elements."""
        return self <= CoreRelocationKind.FIELD_RSHIFT_U64

    @property
    def is_enum_based(self) -> bool:
        """Whether the access string is the index of an enumerator."""
        return self in {CoreRelocationKind.ENUMVAL_EXISTS, CoreRelocationKind.ENUMVAL_VALUE}

    @property
    def is_type_based(self) -> bool:
        """Whether the relocation is about the type as a whole."""
        return not self.is_field_based and not self.is_enum_based


_LABELS = (
    "byte_off",
    "byte_sz",
    "field_exists",
    "signed",
    "lshift_u64",
    "rshift_u64",
    "local_type_id",
    "target_type_id",
    "type_exists",
    "type_size",
    "enumval_exists",
    "enumval_value",
    "type_matches",
)


class TypeSource(Protocol):
    """What a relocation resolves its type through: a Btf."""

    def type_by_id(self, id: int, /) -> Type: ...  # noqa: A002 - the contract's own word


@final
class CoreRelocation:
    """One CO-RE relocation: *kind* asked about *access* below *type*, all in the object's own ("local") BTF.

    *type* may be given as the Btf that holds *type_id*; it is looked up when first asked for, so that reading an object
    with thousands of relocations makes no types. *access* is clang's access string: for a field "0:1:2" (array index of
    the root, then member or element numbers), for an enumerator its index, for a type "0".
    """

    __slots__ = ("_type", "access", "kind", "type_id")

    type_id: int
    access: str
    kind: CoreRelocationKind

    def __init__(self, type_id: int, type: Type | TypeSource, access: str, kind: CoreRelocationKind) -> None:  # noqa: A002
        self.type_id = type_id
        self._type = type
        self.access = access
        self.kind = kind

    @property
    def type(self) -> Type:
        """The local type that the access string starts from; BtfError when the id names none."""
        found = self._type
        if not isinstance(found, Type):
            found = self._type = found.type_by_id(self.type_id)
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CoreRelocation):
            return NotImplemented
        return (
            self.type_id == other.type_id
            and self.kind == other.kind
            and self.access == other.access
            and (self._type is other._type or self.type is other.type)
        )

    def __hash__(self) -> int:
        return hash((self.type_id, self.kind, self.access))

    def __repr__(self) -> str:
        return f"CoreRelocation(type_id={self.type_id}, access={self.access!r}, kind={self.kind.label})"


CORE_RELOCATION: Key[CoreRelocation] = Key("core_relocation")
"""On an instruction whose immediate or offset CO-RE adjusts to the target's types."""
