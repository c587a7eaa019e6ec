"""A user's typed class, filled from a collection, whatever its annotations look like."""

from __future__ import annotations

import dataclasses
import enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import attrs
import pytest

import aiobpf
from aiobpf.collection.binding import bound_fields
from aiobpf.errors import ClosedError, SpecError
from aiobpf.spec import Pinning

from .objects import map_kinds, subprograms

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


@dataclasses.dataclass
class Value:
    packets: int


@attrs.define
class Prefix:
    prefix: int
    octets: bytes = attrs.field(default=b"", metadata={"member": "address"})


class Level(enum.IntEnum):
    LOW = 1


class Typed:
    hash: aiobpf.Map[Any, Value]
    lpm: aiobpf.Map[Prefix, Level | int]
    percpu_array: Map[int, aiobpf.PerCpu[Value], Value]
    outer_array: Map[int, aiobpf.Map]
    every: aiobpf.Collection
    __bpf_names__: ClassVar[dict[str, str]] = {"other": "array"}
    other: aiobpf.Map[int, int]


def unpinned() -> aiobpf.CollectionSpec:
    spec = map_kinds()
    spec.maps["pinned"].pinning = Pinning.NONE
    return spec


async def test_keys_and_values_are_of_the_classes_in_brackets() -> None:
    async with aiobpf.load(unpinned()) as coll:
        bound = coll.bind(Typed)
        bound.hash[1] = Value(3)
        assert bound.hash[1] == Value(3)
        bound.lpm[Prefix(8, b"abcd")] = 1
        assert list(bound.lpm.items()) == [(Prefix(8, b"abcd"), Level.LOW)]
        bound.lpm[Prefix(8, b"abcd")] = 7
        assert list(bound.lpm.values()) == [7]
        bound.percpu_array[0] = Value(2)
        assert list(bound.percpu_array[0]) == [Value(2)] * len(bound.percpu_array[0])
        assert bound.other.name == "array"
        assert bound.every is coll
        assert bound.hash.shares_fd(coll.maps["hash"])
        assert not isinstance(coll.maps["hash"][1], Value), "the collection's own is as it was"


async def test_classes_that_do_not_fit_are_named() -> None:
    class Local:
        pass

    def asking(annotation: str) -> type:
        return type("Asking", (), {"__annotations__": {"hash": annotation}, "__module__": __name__})

    def of_cpus(annotation: str) -> type:
        return type("Asking", (), {"__annotations__": {"percpu_array": annotation}, "__module__": __name__})

    async with aiobpf.load(unpinned()) as coll:
        with pytest.raises(SpecError, match=r"Asking\.hash: what is in \[int, Local\] cannot be found"):
            coll.bind(asking("aiobpf.Map[int, Local]"))
        with pytest.raises(SpecError, match=r"Asking\.hash does not fit: map 'hash'.*cannot be read as str"):
            coll.bind(asking("aiobpf.Map[int, str]"))
        with pytest.raises(SpecError, match=r"map 'percpu_array' has a value for each CPU, a PerCpu"):
            coll.bind(of_cpus("aiobpf.Map[int, Value]"))
