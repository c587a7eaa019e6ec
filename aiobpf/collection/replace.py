"""Another version of an object in the place of the one that runs: programs under live links, maps with what they hold.

Either all of it happens or nothing. What may fail comes first: reading, deciding what becomes of each map, loading (the
verifier), converting values, and exchanging programs one by one, each of which can be taken back. Only then is anything
closed.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final, final

from attrs import define, evolve, field, frozen

from aiobpf import kernel
from aiobpf.collection.load import Loaded, load_collection
from aiobpf.collection.map_fates import Decision, Fate, decide
from aiobpf.collection.map_migration import MapMigration, Migrated
from aiobpf.errors import BpfError, NotSupportedError, SpecError
from aiobpf.kernel.grace_period import wait_for_running_programs
from aiobpf.kernel.uninterrupted import uninterrupted
from aiobpf.kernel.worker import in_worker
from aiobpf.runtime import Map, Program
from aiobpf.spec import Pinning
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from collections.abc import Collection as NamesOf

    from aiobpf.collection.load import LoadPlan
    from aiobpf.link import Link
    from aiobpf.link.attachment import Attachment
    from aiobpf.spec import CollectionSpec

_FD: Final = struct.Struct("=I")


@frozen
class Replacement:
    """What `Collection.replace` did, by the names of maps and programs."""

    kept: tuple[str, ...]
    """Maps that the new programs use as they are."""
    migrated: dict[str, Migrated]
    """Maps, data sections too, whose elements were converted."""
    fresh: tuple[str, ...]
    """Maps that began anew, as constants always do, and those that the new version adds."""
    dropped: tuple[str, ...]
    """Maps and programs that the new version has not."""
    swapped: tuple[str, ...]
    """Programs that were exchanged under their link, in one step of the kernel."""
    overlapped: tuple[str, ...]
    """Programs that hung beside the old ones for a moment, since no kernel swaps the program of such a link: what
    happened then both of them saw."""
    unattached: tuple[str, ...]
    """Programs that say where they attach, and which nothing attached: the new version adds them."""


@final
@define
class _Swap:
    """The exchange while it goes on; each step knows its way back."""

    old: Loaded
    new: Loaded
    back: list[Callable[[], Awaitable[object]]] = field(factory=list)
    beside: list[tuple[Link, Link]] = field(factory=list)
    swapped: list[str] = field(factory=list)

    async def links(self, mine: Program | Map, other: Program | Map) -> None:
        """Every link of *mine* to *other*."""
        for link in list(mine.links):
            if link.is_closed:
                continue
            try:
                await link.update(other)
            except NotSupportedError:
                await self._hang_beside(link, other)
            else:
                self.swapped.append(mine.name)
                self.back.append(lambda link=link: link.update(mine))  # type: ignore[misc]

    async def _hang_beside(self, link: Link, other: Program | Map) -> None:
        if isinstance(other, Map):
            raise NotSupportedError(
                f"{link!r} cannot be exchanged: it is registered without a link, and under its name only once",
                hint="a section .struct_ops.link makes a map that can",
            )
        another = await link.kind.attach_program(other)  # type: ignore[attr-defined]
        self.beside.append((link, another))
        self.back.append(another.aclose)

    async def slots(self, made: Map) -> None:
        """The old programs in a program array that is kept, to the new ones of their names."""
        names = {kernel.program_info(program).id: name for name, program in self.old.programs.items()}
        for key, raw in list(made.elements.items()):
            (number,) = _FD.unpack(raw[: _FD.size])
            name = names.get(number)
            if name is None:
                continue
            other = self.new.programs.get(name)
            if other is None:
                raise SpecError(f"map {made.name!r} has program {name!r} in it, which the new version has not")
            made.elements.update(key, _FD.pack(other.fileno()), 0)
            before = self.old.programs[name]
            self.back.append(lambda key=key, before=before: _put(made, key, before))  # type: ignore[misc]

    async def undo(self, failure: BaseException) -> None:
        """Every step back, the last first; what cannot be taken back is told with *failure*."""
        for step in reversed(self.back):
            try:
                await step()
            except BpfError as error:
                failure.add_note(f"This could not be taken back: {error}")


async def _put(made: Map, key: bytes, program: Program) -> None:
    made.elements.update(key, _FD.pack(program.fileno()), 0)


async def replace_collection(
    old: Loaded, spec: CollectionSpec, plan: LoadPlan, *, fresh: NamesOf[str], lossy: bool
) -> Replacement:
    """*spec* in the place of *old*, whose maps, programs and variables go on as objects; see `Collection.replace`."""
    decisions = decide(old.maps, spec, fresh=fresh, lossy=lossy)
    hanging = {name for name, program in old.programs.items() if any(not link.is_closed for link in program.links)}
    gone = sorted(hanging - spec.programs.keys())
    if gone:
        raise SpecError(
            f"{', '.join(map(repr, gone))} hang on something, and the new version has no such programs: close their "
            "links before"
        )
    kept = {name: old.maps[name] for name, decision in decisions.items() if decision.fate is Fate.KEPT}
    pins = {
        name: path
        for name, decision in decisions.items()
        if decision.fate in {Fate.MIGRATED, Fate.FRESH} and (path := old.maps[name].pin_path) is not None
    }
    unpinned = _without_pins(spec, pins)
    given = {name: made for name, made in plan.replace_maps.items() if name in spec.maps and name not in decisions}
    plan = evolve(plan, replace_maps={**given, **kept})
    new: Loaded = await in_worker(load_collection, unpinned, plan, dispose=Loaded.undo, limiter=plan.options.limiter)
    swap = _Swap(old, new)
    migrations = {
        name: MapMigration(old.maps[name], new.maps[name], decision.values)
        for name, decision in decisions.items()
        if decision.values is not None
    }

    async def exchange() -> Replacement:
        try:
            missing = sorted(hanging - new.programs.keys())
            if missing:
                raise SpecError(f"{', '.join(map(repr, missing))} hang on something: load them too")
            await _exchange(swap, migrations, kept)
        except BaseException as error:
            await swap.undo(error)
            await in_worker(new.undo)
            raise
        return await _finish(swap, decisions, migrations, pins)

    # From here on it is not interrupted: a cancellation comes to the caller when all of it is done or undone.
    return await uninterrupted(exchange)


def _without_pins(spec: CollectionSpec, names: NamesOf[str]) -> CollectionSpec:
    """*spec* with the maps of *names* not pinned: their names are taken until the exchange is done."""
    if not names:
        return spec
    found = spec.copy()
    for name in names:
        found.maps[name].pinning = Pinning.NONE
    return found


async def _exchange(swap: _Swap, migrations: dict[str, MapMigration], kept: dict[str, Map]) -> None:
    old, new = swap.old, swap.new

    def copy() -> None:
        for migration in migrations.values():
            migration.copy()

    await in_worker(copy)
    for made in kept.values():
        if made.type == MapType.PROG_ARRAY:
            await swap.slots(made)
    for name, program in old.programs.items():
        if name in new.programs:
            await swap.links(program, new.programs[name])
    for name, made in old.maps.items():
        if made.type == MapType.STRUCT_OPS and name in new.maps:
            await swap.links(made, new.maps[name])


async def _finish(
    swap: _Swap, decisions: dict[str, Decision], migrations: dict[str, MapMigration], pins: dict[str, str]
) -> Replacement:
    """Close what was, and let the objects that the caller has go on as what is.

    The new version runs already: a step that fails stops none of the others, and is told at the end.
    """
    old, new = swap.old, swap.new
    failures: list[Exception] = []
    migrated: dict[str, Migrated] = {}

    def attempt(step: Callable[..., object], *arguments: object) -> None:
        try:
            step(*arguments)
        except Exception as error:
            failures.append(error)

    def catch_up(name: str, migration: MapMigration) -> None:
        migrated[name] = migration.catch_up()

    attachments: list[Attachment] = []
    for link, another in swap.beside:
        pin = link.pinned_at
        attachments.append(link.take_over(another))
        if pin is not None:
            attempt(_pin_again, link, pin)
    overlapped = tuple(dict.fromkeys(link.program_name for link, _ in swap.beside))

    def let_go() -> None:
        for attachment in attachments:
            attempt(attachment.close)
        if migrations:
            wait_for_running_programs()
        for name, migration in migrations.items():
            attempt(catch_up, name, migration)
        for name, path in pins.items():
            attempt(_pin_in_place, new.maps[name], path)

    await in_worker(let_go)
    unattached = [
        name for name, program in new.programs.items() if program.default_kind is not None and name not in old.programs
    ]
    dropped = [name for name in (*old.maps, *old.programs) if name not in new.maps and name not in new.programs]
    added = [name for name in new.maps if name not in old.maps]
    leftovers = old.become(new, {name for name, each in decisions.items() if each.fate is Fate.KEPT})
    await kernel.close_in_worker(*leftovers)
    if failures:
        raise ExceptionGroup("the new version runs, but not all of the old one could be taken over or away", failures)
    return Replacement(
        kept=tuple(name for name, decision in decisions.items() if decision.fate is Fate.KEPT),
        migrated=migrated,
        fresh=(*(name for name, decision in decisions.items() if decision.fate is Fate.FRESH), *added),
        dropped=tuple(dropped),
        swapped=tuple(dict.fromkeys(swap.swapped)),
        overlapped=overlapped,
        unattached=tuple(unattached),
    )


def _pin_again(link: Link, path: str) -> None:
    """Have the pin at *path* hold what *link* is now, in one step."""
    beside = _beside(path)
    link.pin(beside)
    os.rename(beside, path)
    link.renamed_pin(path)


def _pin_in_place(made: Map, path: str) -> None:
    beside = _beside(path)
    made.pin(beside)
    os.rename(beside, path)  # bpffs does that in one step: at no moment is there no map of that name
    made.pin_path = path


def _beside(path: str) -> str:
    return f"{path}_new_{os.getpid()}"  # bpffs takes no dots
