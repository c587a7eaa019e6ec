"""Walking a whole map in chunks."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, final

from aiobpf._native import ffi, lib
from aiobpf.kernel.syscall import ENOTSUPP
from aiobpf.uapi import Command

if TYPE_CHECKING:
    from aiobpf._native._lib import CData
    from aiobpf.kernel.elements import MapElements

_UNSUPPORTED = frozenset({errno.EINVAL, errno.EOPNOTSUPP, ENOTSUPP})
_MAX_CHUNK_BYTES = 256 << 20
_STALLS = 16


@final
class MapScan:
    """An iterator over (keys, values, count): packed elements, in buffers that the next step writes over.

    BPF_MAP_LOOKUP_BATCH where map and kernel have it (5.6), else key by key in C. Elements that come or go meanwhile
    may be missed or met twice.

    A chunk can be larger than asked for: a hash gives whole buckets, so the buffers grow until one fits.
    """

    __slots__ = ("_elements", "_is_batched", "_is_done", "_keys", "_room", "_stalls", "_start", "_values")

    def __init__(self, elements: MapElements, size: int) -> None:
        self._elements = elements
        self._is_batched: bool | None = None  # None: not yet known
        self._is_done = False
        self._start: CData = ffi.NULL
        self._stalls = 0
        self._grow(max(size, 1))

    def _grow(self, room: int) -> None:
        elements = self._elements
        if room * (elements.key_size + elements.value_size) > _MAX_CHUNK_BYTES:
            raise MemoryError(f"a chunk of {room} elements is more than {_MAX_CHUNK_BYTES >> 20} MiB: ask for fewer")
        self._room = room
        self._keys = bytearray(room * elements.key_size)
        self._values = bytearray(room * elements.value_size)

    def __iter__(self) -> MapScan:
        return self

    def __next__(self) -> tuple[bytearray, bytearray, int]:
        while not self._is_done:
            count = self._walk() if self._is_batched is False else self._batch()
            if count:
                return self._keys, self._values, count
        raise StopIteration

    def _batch(self) -> int:
        elements = self._elements
        count = ffi.new("uint32_t *", self._room)
        # Opaque to us: a bucket number (hash) or a key (all others), so at least 4 bytes.
        end = ffi.new("uint8_t[]", max(elements.key_size, 4))
        error = -lib.map_batch(
            elements.cell,
            Command.MAP_LOOKUP_BATCH,
            self._start,
            end,
            ffi.from_buffer(self._keys),
            ffi.from_buffer(self._values),
            count,
            0,
        )
        if self._is_batched is None and error in _UNSUPPORTED:
            self._is_batched = False
            return 0
        self._is_batched = True
        if error == errno.ENOENT:  # the end; count is right
            self._is_done = True
            return count[0]
        if error == errno.ENOSPC:  # one bucket has more elements than there is room
            self._grow(self._room * 2)
            return 0
        if error == errno.EINTR:
            # Until 6.14 the generic batch gives up so at an element without a value: one that vanished, or a hole of a
            # sparse array of maps, which it would never get across. It continues from a key, and so can a walk.
            if count[0]:
                self._start = end
            else:
                self._is_batched = False
            return count[0]
        if error:
            raise elements.error(error, Command.MAP_LOOKUP_BATCH)
        self._start = end
        if not count[0] and not self._stall():
            self._is_done = True
        return count[0]

    def _stall(self) -> bool:
        """One more call without progress; whether to try again."""
        self._stalls += 1
        return self._stalls < _STALLS

    def _walk(self) -> int:
        elements = self._elements
        count = ffi.new("uint32_t *", self._room)
        keys = ffi.from_buffer("uint8_t[]", self._keys)
        error = -lib.map_walk(
            elements.cell,
            self._start,
            keys,
            ffi.from_buffer(self._values),
            elements.key_size,
            elements.value_size,
            0,
            count,
        )
        done = count[0]
        if error == errno.ENOENT:
            self._is_done = True
            return done
        if error:
            raise elements.error(error, Command.MAP_GET_NEXT_KEY)
        # With room left, only the keys tried ran out: the one to go on from stands behind the last one found.
        last = done if done < self._room else done - 1
        key = bytes(self._keys[last * elements.key_size : (last + 1) * elements.key_size])
        self._start = ffi.new("uint8_t[]", key)
        return done
