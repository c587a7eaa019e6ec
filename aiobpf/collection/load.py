"""The load plan: from a spec to open maps and programs, as one synchronous job that undoes itself on failure.

Order, always the same: maps in the order of the spec, then what they hold, then programs in the order of the spec, then
what refers to programs. Nothing here awaits; a worker thread runs it whole.
"""

from __future__ import annotations

import contextlib
from importlib import import_module
from typing import TYPE_CHECKING, Any, final

from attrs import define, field, frozen

from aiobpf import kernel
from aiobpf.elf import read_spec
from aiobpf.errors import SpecError, UnresolvedSymbolError
from aiobpf.kernel import Feature, features
from aiobpf.link import kind_of, kind_of_map
from aiobpf.runtime import LoadContext, LoadOptions, Map, Prepared, Program, Section, Variable
from aiobpf.runtime.map_create import fill_map, open_or_create, require_compatible
from aiobpf.runtime.program_load import referenced_maps
from aiobpf.spec import CollectionSpec
from aiobpf.spec.struct_ops_plan import StructOpsPlan
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from os import PathLike

    from aiobpf.spec import ProgramSpec

_METADATA = "bpf_metadata_"
_STREAMED = {
    MapType.RINGBUF: ("aiobpf.stream.ring_buffer", "aiobpf.btf.codec_event"),
    MapType.PERF_EVENT_ARRAY: ("aiobpf.stream.perf_buffer", "aiobpf.btf.codec_event"),
}
"""What reads the events of such a map."""


@frozen
class LoadPlan:
    """What to load of a spec, and how."""

    replace_maps: dict[str, Map] = field(factory=dict)
    pin_path: str | PathLike[str] | None = None
    programs: frozenset[str] | None = None
    options: LoadOptions = field(factory=LoadOptions)


@final
@define(eq=False)
class Loaded:
    """What a load made, and the one owner of it."""

    spec: CollectionSpec
    plan: LoadPlan = field(factory=LoadPlan)
    maps: dict[str, Map] = field(factory=dict)
    programs: dict[str, Program] = field(factory=dict)
    variables: dict[str, Variable] = field(factory=dict)
    sections: list[Section] = field(factory=list)
    pinned: list[Map] = field(factory=list)
    """Maps that this load gave a pin."""
    _owned: list[Map | Program] = field(factory=list)

    def add_map(self, name: str, made: Map) -> None:
        self._owned.append(made)
        self.maps[name] = made
        if made.spec is not None:
            made.default_kind = kind_of_map(made.spec)

    def add_program(self, name: str, made: Program) -> None:
        self._owned.append(made)
        self.programs[name] = made
        if made.spec is not None:
            made.default_kind = kind_of(made.spec)

    def release(self, owned: object) -> None:
        for i, candidate in enumerate(self._owned):
            if candidate is owned or (isinstance(candidate, Map) and candidate.shares_fd(owned)):
                del self._owned[i]
                return
        raise SpecError(f"{owned!r} does not belong to this collection")

    def close(self) -> None:
        """Close everything in reverse order, in place."""
        for closeable in self._take():
            closeable.close()

    def undo(self) -> None:
        """As if it had never been loaded: the pins that it gave go too. Never an error of its own."""
        for map_ in self.pinned:
            with contextlib.suppress(OSError):
                map_.unpin()
        self.close()

    def become(self, new: Loaded, kept: Collection[str]) -> list[Map | Program]:
        """Have what *new* has, in the objects that this gave out: each goes on as the one of its name in *new*, but for
        the maps in *kept*, which stay what they are. What is left over is the caller's to close."""
        mine = {id(each) for each in self._owned}
        left: list[Map | Program] = []
        owned: list[Map | Program] = []
        kept_maps = [self.maps[name] for name in kept]
        old_sections = [section for section in self.sections if any(section.is_of(made) for made in kept_maps)]

        maps: dict[str, Map] = {}
        for name, made in new.maps.items():
            before = self.maps.get(name)
            if before is not None and name in kept:
                before.spec, before.types = made.spec, made.types
                left.append(made)
            elif before is not None and id(before) in mine:
                before.exchange(made)
                left.append(made)
            else:
                before = made
            maps[name] = before
            if before is made or id(before) in mine:
                owned.append(before)
            for section in new.sections:
                if section.is_of(made):
                    section.move_to(before)
        programs: dict[str, Program] = {}
        now: dict[int, Program] = {}
        for name, program in new.programs.items():
            there = self.programs.get(name)
            if there is not None and id(there) in mine:
                there.exchange(program)
                left.append(program)
            else:
                there = program
            programs[name] = now[id(program)] = there
            owned.append(there)
        for made in maps.values():
            if made.registration is not None:
                members = made.registration.programs
                members.update({name: now.get(id(program), program) for name, program in members.items()})
        left += [each for each in self._owned if each not in owned]
        self._become_variables(new, kept_maps)
        self.sections = [*old_sections, *new.sections]
        for ours, theirs in ((self.maps, maps), (self.programs, programs)):
            ours.clear()
            ours.update(theirs)  # type: ignore[arg-type]
        self.spec, self.plan, self.pinned, self._owned = new.spec, new.plan, [*self.pinned, *new.pinned], owned
        new._owned, new.sections = [], []
        return left

    def _become_variables(self, new: Loaded, kept: Sequence[Map]) -> None:
        found: dict[str, Variable] = {}
        for name, variable in new.variables.items():
            before = self.variables.get(name)
            if before is None:
                before = variable
            elif not any(before.is_in(made) for made in kept):
                before.exchange(variable)
            found[name] = before
        self.variables.clear()
        self.variables.update(found)

    async def aclose(self) -> None:
        """Close everything in reverse order, in one worker job."""
        await kernel.close_in_worker(*self._take())

    def _take(self) -> list[Any]:
        owned, self._owned = self._owned, []
        sections, self.sections = self.sections, []
        return [*reversed(sections), *reversed(owned)]


