"""A map in the kernel: typed element access, synchronous, for it takes half a microsecond and cannot block.

What may take long (creating a large map, closing it) is awaited. What is not about elements is in `map_handle`.
"""

from __future__ import annotations

import copy
from functools import partial
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, final, overload

from aiobpf import kernel
from aiobpf.errors import (
    CodecError,
    KernelError,
    MapKeyError,
    NoSuchObjectError,
    SpecError,
)
from aiobpf.kernel.worker import in_worker
from aiobpf.runtime.atomic_place import atomic_integer
from aiobpf.runtime.attach import Closeable, MapAttachKind, Opening
from aiobpf.runtime.element import CGROUP_STORAGE_TYPES, STREAMED_TYPES, key_codec, value_codec
from aiobpf.runtime.map_batch import Batches, numpy_arrays, take_all
from aiobpf.runtime.map_cpu import lookup_cpu, update_cpu
from aiobpf.runtime.map_handle import MapHandle
from aiobpf.runtime.map_nested import lookup_inner, make_inner, open_inner, remove_inner
from aiobpf.runtime.owner_key import OPENING_TYPES
from aiobpf.uapi import MapFlags, MapType, UpdateFlags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from os import PathLike

    from typing_extensions import TypeVar as DefaultTypeVar

    from aiobpf.kernel import AtomicInteger
    from aiobpf.kernel.tokens import TokenSource
    from aiobpf.runtime.element import PerCpuElement
    from aiobpf.spec import MapSpec

    K = DefaultTypeVar("K", default=Any)
    V = DefaultTypeVar("V", default=Any)
    W = DefaultTypeVar("W", default=V)
else:  # typing has no defaults before Python 3.13; nothing asks for them at run time
    K, V, W = TypeVar("K"), TypeVar("V"), TypeVar("W")

_MISSING: Any = object()
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C", bound=Closeable)
D = TypeVar("D")


