"""Keys and values of maps, between the words of a command line, Python and JSON."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import attrs

from aiobpf.btf import Codec
from aiobpf.cli.selecting import select_map, select_program
from aiobpf.cli.settings import as_bytes, as_int, parse_value
from aiobpf.errors import CodecError
from aiobpf.runtime import Map, PerCpu
from aiobpf.runtime.element import FdElement, IndexElement, PerCpuElement
from aiobpf.runtime.network_value import CpuElement, DeviceElement
from aiobpf.runtime.owner_key import OwnerElement
from aiobpf.runtime.prefix_key import PrefixElement
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from aiobpf.btf import Type


def parse_key(map_: Map, text: str) -> Any:
    """What the map takes for a key that is written *text*; CodecError says what it would take."""
    return _parse(map_, "key", map_.key_codec, map_.key_type, map_.key_size, text)


async def parse_element(map_: Map, text: str) -> Any:
    """What the map takes for a value that is written *text*; a program or map in a map is given like any other, and
    is the caller's to close."""
    kind = map_.value_codec
    if isinstance(kind, FdElement):
        if map_.type in {MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS}:
            return await select_map(text)
        if map_.type == MapType.PROG_ARRAY:
            return await select_program(text)
        raise CodecError(f"map {map_.name!r} holds descriptors, which only a program of one's own can give")
    if isinstance(kind, PerCpuElement):
        kind = kind.value
    return _parse(map_, "value", kind, map_.value_type, map_.value_size, text)


def _parse(map_: Map, what: str, kind: object, type_: Type | None, size: int, text: str) -> Any:
    try:
        if isinstance(kind, PrefixElement):
            network = _network(text)
            if network is not None:
                return network
            kind = kind.plain
        if isinstance(kind, OwnerElement):
            return _owner(map_, text)
        if isinstance(kind, DeviceElement):
            return as_int(text) if text[:1].isdecimal() else text
        if isinstance(kind, CpuElement):
            return as_int(text)
        if isinstance(kind, Codec) and type_ is not None:
            return parse_value(text, type_)
        if isinstance(kind, IndexElement):
            return as_int(text)
        if size in {1, 2, 4, 8} and not text.startswith("0x"):
            return as_int(text)
        return as_bytes(text, size)
    except (ValueError, OverflowError) as error:
        raise CodecError(f"map {map_.name!r}: {what} {text!r}: {error}") from None


def _network(text: str) -> IPv4Network | IPv6Network | None:
    if "." not in text and ":" not in text:
        return None
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _owner(map_: Map, text: str) -> int | str:
    """A process id, or a path; what a socket's descriptor is in another process, nobody can say."""
    if map_.type == MapType.SK_STORAGE:
        raise CodecError(f"map {map_.name!r} is of sockets, which only the process that has one can name")
    return as_int(text) if map_.type == MapType.TASK_STORAGE else text


def key_json(map_: Map, key: Any) -> Any:
    """A key as JSON has it."""
    return _json(map_.key_codec, key)


def value_json(map_: Map, value: Any) -> Any:
    """A value as JSON has it: a list for a per-CPU one, the id of a map or program."""
    kind = map_.value_codec
    if isinstance(value, PerCpu) and isinstance(kind, PerCpuElement):
        return [_json(kind.value, each) for each in value]
    if isinstance(value, Map):
        return value.info().id
    return _json(kind, value)


def _json(kind: object, value: Any) -> Any:
    if isinstance(kind, PrefixElement):
        kind = kind.plain
    if isinstance(kind, Codec):
        return kind.jsonable(value)
    if attrs.has(type(value)):
        return {each.name: _json(None, getattr(value, each.name)) for each in attrs.fields(type(value))}
    if isinstance(value, list):
        return [_json(None, each) for each in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    return value if isinstance(value, (int, str, float, bool, list, dict)) or value is None else str(value)
