"""Arenas: memory that programs and this process share by address (6.9).

An arena is mapped at one place in every process, and at most once in each (kernel/bpf/arena.c): pointers that a program
stores are addresses of that place. So a map and its duplicates share one mapping, and it is made before any program
that uses the arena is loaded, as the kernel asks.
"""

from __future__ import annotations

import errno
import mmap as _mmap
import threading
from typing import TYPE_CHECKING, Any, final

from aiobpf import kernel
from aiobpf.btf import codec
from aiobpf.errors import ClosedError, KernelError, NotSupportedError, SpecError, kernel_error
from aiobpf.kernel import features
from aiobpf.runtime.atomic_place import atomic_integer
from aiobpf.uapi import MapFlags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiobpf._native._lib import View
    from aiobpf.btf import Type
    from aiobpf.kernel import AtomicInteger, OwnedFd
    from aiobpf.runtime.map import Map
    from aiobpf.runtime.map_handle import MapHandle

_POINTER_BITS = 32  # a program's own pointer has only the lower half of the address


@final
class ArenaMapping:
    """The place of one arena in this process, made when first asked for; unmapped when nobody has it any more."""

    __slots__ = ("_lock", "_memory", "address", "requested", "size")

    def __init__(self, size: int, requested: int) -> None:
        self.size = size
        self.requested = requested
        """The address that the map was made for (map_extra), 0 for any."""
        self.address = 0
        self._memory: View | None = None
        self._lock = threading.Lock()

    def memory(self, fd: OwnedFd, what: str) -> View:
        """The mapped arena. KernelError where its place is taken, or nobody knows it."""
        with self._lock:
            if self._memory is None:
                try:
                    self._memory, self.address = kernel.map_shared_at(fd, self.requested, self.size, what=what)
                except KernelError as error:
                    raise kernel_error(error.errno or 0, "mmap", what, self._why(error.errno)) from error
            return self._memory

    def _why(self, number: int | None) -> str | None:
        if number in {errno.EEXIST, errno.EBUSY}:
            return (
                f"Something else is mapped at {self.requested:#x}, perhaps the arena itself for another Map object: "
                "take map.duplicate()"
            )
        if number == errno.EINVAL and not self.requested:
            return (
                "It was mapped before, at an address that is not known here: take map.duplicate() of the Map that has "
                "it in this process, or give the arena an address (map_extra) for several processes to share it"
            )
        return None


