"""A map as the kernel has it: what is known of it, how it is opened, pinned, mapped and closed; not what is in it."""

from __future__ import annotations

import mmap as _mmap
import os
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet

from aiobpf import kernel
from aiobpf.errors import ClosedError, SpecError
from aiobpf.kernel.worker import in_worker
from aiobpf.runtime.all_objects import AllObjects
from aiobpf.runtime.arena import Arena, ArenaMapping, globals_offset
from aiobpf.runtime.element import (
    KEYLESS_TYPES,
    MAP_IN_MAP_TYPES,
    PER_CPU_TYPES,
    BytesElement,
    element_size,
    key_codec,
    value_codec,
)
from aiobpf.runtime.owner_key import OPENING_TYPES
from aiobpf.uapi import MapType
from aiobpf.uapi.newer import member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike
    from types import TracebackType

    from aiobpf._native._lib import View
    from aiobpf.btf import Btf, Type
    from aiobpf.kernel import MapInfo, OwnedFd
    from aiobpf.runtime.attach import MapAttachKind
    from aiobpf.runtime.element import ElementCodec
    from aiobpf.runtime.struct_ops import Registration
    from aiobpf.spec import MapSpec


class MapHandle:
    """One owner of a map's fd, from the constructor's call on and also if that fails. `Map` adds the elements."""

    __slots__ = (
        "_arena",
        "_cpus",
        "_decode_value",
        "_encode_key",
        "_encode_value",
        "_fd",
        "_holds_maps",
        "_id",
        "_key_codec",
        "_value_codec",
        "default_kind",
        "elements",
        "flags",
        "key_size",
        "key_type",
        "links",
        "max_entries",
        "name",
        "pin_path",
        "registration",
        "spec",
        "type",
        "types",
        "value_class",
        "value_size",
        "value_type",
    )

    def __init__(
        self,
        fd: OwnedFd,
        *,
        name: str,
        type: MapType,  # noqa: A002 - the field's own word
        key_size: int,
        value_size: int,
        max_entries: int,
        flags: int = 0,
        key_type: Type | None = None,
        value_type: Type | None = None,
        types: Btf | None = None,
        spec: MapSpec | None = None,
        map_extra: int = 0,
    ) -> None:
        self.name = name
        self.type = type
        self.key_size = key_size
        self.value_size = value_size
        self.max_entries = max_entries
        self.flags = flags
        self.key_type = key_type
        self.value_type = value_type
        self.types = types
        self.spec = spec
        self.pin_path: str | None = None
        self.value_class: object = None
        """What values are read as, the events of a buffer too; None: what `aiobpf.btf.codec` makes of their type."""
        self.default_kind: MapAttachKind[Any] | None = None
        """Where `Map.attach` hangs it if nothing else is said; a Collection sets it for struct_ops maps."""
        self.registration: Registration | None = None
        """What a struct_ops map of a Collection is to hold."""
        self.links: WeakSet[Any] = WeakSet()
        """The links that a struct_ops map is registered by, as far as this object made them."""
        try:
            self._cpus = len(kernel.possible_cpus()) if type in PER_CPU_TYPES else 1
        except BaseException:
            fd.close()
            raise
        self._fd = fd
        self._id = 0
        self._arena = ArenaMapping(self.memory_size, map_extra) if type == MapType.ARENA else None
        # The codecs, and their functions, each made when it is first needed: looking a function up compiles it (0.7 ms
        # for a struct), many maps of an object are never touched from here, and going through the codec each time would
        # cost 40 ns more.
        self._key_codec: ElementCodec | None = None
        self._value_codec: ElementCodec | None = None
        self._encode_key: Callable[[Any], bytes] | None = None
        self._encode_value: Callable[[Any], bytes] | None = None
        self._decode_value: Callable[[bytes], Any] | None = None
        self._holds_maps = type in MAP_IN_MAP_TYPES  # an enum's hash is Python code: not for each lookup
        self.elements = (kernel.OpeningElements if type in OPENING_TYPES else kernel.MapElements)(
            fd, key_size, element_size(type, value_size, self._cpus), subject=f"map {name!r}", limit=max_entries
        )
        """The elements as bytes."""

    # --- making one ---------------------------------------------------------------------------------------------------

    @staticmethod
    def ids() -> Iterator[int]:
        """The ids of all maps in the kernel, rising; they come and go meanwhile. CAP_SYS_ADMIN."""
        return kernel.all_ids(kernel.ObjectKind.MAP)

    @classmethod
    def all(cls, *, after: int = 0) -> AllObjects[Self]:
        """``async for map_ in Map.all():`` opens each of the kernel's maps (with an id above *after*); who gets it
        closes it. Keys and values are bytes: `Map.typed_by_kernel` reads their types."""
        return AllObjects(kernel.ObjectKind.MAP, cls.from_fd, cls.close, after)

    @classmethod
    def from_id(cls, id: int, *, flags: int = 0) -> Self:  # noqa: A002 - the field's own word
        """The kernel's map of that id; FileNotFoundError (ENOENT) if there is none.

        *flags*: `MapFlags.RDONLY` or WRONLY, for one that this process can only read, or only write (4.15).
        """
        return cls.from_fd(kernel.map_by_id(id, flags=flags))

    @classmethod
    def from_pin(cls, path: str | PathLike[str], *, flags: int = 0) -> Self:
        """The map pinned at *path* in a bpffs; *flags* as in `from_id`."""
        found = cls.from_fd(kernel.open_pin(path, flags=flags, kind="map"))
        found.pin_path = os.fspath(path)
        return found

    @classmethod
    def from_fd(
        cls, fd: OwnedFd, spec: MapSpec | None = None, types: Btf | None = None, *, keeps_name: bool = False
    ) -> Self:
        """A map that is open already; it owns *fd* from here on, also if this fails.

        *spec* gives it the types of an object file's map, and its name unless it *keeps_name*; *types* is the object's
        BTF.
        """
        try:
            info = kernel.map_info(fd)
            found = cls(
                fd,
                name=info.name if spec is None or keeps_name else spec.name,
                type=member(MapType, info.type),
                key_size=info.key_size,
                value_size=info.value_size,
                max_entries=info.max_entries,
                flags=info.flags,
                key_type=None if spec is None else spec.key,
                value_type=None if spec is None else spec.value,
                types=types,
                spec=spec,
                map_extra=info.map_extra,
            )
            found._id = info.id
            return found
        except BaseException:
            fd.close()
            raise

    # --- lifetime -----------------------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """The map's fd; ClosedError once it is closed."""
        if self._fd.is_closed:
            raise ClosedError(f"map {self.name!r} is closed")
        return self._fd.fileno()

    @property
    def is_closed(self) -> bool:
        return self._fd.is_closed

    def close(self) -> None:
        """Close without waiting on the event loop; freeing a large map takes milliseconds, so prefer `aclose`."""
        self._fd.close()
        self._arena = None

    async def aclose(self) -> None:
        """Close the map; idempotent. It lives on where a program, a pin or another fd holds it."""
        self._arena = None
        if not self._fd.is_closed:
            await kernel.close_in_worker(self._fd)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def duplicate(self, spec: MapSpec | None = None, types: Btf | None = None) -> Self:
        """Another owner of the same map; *spec* and *types* replace what is known of its elements."""
        copy = type(self)(
            self._fd.duplicate(),
            name=self.name if spec is None else spec.name,
            type=self.type,
            key_size=self.key_size,
            value_size=self.value_size,
            max_entries=self.max_entries,
            flags=self.flags,
            key_type=self.key_type if spec is None else spec.key,
            value_type=self.value_type if spec is None else spec.value,
            types=self.types if types is None else types,
            spec=self.spec if spec is None else spec,
        )
        copy.pin_path = self.pin_path
        copy._id = self._id
        copy._arena = self._arena  # mapped once in a process, whoever asks first
        return copy

    def exchange(self, other: Self) -> None:
        """Become *other*, and it this, but for the links: who refers to one has the other from now on. Maps seen in
        another way (`Map.typed`) stay what they are."""
        for slot in MapHandle.__slots__:
            if slot != "links":
                mine = getattr(self, slot)
                setattr(self, slot, getattr(other, slot))
                setattr(other, slot, mine)

    def shares_fd(self, other: object) -> bool:
        """Whether *other* is this map seen in another way (`Map.typed`), which closes with it."""
        return isinstance(other, MapHandle) and other._fd is self._fd

    @property
    def id(self) -> int:
        """The kernel's number for it, for as long as it lives."""
        if not self._id:
            self._id = kernel.object_id(self.fileno(), kernel.ObjectKind.MAP, subject=f"map {self.name!r}")
        return self._id

    # --- the whole map ------------------------------------------------------------------------------------------------

    def info(self) -> MapInfo:
        """What the kernel says of the map (BPF_OBJ_GET_INFO_BY_FD)."""
        return kernel.map_info(self.fileno(), subject=f"map {self.name!r}")

    def locked_memory(self) -> int | None:
        """Bytes of kernel memory that the map takes, estimated since 6.4; None where the kernel does not say."""
        return kernel.locked_memory(self.fileno())

    @property
    def is_frozen(self) -> bool:
        """Whether user space may not write to it any more (5.2)."""
        return kernel.fd_info(self.fileno()).get("frozen") == "1"

    async def own_types(self) -> Btf | None:
        """The types that the map was created with, or None; CAP_SYS_ADMIN. For those of a key or value, see `info`."""

        def read() -> Btf | None:
            number = self.info().btf_id
            return kernel.read_btf(number) if number else None

        return await in_worker(read)

    def freeze(self) -> None:
        """No writes from user space any more, for good (5.2)."""
        kernel.freeze_map(self._fd, subject=f"map {self.name!r}")

    def pin(self, path: str | PathLike[str]) -> None:
        """Give the map a name in a bpffs; it lives as long as that. Missing directories of the bpffs are made."""
        self._id = self.id  # `unpin` looks for it, when the map may be closed
        kernel.pin(self.fileno(), path, subject=f"map {self.name!r}")
        self.pin_path = os.fspath(path)

    def unpin(self) -> None:
        """Take away the name that `pin` gave or the map was found by; nothing if it is another's by now."""
        path, self.pin_path = self.pin_path, None
        if path is not None:
            kernel.remove_pin(path, kernel.ObjectKind.MAP, self.id)

    def mmap(self, *, writable: bool = True) -> memoryview:
        """The map's memory, `memory_size` bytes: arrays with MMAPABLE (5.5) and arenas (6.9).

        What programs write is seen at once, and the other way round. It stays mapped while the memoryview, or a slice
        of it, is held, also after the map is closed; ``with`` or ``release()`` lets go early. KernelError: EINVAL or
        ENOTSUPP for a map that cannot be mapped, EPERM where it is frozen and *writable*.
        """
        memory = memoryview(self.shared_memory(writable=writable))
        return memory if writable else memory.toreadonly()

    def shared_memory(self, *, writable: bool) -> View:
        """`mmap` as a buffer whose slices are copies. Not to be written to where it is not *writable*."""
        self.fileno()  # ClosedError by name
        if self._arena is not None:
            return self._arena.memory(self._fd, f"map {self.name!r}")
        return kernel.map_shared(self._fd, self.memory_size, writable=writable, what=f"map {self.name!r}")

    @property
    def arena(self) -> Arena:
        """The memory of an arena map by the addresses that programs use; SpecError for any other map."""
        if self.type != MapType.ARENA:
            raise SpecError(f"map {self.name!r} is a {self.type.name} map, not an arena")
        return Arena(self)

    @property
    def arena_mapping(self) -> ArenaMapping | None:
        """Where an arena map is mapped; duplicates share it."""
        return self._arena

    @property
    def data_offset(self) -> int:
        """Bytes in the map's memory before the global variables that lie in it: in an arena they may be at the end."""
        return globals_offset(self) if self.type == MapType.ARENA else 0

    @property
    def data_size(self) -> int:
        """Bytes of the global variables of a data section or an arena."""
        if self.type == MapType.ARENA:
            return 0 if self.spec is None else self.spec.data_size
        return self.value_size

    @property
    def memory_size(self) -> int:
        """Bytes that `mmap` maps: elements rounded up to 8 each, the whole rounded up to pages."""
        page = _mmap.PAGESIZE
        if self.type == MapType.ARENA:
            return self.max_entries * page
        return (((self.value_size + 7) & ~7) * self.max_entries + page - 1) // page * page

    @property
    def key_codec(self) -> ElementCodec:
        """How keys are written."""
        if self._key_codec is None:
            self._key_codec = key_codec(self.type, self.key_size, self.key_type)
        return self._key_codec

    @property
    def value_codec(self) -> ElementCodec:
        """How values are written."""
        if self._value_codec is None:
            self._value_codec = value_codec(self.type, self.value_size, self.value_type, self._cpus, flags=self.flags)
        return self._value_codec

    @property
    def is_keyless(self) -> bool:
        return self.type in KEYLESS_TYPES

    @property
    def is_untyped(self) -> bool:
        """Whether keys and values are plain bytes."""
        return isinstance(self.value_codec, BytesElement)

    def __repr__(self) -> str:
        state = "closed " if self.is_closed else ""
        sizes = f"key={self.key_size} value={self.value_size} max_entries={self.max_entries}"
        return f"<{state}Map {self.name!r} {self.type.name} {sizes}>"
