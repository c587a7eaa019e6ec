"""What becomes of each map of a collection when another version of its object takes its place."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from attrs import frozen

from aiobpf.btf import Evolution, evolution_of
from aiobpf.errors import SpecError
from aiobpf.runtime.map_create import fit_to_kernel
from aiobpf.uapi import MapFlags, MapType

if TYPE_CHECKING:
    from collections.abc import Collection as Names
    from collections.abc import Mapping

    from aiobpf.runtime import Map
    from aiobpf.spec import CollectionSpec, MapSpec

_COPIED: Final = frozenset(
    {
        MapType.HASH,
        MapType.LRU_HASH,
        MapType.PERCPU_HASH,
        MapType.LRU_PERCPU_HASH,
        MapType.ARRAY,
        MapType.PERCPU_ARRAY,
        MapType.LPM_TRIE,
    }
)
"""Types whose elements user space can read and write whole."""

_OF_A_MAP: Final = ~(MapFlags.RDONLY | MapFlags.WRONLY | MapFlags.NUMA_NODE | MapFlags.TOKEN_FD)


class Fate(Enum):
    """What becomes of a map of the running collection."""

    KEPT = auto()
    """The new programs use it as it is."""
    MIGRATED = auto()
    """A new one takes its place, with its elements converted."""
    FRESH = auto()
    """A new one takes its place, with what the new object has in it."""
    DROPPED = auto()
    """The new object has no such map."""


@frozen
class Decision:
    """The fate of one map, and how its values are converted where it is MIGRATED."""

    fate: Fate
    values: Evolution | None = None


def decide(
    maps: Mapping[str, Map], spec: CollectionSpec, *, fresh: Names[str] = (), lossy: bool = False
) -> dict[str, Decision]:
    """The fate of each of *maps* when *spec* is loaded in place of what they came from.

    *fresh* names those that begin anew; with *lossy*, parts of values that the new types have no place for are given
    up. SpecError lists everything that can be neither kept nor converted.
    """
    unknown = sorted(name for name in fresh if name not in maps or name not in spec.maps)
    if unknown:
        raise SpecError(f"fresh names {', '.join(map(repr, unknown))}: no map of both versions")
    decisions: dict[str, Decision] = {}
    problems: list[str] = []
    for name, made in maps.items():
        new = spec.maps.get(name)
        if new is None or not new.autocreate:
            decisions[name] = Decision(Fate.DROPPED)
        elif name in fresh or new.is_frozen or new.type == made.type == MapType.STRUCT_OPS:
            decisions[name] = Decision(Fate.FRESH)  # constants are the new object's, and so are tables of its programs
        else:
            decision, differences = _decide(made, fit_to_kernel(new), lossy=lossy)
            decisions[name] = decision
            problems += (f"map {name!r}: {difference}" for difference in differences)
    if problems:
        raise SpecError(
            f"what the collection has cannot be taken over: {'; '.join(problems)}. Those that may begin anew are named "
            "in fresh=[...]"
        )
    return decisions


def _decide(made: Map, new: MapSpec, *, lossy: bool) -> tuple[Decision, list[str]]:
    old = made.spec
    differences: list[str] = []
    if made.type != new.type:
        return Decision(Fate.FRESH), [f"it is a {new.type.name} map instead of a {made.type.name} map"]
    keys = evolution_of(made.key_type, new.key, made.key_size, new.key_size)
    values = evolution_of(made.value_type, new.value, made.value_size, new.value_size)
    if not keys.is_identical:
        told = [*keys.differences, *(f"{part} is gone" for part in keys.removed)] or ["its parts lie elsewhere"]
        differences += (f"its key: {each}" for each in told)
    differences += values.differences
    if not lossy:
        differences += (f"{part} is gone (lossy=True gives it up)" for part in values.removed)
    before, after = MapFlags(made.flags) & _OF_A_MAP, MapFlags(new.flags) & _OF_A_MAP
    inner = old.inner if old is not None else None
    if inner is not None and new.inner is not None:
        differences += (f"its inner map: {each}" for each in _inner_differences(inner, new.inner))
    stays = values.is_identical and made.max_entries == new.max_entries and before == after
    if stays or differences:
        return Decision(Fate.KEPT), differences
    if made.type not in _COPIED:
        what = [f"{made.type.name} maps cannot be copied"]
        if made.max_entries != new.max_entries:
            what.append(f"max_entries is {new.max_entries} instead of {made.max_entries}")
        if before != after:
            what.append(f"its flags are {after!r} instead of {before!r}")
        if not values.is_identical:
            what.append("its values have another layout")
        return Decision(Fate.MIGRATED), [", and ".join(what)]
    if made.type in {MapType.ARRAY, MapType.PERCPU_ARRAY} and new.max_entries < made.max_entries and not lossy:
        return Decision(Fate.MIGRATED), [f"it has {new.max_entries} elements instead of {made.max_entries}"]
    return Decision(Fate.MIGRATED, values), []


def _inner_differences(old: MapSpec, new: MapSpec) -> list[str]:
    differences = [
        f"{field} is {getattr(new, field)!r} instead of {getattr(old, field)!r}"
        for field in ("type", "max_entries", "flags")
        if getattr(old, field) != getattr(new, field)
    ]
    for what, evolved in (
        ("key", evolution_of(old.key, new.key, old.key_size, new.key_size)),
        ("value", evolution_of(old.value, new.value, old.value_size, new.value_size)),
    ):
        if not evolved.is_identical:
            differences.append(f"its {what} is another")
    return differences