def load_collection(source: CollectionSpec | str | PathLike[str] | bytes, plan: LoadPlan) -> Loaded:
    """Load *source*; an error leaves nothing open, attached or pinned."""
    spec = source if isinstance(source, CollectionSpec) else read_spec(source)
    operations = StructOpsPlan.of(spec, plan.programs)
    chosen = _chosen(spec, plan, operations)
    for argument, given, known, kind in (
        ("replace_maps", plan.replace_maps, spec.maps, Map),
        ("attach_programs", plan.options.attach_programs, spec.programs, Program),
    ):
        unknown = [name for name in given if name not in known]
        if unknown:
            raise SpecError(f"{argument} has {', '.join(map(repr, unknown))}, which the object does not have")
        for name, value in given.items():
            if not isinstance(value, kind):
                raise SpecError(f"{argument}[{name!r}] is a {kind.__name__}, not {value!r}")
    loaded = Loaded(spec, plan)
    try:
        with LoadContext(plan.options, spec.types) as context:
            prepared = {name: Prepared(program, context) for name, program in chosen.items()}
            for map_spec in spec.maps.values():
                if operations.makes(map_spec):
                    context.btf.add_map(map_spec)
            context.btf.load(context.token)
            new = _open_maps(loaded, spec, plan, context, operations)
            held = [_fill(loaded, name, context) for name in new]
            for name, program in prepared.items():
                loaded.add_program(name, program.load(loaded.maps))
            _bind_metadata(loaded, spec)
            used = {map_name for program in chosen.values() for map_name in referenced_maps(program)}
            for name, contents in zip(new, held, strict=True):
                fill_map(loaded.maps[name], _loadable(name, contents, loaded, used), loaded.maps, loaded.programs)
            for name in operations.maps:
                from aiobpf.runtime.struct_ops import fill_struct_ops

                fill_struct_ops(loaded.maps[name], loaded.programs)
        _make_variables(loaded, spec)
    except BaseException:
        loaded.undo()
        raise
    streamed = {map_spec.type for map_spec in spec.maps.values()} & _STREAMED.keys()
    if streamed:
        # `Collection.stream` would do this in the event loop's thread, and hold it for 40 ms: here is the worker. What
        # cannot be imported (any more) is told where it is asked for.
        with contextlib.suppress(ImportError):
            for module in (module for map_type in streamed for module in _STREAMED[map_type]):
                import_module(module)
    return loaded


