"""Map elements as bytes: one at a time in half a microsecond, or many in a batch."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from aiobpf._native import ffi, lib
from aiobpf.errors import (
    BpfError,
    ClosedError,
    CodecError,
    MapFullError,
    MapIterationError,
    MapKeyError,
    MapKeyExistsError,
    kernel_error,
)
from aiobpf.kernel.fd import OwnedFd
from aiobpf.kernel.scan import MapScan
from aiobpf.kernel.syscall import ENOTSUPP
from aiobpf.uapi import Command, UpdateFlags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from aiobpf._native._lib import CData, IntArray, View

UNSUPPORTED_ERRNOS = frozenset({errno.EINVAL, errno.EOPNOTSUPP, ENOTSUPP})
"""How kernels say that a type of map has no such operation (EINVAL also says other things)."""

_lookup = lib.map_lookup
_update = lib.map_update
_delete = lib.map_delete
_take = lib.map_take
_next_key = lib.map_next_key
_NULL = ffi.NULL  # what the kernel insists on for the key of a map without keys (a queue)

_SCAN_BYTES = 256 * 1024
_HINTS = {
    (Command.MAP_GET_NEXT_KEY, ENOTSUPP): "A map of this type does not list its keys: an iterator program finds them",
    (Command.MAP_LOOKUP_ELEM, errno.ENOSPC): "It gives sockets back as their cookies, with a value_size of 8",
    (Command.MAP_LOOKUP_ELEM, errno.EOPNOTSUPP): "What a map of this type holds cannot be read back",
    (Command.MAP_LOOKUP_ELEM, ENOTSUPP): "What a map of this type holds cannot be read back",
    (Command.MAP_DELETE_ELEM, errno.EINVAL): "An array's elements are always there",
}
_SLACK = 64  # a small map whose keys change must not look like an endless one


class MapElements:
    """The elements of one map, as bytes. Threads may share it.

    *value_size* is what the kernel copies: for a per-CPU map the value rounded up to 8 bytes, times the possible CPUs.
    *limit* is the map's max_entries: a walk that meets more than twice as many keys gives up (0: it never does). An
    `OwnedFd` is followed (closing it closes this); a bare number is good until `close`, which does not close it.
    """

    __slots__ = ("_key_size", "_pool", "_subject", "_value_size", "cell", "limit")

    def __init__(
        self, fd: OwnedFd | int, key_size: int, value_size: int, *, subject: str = "map", limit: int = 0
    ) -> None:
        self.cell: IntArray = fd.cell if isinstance(fd, OwnedFd) else ffi.new("int *", fd)
        self._key_size = key_size
        self._value_size = value_size
        self._subject = subject
        self.limit = limit
        # Room for the kernel to write a value to. Taken out while in use (list.pop is atomic), so threads never share
        # one; allocating it for each lookup would cost as much as half the system call.
        self._pool: list[tuple[CData, View]] = []

    @property
    def key_size(self) -> int:
        return self._key_size

    @property
    def value_size(self) -> int:
        return self._value_size

    def close(self) -> None:
        """Every operation is a ClosedError from now on. The descriptor is its owner's to close."""
        self.cell = ffi.new("int *", -1)

    def _room(self) -> tuple[CData, View]:
        cdata = ffi.new("uint8_t[]", max(self._value_size, 1))
        return cdata, ffi.buffer(cdata, self._value_size)

    def lookup(self, key: bytes, flags: int = 0) -> bytes | None:
        """The value, or None where there is no such key. *flags*: `UpdateFlags.LOCK`, or `UpdateFlags.CPU` (7.0)."""
        if len(key) != self._key_size:
            raise self._wrong("key", key, self._key_size)
        pool = self._pool
        try:
            room = pool.pop()
        except IndexError:
            room = self._room()
        error = _lookup(self.cell, key if self._key_size else _NULL, room[0], flags)
        if not error:
            value = room[1][:]
            pool.append(room)
            return value
        pool.append(room)
        if error == -errno.ENOENT:
            return None
        raise self.error(-error, Command.MAP_LOOKUP_ELEM)

    def may_have(self, value: bytes) -> bool:
        """Whether a Bloom filter may have *value*; False is certain."""
        if len(value) != self._value_size:
            raise self._wrong("value", value, self._value_size)
        # The kernel reads the value from where it writes one to for other maps (map_lookup_elem).
        room = ffi.new("uint8_t[]", value)
        error = _lookup(self.cell, _NULL, room, 0)
        if error and error != -errno.ENOENT:
            raise self.error(-error, Command.MAP_LOOKUP_ELEM)
        return not error

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        """Set the element. MapKeyExistsError (NOEXIST), MapKeyError (EXIST), MapFullError (or an array's end)."""
        if len(key) != self._key_size:
            raise self._wrong("key", key, self._key_size)
        if len(value) != self._value_size:
            raise self._wrong("value", value, self._value_size)
        error = _update(self.cell, key if self._key_size else _NULL, value, flags)
        if error:
            raise self.error(-error, Command.MAP_UPDATE_ELEM, key)

    def delete(self, key: bytes) -> bool:
        """Remove the element; whether it was there. An array's cannot be: KernelError EINVAL."""
        if len(key) != self._key_size:
            raise self._wrong("key", key, self._key_size)
        error = _delete(self.cell, key if self._key_size else _NULL)
        if not error:
            return True
        if error == -errno.ENOENT:
            return False
        raise self.error(-error, Command.MAP_DELETE_ELEM, key)

    def lookup_and_delete(self, key: bytes = b"", flags: int = 0) -> bytes | None:
        """Remove the element and give its value, or None where there is none.

        Queues and stacks since 4.20, hashes since 5.14; before that KernelError with one of `UNSUPPORTED_ERRNOS`.
        """
        if len(key) != self._key_size:
            raise self._wrong("key", key, self._key_size)
        cdata, view = self._room()
        error = _take(self.cell, key if self._key_size else _NULL, cdata, flags)
        if not error:
            return view[:]
        if error == -errno.ENOENT:
            return None
        raise self.error(-error, Command.MAP_LOOKUP_AND_DELETE_ELEM)

    def next_key(self, key: bytes | None = None) -> bytes | None:
        """The key after *key* in the map's own order (the first for None, and for a key that a hash no longer has)."""
        if key is not None and len(key) != self._key_size:
            raise self._wrong("key", key, self._key_size)
        following = ffi.new("uint8_t[]", max(self._key_size, 1))
        error = _next_key(self.cell, ffi.NULL if key is None else key, following)
        if not error:
            return ffi.buffer(following)[:]
        if error == -errno.ENOENT:
            return None
        raise self.error(-error, Command.MAP_GET_NEXT_KEY)

    def keys(self) -> Iterator[bytes]:
        """Every key. What comes or goes meanwhile may be missed or met twice; removing the one just met is safe.

        MapIterationError where it begins anew too often: the kernel does, after a key that is gone.
        """
        key = self.next_key()
        met = 0
        while key is not None:
            met += 1
            self.require_end(met)
            # Asked for before the caller has a chance to delete this one: the kernel would begin again.
            following = self.next_key(key)
            yield key
            key = following

    def require_end(self, met: int) -> None:
        """MapIterationError where a walk has *met* more keys than the map can have."""
        if self.limit and met > 2 * self.limit + _SLACK:
            raise MapIterationError(
                f"{self._subject} has room for {self.limit} elements, and a walk met {met}: keys come and go, and the"
                " kernel begins anew. Read it in batches, which go by a hash's buckets, or stop those who write"
            )

    def scan(
        self,
        size: int | None = None,
        *,
        takes: bool = False,
        flags: int = 0,
        keep: Callable[[int], bytearray] | None = None,
    ) -> MapScan:
        """Iterate over chunks of about *size* elements: keys and values packed in buffers, and their count.

        *takes* removes them from the map; *flags*: `UpdateFlags.LOCK`; *keep*: see `MapScan`.
        """
        if size is None:
            size = max(16, min(4096, _SCAN_BYTES // max(self._key_size + self._value_size, 1)))
        return MapScan(self, size, takes=takes, flags=flags, keep=keep)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key with its value, in batches where the kernel can (5.6), else one by one; promises as `keys`."""
        key_size, value_size = self._key_size, self._value_size
        for keys, values, count in self.scan():
            chunk_keys, chunk_values = bytes(keys[: count * key_size]), bytes(values[: count * value_size])
            for i in range(count):
                yield (
                    chunk_keys[i * key_size : (i + 1) * key_size],
                    chunk_values[i * value_size : (i + 1) * value_size],
                )

    def update_many(self, items: Iterable[tuple[bytes, bytes]], flags: int = 0) -> int:
        """Set many elements, in one call where the kernel can (5.6); how many.

        At the first failure it stops with that error, whose hint says how many were set.
        """
        pairs = list(items)
        for key, value in pairs:
            if len(key) != self._key_size:
                raise self._wrong("key", key, self._key_size)
            if len(value) != self._value_size:
                raise self._wrong("value", value, self._value_size)
        keys, values = b"".join([key for key, _ in pairs]), b"".join([value for _, value in pairs])
        return self.update_packed(keys, values, len(pairs), flags)

    def update_packed(self, keys: bytes, values: bytes, count: int, flags: int = 0) -> int:
        """`update_many` from packed bytes (as of two numpy arrays)."""
        if len(keys) != count * self._key_size or len(values) != count * self._value_size:
            raise CodecError(
                f"{self._subject}: {count} elements are {count * self._key_size} bytes of keys and"
                f" {count * self._value_size} of values, not {len(keys)} and {len(values)}"
            )
        if not count:
            return 0
        done = ffi.new("uint32_t *", count)
        key_data, value_data = ffi.from_buffer(keys), ffi.from_buffer(values)
        error = -errno.EINVAL
        if not flags & ~UpdateFlags.LOCK:  # the batch command refuses NOEXIST and EXIST
            error = lib.map_batch(
                self.cell, Command.MAP_UPDATE_BATCH, ffi.NULL, ffi.NULL, key_data, value_data, done, flags
            )
            if not error:
                return done[0]
        if -error in UNSUPPORTED_ERRNOS:
            done[0] = count
            error = lib.map_each(
                self.cell,
                Command.MAP_UPDATE_ELEM,
                key_data,
                value_data,
                self._key_size,
                self._value_size,
                flags,
                done,
            )
            if not error:
                return done[0]
        reached = _done(done, count)
        key = keys[reached * self._key_size : (reached + 1) * self._key_size]
        raise self.error(-error, Command.MAP_UPDATE_BATCH, key, f"{reached} of {count} elements were set before")

    def delete_many(self, keys: Sequence[bytes]) -> int:
        """Remove many elements, in one call where the kernel can (5.6); how many were there."""
        for key in keys:
            if len(key) != self._key_size:
                raise self._wrong("key", key, self._key_size)
        packed = memoryview(b"".join(keys))
        at = deleted = 0
        is_batched = True
        while at < len(keys):
            rest = ffi.from_buffer(packed[at * self._key_size :])
            done = ffi.new("uint32_t *", len(keys) - at)
            if is_batched:
                error = lib.map_batch(self.cell, Command.MAP_DELETE_BATCH, ffi.NULL, ffi.NULL, rest, ffi.NULL, done, 0)
                if error and -error in UNSUPPORTED_ERRNOS:
                    is_batched = False
                    continue
            else:
                error = lib.map_each(self.cell, Command.MAP_DELETE_ELEM, rest, ffi.NULL, self._key_size, 0, 0, done)
            count = _done(done, len(keys) - at) if error else done[0]
            at += count
            deleted += count
            if error == -errno.ENOENT:
                at += 1  # both stop at a key that is not there
            elif error:
                hint = f"{deleted} of {len(keys)} elements were deleted before"
                raise self.error(-error, Command.MAP_DELETE_BATCH, keys[at], hint)
        return deleted

    def _wrong(self, what: str, given: bytes, size: int) -> CodecError:
        return CodecError(f"{self._subject}: a {what} has {size} bytes, not {len(given)}")

    def error(self, number: int, command: Command, key: bytes = b"", hint: str | None = None) -> BpfError:
        """What a failed operation raises; *number* is the errno."""
        if number == errno.EBADF and self.cell[0] < 0:
            return ClosedError(f"{self._subject} is closed")
        operation = f"BPF_{command.name}"
        is_update = command in {Command.MAP_UPDATE_ELEM, Command.MAP_UPDATE_BATCH}
        if is_update and number == errno.EEXIST:
            return MapKeyExistsError(number, operation, self._subject, hint or f"Its key {key.hex(' ')} is taken")
        if is_update and number == errno.ENOENT:
            return MapKeyError(f"{self._subject} has no key {key.hex(' ')}", key)
        if is_update and number in {errno.E2BIG, errno.ENOSPC}:
            full = "It holds max_entries elements already, or the index is past an array's end"
            return MapFullError(number, operation, self._subject, f"{full}; {hint}" if hint else full)
        hint = hint or _HINTS.get((command, number))
        if number == errno.EPERM:
            hint = hint or "It is frozen, or its descriptor does not allow that"
        return kernel_error(number, operation, self._subject, hint)


def _done(count: IntArray, given: int) -> int:
    """How many elements a failed batch did: one refused before it began leaves the count as it was given."""
    return count[0] if count[0] < given else 0