@final
class Arena:
    """The memory of an arena map, as programs and this process address it: ``coll.maps["arena"].arena``.

    Pointers are what programs store: addresses in this process, or only the lower 32 bits of them. A page that no
    program has allocated is there (as zeros) once it is touched here, unless the arena has BPF_F_SEGV_ON_FAULT: then
    `read` and `write` raise KernelError (EFAULT), and touching it through `memory` ends the process.
    """

    __slots__ = ("_map", "_memory", "address", "size")

    def __init__(self, map_: MapHandle) -> None:
        self._map = map_
        self._memory = map_.shared_memory(writable=True)
        mapping = map_.arena_mapping
        assert mapping is not None
        self.address: int = mapping.address
        """Where it begins in this process, and in every other one."""
        self.size: int = mapping.size
        """Bytes, used or not."""

    @property
    def memory(self) -> memoryview:
        """All of it, writable; index it by `offset`."""
        return memoryview(self._memory)

    def offset(self, pointer: int) -> int:
        """Bytes from the arena's start to what *pointer* points at; SpecError where that is outside."""
        found = (pointer - self.address) & (1 << _POINTER_BITS) - 1
        if found >= self.size or (pointer >> _POINTER_BITS and pointer - self.address != found):
            raise SpecError(
                f"{pointer:#x} does not point into arena {self._map.name!r}, which is the {self.size} bytes at "
                f"{self.address:#x}"
            )
        return found

    def pointer(self, offset: int) -> int:
        """The address of byte *offset*, as programs take it."""
        if not 0 <= offset < self.size:
            raise SpecError(f"byte {offset} is outside of arena {self._map.name!r}, which has {self.size}")
        return self.address + offset

    def read(self, pointer: int, size: int) -> bytes:
        """*size* bytes at *pointer*."""
        start = self._place(pointer, size)
        if not self._is_fragile:
            return self._memory[start : start + size]
        return kernel.read_memory(self.address + start, size, what=self._subject)

    def write(self, pointer: int, data: bytes) -> None:
        """Put *data* at *pointer*; up to 8 aligned bytes in one store, more of it piece by piece."""
        start = self._place(pointer, len(data))
        if not self._is_fragile:
            self._memory[start : start + len(data)] = data
        else:
            kernel.write_memory(self.address + start, data, what=self._subject)

    def value(self, pointer: int, type: Type | str) -> Any:  # noqa: A002 - the field's own word
        """What lies at *pointer*, as *type*: a BTF type, or the name of a struct or typedef of the object."""
        decoder = codec(self._type(type))
        return decoder.decode(self.read(pointer, decoder.size))

    def set_value(self, pointer: int, type: Type | str, value: Any) -> None:  # noqa: A002
        """Put *value* at *pointer*, encoded as *type*."""
        self.write(pointer, codec(self._type(type)).encode(value))

    def atomic(self, pointer: int, type: Type | str, *path: str | int) -> AtomicInteger:  # noqa: A002
        """The integer at *pointer*, as *type* or at *path* of it (members by name, elements by index), changed as
        atomically as programs do.

        KernelError (EFAULT) where an arena with BPF_F_SEGV_ON_FAULT has no page there; one that a program frees later
        is memory that ends the process when it is touched.
        """
        found = self._type(type)
        size = codec(found).size
        start = self._place(pointer, size)
        if self._is_fragile:
            self.read(pointer, size)
        return atomic_integer(self._memory, start, found, path, f"{self._subject} at {pointer:#x}", size)

    def _type(self, type: Type | str) -> Type:  # noqa: A002
        if not isinstance(type, str):
            return type
        types = self._map.types
        if types is None:
            raise SpecError(
                f"arena {self._map.name!r} knows no types by name: it was not loaded from an object with BTF"
            )
        return types.by_name(type.removeprefix("struct "))

    def _place(self, pointer: int, size: int) -> int:
        if self._map.is_closed:
            raise ClosedError(f"arena {self._map.name!r} is closed")
        start = self.offset(pointer)
        if size < 0 or start + size > self.size:
            raise SpecError(f"{size} bytes at {pointer:#x} are more than arena {self._map.name!r} has after there")
        return start

    @property
    def _is_fragile(self) -> bool:
        return bool(self._map.flags & MapFlags.SEGV_ON_FAULT)

    @property
    def _subject(self) -> str:
        return f"arena {self._map.name!r}"

    def __repr__(self) -> str:
        return f"<Arena {self._map.name!r}: {self.size} bytes at {self.address:#x}>"


def globals_offset(map_: MapHandle) -> int:
    """Where in the arena an object's global variables begin.

    As libbpf 1.7: at the end, in pages of their own, so that programs may keep the first page free to catch null
    pointers; but at the start on kernels before 7.0, which take no offset above 512 MiB in an instruction. Programs
    that libbpf loaded and that share the arena so find them in the same place.
    """
    size = 0 if map_.spec is None else map_.spec.data_size
    if size == 0 or not features.supports_full_range_offsets():
        return 0
    return map_.memory_size - -(-size // _mmap.PAGESIZE) * _mmap.PAGESIZE


def fill_globals(made: Map, contents: Mapping[bytes, bytes | str]) -> None:
    """Put the variables' initial values into the arena, and see to it that their pages are there: what a program writes
    to a page that is not is lost. SpecError where they do not fit."""
    size = 0 if made.spec is None else made.spec.data_size
    if not size:
        return
    if size > made.memory_size:
        raise SpecError(
            f"arena {made.name!r} has {made.memory_size} bytes (max_entries are pages), and its global variables {size}"
        )
    if made.flags & MapFlags.SEGV_ON_FAULT:
        raise NotSupportedError(
            f"global variables in arena {made.name!r}, which has BPF_F_SEGV_ON_FAULT: user space cannot give them pages"
        )
    memory = made.shared_memory(writable=True)
    start = globals_offset(made)
    for data in contents.values():
        assert isinstance(data, bytes)
        memory[start : start + len(data)] = data
    for page in range(start, start + size, _mmap.PAGESIZE):
        memory[page : page + 1]
