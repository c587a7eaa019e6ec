"""What the verbs of ``aiobpf prog`` do."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import anyio

from aiobpf import kernel
from aiobpf.asm import LABEL, SYMBOL
from aiobpf.asm.disassembly import disassemble
from aiobpf.btf import LINE
from aiobpf.cli.code_text import print_code
from aiobpf.cli.formats import Column, duration, printable
from aiobpf.cli.listing import print_facts, print_json, print_table
from aiobpf.cli.object_uses import Uses, held_by_lines, held_in_short, read_uses
from aiobpf.cli.selecting import select_program
from aiobpf.cli.styled import make_printer
from aiobpf.errors import BpfError, NoSuchObjectError
from aiobpf.kernel import ObjectKind
from aiobpf.kernel.worker import in_worker
from aiobpf.runtime import Map, Program, enable_stats

if TYPE_CHECKING:
    import argparse

    from aiobpf.runtime.program_info import JitedFunction, ProgramInfo

_COLUMNS = (
    Column("id", is_number=True),
    Column("type"),
    Column("name"),
    Column("target", spare=4),
    Column("uid", is_number=True, spare=6),
    Column("loaded", spare=5),
    Column("bytes", is_number=True, spare=3),
    Column("memory", is_number=True, spare=7),
    Column("maps", spare=8),
    Column("runs", is_number=True, spare=2),
    Column("pinned", spare=9),
    Column("held by", spare=1),
)
_STATS = (
    Column("id", is_number=True),
    Column("type"),
    Column("name"),
    Column("runs", is_number=True),
    Column("runs/s", is_number=True),
    Column("mean", is_number=True),
    Column("cpu", is_number=True),
)


async def list_programs(options: argparse.Namespace) -> None:
    uses = await read_uses()
    found = []
    async for program in Program.all():
        async with program:
            try:
                found.append(await _facts(program, uses))
            except NoSuchObjectError:  # what it is attached to went meanwhile
                continue
    if options.json:
        print_json(found)
        return
    rows = [
        {
            **each,
            "loaded": each["loaded_at"][:16].replace("T", " "),
            "bytes": each["bytes_translated"],
            "memory": each["memlock"],
            "maps": each["map_ids"],
            "runs": each["runs"] or None,
            "held by": held_in_short(each),
        }
        for each in found
    ]
    print_table(_COLUMNS, rows, empty="no program is loaded")


async def _facts(program: Program, uses: Uses) -> dict[str, Any]:
    info, memory = await in_worker(lambda: (kernel.program_info(program), kernel.locked_memory(program)))
    try:
        target = await program.target()
    except BpfError:  # one may not, or it is gone
        target = None
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    loaded = datetime.fromtimestamp(time.time() - since_boot + info.load_time_ns / 1e9).astimezone()
    return {
        "id": info.id,
        "type": program.type.name.lower(),
        "name": info.name,
        "tag": info.tag.hex(),
        "target": None if target is None else f"{target.module}:{target.name}" if target.module else target.name,
        "gpl_compatible": info.is_gpl_compatible,
        "loaded_at": loaded.isoformat(timespec="seconds"),
        "uid": info.uid,
        "bytes_translated": info.xlated_size,
        "bytes_jited": info.jited_size,
        "memlock": memory,
        "verified_instructions": info.verified_instructions or None,
        "map_ids": list(info.map_ids),
        "btf_id": info.btf_id or None,
        "ifindex": info.ifindex or None,
        "runs": info.stats.run_count,
        "run_time_ns": info.stats.run_time_ns,
        "recursion_misses": info.stats.recursion_misses,
        **uses.facts(ObjectKind.PROGRAM, info.id),
    }


async def show(options: argparse.Namespace) -> None:
    async with await select_program(options.program) as program:
        info = await program.info()
        facts = await _facts(program, await read_uses())
        functions = [{"name": each.name, "bytes": len(each.code)} for each in info.functions]
        maps = [await _map_name(number) for number in info.map_ids]
    if options.json:
        print_json({**facts, "functions": functions, "maps": maps})
        return
    told = {
        **{name: value for name, value in facts.items() if name not in {"id", "name", "type", "map_ids", "held_by"}},
        "maps": [f"{each['id']} {each['name']}" for each in maps],
        "functions": [f"{each['name']} ({each['bytes']} bytes of machine code)" for each in functions],
        "held_by": held_by_lines(facts),
    }
    print_facts(f"program {facts['id']} {facts['name']}: {facts['type']}", told)


async def _map_name(number: int) -> dict[str, Any]:
    try:
        async with Map.from_id(number) as found:
            return {"id": number, "name": found.name, "type": found.type.name.lower()}
    except BpfError:
        return {"id": number, "name": "", "type": ""}


async def dump(options: argparse.Namespace) -> None:
    async with await select_program(options.program) as program:
        info = await program.info(names=True)
    if options.jited:
        _dump_jited(info, as_json=options.json)
        return
    if not info.instructions:
        raise BpfError(
            f"the kernel does not show the instructions of program {info.id} {info.name!r}: that takes CAP_BPF and "
            "CAP_PERFMON"
        )
    if options.json:
        print_json([_instruction(each) for each in disassemble(info.instructions)])
    else:
        print_code(make_printer(), info.instructions)


def _instruction(each: Any) -> dict[str, Any]:
    metadata = each.instruction.metadata
    found: dict[str, Any] = {"slot": each.slot, "text": each.text}
    if not metadata:
        return found
    for key in (SYMBOL, LABEL):
        if (value := metadata.get(key)) is not None:
            found[key.name] = value
    line = metadata.get(LINE)
    if line is not None:
        found["source"] = {"file": line.file_name, "line": line.line, "column": line.column, "text": line.text.strip()}
    return found


def _dump_jited(info: ProgramInfo, *, as_json: bool) -> None:
    if not info.functions or not any(each.code for each in info.functions):
        raise BpfError(f"the kernel shows no machine code of program {info.id} {info.name!r}")
    if as_json:
        print_json(
            [{"name": each.name, "address": hex(each.address), "code": each.code.hex()} for each in info.functions]
        )
        return
    line = make_printer()
    for function in info.functions:
        line((f"{printable(function.name) or 'function'} at {function.address:#x}:", "bold"))
        for start, end, source in _pieces(function):
            if source:
                line(("      ; " + printable(source), "green"))
            for at in range(start, end, 16):
                line(f"{at:>5x}: {function.code[at : min(at + 16, end)].hex(' ')}")


def _pieces(function: JitedFunction) -> list[tuple[int, int, str]]:
    """The code of each source line: from, to, the line."""
    starts = [(offset, source.text.strip()) for offset, source in function.lines]
    if not starts or starts[0][0] > 0:
        starts.insert(0, (0, ""))
    ends = [offset for offset, _ in starts[1:]] + [len(function.code)]
    return [(start, end, text) for (start, text), end in zip(starts, ends, strict=True) if end > start]


async def stats(options: argparse.Namespace) -> None:
    """Runs and their time in the next *duration* seconds, of what ran."""
    if not 0 < options.duration < 86400:
        raise BpfError("--duration is a number of seconds above 0")
    programs = [await select_program(each) for each in options.program]
    try:
        if not programs:
            programs = [each async for each in Program.all()]
        async with enable_stats():
            before = [each.stats() for each in programs]
            started = time.monotonic()
            await anyio.sleep(options.duration)
            after = [each.stats() for each in programs]
            elapsed = time.monotonic() - started
        found: list[dict[str, Any]] = []
        for program, old, new in zip(programs, before, after, strict=True):
            runs, spent = new.run_count - old.run_count, new.run_time_ns - old.run_time_ns
            if runs or options.program:
                told = {"id": kernel.program_info(program).id, "type": program.type.name.lower(), "name": program.name}
                found.append({**told, "runs": runs, "run_time_ns": spent, "seconds": elapsed})
    finally:
        for program in programs:
            await program.aclose()
    found.sort(key=lambda each: -each["run_time_ns"])
    if options.json:
        print_json(found)
        return
    rows = [
        {
            **each,
            "runs/s": f"{each['runs'] / elapsed:,.0f}",
            "mean": _mean(each["run_time_ns"], each["runs"]),
            "cpu": f"{each['run_time_ns'] / elapsed / 1e7:.2f}%",
        }
        for each in found
    ]
    print_table(_STATS, rows, empty="no program ran")


def _mean(spent_ns: int, runs: int) -> str:
    if runs <= 0:
        return ""
    return f"{spent_ns / runs:.0f}ns" if spent_ns < 1000 * runs else duration(spent_ns // runs)
