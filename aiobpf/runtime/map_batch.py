"""Whole maps at once: asynchronous batches, and numpy arrays over the bytes that the kernel wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, final

from anyio.lowlevel import checkpoint

from aiobpf.errors import BpfError
from aiobpf.runtime.element import MAP_IN_MAP_TYPES, FdElement, IndexElement, PerCpuElement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.runtime.map import Map

K = TypeVar("K")
V = TypeVar("V")
_NOTHING: Any = object()
_AT_ONCE = 65536
"""Elements a system call, for numpy arrays: some 20 ms, for which signals wait."""


@final
class Batches(Generic[K, V]):
    """An asynchronous iterator over (keys, values), lists of the same length.

    Each step is a few system calls made in place and a checkpoint, so a map of millions does not hold the loop: 4096
    elements take about half a millisecond. Elements that come or go during the walk may be missed or met twice.

    *takes* removes what is given from the map.
    """

    __slots__ = ("_cursor", "_map")

    def __init__(self, map_: Map[K, V, Any], size: int, *, takes: bool = False, flags: int = 0) -> None:
        self._map = map_
        self._cursor = map_.elements.scan(size, takes=takes, flags=flags)

    def __aiter__(self) -> Batches[K, V]:
        return self

    async def __anext__(self) -> tuple[list[K], list[V]]:
        await checkpoint()
        batch = next(self._cursor, None)
        if batch is None:
            raise StopAsyncIteration
        keys, values, count = bytes(batch[0]), bytes(batch[1]), batch[2]
        map_ = self._map
        key_size, value_size = map_.key_codec.size, map_.value_codec.size
        key, value = map_.key_codec.decode, map_.value_codec.decode
        return (
            [key(keys, i * key_size) for i in range(count)],
            [value(values, i * value_size) for i in range(count)],
        )


def take_all(map_: Map[K, V, Any]) -> Iterator[tuple[K, V]]:
    """Every element, removed. What an error ends after something was removed, ends without one."""
    if map_.is_keyless:
        for _ in range(map_.max_entries):
            value = map_.pop(default=_NOTHING)
            if value is _NOTHING:
                return
            yield cast("K", None), value
        return
    if map_.type in MAP_IN_MAP_TYPES:
        # One by one: a map is opened before it is taken out, for nobody else may hold it.
        for key in list(map_):
            held = map_.pop(key, _NOTHING)
            if held is not _NOTHING:
                yield key, held
        return
    key_size, value_size = map_.key_codec.size, map_.value_codec.size
    key_of, value_of = map_.key_codec.decode, map_.value_codec.decode
    scan = map_.elements.scan(takes=True)
    is_first = True
    while True:
        try:
            chunk = next(scan, None)
        except BpfError:
            if is_first:
                raise
            return
        if chunk is None:
            return
        is_first = False
        keys, values, count = bytes(chunk[0]), bytes(chunk[1]), chunk[2]
        for i in range(count):
            yield key_of(keys, i * key_size), value_of(values, i * value_size)


def numpy_arrays(map_: Map[Any, Any, Any]) -> tuple[Any, Any]:
    """All keys and all values of *map_* as arrays over one copy of the bytes, per-CPU values in two dimensions."""
    try:
        import numpy as np
    except ImportError as error:
        raise ImportError("Map.numpy() needs numpy: pip install 'aiobpf[numpy]'") from error
    # numpy asks for large pages where it allocates much: a page that is touched first costs as much as ten elements.
    empty: Any = np.empty
    scan = map_.elements.scan(_AT_ONCE, keep=lambda size: empty(size, np.uint8))
    for _ in scan:
        pass
    keys, values, count = scan.kept
    return (
        _array(_part(keys, count, map_.key_codec), map_.key_codec, np),
        _array(_part(values, count, map_.value_codec), map_.value_codec, np),
    )


def _part(whole: Any, count: int, element: Any) -> Any:
    """The elements that there are; where they are few, a copy, so that the room for all comes free."""
    part = whole[: count * element.size]
    return part.copy() if 2 * len(part) < len(whole) else part


def _array(data: Any, element: Any, np: Any) -> Any:
    if isinstance(element, PerCpuElement):
        dtype = _dtype(element.value, np)
        count = len(data) // element.size
        return np.ndarray((count, element.cpus), dtype, data, strides=(element.size, element.stride))
    return np.ndarray((len(data) // max(element.size, 1),), _dtype(element, np), data)


def _dtype(element: Any, np: Any) -> Any:
    if isinstance(element, (IndexElement, FdElement)):
        return np.dtype(f"u{element.size}")
    dtype = getattr(element, "dtype", None)
    if dtype is not None:
        return dtype
    return np.dtype(f"V{element.size}")
