"""A map in the kernel: typed element access, synchronous, for it takes half a microsecond and cannot block.

What may take long (creating a large map, closing it) is awaited.
"""

from __future__ import annotations

import contextlib
import mmap as _mmap
import os
from typing import TYPE_CHECKING, Any, final, overload

from aiobpf import kernel
from aiobpf.errors import (
    ClosedError,
    CodecError,
    KernelError,
    MapKeyError,
    NoSuchObjectError,
    NotSupportedError,
    SpecError,
)
from aiobpf.kernel.worker import in_worker
from aiobpf.runtime.attach import Opening
from aiobpf.runtime.element import (
    KEYLESS_TYPES,
    MAP_IN_MAP_TYPES,
    PER_CPU_TYPES,
    BytesElement,
    key_codec,
    value_codec,
)
from aiobpf.runtime.map_batch import Batches, numpy_arrays
from aiobpf.runtime.map_nested import lookup_inner, open_inner
from aiobpf.uapi import MapType, UpdateFlags

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from os import PathLike
    from types import TracebackType

    from aiobpf._native._lib import View
    from aiobpf.btf import Btf, Type
    from aiobpf.kernel import MapInfo, OwnedFd
    from aiobpf.spec import MapSpec

_MISSING: Any = object()


@final
class Map:
    """A map, and the one owner of its fd, from the constructor's call on and also if that fails.

    A mapping by subscript, `get`, `update`, `pop`, iteration; there is no ``len()``, since a hash map's size is known
    only by walking it. Keys and values are typed by BTF (see `aiobpf.runtime.element`); values of a per-CPU map are
    `PerCpu`, those of a map-in-map are Maps that the caller closes.
    """

    __slots__ = (
        "_fd",
        "_holds_maps",
        "elements",
        "flags",
        "key_codec",
        "key_size",
        "key_type",
        "max_entries",
        "name",
        "pin_path",
        "spec",
        "type",
        "types",
        "value_codec",
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
        try:
            cpus = len(kernel.possible_cpus()) if type in PER_CPU_TYPES else 1
        except BaseException:
            fd.close()
            raise
        self._fd = fd
        # Their methods are not looked up before they are needed: looking is what compiles them, and many maps of an
        # object are never touched from here (0.7 ms for a struct).
        self.key_codec = key_codec(type, key_size, key_type)
        self.value_codec = value_codec(type, value_size, value_type, cpus)
        self._holds_maps = type in MAP_IN_MAP_TYPES  # an enum's hash is Python code: not for each lookup
        self.elements = kernel.MapElements(fd, key_size, self.value_codec.size, subject=f"map {name!r}")
        """The elements as bytes."""

    # --- making one ---------------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls, spec: MapSpec, *, pin_path: str | PathLike[str] | None = None, token: int | None = None
    ) -> Opening[Map]:
        """Create the map of *spec*, fill in its contents and freeze it if it says so.

        ``await`` gives the map, ``async with`` closes it at the end. A map that is pinned by name is found in the
        folder *pin_path* or made and pinned there. Contents that name other maps or programs need their collection:
        SpecError. KernelError (EINVAL, EPERM, ENOMEM, E2BIG) names the map.
        """
        from aiobpf.runtime.map_create import create_map

        return Opening(lambda: in_worker(create_map, spec, pin_path, token, dispose=Map.close))

    @classmethod
    def from_id(cls, id: int) -> Map:  # noqa: A002 - the field's own word
        """The kernel's map of that id; FileNotFoundError (ENOENT) if there is none."""
        return cls.from_fd(kernel.map_by_id(id))

    @classmethod
    def from_pin(cls, path: str | PathLike[str]) -> Map:
        """The map pinned at *path* in a bpffs."""
        found = cls.from_fd(kernel.open_pin(path, kind="map"))
        found.pin_path = os.fspath(path)
        return found

    @classmethod
    def from_fd(
        cls, fd: OwnedFd, spec: MapSpec | None = None, types: Btf | None = None, *, keeps_name: bool = False
    ) -> Map:
        """A map that is open already; it owns *fd* from here on, also if this fails.

        *spec* gives it the types of an object file's map, and its name unless it *keeps_name*; *types* is the object's
        BTF.
        """
        try:
            info = kernel.map_info(fd)
            return cls(
                fd,
                name=info.name if spec is None or keeps_name else spec.name,
                type=_known_type(info.type),
                key_size=info.key_size,
                value_size=info.value_size,
                max_entries=info.max_entries,
                flags=info.flags,
                key_type=None if spec is None else spec.key,
                value_type=None if spec is None else spec.value,
                types=types,
                spec=spec,
            )
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

    async def aclose(self) -> None:
        """Close the map; idempotent. It lives on where a program, a pin or another fd holds it."""
        if not self._fd.is_closed:
            await kernel.close_in_worker(self._fd)

    async def __aenter__(self) -> Map:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def duplicate(self, spec: MapSpec | None = None, types: Btf | None = None) -> Map:
        """Another owner of the same map; *spec* and *types* replace what is known of its elements."""
        copy = Map(
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
        return copy

    # --- one element --------------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        try:
            raw_key = self.key_codec.encode(key)
        except CodecError as error:
            raise self._misfit(error) from error
        if self._holds_maps:
            inner = lookup_inner(self, raw_key)
            if inner is not None:
                return inner
        else:
            raw = self.elements.lookup(raw_key)
            if raw is not None:
                return self.value_codec.decode(raw)
        raise MapKeyError(f"map {self.name!r} has no key {key!r}", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        # Codecs are shared between maps and do not know their names; a try costs the usual case nothing.
        try:
            self.elements.update(self.key_codec.encode(key), self.value_codec.encode(value), 0)
        except CodecError as error:
            raise self._misfit(error) from error

    def __delitem__(self, key: Any) -> None:
        if not self.elements.delete(self._raw_key(key)):
            raise MapKeyError(f"map {self.name!r} has no key {key!r}", key)

    def __contains__(self, key: Any) -> bool:
        return self.elements.lookup(self._raw_key(key)) is not None

    def __bool__(self) -> bool:
        return True

    @overload
    def get(self, key: Any) -> Any | None: ...
    @overload
    def get(self, key: Any, default: Any, *, flags: int = 0) -> Any: ...
    def get(self, key: Any, default: Any = None, *, flags: int = 0) -> Any:
        """The value under *key*, or *default*. *flags*: `UpdateFlags.LOCK` reads under the value's spin lock."""
        try:
            raw_key = self.key_codec.encode(key)
        except CodecError as error:
            raise self._misfit(error) from error
        if self._holds_maps:
            inner = lookup_inner(self, raw_key, flags)
            return default if inner is None else inner
        raw = self.elements.lookup(raw_key, flags)
        return default if raw is None else self.value_codec.decode(raw)

    def lookup_bytes(self, key: Any, *, flags: int = 0) -> bytes | None:
        """The value's bytes under *key* as the kernel has them (per-CPU: all slots), or None."""
        return self.elements.lookup(self._raw_key(key), flags)

    def update(self, key: Any, value: Any, flags: int = UpdateFlags.ANY) -> None:
        """Set *key* to *value*; MapKeyExistsError (NOEXIST), MapKeyError (EXIST), MapFullError when it is full."""
        try:
            self.elements.update(self.key_codec.encode(key), self.value_codec.encode(value), flags)
        except CodecError as error:
            raise self._misfit(error) from error

    def pop(self, key: Any = _MISSING, default: Any = _MISSING) -> Any:
        """Remove *key* and give its value, in one step of the kernel (hash maps since 5.14), else lookup and delete.

        Without a key: the next value of a queue or stack. MapKeyError where there is none and no *default*.
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
            raw = self._take(raw_key)
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

    def _misfit(self, error: CodecError) -> CodecError:
        return CodecError(f"map {self.name!r}: {error}")

    def _take(self, raw_key: bytes) -> bytes | None:
        try:
            return self.elements.lookup_and_delete(raw_key)
        except KernelError as error:
            if self.is_keyless or error.errno not in kernel.UNSUPPORTED_ERRNOS:
                raise
        raw = self.elements.lookup(raw_key)
        # Where it is gone, someone else was quicker: it is theirs.
        return raw if raw is not None and self.elements.delete(raw_key) else None

    # --- all elements -------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Any]:
        decode = self.key_codec.decode
        return map(decode, self.elements.keys())

    def keys(self) -> Iterator[Any]:
        """The keys, as they are met; a key that comes or goes meanwhile may be missed or met twice."""
        return iter(self)

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Keys and values, in batches where the kernel can (5.6), else one by one; promises as `keys`."""
        decode_key, decode_value = self.key_codec.decode, self.value_codec.decode
        for raw_key, raw_value in self.elements.items():
            if self._holds_maps:
                try:
                    inner = open_inner(self, raw_value)
                except NoSuchObjectError:  # taken out since the batch was read
                    continue
                yield decode_key(raw_key), inner
            else:
                yield decode_key(raw_key), decode_value(raw_value)

    def values(self) -> Iterator[Any]:
        return (value for _, value in self.items())

    def clear(self) -> None:
        """Delete every key (hash-like maps)."""
        self.elements.delete_many(list(self.elements.keys()))

    def batches(self, size: int = 4096) -> Batches:
        """``async for keys, values in m.batches()``: lists of at most about *size* elements, a checkpoint each."""
        return Batches(self, size)

    def update_many(self, items: Mapping[Any, Any] | Iterable[tuple[Any, Any]], flags: int = UpdateFlags.ANY) -> int:
        """Set many elements in as few system calls as the kernel allows; how many were set."""
        pairs = items.items() if hasattr(items, "items") else items  # pyright: ignore[reportAttributeAccessIssue]
        encode_key, encode_value = self.key_codec.encode, self.value_codec.encode
        try:
            encoded = [(encode_key(key), encode_value(value)) for key, value in pairs]
        except CodecError as error:
            raise self._misfit(error) from error
        return self.elements.update_many(encoded, flags)

    def delete_many(self, keys: Iterable[Any]) -> int:
        """Delete many keys; how many were there."""
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

    # --- queues and stacks --------------------------------------------------------------------------------------------

    def push(self, value: Any, *, overwrite: bool = False) -> None:
        """Append to a queue or stack; MapFullError when it is full, unless *overwrite* drops the oldest (BPF_EXIST)."""
        try:
            raw = self.value_codec.encode(value)
        except CodecError as error:
            raise self._misfit(error) from error
        self.elements.update(self._no_key(), raw, UpdateFlags.EXIST if overwrite else UpdateFlags.ANY)

    def peek(self) -> Any:
        """The next value of a queue or stack, left there; MapKeyError when it is empty."""
        raw = self.elements.lookup(self._no_key())
        if raw is None:
            raise MapKeyError(f"map {self.name!r} is empty", None)
        return self.value_codec.decode(raw)

    def _no_key(self) -> bytes:
        if not self.is_keyless:
            raise SpecError(f"map {self.name!r} is of type {self.type.name}: only queues and stacks push, pop and peek")
        return b""

    # --- the whole map ------------------------------------------------------------------------------------------------

    def info(self) -> MapInfo:
        """What the kernel says of the map (BPF_OBJ_GET_INFO_BY_FD)."""
        return kernel.map_info(self._fd)

    def freeze(self) -> None:
        """No writes from user space any more, for good (5.2)."""
        kernel.freeze_map(self._fd, subject=f"map {self.name!r}")

    def pin(self, path: str | PathLike[str]) -> None:
        """Give the map a name in a bpffs; it lives as long as that."""
        kernel.pin(self._fd, path, subject=f"map {self.name!r}")
        self.pin_path = os.fspath(path)

    def unpin(self) -> None:
        """Take away the name that `pin` gave or the map was found by; nothing if there is none any more."""
        path, self.pin_path = self.pin_path, None
        if path is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

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
        return kernel.map_shared(self._fd, self.memory_size, writable=writable, what=f"map {self.name!r}")

    @property
    def memory_size(self) -> int:
        """Bytes that `mmap` maps: elements rounded up to 8 each, the whole rounded up to pages."""
        page = _mmap.PAGESIZE
        if self.type == MapType.ARENA:
            return self.max_entries * page
        return (((self.value_size + 7) & ~7) * self.max_entries + page - 1) // page * page

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


def _known_type(number: int) -> MapType:
    try:
        return MapType(number)
    except ValueError:
        raise NotSupportedError(f"map type {number}, which is newer than this library,") from None
