"""Which object of the kernel a command is about: an id, the path of a pin, or a name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from aiobpf.cli.choices import suggestion
from aiobpf.errors import SpecError
from aiobpf.link import Link
from aiobpf.runtime import Map, Program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SELECTOR = "ID|PIN|NAME"
SELECTOR_HELP = "an id, the path of a pin, or a name"


async def select_program(selector: str) -> Program:
    """The program that *selector* means; SpecError where there is none, or several of that name."""
    if selector.isdigit():
        return Program.from_id(int(selector))
    if os.sep in selector:
        return Program.from_pin(selector)
    found: Program = await _by_name("program", Program.all(), selector)
    return found


async def select_map(selector: str) -> Map:
    """The map that *selector* means, with the types that the kernel has of it."""
    if selector.isdigit():
        found = Map.from_id(int(selector))
    elif os.sep in selector:
        found = Map.from_pin(selector)
    else:
        found = await _by_name("map", Map.all(), selector)
    try:
        return await found.typed_by_kernel()
    except BaseException:
        await found.aclose()
        raise


async def select_link(selector: str) -> Link:
    """The link that *selector* means; links have no names."""
    if selector.isdigit():
        return await Link.from_id(int(selector))
    if os.sep in selector:
        return await Link.from_pin(selector)
    raise SpecError(f"{selector!r} is neither the id nor the pin of a link")


async def _by_name(kind: str, objects: AsyncIterator[Any], name: str) -> Any:
    """The one of that name. The kernel keeps 15 characters of it."""
    found: list[Any] = []
    names: set[str] = set()
    try:
        async for each in objects:
            names.add(each.name)
            if each.name == name[:15]:
                found.append(each)
            else:
                await each.aclose()
        if not found:
            raise SpecError(f"the kernel has no {kind} {name!r}{suggestion(name, names)}")
        if len(found) > 1:
            ids = ", ".join([str(each.info().id if kind == "map" else (await each.info()).id) for each in found])
            raise SpecError(f"{len(found)} {kind}s are called {name!r}: {ids}; give one's id")
    except BaseException:
        for each in found:
            await each.aclose()
        raise
    return found[0]