@final
class Map(MapHandle, Generic[K, V, W]):
    """A map, and the one owner of its fd, from the constructor's call on and also if that fails.

    A mapping by subscript, `get`, `update`, `pop`, iteration; there is no ``len()``, since a hash map's size is known
    only by walking it. Keys and values are typed by BTF (see `aiobpf.runtime.element`); values of a per-CPU map are
    `PerCpu`, those of a map-in-map are Maps that the caller closes.

    To a type checker a Map is one of anything, unless it is annotated: ``Map[K, V]`` has keys K and values V, and
    ``Map[K, V, W]`` takes W where values are written (programs into a program array, one value for all CPUs).
    `Collection.bind` makes it true.
    """

    __slots__ = ()

    if not TYPE_CHECKING:  # Map[int, Event], without the third

        def __class_getitem__(cls, parameters: Any) -> GenericAlias:
            return GenericAlias(cls, parameters)

    @classmethod
    def create(
        cls, spec: MapSpec, *, pin_path: str | PathLike[str] | None = None, token: TokenSource = "auto"
    ) -> Opening[Map]:
        """Create the map of *spec*, fill in its contents and freeze it if it says so.

        ``await`` gives the map, ``async with`` closes it at the end. A map that is pinned by name is found in the
        folder *pin_path* or made and pinned there. Contents that name other maps or programs need their collection:
        SpecError. KernelError (EINVAL, EPERM, ENOMEM, E2BIG) names the map.
        """
        from aiobpf.runtime.map_create import create_map

        return Opening(lambda: in_worker(create_map, spec, pin_path, token, dispose=Map.close))

    def attach(self, kind: MapAttachKind[C] | None = None) -> Opening[C]:
        """Register a struct_ops map with the kernel, as `Program.attach` does for a program: ``async with
        coll.maps["ops"].attach() as link``. SpecError for any other map."""
        chosen: MapAttachKind[C] | None = kind if kind is not None else self.default_kind
        if chosen is None:
            way_out = ": map.attach(aiobpf.link.StructOps())" if self.type == MapType.STRUCT_OPS else ""
            raise SpecError(f"map {self.name!r} is a {self.type.name} map, which says no place to attach to{way_out}")
        return Opening(lambda: chosen.attach_map(self))

    def typed(self, key: type[A] | None = None, value: type[B] | None = None) -> Map[A, B]:
        """The same map with keys and values read as classes of the user's, by the rules of `aiobpf.btf.codec`.

        None leaves them as they are. *value* is that of one CPU's value in a per-CPU map, and of the events of a ring
        buffer or perf event array. It is no second owner: the two are closed together. CodecError where the map's
        types do not fit.
        """
        found = cast("Map[A, B]", copy.copy(self))
        found._encode_key = found._encode_value = found._decode_value = None
        found.value_class = value
        try:
            found._key_codec = key_codec(self.type, self.key_size, self.key_type, key)
            if self.type not in STREAMED_TYPES:
                found._value_codec = value_codec(
                    self.type, self.value_size, self.value_type, self._cpus, value, self.flags
                )
        except CodecError as error:
            raise self._misfit(error) from error
        return found

    async def typed_by_kernel(self) -> Map:
        """The same map with keys and values as the types that it was created with say, as far as the kernel has them.

        It is no second owner: the two are closed together. For maps opened by id or pin; CAP_SYS_ADMIN.
        """
        info = self.info()
        types = await self.own_types()
        found = cast("Map", copy.copy(self))
        if types is None:
            return found
        found._key_codec = found._value_codec = None
        found._encode_key = found._encode_value = found._decode_value = None
        found.types = types
        found.key_type = types.type_by_id(info.btf_key_type_id) if info.btf_key_type_id else None
        found.value_type = types.type_by_id(info.btf_value_type_id) if info.btf_value_type_id else None
        return found

    # --- one element --------------------------------------------------------------------------------------------------

    def _key_encoder(self) -> Callable[[Any], bytes]:
        self._encode_key = found = self.key_codec.encode
        return found

    def _value_encoder(self) -> Callable[[Any], bytes]:
        self._encode_value = found = self.value_codec.encode
        return found

    def _value_decoder(self) -> Callable[[bytes], Any]:
        self._decode_value = found = self.value_codec.decode
        return found

    def __getitem__(self, key: K) -> V:
        try:
            raw_key = (self._encode_key or self._key_encoder())(key)
        except CodecError as error:
            raise self._misfit(error) from error
        if self._holds_maps:
            inner: Any = lookup_inner(self, raw_key)
            if inner is not None:
                return cast("V", inner)
        else:
            raw = self.elements.lookup(raw_key)
            if raw is not None:
                return cast("V", (self._decode_value or self._value_decoder())(raw))
        raise MapKeyError(f"map {self.name!r} has no key {key!r}", key)

    def __setitem__(self, key: K, value: W) -> None:
        # Codecs are shared between maps and do not know their names; a try costs the usual case nothing.
        # The value first: what is opened for a key is closed by the update.
        try:
            raw_value = (self._encode_value or self._value_encoder())(value)
            raw_key = (self._encode_key or self._key_encoder())(key)
            self.elements.update(raw_key, raw_value, 0)
        except CodecError as error:
            raise self._misfit(error) from error

    def __delitem__(self, key: K) -> None:
        if not self.elements.delete(self._raw_key(key)):
            raise MapKeyError(f"map {self.name!r} has no key {key!r}", key)

    def __contains__(self, key: Any) -> bool:
        """Whether the map has *key*; of a Bloom filter, whether it may have the value, and False is certain."""
        if self.type == MapType.BLOOM_FILTER:
            return self.elements.may_have(self._raw_value(key))
        return self.elements.lookup(self._raw_key(key)) is not None

    def __bool__(self) -> bool:
        return True

    @overload
    def get(self, key: K, default: None = None, *, flags: int = 0, cpu: None = None) -> V | None: ...
    @overload
    def get(self, key: K, default: D, *, flags: int = 0, cpu: None = None) -> V | D: ...
    @overload
    def get(self, key: K, default: Any = None, *, flags: int = 0, cpu: int) -> Any: ...
    def get(self, key: K, default: Any = None, *, flags: int = 0, cpu: int | None = None) -> Any:
        """The value under *key*, or *default*. *flags*: `UpdateFlags.LOCK` reads under the value's spin lock.

        *cpu*: the value of that CPU alone, of a per-CPU map; the kernel copies no others (7.0).
        """
        try:
            if cpu is not None:
                raw = lookup_cpu(self, key, cpu, flags)
                return default if raw is None else cast("PerCpuElement", self.value_codec).value.decode(raw)
            raw_key = (self._encode_key or self._key_encoder())(key)
        except CodecError as error:
            raise self._misfit(error) from error
        if self._holds_maps:
            inner = lookup_inner(self, raw_key, flags)
            return default if inner is None else inner
        raw = self.elements.lookup(raw_key, flags)
        return default if raw is None else (self._decode_value or self._value_decoder())(raw)

    def lookup_bytes(self, key: K, *, flags: int = 0) -> bytes | None:
        """The value's bytes under *key* as the kernel has them (per-CPU: all slots), or None."""
        return self.elements.lookup(self._raw_key(key), flags)

    def update(self, key: K, value: W, flags: int = UpdateFlags.ANY, *, cpu: int | None = None) -> None:
        """Set *key* to *value*; MapKeyExistsError (NOEXIST), MapKeyError (EXIST), MapFullError when it is full.

        *cpu*: the value of that CPU alone, of a per-CPU map; NotSupportedError before 7.0.
        """
        try:
            if cpu is not None:
                update_cpu(self, key, value, cpu, flags)
                return
            raw_value = (self._encode_value or self._value_encoder())(value)
            raw_key = (self._encode_key or self._key_encoder())(key)
            self.elements.update(raw_key, raw_value, flags)
        except CodecError as error:
            raise self._misfit(error) from error

    async def put(self, key: K, value: W, flags: int = UpdateFlags.ANY) -> None:
        """`update` in a worker thread: for maps of maps, where it waits until no program uses what was there (RCU)."""
        await in_worker(self.update, key, value, flags)

    @overload
    def pop(self, key: K = ..., *, flags: int = 0) -> V: ...
    @overload
    def pop(self, key: K = ..., *, default: D, flags: int = 0) -> V | D: ...
    @overload
    def pop(self, key: K, default: D, *, flags: int = 0) -> V | D: ...
    def pop(self, key: Any = _MISSING, default: Any = _MISSING, *, flags: int = 0) -> Any:
        """Remove *key* and give its value, in one step of the kernel (hash maps since 5.14), else lookup and delete.

        Without a key: the next value of a queue or stack. MapKeyError where there is none and no *default*. *flags*:
        `UpdateFlags.LOCK` reads it under the value's spin lock.
        """
        raw_key = self._no_key() if key is _MISSING else self._raw_key(key)
        if self._holds_maps:
            # Opened before it is taken out: that may have been the last to hold it.
            inner = lookup_inner(self, raw_key)
            if inner is not None:
                if self.elements.delete(raw_key):
                    return inner
                inner.close()
        else:
            raw = self._take(raw_key, flags)
            if raw is not None:
                return self.value_codec.decode(raw)
        if default is _MISSING:
            what = "is empty" if key is _MISSING else f"has no key {key!r}"
            raise MapKeyError(f"map {self.name!r} {what}", None if key is _MISSING else key)
        return default

    def _raw_key(self, key: Any) -> bytes:
        try:
            return self.key_codec.encode(key)
        except CodecError as error:
            raise self._misfit(error) from error

    def _raw_value(self, value: Any) -> bytes:
        try:
            return self.value_codec.encode(value)
        except CodecError as error:
            raise self._misfit(error) from error

    def _misfit(self, error: CodecError) -> CodecError:
        return CodecError(f"map {self.name!r}: {error}")

    def _take(self, raw_key: bytes, flags: int) -> bytes | None:
        try:
            return self.elements.lookup_and_delete(raw_key, flags)
        except KernelError as error:
            if self.is_keyless or self.type in OPENING_TYPES or error.errno not in kernel.UNSUPPORTED_ERRNOS:
                raise
        raw = self.elements.lookup(raw_key, flags)
        # Where it is gone, someone else was quicker: it is theirs.
        return raw if raw is not None and self.elements.delete(raw_key) else None

    # --- all elements -------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[K]:
        decode = self.key_codec.decode
        if self.type in CGROUP_STORAGE_TYPES:
            # Kernels take the head of their list for a last element (cgroup_storage_get_next_key, seen on 6.18.15, not
            # on 6.18.44): a key of whatever lies there.
            keys = self.elements.keys()
            return (decode(key) for key in keys if self.elements.lookup(key) is not None)
        return map(decode, self.elements.keys())

    def keys(self) -> Iterator[K]:
        """The keys, as they are met; a key that comes or goes meanwhile may be missed or met twice."""
        return iter(self)

    def items(self) -> Iterator[tuple[K, V]]:
        """Keys and values, in batches where the kernel can (5.6), else one by one; promises as `keys`."""
        decode_key, decode_value = self.key_codec.decode, self.value_codec.decode
        for raw_key, raw_value in self.elements.items():
            if self._holds_maps:
                try:
                    inner: Any = open_inner(self, raw_value)
                except NoSuchObjectError:  # taken out since the batch was read
                    continue
                yield decode_key(raw_key), inner
            else:
                yield decode_key(raw_key), decode_value(raw_value)

    def values(self) -> Iterator[V]:
        return (value for _, value in self.items())

    def clear(self) -> None:
        """Delete every key (hash-like maps)."""
        self.elements.delete_many(list(self.elements.keys()))

    def pop_all(self) -> list[tuple[K, V]]:
        """Every element, removed from the map: in batches where the kernel can (hash maps, 5.6), else one by one.

        In a batch each value is read and its element removed in one step; one by one, what a program adds in between
        may be lost. Of a queue or stack: the values, at most max_entries of them, each with the key None. After an
        error in the middle what was removed is returned, and the next call raises.
        """
        return list(take_all(self))

    def batches(self, size: int = 4096, *, take: bool = False, flags: int = 0) -> Batches[K, V]:
        """``async for keys, values in m.batches()``: lists of at most about *size* elements, a checkpoint each.

        *take* removes them from the map as `pop_all` does, so that a loop that is left has lost none but what it got.
        *flags*: `UpdateFlags.LOCK` reads each value under its spin lock. SpecError for taking from a map of maps, whose
        maps may be gone by the time that their ids are read: `pop_all` opens each before.
        """
        if take and self._holds_maps:
            raise SpecError(f"map {self.name!r} holds maps, which are opened before they are taken out: use pop_all()")
        return Batches(self, size, takes=take, flags=flags)

    def update_many(self, items: Mapping[K, W] | Iterable[tuple[K, W]], flags: int = UpdateFlags.ANY) -> int:
        """Set many elements in as few system calls as the kernel allows; how many were set."""
        pairs: Any = items.items() if hasattr(items, "items") else items  # pyright: ignore[reportAttributeAccessIssue]
        if self.type in OPENING_TYPES:  # one after the other: a descriptor is opened for each
            count = 0
            for key, value in pairs:
                self.update(key, value, flags)
                count += 1
            return count
        encode_key, encode_value = self.key_codec.encode, self.value_codec.encode
        try:
            encoded = [(encode_key(key), encode_value(value)) for key, value in pairs]
        except CodecError as error:
            raise self._misfit(error) from error
        return self.elements.update_many(encoded, flags)

    def delete_many(self, keys: Iterable[K]) -> int:
        """Delete many keys; how many were there."""
        if self.type in OPENING_TYPES:
            return sum(self.elements.delete(self._raw_key(key)) for key in keys)
        encode = self.key_codec.encode
        try:
            encoded = [encode(key) for key in keys]
        except CodecError as error:
            raise self._misfit(error) from error
        return self.elements.delete_many(encoded)

    def numpy(self) -> tuple[Any, Any]:
        """All keys and all values as two numpy arrays, structured where their types are structs.

        Per-CPU values have a second dimension, the CPU; values that are maps or programs are their ids.
        """
        return numpy_arrays(self)

    # --- memory and maps within ---------------------------------------------------------------------------------------

    def atomic(self, index: int = 0, *path: str | int) -> AtomicInteger:
        """An integer of an array's value, changed as atomically as programs do: arrays with MMAPABLE (5.5).

        *path* leads to it by names of members and indices of arrays in the value: ``m.atomic(3, "seen", 7).add(1)``.
        Keep what it returns: the map is mapped for each. IndexError past the array's end, CodecError where there is no
        aligned integer, SpecError for another map.
        """
        if self.type != MapType.ARRAY or not self.flags & MapFlags.MMAPABLE:
            raise SpecError(
                f"map {self.name!r} cannot be mapped: atomic access needs an ARRAY with BPF_F_MMAPABLE, or an arena"
                " (map.arena.atomic)"
            )
        if not 0 <= index < self.max_entries:
            raise IndexError(f"map {self.name!r} has {self.max_entries} elements, not one of index {index}")
        offset = index * ((self.value_size + 7) & ~7)
        memory, what = self.shared_memory(writable=True), f"map {self.name!r}[{index}]"
        return atomic_integer(memory, offset, self.value_type, path, what, self.value_size)

    def create_inner(self, key: K, *, contents: Mapping[Any, Any] | None = None, **changes: Any) -> Opening[Map]:
        """Make a map as this map of maps holds them, fill it and put it under *key*.

        ``async with outer.create_inner(5, max_entries=100) as inner``: closing it leaves it in the outer map. *changes*
        are those to the spec of its inner maps: what must be alike, the kernel says (max_entries of an array, unless it
        has INNER_MAP, 5.10). SpecError for a map whose spec is not known. One that is cancelled leaves nothing there.
        """
        take_back = partial(remove_inner, self, key)
        return Opening(lambda: in_worker(make_inner, self, key, contents, changes, dispose=take_back))

    # --- queues, stacks and Bloom filters -----------------------------------------------------------------------------

    def push(self, value: W, *, overwrite: bool = False) -> None:
        """Append to a queue or stack; MapFullError when it is full, unless *overwrite* drops the oldest (BPF_EXIST)."""
        key = self._no_key()
        self.elements.update(key, self._raw_value(value), UpdateFlags.EXIST if overwrite else UpdateFlags.ANY)

    def add(self, value: W) -> None:
        """Put *value* into a Bloom filter: ``value in m`` is True from now on. It is never full, but less sure."""
        if self.type != MapType.BLOOM_FILTER:
            raise SpecError(f"map {self.name!r} is of type {self.type.name}: values are added to Bloom filters")
        self.elements.update(b"", self._raw_value(value), UpdateFlags.ANY)

    def peek(self) -> V:
        """The next value of a queue or stack, left there; MapKeyError when it is empty."""
        raw = self.elements.lookup(self._no_key())
        if raw is None:
            raise MapKeyError(f"map {self.name!r} is empty", None)
        return cast("V", self.value_codec.decode(raw))

    def _no_key(self) -> bytes:
        if self.type == MapType.BLOOM_FILTER:
            raise SpecError(f"map {self.name!r} is a Bloom filter, which gives nothing back: m.add(value), value in m")
        if not self.is_keyless:
            raise SpecError(f"map {self.name!r} is of type {self.type.name}: only queues and stacks push, pop and peek")
        return b""
