"""What the verbs of ``aiobpf map`` do, but for ``watch``."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from aiobpf import kernel
from aiobpf.cli.elements import key_json, parse_element, parse_key, value_json
from aiobpf.cli.formats import Column, cell
from aiobpf.cli.listing import print_facts, print_json, print_table
from aiobpf.cli.object_facts import declaration, map_flags
from aiobpf.cli.object_uses import Uses, held_by_lines, held_in_short, read_uses
from aiobpf.cli.selecting import select_map
from aiobpf.errors import BpfError, MapKeyError, SpecError
from aiobpf.kernel import ObjectKind
from aiobpf.kernel.fdinfo import fd_info
from aiobpf.kernel.worker import in_worker
from aiobpf.runtime import Map, Program
from aiobpf.uapi import MapType, UpdateFlags

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_COLUMNS = (
    Column("id", is_number=True),
    Column("type"),
    Column("name"),
    Column("key", is_number=True),
    Column("value", is_number=True),
    Column("entries", is_number=True),
    Column("flags", spare=4),
    Column("memory", is_number=True, spare=3),
    Column("pinned", spare=5),
    Column("held by", spare=2),
)
_STREAMED = frozenset({MapType.RINGBUF, MapType.PERF_EVENT_ARRAY})


async def list_maps(options: argparse.Namespace) -> None:
    uses = await read_uses()
    found = []
    async for each in Map.all():
        async with each:
            found.append(_facts(each, uses))
    if options.json:
        print_json(found)
        return
    rows = [
        {
            **each,
            "key": each["key_size"],
            "value": each["value_size"],
            "entries": each["max_entries"],
            "memory": each["memlock"],
            "held by": held_in_short(each),
        }
        for each in found
    ]
    print_table(_COLUMNS, rows, empty="there is no map")


def _facts(found: Map, uses: Uses) -> dict[str, Any]:
    info = found.info()
    with contextlib.suppress(OSError):
        told = fd_info(found)
        return {
            "id": info.id,
            "type": found.type.name.lower(),
            "name": info.name,
            "key_size": info.key_size,
            "value_size": info.value_size,
            "max_entries": info.max_entries,
            "flags": map_flags(info.flags),
            "frozen": told.get("frozen") == "1",
            "memlock": int(told["memlock"]) if told.get("memlock", "").isdigit() else None,
            "btf_id": info.btf_id or None,
            "ifindex": info.ifindex or None,
            "map_extra": info.map_extra or None,
            **uses.facts(ObjectKind.MAP, info.id),
        }
    raise BpfError("/proc is not mounted")


async def show(options: argparse.Namespace) -> None:
    async with await select_map(options.map) as found:
        facts = _facts(found, await read_uses())
        facts["key_type"] = declaration(found.key_type) or None
        facts["value_type"] = declaration(found.value_type) or None
        facts["used_by"] = await _programs_with(facts["id"])
    if options.json:
        print_json(facts)
        return
    told = {name: value for name, value in facts.items() if name not in {"id", "name", "type"}}
    told["held_by"] = held_by_lines(facts)
    told["used_by"] = [f"program {each['id']} {each['name']}" for each in facts["used_by"]]
    print_facts(f"map {facts['id']} {facts['name']}: {facts['type']}", told)


async def _programs_with(number: int) -> list[dict[str, Any]]:
    found = []
    async for program in Program.all():
        async with program:
            info = await in_worker(kernel.program_info, program)
            if number in info.map_ids:
                found.append({"id": info.id, "name": info.name})
    return found


def elements_of(found: Map) -> Iterator[tuple[Any, Any]]:
    """Keys and values as JSON has them; maps in a map by their id."""
    if found.type in _STREAMED or found.is_keyless:
        raise SpecError(
            f"map {found.name!r} is a {found.type.name} map, which has no keys: `aiobpf map "
            f"{'watch' if found.type in _STREAMED else 'get'}` has what comes next"
        )
    for key, value in found.items():
        told = value_json(found, value)
        if isinstance(value, Map):
            value.close()
        yield key_json(found, key), told


async def dump(options: argparse.Namespace) -> None:
    async with await select_map(options.map) as found:
        if options.json:
            separator = "["
            for key, value in elements_of(found):
                sys.stdout.write(separator)
                _write_element(key, value)
                separator = ",\n "
            sys.stdout.write("]\n" if separator != "[" else "[]\n")
            return
        count = 0
        for key, value in elements_of(found):
            print(f"{cell(key)}: {cell(value)}")
            count += 1
        print(f"aiobpf: {count} element{'s' if count != 1 else ''} in map {found.name!r}", file=sys.stderr)


def _write_element(key: Any, value: Any) -> None:
    import json

    sys.stdout.write(json.dumps({"key": key, "value": value}))


async def get(options: argparse.Namespace) -> None:
    async with await select_map(options.map) as found:
        value: Any
        if found.type == MapType.BLOOM_FILTER and options.key is not None:
            value = await parse_element(found, options.key) in found
        elif options.key is None:
            if not found.is_keyless:
                raise SpecError(f"map {found.name!r} has keys: give one")
            value = found.peek()
        else:
            key = parse_key(found, options.key)
            value = found.get(key)
            if value is None:
                raise MapKeyError(f"map {found.name!r} has no key {options.key}", key)
        told = value_json(found, value)
        if isinstance(value, Map):
            value.close()
    if options.json:
        print_json(told)
    else:
        print(cell(told))


async def set_value(options: argparse.Namespace) -> None:
    async with await select_map(options.map) as found:
        *keys, text = options.element
        if len(keys) != (0 if found.is_keyless else 1):
            raise SpecError(f"map {found.name!r} takes {'a value' if found.is_keyless else 'a key and a value'}")
        value = await parse_element(found, text)
        try:
            if found.type == MapType.BLOOM_FILTER:
                found.add(value)
            elif found.is_keyless:
                found.push(value)
            else:
                flags = UpdateFlags.ANY
                if options.new or options.existing:
                    flags = UpdateFlags.NOEXIST if options.new else UpdateFlags.EXIST
                found.update(parse_key(found, keys[0]), value, flags)
        finally:
            if isinstance(value, (Map, Program)):
                await value.aclose()


async def delete(options: argparse.Namespace) -> None:
    async with await select_map(options.map) as found:
        if found.is_keyless:
            if options.key:
                raise SpecError(f"map {found.name!r} has no keys: without one, its next value goes")
            told = value_json(found, found.pop())
            print_json(told) if options.json else print(cell(told))
            return
        if not options.key:
            raise SpecError("which keys?")
        for text in options.key:
            del found[parse_key(found, text)]
