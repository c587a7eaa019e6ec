"""What the verbs of ``aiobpf btf`` do."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from aiobpf import kernel
from aiobpf.btf import Btf, Enum, Struct, Typedef, Union, format_header
from aiobpf.cli.choices import suggestion
from aiobpf.cli.formats import Column
from aiobpf.cli.listing import print_facts, print_json, print_table
from aiobpf.cli.object_facts import declaration, type_counts
from aiobpf.cli.object_uses import held_in_short, read_uses
from aiobpf.errors import BtfError, SpecError
from aiobpf.kernel import ObjectKind
from aiobpf.kernel.worker import in_worker
from aiobpf.runtime import BtfObject, Map, Program

if TYPE_CHECKING:
    import argparse

    from aiobpf.btf import Type

_COLUMNS = (
    Column("id", is_number=True),
    Column("name"),
    Column("bytes", is_number=True),
    Column("programs", spare=2),
    Column("maps", spare=3),
    Column("held by", spare=1),
)


async def list_btf(options: argparse.Namespace) -> None:
    uses = await read_uses()
    programs, maps = await _users()
    found = []
    async for each in BtfObject.all():
        async with each:
            info = each.info
            found.append(
                {
                    "id": info.id,
                    "name": info.name or None,
                    "kernel": info.is_kernel,
                    "bytes": info.size,
                    "programs": programs.get(info.id, []),
                    "maps": maps.get(info.id, []),
                    "held_by": uses.facts(ObjectKind.BTF, info.id)["held_by"],
                }
            )
    if options.json:
        print_json(found)
        return
    rows = [{**each, "held by": held_in_short(each)} for each in found]
    print_table(_COLUMNS, rows, empty="there is no BTF")


async def _users() -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """The ids of programs, and of maps, by that of the BTF object that they were loaded with."""
    programs: dict[int, list[int]] = {}
    maps: dict[int, list[int]] = {}
    async for program in Program.all():
        async with program:
            info = await in_worker(kernel.program_info, program)
            programs.setdefault(info.btf_id, []).append(info.id)
    async for each in Map.all():
        async with each:
            told = each.info()
            maps.setdefault(told.btf_id, []).append(told.id)
    return programs, maps


async def _select(selector: str) -> tuple[str, Btf]:
    if os.sep in selector or "." in selector:
        return selector, await in_worker(Btf.from_file, selector)
    if selector.isdigit():
        async with BtfObject.from_id(int(selector)) as found:
            return f"{found.id} {found.name}".rstrip(), await found.types()
    names = set()
    async for each in BtfObject.all():
        async with each:
            if each.name == selector:
                return f"{each.id} {each.name}", await each.types()
            names.add(each.name)
    raise SpecError(f"the kernel has no BTF {selector!r}{suggestion(selector, names - {''})}")


async def show(options: argparse.Namespace) -> None:
    name, types = await _select(options.btf)
    counts = type_counts(types)
    if options.json:
        print_json({"btf": name, "type_counts": counts})
    else:
        print_facts(f"BTF {name}", {"types": sum(counts.values()), **counts})


async def dump(options: argparse.Namespace) -> None:
    _, types = await _select(options.btf)
    chosen = [_named(types, text) for text in options.type] or None
    if options.json:
        print_json([_type(number, types.type_by_id(number)) for number in range(1, len(types.types))]
                   if chosen is None else [_type(types.id_of(each), each) for each in chosen])  # fmt: skip
        return
    sys.stdout.write(await in_worker(lambda: format_header(types, chosen)))


def _named(types: Btf, text: str) -> Type:
    kind, _, name = text.rpartition(" ")
    wanted = {"struct": Struct, "union": Union, "enum": Enum, "typedef": Typedef}.get(kind.strip())
    found = types.all_by_name(name, wanted) if wanted else types.all_by_name(name)
    if not found:
        raise BtfError(f"there is no type {text!r}")
    return found[0]


def _type(number: int, each: Type) -> dict[str, Any]:
    return {"id": number, "kind": each.kind.name.lower(), "name": each.name, "c": declaration(each, "")}