def _bind_metadata(loaded: Loaded, spec: CollectionSpec) -> None:
    """Have each program hold the constants named ``bpf_metadata_*``, which tools show beside it (`bpftool prog show`)
    and no program refers to; before 5.10 (ef15314aa5de) they are the collection's alone."""
    names = {variable.map.name for name, variable in spec.variables.items() if name.startswith(_METADATA)}
    if not names or not features.may_support(Feature.PROG_BIND_MAP):
        return
    for program in loaded.programs.values():
        for name in names & loaded.maps.keys():
            program.bind_map(loaded.maps[name])


def _chosen(spec: CollectionSpec, plan: LoadPlan, operations: StructOpsPlan) -> dict[str, ProgramSpec]:
    if plan.programs is None:
        return {
            name: operations.placed(program) for name, program in spec.programs.items() if operations.loads(program)
        }
    unknown = plan.programs - spec.programs.keys()
    if unknown:
        raise SpecError(f"the object has no program {', '.join(map(repr, sorted(unknown)))}")
    return {name: operations.placed(program) for name, program in spec.programs.items() if name in plan.programs}


def _open_maps(
    loaded: Loaded, spec: CollectionSpec, plan: LoadPlan, context: LoadContext, operations: StructOpsPlan
) -> list[str]:
    """Replace, find by pin or create every map; the names of those that are new and have contents of their own."""
    new: list[str] = []
    for name, map_spec in spec.maps.items():
        given = plan.replace_maps.get(name)
        if map_spec.type == MapType.STRUCT_OPS:
            if given is not None:
                raise SpecError(f"struct_ops map {name!r} is made of this load's programs: it cannot be replaced")
            if operations.makes(map_spec):
                from aiobpf.runtime.struct_ops import create_struct_ops_map

                loaded.add_map(name, create_struct_ops_map(map_spec, context))
            continue
        if given is not None:
            require_compatible(given, map_spec, "the map given for it in replace_maps")
            loaded.add_map(name, given.duplicate(map_spec, spec.types))
            continue
        if not map_spec.autocreate:
            continue
        made, is_new = open_or_create(map_spec, plan.pin_path, context.btf, token=context.token)
        loaded.add_map(name, made)
        if is_new:
            new.append(name)
            if made.pin_path is not None:
                loaded.pinned.append(made)
    return new


def _fill(loaded: Loaded, name: str, context: LoadContext) -> dict[bytes, bytes | str]:
    """Write what a new map holds at first, and freeze it if it says so; what is left to write is programs."""
    spec, made = loaded.spec, loaded.maps[name]
    now: dict[bytes, bytes | str] = {}
    later: dict[bytes, bytes | str] = {}
    for key, value in context.contents(name, spec.maps[name], spec.externs.values()).items():
        is_program = isinstance(value, str) and value in spec.programs
        if isinstance(value, str) and value in spec.externs and not is_program and value not in spec.maps:
            raise UnresolvedSymbolError(
                f"map {name!r} is to hold {spec.externs[value].kind.value} {value!r}, which its object only declares: "
                "join its object with the one that has it (aiobpf.link_objects)",
                value,
            )
        (later if is_program else now)[key] = value
    fill_map(made, now, loaded.maps, {})
    if spec.maps[name].is_frozen:
        made.freeze()
    return later


def _loadable(
    name: str, contents: dict[bytes, bytes | str], loaded: Loaded, used: set[str]
) -> dict[bytes, bytes | str]:
    """*contents* without programs that were not chosen, where no chosen program refers to the map."""
    missing = [value for value in contents.values() if isinstance(value, str) and value not in loaded.programs]
    if missing and name in used:
        raise SpecError(f"map {name!r} is to hold program {missing[0]!r}, which was not chosen: load it too")
    return {key: value for key, value in contents.items() if value not in missing}


def _make_variables(loaded: Loaded, spec: CollectionSpec) -> None:
    sections: dict[str, Section] = {}
    for name, variable in spec.variables.items():
        section = sections.get(variable.section)
        if section is None:
            map_spec = spec.maps.get(variable.map.name)
            if map_spec is None:
                raise SpecError(f"variable {name!r} lies in {variable.section}, of which the spec has no map")
            made = loaded.maps.get(map_spec.name)
            if made is None:  # not created, so neither are its variables
                continue
            section = Section(made, is_read_only=map_spec.is_frozen, name=variable.section)
            sections[variable.section] = section
            loaded.sections.append(section)
        loaded.variables[name] = Variable(variable, section)
