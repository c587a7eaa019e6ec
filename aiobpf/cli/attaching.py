"""Attach what attaches by itself, and say what does not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from aiobpf.cli.report import describe, warn
from aiobpf.collection.attached import Attached, attach_by_themselves
from aiobpf.errors import BpfError, SpecError
from aiobpf.runtime import Map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiobpf.collection import Collection
    from aiobpf.link import Link
    from aiobpf.runtime import Program


async def attach_what_can(coll: Collection, *, verbose: bool = False) -> Attached:
    """Every program that its section tells where to attach; a warning for each other one, by name.

    Unlike `Collection.attach` one that fails leaves the rest in place: an object of many probes is of use on a kernel
    that lacks one. If none attaches, the first failure is raised, or a SpecError if none has a place of its own.
    """
    links: dict[str, Link] = {}
    skipped: list[Program | Map] = []
    failures: list[BpfError] = []
    try:
        for program in attach_by_themselves(coll.programs.values(), coll.maps.values()):
            if program.default_kind is None:
                skipped.append(program)
                continue
            try:
                links[program.name] = await program.attach()
            except BpfError as error:
                failures.append(error)
                continue
            if verbose:
                print(f"aiobpf: attached {whereabouts(program)}", file=sys.stderr)
        if not links:
            raise nothing_attached(failures, skipped)
    except BaseException:
        await Attached(links, ()).aclose()
        raise
    for failure in failures:
        warn(f"not attached: {describe(failure)}")
    for program in skipped:
        warn(f"not attached: {whereabouts(program)} does not say where to")
    return Attached(links, tuple(program.name for program in skipped))


def nothing_attached(failures: list[BpfError], skipped: Sequence[Program | Map]) -> BpfError:
    if failures:
        first, *others = failures
        for other in others:
            first.add_note(describe(other))
        return first
    if not skipped:
        return SpecError("nothing to attach: no program was loaded")
    return SpecError("nothing attached: no section says where to: " + ", ".join(map(whereabouts, skipped)))


def whereabouts(attached: Program | Map) -> str:
    section = attached.spec.section if attached.spec is not None else ""
    what = "map" if isinstance(attached, Map) else "program"
    return f"{what} {attached.name!r} (section {section!r})"
