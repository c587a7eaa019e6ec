"""The keys of storages: what owns the value (a socket, a task, a file, a cgroup), not a number that stands for it.

The kernel takes a descriptor; what is given as a process id or a path is opened for the operation
(`aiobpf.kernel.opened`). A storage lists no owners: iterators of programs find them.
"""

from __future__ import annotations

import contextlib
import os
import struct
from typing import TYPE_CHECKING, Any, Final, final

from attrs import frozen

from aiobpf.errors import CodecError
from aiobpf.kernel.opened import descriptor_bytes, open_cgroup, open_file, open_task
from aiobpf.uapi import AttachType, MapType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiobpf.kernel import OwnedFd

_EXPECTED: Final[Mapping[MapType, str]] = {
    MapType.SK_STORAGE: "a socket, or the number of its descriptor",
    MapType.TASK_STORAGE: "a process id, or an object with the fileno() of a pidfd",
    MapType.INODE_STORAGE: "a file, its path, or the number of a descriptor",
    MapType.CGRP_STORAGE: "a cgroup's path, or a descriptor of its directory",
    MapType.CGROUP_ARRAY: "a cgroup's path, or a descriptor of its directory",
}
_OPENS: Final[Mapping[MapType, Callable[[object], OwnedFd]]] = {
    MapType.TASK_STORAGE: open_task,
    MapType.INODE_STORAGE: open_file,
    MapType.CGRP_STORAGE: open_cgroup,
    MapType.CGROUP_ARRAY: open_cgroup,
}
STORAGE_TYPES: Final = frozenset(
    {MapType.SK_STORAGE, MapType.TASK_STORAGE, MapType.INODE_STORAGE, MapType.CGRP_STORAGE}
)
OPENING_TYPES: Final = STORAGE_TYPES | {MapType.CGROUP_ARRAY}
"""Whose keys or values may be opened for an operation."""


@final
class OwnerElement:
    """What a descriptor stands for: a key of a storage, or a value of a cgroup array."""

    __slots__ = ("_expected", "_opens")
    size = 4
    _struct = struct.Struct("=i")

    def __init__(self, type_: MapType) -> None:
        self._expected = _EXPECTED[type_]
        self._opens = _OPENS.get(type_)

    def encode(self, value: Any) -> bytes:
        return descriptor_bytes(value, self._opens, self._expected)

    def decode(self, buffer: bytes, offset: int = 0) -> int:
        return int(self._struct.unpack_from(buffer, offset)[0])


@frozen
class CgroupStorageKey:
    """The key of a cgroup storage from before 6.2: a cgroup (its id, or its path where it is given) and a hook of it.

    The kernel makes the value when a program that uses the map is attached there, so it can be set, not added.
    """

    cgroup: int | str | os.PathLike[str]
    attach_type: AttachType | int


@final
class CgroupKeyElement:
    """The key of a CGROUP_STORAGE: a cgroup's id (8 bytes; 5.9), or that and an attach type (16 bytes)."""

    __slots__ = ("size",)
    _struct = struct.Struct("=QI4x")

    def __init__(self, size: int) -> None:
        self.size = size

    def encode(self, value: Any) -> bytes:
        if isinstance(value, (bytes, bytearray)) and len(value) == self.size:
            return bytes(value)
        if self.size == 8:
            cgroup = value.cgroup if isinstance(value, CgroupStorageKey) else value
            return struct.pack("=Q", cgroup_id(cgroup))
        if not isinstance(value, CgroupStorageKey):
            raise CodecError(f"it takes CgroupStorageKey(cgroup, attach_type), not {value!r}")
        return self._struct.pack(cgroup_id(value.cgroup), value.attach_type)

    def decode(self, buffer: bytes, offset: int = 0) -> int | CgroupStorageKey:
        if self.size == 8:
            return int(struct.unpack_from("=Q", buffer, offset)[0])
        cgroup, attach_type = self._struct.unpack_from(buffer, offset)
        with contextlib.suppress(ValueError):
            attach_type = AttachType(attach_type)
        return CgroupStorageKey(cgroup, attach_type)


def cgroup_id(cgroup: object) -> int:
    """The kernel's id of a cgroup v2: the inode number of its directory, given as a path or descriptor; or an int."""
    if isinstance(cgroup, int):
        return cgroup
    if isinstance(cgroup, (str, bytes, os.PathLike)):
        return os.stat(cgroup).st_ino
    fileno: Callable[[], int] | None = getattr(cgroup, "fileno", None)
    if fileno is not None:
        return os.fstat(fileno()).st_ino
    raise CodecError(f"a cgroup is its id, its path or an object with fileno(), not {cgroup!r}")
