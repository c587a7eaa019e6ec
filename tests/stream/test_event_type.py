"""Which type an event has."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import attrs
import pytest

from aiobpf.btf import Btf, BtfBuilder
from aiobpf.btf.types import Array, Const, Int, Member, Struct, Type, Typedef, Union, Void
from aiobpf.errors import BtfError, CodecError, SpecError
from aiobpf.stream.event_type import BYTES, resolve_event_type
from aiobpf.uapi import MapType

U8 = Int("unsigned char", 1, 8)
U32 = Int("unsigned int", 4, 32)


def struct(name: str, *sizes: int) -> Struct:
    """A struct of u32 (size 4) and u8 arrays (other sizes)."""
    members, offset = [], 0
    for index, size in enumerate(sizes):
        members.append(Member(f"m{index}", U32 if size == 4 else Array(U8, U32, size), 8 * offset))
        offset += size
    return Struct(name, offset, members)


@attrs.frozen
class OnlyAMap:
    """What the event type is found from."""

    value_type: Type | None = None
    types: Btf | None = None
    name: str = "events"
    type: MapType = MapType.RINGBUF
    max_entries: int = 4096

    def fileno(self) -> int:
        raise AssertionError


def types_of(*types: Type) -> Btf:
    builder = BtfBuilder()
    for each in types:
        builder.add(each)
    return Btf.from_bytes(builder.encode())


def test_none_is_the_maps_value_type() -> None:
    found = resolve_event_type(OnlyAMap(struct("event", 4, 4)), None)
    assert (found.name, found.size, found.minimum, found.stride) == ("struct event", 8, 8, 8)


def test_none_is_bytes_without_a_value_type() -> None:
    assert resolve_event_type(OnlyAMap(), None) is BYTES


def test_bytes_leaves_typed_records_alone() -> None:
    assert resolve_event_type(OnlyAMap(struct("event", 4)), bytes) is BYTES


def test_a_type_is_itself() -> None:
    assert resolve_event_type(OnlyAMap(struct("other", 4, 4)), struct("event", 4)).size == 4


@pytest.mark.parametrize("name", ["struct event", "event", " event ", "struct  event"])
def test_a_name_is_looked_up_in_the_objects_types(name: str) -> None:
    map_ = OnlyAMap(types=types_of(struct("event", 4), struct("other", 4, 4)))
    assert resolve_event_type(map_, name).name == "struct event"


def test_a_name_with_a_kind_tells_a_struct_from_a_union() -> None:
    both = types_of(struct("event", 4), Union("event", 8, [Member("a", Array(U8, U32, 8), 0)]))
    assert resolve_event_type(OnlyAMap(types=both), "union event").size == 8
    assert resolve_event_type(OnlyAMap(types=both), "struct event").size == 4
    with pytest.raises(BtfError) as caught:
        resolve_event_type(OnlyAMap(types=both), "event")
    assert "events" in caught.value.__notes__[0]


def test_a_name_of_several_words_is_one_name() -> None:
    map_ = OnlyAMap(types=types_of(Int("long long unsigned int", 8, 64)))
    assert resolve_event_type(map_, "long long unsigned int").size == 8


def test_a_typedef_can_be_named() -> None:
    map_ = OnlyAMap(types=types_of(Typedef("event_t", struct("event", 4))))
    assert resolve_event_type(map_, "event_t").size == 4


def test_a_name_that_is_not_there_names_the_map() -> None:
    with pytest.raises(BtfError) as caught:
        resolve_event_type(OnlyAMap(types=types_of(struct("event", 4))), "struct nothing")
    assert caught.value.__notes__ == ["as the event type of map 'events'"]


def test_a_name_needs_btf() -> None:
    with pytest.raises(SpecError, match="map 'events': there is no BTF to look 'struct event' up in"):
        resolve_event_type(OnlyAMap(), "struct event")


class ExecEvent(NamedTuple):
    m0: int


@attrs.define
class Renamed:
    __btf_type__: ClassVar[str] = "struct exec_event"
    m0: int


def test_a_class_is_filled_from_the_value_type() -> None:
    found = resolve_event_type(OnlyAMap(struct("anything", 4, 4)), ExecEvent)
    assert found.codec is not None
    assert found.codec.python_type is ExecEvent


@pytest.mark.parametrize("name", ["ExecEvent", "exec_event"])
def test_a_class_finds_the_struct_called_like_it(name: str) -> None:
    found = resolve_event_type(OnlyAMap(types=types_of(struct(name, 4), struct("b", 4, 4))), ExecEvent)
    assert found.name == f"struct {name}"


def test_a_class_may_name_its_struct() -> None:
    map_ = OnlyAMap(struct("other", 4, 4), types=types_of(struct("exec_event", 4)))
    assert resolve_event_type(map_, Renamed).size == 4


@pytest.mark.parametrize("types", [None, types_of(struct("other", 4))], ids=["no BTF", "no such struct"])
def test_a_class_without_struct_says_how_to_name_one(types: Btf | None) -> None:
    with pytest.raises(SpecError, match=r"no one struct ExecEvent or exec_event.*__btf_type__"):
        resolve_event_type(OnlyAMap(types=types), ExecEvent)


def test_what_is_no_type_is_refused() -> None:
    wrong: Any = 12
    with pytest.raises(SpecError, match="12 is no event type"):
        resolve_event_type(OnlyAMap(), wrong)


def test_a_type_without_bytes_is_refused() -> None:
    with pytest.raises(SpecError, match="has no bytes"):
        resolve_event_type(OnlyAMap(), Struct("empty", 0, []))


def test_a_type_without_values_is_refused() -> None:
    with pytest.raises((BtfError, CodecError)) as caught:
        resolve_event_type(OnlyAMap(), Void())
    assert caught.value.__notes__ == ["as the event type of map 'events'"]


@pytest.mark.parametrize(
    ("type_", "minimum", "stride"),
    [
        (struct("plain", 4, 4), 8, 8),
        (struct("ends_in_array", 4, 60), 4, 64),
        (struct("array_first", 60, 4), 64, 64),
        (Struct("nested", 16, [Member("a", U32, 0), Member("b", struct("inner", 4, 8), 32)]), 8, 16),
        (Typedef("t", Const(struct("ends_in_array", 4, 60))), 4, 64),
        (Struct("flexible", 4, [Member("n", U32, 0), Member("rest", Array(U8, U32, 0), 32)]), 4, 0),
        (U32, 4, 4),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_how_short_a_record_may_be(type_: Type, minimum: int, stride: int) -> None:
    found = resolve_event_type(OnlyAMap(type_), None)
    assert (found.minimum, found.stride) == (minimum, stride)
