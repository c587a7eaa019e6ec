"""``aiobpf map watch``: what changes in a map, and the events of a buffer."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

import anyio

from aiobpf import kernel
from aiobpf.btf import codec
from aiobpf.cli.choices import event_type
from aiobpf.cli.elements import key_json, parse_key, value_json
from aiobpf.cli.formats import EventFormat, cell
from aiobpf.cli.map_verbs import elements_of
from aiobpf.cli.report import warn
from aiobpf.cli.selecting import select_map
from aiobpf.cli.views import JsonLines, PlainLines
from aiobpf.errors import SpecError
from aiobpf.kernel.worker import in_worker
from aiobpf.runtime import Program
from aiobpf.stream import PerfBuffer, RingBuffer
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    import argparse

    from aiobpf.btf import Btf
    from aiobpf.runtime import Map

_LEAST_S = 0.01


async def watch(options: argparse.Namespace) -> None:
    """Until ctrl-C, or the end of the duration."""
    duration = math.inf if options.duration is None else options.duration
    if not duration >= 0 or not options.interval >= _LEAST_S:
        raise SpecError(f"durations are numbers of seconds, and an interval at least {_LEAST_S}")
    with anyio.move_on_after(duration):
        async with await select_map(options.map) as found:
            if found.type in {MapType.RINGBUF, MapType.PERF_EVENT_ARRAY}:
                await _events(found, options.type, as_json=options.json)
            else:
                await _changes(found, options.key, options.interval, as_json=options.json)


async def _events(found: Map, text: str | None, *, as_json: bool) -> None:
    warn(f"events of map {found.name!r} that are shown here do not reach whoever else reads it")
    stream: RingBuffer[Any] | PerfBuffer[Any]
    # The kernel does not keep what a buffer's records are; the types of the programs that write them are still there.
    type_ = None if text is None else event_type(await _types_of_users(found), text)
    stream = RingBuffer(found, type_) if found.type == MapType.RINGBUF else PerfBuffer(found, type_)
    formats = {found.name: EventFormat(None if type_ is None else codec(type_).jsonable)}
    view = JsonLines(formats) if as_json else PlainLines(formats)
    async with stream as events:
        async for batch in events.batches():
            view.show(found.name, batch.records())


async def _types_of_users(found: Map) -> Btf | None:
    """The types of the first program that uses *found* and has some."""
    number = found.info().id
    async for program in Program.all():
        async with program:
            if number in (await in_worker(kernel.program_info, program)).map_ids:
                types = await program.types()
                if types is not None:
                    return types
    return None


async def _changes(found: Map, texts: list[str], interval: float, *, as_json: bool) -> None:
    keys = [parse_key(found, text) for text in texts]
    before: dict[str, tuple[Any, Any]] | None = None
    while True:
        now = {json.dumps(key): (key, value) for key, value in _looked_at(found, keys)}
        if before is None:
            before = now if not keys else {}
            if not as_json and not keys:
                print(f"aiobpf: {len(now)} elements to begin with", file=sys.stderr)
        for name, (key, value) in now.items():
            if name not in before:
                _tell("new", key, None, value, as_json=as_json)
            elif before[name][1] != value:
                _tell("changed", key, before[name][1], value, as_json=as_json)
        for name, (key, value) in before.items():
            if name not in now:
                _tell("gone", key, value, None, as_json=as_json)
        sys.stdout.flush()
        before = now
        await anyio.sleep(interval)


def _looked_at(found: Map, keys: list[Any]) -> list[tuple[Any, Any]]:
    if not keys:
        return list(elements_of(found))
    values = [(key, found.get(key)) for key in keys]
    return [(key_json(found, key), value_json(found, value)) for key, value in values if value is not None]


def _tell(what: str, key: Any, before: Any, value: Any, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"event": what, "key": key, "before": before, "value": value}))
    elif what == "changed":
        print(f"{cell(key)}: {cell(before)} -> {cell(value)}{_difference(before, value)}")
    else:
        print(f"{cell(key)}: {'+' if what == 'new' else '-'} {cell(value if what == 'new' else before)}")


def _difference(before: Any, value: Any) -> str:
    if isinstance(before, int) and isinstance(value, int) and not isinstance(value, bool):
        return f"  ({value - before:+})"
    return ""
