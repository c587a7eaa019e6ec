"""What instructions are counted of. Run under callgrind (tests/guard/instructions.py), with the workload's descriptors.

``python -m tests.guard.scenarios work FDS [NAME]``: each scenario (or that one) *n* and 2 *n* times; the difference is
what *n* cost.
``python -m tests.guard.scenarios import STATEMENT``: one import.
"""

from __future__ import annotations

import asyncio
import gc
import os
import struct
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen

from tests.guard.marks import Marks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

RECORDS = 8192
"""Events of 64 bytes in the ring: two batches."""


@frozen
class Scenario:
    """*work* is done *times* times; one has *size* of what the number is told for."""

    name: str
    work: Callable[[], object]
    times: int
    size: int = 1
    is_async: bool = False


def yardstick() -> None:
    """Plain Python of many kinds, for how many instructions this interpreter takes."""
    words: dict[str, list[int]] = {}
    for number in range(3000):
        words.setdefault(f"{number % 97}:{number & 7}", []).append(number ^ 0x5A)
    total = sum(len(name) + sum(numbers) for name, numbers in sorted(words.items()))
    packed = struct.pack("<3000Q", *range(3000))
    values = [value for value in struct.unpack("<3000Q", packed) if value % 3]
    text = ",".join(map(str, values[:1000])).encode().decode().split(",")
    assert total > len(text)


def data_scenarios() -> list[Scenario]:
    from aiobpf import Btf, read_spec
    from aiobpf._native import ffi, lib
    from aiobpf.btf import CORE_RELOCATION, CoreRelocator, codec, relocate_instructions
    from tests.guard.inputs import CORE_PROGRAMS, CORE_TARGET, OBJECTS, STRUCTS, event_type, many_types
    from tests.native.conftest import PAGE, HandmadeRing

    found = [Scenario("the yardstick", yardstick, 2)]
    for name, path in OBJECTS.items():
        found.append(Scenario(f"read_spec, {name}", partial(read_spec, path.read_bytes()), 3))

    raw = many_types()

    def open_types(wanted: str = f"s_{STRUCTS // 2}") -> None:
        Btf.from_bytes(raw).by_name(wanted)

    found.append(Scenario("BTF of 12,000 types opened, and one found", open_types, 2))

    programs = [program.instructions for program in read_spec(CORE_PROGRAMS).programs.values()]
    relocations = sum(len(list(each.with_key(CORE_RELOCATION))) for each in programs)

    def relocate() -> None:
        relocator = CoreRelocator([Btf.from_file(CORE_TARGET)])
        for instructions in programs:
            relocate_instructions(instructions.copy(), relocator)

    found.append(Scenario("CO-RE, a relocation", relocate, 2, relocations))

    def compile_codec() -> None:
        made = codec(event_type())
        assert callable(made.decode)
        assert callable(made.encode)
        assert isinstance(made.python_type, type)

    found.append(Scenario("a codec of 9 fields made", compile_codec, 3))
    made = codec(event_type())
    rows = bytes(64 * 1000)
    found.append(Scenario("a record of 64 bytes decoded to an object", lambda: made.decode_all(rows), 3, 1000))
    event = made.decode(rows, 0)
    found.append(Scenario("an object of 9 fields encoded", lambda: [made.encode(event) for _ in range(200)], 3, 200))

    size = 1 << 17
    ring = HandmadeRing(size)
    for _ in range(1000):
        ring.put(bytes(64))
    base = ffi.from_buffer("uint8_t[]", ring.memory)
    drained, out = ffi.new("struct ring_drained *"), ffi.new("uint8_t[]", 64 * 1000)
    offsets, lengths = ffi.new("uint32_t[]", 1000), ffi.new("uint32_t[]", 1000)

    def drain_fixed() -> None:
        struct.pack_into("=Q", ring.memory, 0, 0)
        lib.ring_drain_fixed(base, base + PAGE, PAGE, size, 64, out, 64 * 1000, 1000, drained)
        assert drained.records == 1000

    def drain() -> None:
        struct.pack_into("=Q", ring.memory, 0, 0)
        lib.ring_drain(base, base + PAGE, PAGE, size, out, 64 * 1000, offsets, lengths, 1000, drained)
        assert drained.records == 1000

    found.append(Scenario("C: a record of 64 bytes drained to a row", drain_fixed, 10, 1000))
    found.append(Scenario("C: a record of 64 bytes drained with its length", drain, 10, 1000))
    return found


async def stream_scenarios(fd: int, ask: int, answered: int, measure: Callable[[Scenario], Awaitable[None]]) -> None:
    """Reading the ring *fd*, which who started this fills when asked."""
    from aiobpf.stream import RingBuffer
    from benchmarks.aiobpf_side.given_maps import given_map
    from tests.guard.streams import NO_TURN_S, RING, TYPE, WAYS, Seen

    async with given_map(fd, RING) as ring, RingBuffer(ring, TYPE, turn_s=NO_TURN_S) as stream:

        async def read(way: Any) -> None:
            os.write(ask, b"?")
            os.read(answered, 1)
            seen = Seen(RECORDS)
            await way(stream, seen)
            assert seen.events == RECORDS

        for name, way in WAYS.items():
            await measure(Scenario(f"an event of a stream: {name}", partial(read, way), 1, RECORDS, is_async=True))


async def work(fds: str, only: str = "") -> None:
    marks = Marks()
    gc.disable()

    async def measure(scenario: Scenario) -> None:
        async def repeat(times: int) -> None:
            for _ in range(times):
                done: Any = scenario.work()
                if scenario.is_async:
                    await done

        await repeat(2)  # specialised, cached, compiled
        gc.collect()
        marks.start()
        for factor in (1, 2):
            marks.zero()
            await repeat(factor * scenario.times)
            marks.dump(f"{scenario.name}|{scenario.times * scenario.size}|{factor}")
        marks.stop()

    for scenario in data_scenarios():
        if only in {"", scenario.name}:
            await measure(scenario)
    if fds:
        fd, ask, answered = map(int, fds.split(","))
        await stream_scenarios(fd, ask, answered, measure)


def import_(statement: str) -> None:
    marks = Marks()
    marks.start()
    marks.zero()
    exec(statement, {})
    marks.dump("import|1|1")


if __name__ == "__main__":
    if sys.argv[1] == "import":
        import_(sys.argv[2])
    else:
        asyncio.run(work(*sys.argv[2:]))
