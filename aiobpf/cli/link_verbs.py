"""What the verbs of ``aiobpf link`` do."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import attrs

from aiobpf.cli.formats import Column
from aiobpf.cli.listing import print_facts, print_json, print_table
from aiobpf.cli.object_uses import Uses, held_by_lines, held_in_short, read_uses
from aiobpf.cli.selecting import select_link
from aiobpf.errors import BpfError, NoSuchObjectError
from aiobpf.kernel import ObjectKind
from aiobpf.kernel.mounts import mounts
from aiobpf.link import Link
from aiobpf.runtime import BtfObject, Map, Program
from aiobpf.uapi import AttachType, LinkType

if TYPE_CHECKING:
    import argparse

    from aiobpf.kernel import LinkInfo

_COLUMNS = (
    Column("id", is_number=True),
    Column("type"),
    Column("place"),
    Column("program", spare=1),
    Column("cookie", is_number=True, spare=4),
    Column("pinned", spare=5),
    Column("held by", spare=3),
)
_HOOKS = {0: "prerouting", 1: "input", 2: "forward", 3: "output", 4: "postrouting"}


async def list_links(options: argparse.Namespace) -> None:
    uses = await read_uses()
    found = []
    async for link in Link.all():
        async with link:
            try:
                found.append(await _facts(await link.info(), uses))
            except NoSuchObjectError:  # its program or target went meanwhile
                continue
    if options.json:
        print_json(found)
        return
    rows = [
        {
            **each,
            "program": f"{each['program_id']} {each['program_name'] or ''}" if each["program_id"] else "",
            "cookie": each.get("cookie") or None,
            "held by": held_in_short(each),
        }
        for each in found
    ]
    print_table(_COLUMNS, rows, empty="there is no link")


async def _facts(info: LinkInfo, uses: Uses) -> dict[str, Any]:
    """What the kernel tells, without what it does not."""
    told = {name: value for name, value in attrs.asdict(info).items() if value not in (None, ())}
    told["type"] = info.type.name.lower()
    if info.attach_type is not None:
        told["attach_type"] = _attach_type(info.attach_type)
    name = None
    if info.program_id:
        try:
            async with Program.from_id(info.program_id) as program:
                name = program.name
        except BpfError:
            name = None
    return {
        **{key: list(value) if isinstance(value, tuple) else value for key, value in told.items()},
        "program_name": name,
        "place": await place_of(info),
        **uses.facts(ObjectKind.LINK, info.id),
    }


def _attach_type(number: int) -> str:
    try:
        return AttachType(number).name.lower()
    except ValueError:
        return f"attach type {number}"


async def place_of(info: LinkInfo) -> str:
    """Where a link hangs, in words; "" where the kernel does not say."""
    attach_type = "" if info.attach_type is None else _attach_type(info.attach_type)
    if info.ifindex is not None:
        return f"{_interface(info.ifindex)} {attach_type.removeprefix('tcx_').removeprefix('netkit_')}".strip()
    if info.cgroup_id is not None and info.type == LinkType.CGROUP:
        return f"{_cgroup(info.cgroup_id)} {attach_type.removeprefix('cgroup_')}"
    if info.netns_inode is not None:
        return f"netns {info.netns_inode} {attach_type}"
    if info.hook is not None:
        family = {2: "IPv4", 10: "IPv6"}.get(info.family or 0, f"family {info.family}")
        return f"{family} {_HOOKS.get(info.hook, info.hook)} at {info.priority}"
    if info.map_id is not None:
        return f"map {await _map(info.map_id)} {attach_type}".strip()
    if info.target_btf_id is not None and info.target_object_id is not None:
        return f"{attach_type.removeprefix('trace_')} {await _target(info.target_object_id, info.target_btf_id)}"
    if info.count is not None:
        return f"{info.count} functions" + (f" of {info.name}" if info.name else "")
    if info.event == "event":
        return f"perf event {info.event_type}:{info.config}"
    if info.name is None:
        return ""
    offset = f"+{info.offset:#x}" if info.offset else ""
    return f"{info.event or ''} {info.name}{offset}".strip()


def _interface(index: int) -> str:
    if not index:
        return "an interface that is gone"
    try:
        return socket.if_indextoname(index)
    except OSError:  # of another network namespace
        return f"interface {index}"


def _cgroup(number: int) -> str:
    """The path of a cgroup below where cgroups are mounted, found by its inode."""
    if not number:
        return "a cgroup that is gone"
    for mount in mounts("cgroup2"):
        for directory, names, _ in os.walk(mount):
            try:
                if os.stat(directory).st_ino == number:
                    return directory
            except OSError:
                names.clear()
    return f"cgroup {number}"


async def _map(number: int) -> str:
    try:
        async with Map.from_id(number) as found:
            return f"{number} {found.name}".rstrip()
    except BpfError:
        return str(number)


async def _target(object_id: int, type_id: int) -> str:
    try:
        async with BtfObject.from_id(object_id) as found:
            name = (await found.types()).type_by_id(type_id).name.removeprefix("btf_trace_")
            return f"{found.name}:{name}" if found.name not in {"", "vmlinux"} else name
    except BpfError:  # the target is a program, or one may not
        return f"type {type_id} of {object_id}"


async def show(options: argparse.Namespace) -> None:
    async with await select_link(options.link) as link:
        facts = await _facts(await link.info(), await read_uses())
    if options.json:
        print_json(facts)
        return
    told = {name: value for name, value in facts.items() if name not in {"id", "type"}}
    told["held_by"] = held_by_lines(facts)
    print_facts(f"link {facts['id']}: {facts['type']}", told)


async def detach(options: argparse.Namespace) -> None:
    async with await select_link(options.link) as link:
        await link.detach()
