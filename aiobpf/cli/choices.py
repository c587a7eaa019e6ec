"""Which programs and maps of an object a run is about. All of it is decided before anything is loaded."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from aiobpf.btf import Kind
from aiobpf.cli.declaration import is_declaration, parse_struct
from aiobpf.errors import BtfError, SpecError
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiobpf.btf import Btf, Type
    from aiobpf.cli.run import MapChoice
    from aiobpf.spec import CollectionSpec

STREAMED = (MapType.RINGBUF, MapType.PERF_EVENT_ARRAY)
_TYPES = frozenset({Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.TYPEDEF, Kind.INT, Kind.FLOAT})
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
        chosen[name] = spec.maps[name].value if type_ is None else event_type(spec.types, type_)
    return chosen


def event_type(types: Btf | None, text: str) -> Type | None:
    """The type that *text* names among *types*, or declares; None for ``bytes``."""
    if text == "bytes":
        return None
    if is_declaration(text):
        return parse_struct(text, lambda name: type_named(types, name))
    try:
        return type_named(types, text)
    except (BtfError, SpecError) as error:
        error.add_note("a type that the object lacks can be declared: --map 'NAME:__u32 pid; char comm[16]'")
        raise


def type_named(types: Btf | None, name: str) -> Type:
    """The type of that name, ``event`` or ``struct event``."""
    if types is None:
        raise SpecError(f"no type {name!r}: the object has no BTF")
    keyword, _, rest = name.partition(" ")
    if keyword in _KINDS and rest.strip():
        return types.by_name(rest.strip(), _KINDS[keyword])
    # A variable or function may have the same name: what is asked for is a type.
    found = [each for each in types.all_by_name(name) if each.kind in _TYPES]
    return found[0] if len(found) == 1 else types.by_name(name)


def suggestion(name: str, known: Iterable[str]) -> str:
    """What else there is, the nearest name first: the rest of a sentence about *name*."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there is {', '.join(names)}" if names else "; the object has none"
