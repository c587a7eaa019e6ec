"""Walking a whole map in chunks."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, final

from aiobpf._native import ffi, lib
from aiobpf.errors import BpfError
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

    One that *takes* removes what it gives (BPF_MAP_LOOKUP_AND_DELETE_BATCH, else lookup and delete, between which a
    value may change). An error after something was removed waits for the next step, so that nothing is lost.
    MapIterationError where a walk by keys finds no end.
    """

    __slots__ = (
        "_command",
        "_elements",
        "_failure",
        "_flags",
        "_is_batched",
        "_is_done",
        "_keys",
        "_met",
        "_room",
        "_stalls",
        "_start",
        "_takes",
        "_values",
    )

    def __init__(self, elements: MapElements, size: int, *, takes: bool = False, flags: int = 0) -> None:
        self._elements = elements
        self._flags = flags
        self._takes = takes
        self._command = Command.MAP_LOOKUP_AND_DELETE_BATCH if takes else Command.MAP_LOOKUP_BATCH
        self._failure: BpfError | None = None
        self._met = 0
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
        if self._failure is not None:
            failure, self._failure = self._failure, None
            self._is_done = True
            raise failure
        while not self._is_done:
            count = self._batch() if self._is_batched is not False else self._take() if self._takes else self._walk()
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
            self._command,
            self._start,
            end,
            ffi.from_buffer(self._keys),
            ffi.from_buffer(self._values),
            count,
            self._flags,
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
            raise elements.error(error, self._command)
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
            self._flags,
            count,
        )
        done = count[0]
        self._met += done
        if error == errno.ENOENT:
            self._is_done = True
            return done
        if error:
            raise elements.error(error, Command.MAP_GET_NEXT_KEY)
        elements.require_end(self._met)
        # With room left, only the keys tried ran out: the one to go on from stands behind the last one found.
        last = done if done < self._room else done - 1
        key = bytes(self._keys[last * elements.key_size : (last + 1) * elements.key_size])
        self._start = ffi.new("uint8_t[]", key)
        return done

    def _take(self) -> int:
        """The first elements, removed one by one; those that someone else removes meanwhile are theirs."""
        elements = self._elements
        self._start = ffi.NULL
        found = self._walk()
        key_size, value_size = elements.key_size, elements.value_size
        taken = 0
        for i in range(found):
            key = bytes(self._keys[i * key_size : (i + 1) * key_size])
            try:
                is_ours = elements.delete(key)
            except BpfError as error:
                if not taken:
                    raise
                self._failure = error
                break
            if is_ours:
                self._keys[taken * key_size : (taken + 1) * key_size] = key
                value = self._values[i * value_size : (i + 1) * value_size]
                self._values[taken * value_size : (taken + 1) * value_size] = value
                taken += 1
        return taken
