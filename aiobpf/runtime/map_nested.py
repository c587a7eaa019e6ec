"""Maps that maps hold: the kernel takes an fd and gives an id, which may be of a map that is gone by then."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import attrs

from aiobpf import kernel
from aiobpf.errors import KernelError, NoSuchObjectError, SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiobpf.runtime.map import Map

_ID = struct.Struct("=I")
_ATTEMPTS = 16


def open_inner(outer: Map, raw_id: bytes) -> Map:
    """The map of that id, typed as *outer*'s spec types what it holds; NoSuchObjectError if it is gone."""
    spec = None if outer.spec is None else outer.spec.inner
    fd = kernel.map_by_id(_ID.unpack(raw_id)[0])
    return type(outer).from_fd(fd, spec, outer.types, keeps_name=True)


def lookup_inner(outer: Map, key: bytes, flags: int = 0) -> Map | None:
    """The map under *key*, or None. One that is replaced between the lookup and its opening is looked up again."""
    gone: KernelError | None = None
    for _ in range(_ATTEMPTS):
        raw = outer.elements.lookup(key, flags)
        if raw is None:
            return None
        try:
            return open_inner(outer, raw)
        except NoSuchObjectError as error:
            gone = error
    assert gone is not None
    raise gone


def make_inner(outer: Map, key: Any, contents: Mapping[Any, Any] | None, changes: Mapping[str, Any]) -> Map:
    """A map after the spec of those that *outer* holds, filled and put under *key*; nothing is left if that fails."""
    from aiobpf.runtime.map_create import create_map

    spec = None if outer.spec is None else outer.spec.inner
    if spec is None:
        raise SpecError(f"map {outer.name!r} does not say what the maps in it are: it holds none, or has no spec")
    inner = create_map(attrs.evolve(spec.copy(), **changes))
    try:
        if contents:
            inner.update_many(contents)
        outer[key] = inner
    except BaseException:
        inner.close()
        raise
    return inner


def remove_inner(outer: Map, key: Any, inner: Map) -> None:
    """Take back what `make_inner` put there, for a caller who no longer waits for it."""
    inner.close()
    outer.elements.delete(outer.key_codec.encode(key))
