"""What the keys and values of a map are to Python, by the map's type and its BTF.

With BTF a key or value is what `aiobpf.btf.codec` makes of it. Without, it is bytes; an int is taken too where the size
is 1, 2, 4 or 8 (this machine's byte order). Some map types say themselves what an element is: an index, a file
descriptor, one value a CPU.
"""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING, Any, Protocol, SupportsIndex, cast, final, runtime_checkable

from aiobpf.btf import codec
from aiobpf.errors import CodecError
from aiobpf.runtime.owner_key import OPENING_TYPES, STORAGE_TYPES, CgroupKeyElement, OwnerElement
from aiobpf.runtime.percpu import PerCpu
from aiobpf.uapi import MapFlags, MapType

if TYPE_CHECKING:
    from aiobpf.btf import Type

PER_CPU_TYPES = frozenset(
    {MapType.PERCPU_HASH, MapType.PERCPU_ARRAY, MapType.LRU_PERCPU_HASH, MapType.PERCPU_CGROUP_STORAGE}
)
MAP_IN_MAP_TYPES = frozenset({MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS})
FD_VALUE_TYPES = MAP_IN_MAP_TYPES | {MapType.PROG_ARRAY, MapType.PERF_EVENT_ARRAY, MapType.CGROUP_ARRAY}
SOCKET_VALUE_TYPES = frozenset({MapType.XSKMAP, MapType.SOCKMAP, MapType.SOCKHASH, MapType.REUSEPORT_SOCKARRAY})
"""Whose values are the fds of sockets when written and, where they have 8 bytes, the sockets' cookies when read."""
DEVICE_TYPES = frozenset({MapType.DEVMAP, MapType.DEVMAP_HASH})
CGROUP_STORAGE_TYPES = frozenset({MapType.CGROUP_STORAGE, MapType.PERCPU_CGROUP_STORAGE})
OBJECT_VALUE_TYPES = (
    FD_VALUE_TYPES | SOCKET_VALUE_TYPES | DEVICE_TYPES | {MapType.CPUMAP, MapType.STACK_TRACE, MapType.INSN_ARRAY}
)
"""Whose type says what a value is, whatever BTF they have."""
STREAMED_TYPES = frozenset({MapType.RINGBUF, MapType.PERF_EVENT_ARRAY})
"""Whose BTF type of values is that of their events."""
BTF_TYPES = STORAGE_TYPES | {MapType.STRUCT_OPS}
"""Which do not work without BTF."""
KEYLESS_TYPES = frozenset({MapType.QUEUE, MapType.STACK, MapType.BLOOM_FILTER})
# Nothing but a u32 is their key; a DEVMAP_HASH has no indices, but no other keys either.
INDEXED_TYPES = frozenset(
    {
        MapType.ARRAY,
        MapType.PERCPU_ARRAY,
        MapType.PROG_ARRAY,
        MapType.PERF_EVENT_ARRAY,
        MapType.CGROUP_ARRAY,
        MapType.ARRAY_OF_MAPS,
        MapType.DEVMAP,
        MapType.DEVMAP_HASH,
        MapType.CPUMAP,
        MapType.XSKMAP,
        MapType.SOCKMAP,
        MapType.REUSEPORT_SOCKARRAY,
        MapType.STACK_TRACE,
        MapType.INSN_ARRAY,
    }
)


class ElementCodec(Protocol):
    """From Python to the bytes of one key or value, and back."""

    @property
    def size(self) -> int:
        """Bytes that the kernel reads and writes."""
        ...

    def encode(self, value: Any) -> bytes: ...
    def decode(self, buffer: bytes, offset: int = 0) -> Any: ...


@runtime_checkable
class HasFd(Protocol):
    def fileno(self) -> int: ...


@final
class BytesElement:
    """An element of which only the size is known."""

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size

    def encode(self, value: Any) -> bytes:
        if isinstance(value, int) and self.size in {1, 2, 4, 8}:
            try:
                return value.to_bytes(self.size, sys.byteorder, signed=value < 0)
            except OverflowError as error:
                raise CodecError(f"{value} does not fit {self.size} bytes") from error
        if isinstance(value, (bytes, bytearray, memoryview)):
            raw = bytes(value)
            if len(raw) != self.size:
                raise CodecError(f"the map has no BTF type here and takes {self.size} bytes, not {len(raw)}")
            return raw
        raise CodecError(
            f"the map has no BTF type here and takes bytes ({self.size} of them), not {type(value).__name__}"
        )

    def decode(self, buffer: bytes, offset: int = 0) -> bytes:
        return buffer[offset : offset + self.size]


@final
class IndexElement:
    """The u32 index of an array-like map."""

    __slots__ = ()
    size = 4
    _struct = struct.Struct("=I")

    def encode(self, value: SupportsIndex) -> bytes:
        try:
            return self._struct.pack(value)
        except struct.error as error:
            raise CodecError(f"an index is an integer from 0 to 2**32 - 1, not {value!r}") from error

    def decode(self, buffer: bytes, offset: int = 0) -> int:
        return int(self._struct.unpack_from(buffer, offset)[0])


@final
class NoKeyElement:
    """The key of a queue, stack or bloom filter, which have none."""

    __slots__ = ("_type",)
    size = 0

    def __init__(self, type_: MapType) -> None:
        self._type = type_

    def encode(self, value: Any) -> bytes:
        raise CodecError(f"a {self._type.name} map has no keys ({value!r}): it has push, pop and peek")

    def decode(self, buffer: bytes, offset: int = 0) -> bytes:
        return b""


