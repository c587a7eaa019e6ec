"""Which programs and maps of an object a run is about. All of it is decided before anything is loaded."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from aiobpf.btf import Kind
from aiobpf.errors import SpecError
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiobpf.btf import Type
    from aiobpf.cli.run import MapChoice
    from aiobpf.spec import CollectionSpec

STREAMED = (MapType.RINGBUF, MapType.PERF_EVENT_ARRAY)
_KINDS = {"struct": Kind.STRUCT, "union": Kind.UNION, "enum": Kind.ENUM}


def choose_programs(spec: CollectionSpec, names: Sequence[str]) -> tuple[str, ...] | None:
    """The programs to load; None: all. SpecError for one that is not there."""
    for name in names:
        if name not in spec.programs:
            raise SpecError(f"no program {name!r}{suggestion(name, spec.programs)}")
    return tuple(names) or None


def choose_maps(spec: CollectionSpec, choices: Sequence[MapChoice]) -> dict[str, Type | None]:
    """The maps to show, every ring buffer and perf array if none is chosen, each with the type of its events.

    None: the object does not say, or "bytes" was asked for. SpecError for a map that is not there or has no events,
    BtfError for a type.
    """
    streamed = [name for name, map_ in spec.maps.items() if map_.type in STREAMED]
    if not choices:
        return {name: spec.maps[name].value for name in streamed}
    chosen: dict[str, Type | None] = {}
    for name, type_ in choices:
        if name not in spec.maps:
            raise SpecError(f"no map {name!r}{suggestion(name, streamed)}")
        if name not in streamed:
            kind = spec.maps[name].type.name
            raise SpecError(f"map {name!r} is a {kind} map: only ring buffers and perf event arrays have events")
        chosen[name] = spec.maps[name].value if type_ is None else type_named(spec, type_)
    return chosen


def type_named(spec: CollectionSpec, name: str) -> Type | None:
    """The object's type of that name, ``event`` or ``struct event``; None for ``bytes``."""
    if name == "bytes":
        return None
    if spec.types is None:
        raise SpecError(f"no type {name!r}: the object has no BTF")
    keyword, _, rest = name.partition(" ")
    if keyword in _KINDS and rest.strip():
        return spec.types.by_name(rest.strip(), _KINDS[keyword])
    return spec.types.by_name(name)


def suggestion(name: str, known: Iterable[str]) -> str:
    """What else there is, the nearest name first: the rest of a sentence about *name*."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there is {', '.join(names)}" if names else "; the object has none"
