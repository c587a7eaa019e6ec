"""A user's typed class, filled from a collection, whatever its annotations look like."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import attrs
import pytest

import aiobpf
from aiobpf.collection.binding import bound_fields
from aiobpf.errors import ClosedError, SpecError

from .objects import subprograms

if TYPE_CHECKING:
    from aiobpf import Map, Program  # as many do: there is nothing of that name at run time

OBJECTS = Path(__file__).parent.parent / "objects"

pytestmark = [pytest.mark.root, pytest.mark.asyncio]


class Base:
    first: Program
    limit: ClassVar[int] = 5


class Derived(Base):
    table: aiobpf.Map


@attrs.define
class Attrs:
    table: Map
    total: aiobpf.Variable


@dataclasses.dataclass
class Data:
    table: Map
    first: Program


class Pair(NamedTuple):
    table: Map
    first: Program


async def test_classes_of_every_make_are_filled() -> None:
    import aiobpf as local

    class Here:
        table: local.Map

    async with aiobpf.load(subprograms()) as coll:
        table, first = coll.maps["table"], coll.programs["first"]
        derived = coll.bind(Derived)
        assert (derived.first, derived.table, derived.limit) == (first, table, 5)
        filled = coll.bind(Attrs)
        assert (filled.table, filled.total) == (table, coll.variables["total"])
        assert coll.bind(Data) == Data(table, first)
        assert coll.bind(Pair) == (table, first)
        assert coll.bind(Here).table is table
    with pytest.raises(ClosedError):
        coll.bind(Here)


async def test_what_is_missing_or_something_else_is_named() -> None:
    class Missing:
        tabel: aiobpf.Map

    class Other:
        table: aiobpf.Program

    class Wrong:
        table: int

    async with aiobpf.load(subprograms()) as coll:
        with pytest.raises(SpecError, match="no map 'tabel'; did you mean 'table'"):
            coll.bind(Missing)
        with pytest.raises(SpecError, match="no program 'table'"):
            coll.bind(Other)
        with pytest.raises(SpecError, match=r"Wrong\.table is annotated int: Map, Program or Variable"):
            coll.bind(Wrong)


async def test_annotations_that_are_objects_count_too() -> None:
    kinds: dict[str, Any] = {"a": aiobpf.Map, "b": aiobpf.Program, "c": aiobpf.Variable, "d": ClassVar[int]}
    assert list(bound_fields(type("Made", (), {"__annotations__": kinds}))) == ["a", "b", "c"]
    assert list(bound_fields(type("Made", (), {"__annotations__": {"a": "'aiobpf.Map'", "b": "ClassVar"}}))) == ["a"]
    with pytest.raises(SpecError, match="int"):
        bound_fields(type("Made", (), {"__annotations__": {"a": int}}))
