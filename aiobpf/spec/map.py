"""A map before it exists."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import attrs
from attrs import define, field

from aiobpf.btf import DataSection
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    from aiobpf.btf import Type
    from aiobpf.spec.struct_ops import StructOpsMembers


class Pinning(IntEnum):
    """How a map is pinned when its collection loads (LIBBPF_PIN_*)."""

    NONE = 0
    BY_NAME = 1


@define(kw_only=True)
class MapSpec:
    """What BPF_MAP_CREATE needs, and what the map holds at first.

    Sizes are bytes, *max_entries* counts elements (bytes for a ring buffer). *key* and *value* are BTF types, or None
    where the object has none; for a data section *value* is its DataSection and *contents* has the one key 0, and so
    for an arena in which global variables lie (its entries are pages, and it has no values otherwise).

    *contents* maps a key to a value, each as bytes; a str value is the name of a map or program of the same collection
    whose fd goes there (map-in-map, program arrays). *tags* are the BTF decl tags of the map's definition.
    """

    name: str
    type: MapType
    key_size: int = 0
    value_size: int = 0
    max_entries: int = 0
    flags: int = 0
    key: Type | None = None
    value: Type | None = None
    inner: MapSpec | None = None
    contents: dict[bytes, bytes | str] = field(factory=dict)
    pinning: Pinning = Pinning.NONE
    map_extra: int = 0
    numa_node: int | None = None
    ifindex: int = 0
    """The interface that the map is offloaded to; 0 for none."""
    is_frozen: bool = False
    """Frozen once its contents are in: .rodata and .kconfig."""
    section: str | None = None
    """The ELF section of a data section's map; None for a map of .maps."""
    alignment: int = 1
    """Of a data section, or of an arena's variables, in bytes: a power of two. Linking objects keeps to it."""
    tags: tuple[str, ...] = ()
    extra: bytes = b""
    """What a definition from before BTF (struct bpf_map_def) has behind the fields that all loaders share, such as
    iproute2's id and pinning. It is for the caller to make sense of: a map is not created until it is b""."""
    members: StructOpsMembers | None = None
    """What a struct_ops map holds, by the names of its struct's members; None for any other map."""
    exclusive_program: bytes | None = None
    """SHA-256 of the one program that may use the map (`aiobpf.Program.digest`; 6.18); None for any."""
    autocreate: bool = True
    """False for a map that a load leaves out: a struct_ops map of a section whose name begins with "?"."""

    @property
    def data_size(self) -> int:
        """Bytes of the global variables in it, for the map of a data section and for an arena."""
        if self.type == MapType.ARENA:
            return self.value.size if isinstance(self.value, DataSection) else 0
        return self.value_size

    def copy(self) -> MapSpec:
        return attrs.evolve(
            self,
            contents=dict(self.contents),
            inner=None if self.inner is None else self.inner.copy(),
            members=None if self.members is None else self.members.copy(),
        )
