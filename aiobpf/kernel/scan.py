"""Walking a whole map in chunks."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, final

from aiobpf._native import ffi, lib
from aiobpf.errors import BpfError
from aiobpf.kernel.syscall import ENOTSUPP
from aiobpf.uapi import Command

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobpf._native._lib import CData
    from aiobpf.kernel.elements import MapElements

_UNSUPPORTED = frozenset({errno.EINVAL, errno.EOPNOTSUPP, ENOTSUPP})
_MAX_CHUNK_BYTES = 256 << 20
_STALLS = 16
_FIRST_KEPT_BYTES = 64 << 20
_SLACK = 64
"""Elements: as many as are hardly ever in one bucket."""


@final
class MapScan:
    """An iterator over (keys, values, count): packed elements, in buffers that the next step writes over.

    BPF_MAP_LOOKUP_BATCH where map and kernel have it (5.6), else key by key in C. Elements that come or go meanwhile
    may be missed or met twice.

    A chunk can be larger than asked for: a hash gives whole buckets, so the buffers grow until one fits.

    With *keep*, which makes a buffer of so many bytes, each step writes behind what those before it wrote, and the
    buffers hold the whole map at the end: nothing is copied but where they had to grow.

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
        "_keep",
        "_kept",
        "_keys",
        "_met",
        "_room",
        "_size",
        "_stalls",
        "_start",
        "_takes",
        "_values",
    )

    def __init__(
        self,
        elements: MapElements,
        size: int,
        *,
        takes: bool = False,
        flags: int = 0,
        keep: Callable[[int], bytearray] | None = None,
    ) -> None:
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
        if takes and keep is not None:
            raise ValueError("a scan that takes elements out gives them chunk by chunk")
        self._size = max(size, 1)
        self._keep = keep
        self._kept = 0
        self._room = 0
        self._keys = bytearray()
        self._values = bytearray()
        if keep is None:
            self._grow(self._size)
        else:
            # Memory that nobody touches costs nothing: room for all that the map may hold, and for the bucket that the
            # kernel wants to give whole; but not for the 4 billion elements that a map may claim.
            most = max(_FIRST_KEPT_BYTES // max(elements.key_size + elements.value_size, 1), self._size)
            self._grow(min(elements.limit or most, most) + _SLACK)

    def _grow(self, room: int) -> None:
        key_size, value_size = self._elements.key_size, self._elements.value_size
        if self._keep is None:
            if room * (key_size + value_size) > _MAX_CHUNK_BYTES:
                raise MemoryError(
                    f"a chunk of {room} elements is more than {_MAX_CHUNK_BYTES >> 20} MiB: ask for fewer"
                )
            self._keys, self._values = bytearray(room * key_size), bytearray(room * value_size)
        else:
            self._keys = self._moved(self._keys, self._keep(room * key_size), key_size)
            self._values = self._moved(self._values, self._keep(room * value_size), value_size)
        self._room = room

    def _moved(self, old: bytearray, new: bytearray, size: int) -> bytearray:
        """*new* with what is kept of *old*."""
        memoryview(new)[: self._kept * size] = memoryview(old)[: self._kept * size]
        return new

    @property
    def kept(self) -> tuple[bytearray, bytearray, int]:
        """With *keep*: the buffers of keys and values, and how many elements are in them so far."""
        return self._keys, self._values, self._kept

    def _next_room(self) -> int:
        """How many elements the next call may write, behind what is kept."""
        if self._keep is None:
            return self._room
        left = self._room - self._kept
        if left < _SLACK:
            self._grow(self._room * 2)
            left = self._room - self._kept
        return min(left, self._size)

    def _places(self) -> tuple[CData, CData]:
        """Where it writes them."""
        keys, values = ffi.from_buffer("uint8_t[]", self._keys), ffi.from_buffer("uint8_t[]", self._values)
        elements = self._elements
        kept = self._kept
        return ffi.addressof(keys, kept * elements.key_size), ffi.addressof(values, kept * elements.value_size)

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
                if self._keep is not None:
                    self._kept += count
                return self._keys, self._values, count
        raise StopIteration

    def _batch(self) -> int:
        elements = self._elements
        count = ffi.new("uint32_t *", self._next_room())
        keys, values = self._places()
        # Opaque to us: a bucket number (hash) or a key (all others), so at least 4 bytes.
        end = ffi.new("uint8_t[]", max(elements.key_size, 4))
        error = -lib.map_batch(
            elements.cell,
            self._command,
            self._start,
            end,
            keys,
            values,
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
            self._size *= 2
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
        room = self._next_room()
        count = ffi.new("uint32_t *", room)
        keys, values = self._places()
        error = -lib.map_walk(
            elements.cell,
            self._start,
            keys,
            values,
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
        last = done if done < room else done - 1
        at = (self._kept + last) * elements.key_size
        self._start = ffi.new("uint8_t[]", bytes(self._keys[at : at + elements.key_size]))
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