@final
class FdElement:
    """A value that is an fd when written (of a map, a program, a socket) and an id when read, or a cookie."""

    __slots__ = ("_struct", "size")

    def __init__(self, size: int = 4) -> None:
        self.size = size
        self._struct = struct.Struct("=Q" if size == 8 else "=I")

    def encode(self, value: Any) -> bytes:
        if isinstance(value, HasFd):
            value = value.fileno()
        try:
            return self._struct.pack(value)
        except struct.error as error:
            raise CodecError(f"the map takes objects that have an fd, or an fd's number, not {value!r}") from error

    def decode(self, buffer: bytes, offset: int = 0) -> int:
        return int(self._struct.unpack_from(buffer, offset)[0])


@final
class PerCpuElement:
    """One value for each possible CPU, each in a slot rounded up to 8 bytes (kernel/bpf/arraymap.c, hashtab.c)."""

    __slots__ = ("cpus", "size", "stride", "value")

    def __init__(self, value: ElementCodec, cpus: int) -> None:
        self.value = value
        self.cpus = cpus
        self.stride = (value.size + 7) & ~7
        self.size = self.stride * cpus

    def encode(self, value: Any) -> bytes:
        if isinstance(value, (PerCpu, list, tuple)):
            if len(value) != self.cpus:
                raise CodecError(f"{len(value)} values for {self.cpus} possible CPUs")
            values = [self.value.encode(one) for one in value]
        else:
            values = [self.value.encode(value)] * self.cpus
        return b"".join(one.ljust(self.stride, b"\0") for one in values)

    def spread(self, raw: bytes) -> bytes:
        """The bytes of one CPU's value for all of them."""
        return raw.ljust(self.stride, b"\0") * self.cpus

    def decode(self, buffer: bytes, offset: int = 0) -> PerCpu[Any]:
        decode, stride = self.value.decode, self.stride
        return PerCpu([decode(buffer, offset + cpu * stride) for cpu in range(self.cpus)])


def key_codec(type_: MapType, size: int, btf_type: Type | None, python_type: object = None) -> ElementCodec:
    """How keys of a map of *type_* with *size* bytes are written; as *python_type* where that is not None."""
    if type_ in KEYLESS_TYPES:
        return NoKeyElement(type_)
    if type_ in STORAGE_TYPES:
        return OwnerElement(type_)
    if type_ in CGROUP_STORAGE_TYPES and size in {8, 16}:
        return CgroupKeyElement(size)
    if type_ == MapType.LPM_TRIE:
        from aiobpf.runtime.prefix_key import NETWORKS, PrefixElement  # ipaddress takes 3 ms to import

        if isinstance(python_type, type) and python_type in NETWORKS:
            return PrefixElement(size, _plain(size, btf_type, None), python_type)
        return PrefixElement(size, _plain(size, btf_type, None, python_type))
    return _plain(size, btf_type, IndexElement() if type_ in INDEXED_TYPES and size == 4 else None, python_type)


def value_codec(
    type_: MapType,
    size: int,
    btf_type: Type | None,
    possible_cpus: int,
    python_type: object = None,
    flags: int = 0,
) -> ElementCodec:
    """How values of a map of *type_* with *size* bytes are written; *possible_cpus* counts for per-CPU types.

    They are read as *python_type* where that is not None; of a per-CPU map it is that of one CPU's value.
    """
    special = _object_codec(type_, size, flags) if type_ in OBJECT_VALUE_TYPES else None
    if special is not None:
        return special
    plain = _plain(size, btf_type, None, python_type)
    return PerCpuElement(plain, possible_cpus) if type_ in PER_CPU_TYPES else plain


def _object_codec(type_: MapType, size: int, flags: int) -> ElementCodec | None:
    """The codec of values that the type of the map explains; None for a size that it does not have."""
    if type_ in OPENING_TYPES:
        return OwnerElement(type_)
    if type_ in FD_VALUE_TYPES:
        return FdElement()
    if type_ in SOCKET_VALUE_TYPES:
        return FdElement(size) if size in {4, 8} else None
    if type_ in {MapType.STACK_TRACE, MapType.INSN_ARRAY}:
        from aiobpf.runtime.code_value import BuildIdStackElement, InstructionElement, StackElement

        if type_ == MapType.INSN_ARRAY:
            return InstructionElement(size) if size == 16 else None
        return BuildIdStackElement(size) if flags & MapFlags.STACK_BUILD_ID else StackElement(size)
    if size not in {4, 8}:
        return None
    from aiobpf.runtime.network_value import CpuElement, DeviceElement

    return DeviceElement(size) if type_ in DEVICE_TYPES else CpuElement(size)


def element_size(type_: MapType, size: int, possible_cpus: int) -> int:
    """Bytes that the kernel reads and writes for a value of *size* bytes; what the `size` of its codec is."""
    if type_ in FD_VALUE_TYPES:
        return 4
    return ((size + 7) & ~7) * possible_cpus if type_ in PER_CPU_TYPES else size


def _plain(size: int, btf_type: Type | None, fallback: ElementCodec | None, python_type: object = None) -> ElementCodec:
    if btf_type is not None:
        try:
            typed = codec(btf_type)
        except CodecError:  # a type without a value (a function, a forward declaration): its bytes are still there
            typed = None
        if typed is not None and typed.size == size:
            if python_type is not None:
                assert btf_type is not None
                typed = codec(btf_type, python_type=python_type)
            return cast("ElementCodec", typed)  # pyright does not see through its cached properties
    found = fallback if fallback is not None else BytesElement(size)
    if python_type not in {None, int if fallback is not None else bytes}:
        name = getattr(python_type, "__qualname__", python_type)
        raise CodecError(f"it has no BTF type there of {size} bytes: nothing says how to read it as {name}")
    return found
