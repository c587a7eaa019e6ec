"""A loaded object: its maps, programs and variables, under one owner."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast, final

import anyio
from attrs import evolve

from aiobpf.collection.attached import Attached, attach_by_themselves, attach_each
from aiobpf.collection.binding import COLLECTION, bound_fields, fill, typed
from aiobpf.collection.load import LoadPlan, load_collection
from aiobpf.collection.names import Names
from aiobpf.collection.pinning import pin_each
from aiobpf.elf import read_spec
from aiobpf.errors import ClosedError, SpecError
from aiobpf.kernel.uninterrupted import uninterrupted
from aiobpf.kernel.worker import in_worker
from aiobpf.runtime import LoadOptions, LogPolicy, Map, Opening, Program, Variable
from aiobpf.spec import CollectionSpec
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike
    from types import TracebackType

    from anyio import CapacityLimiter

    from aiobpf.btf import Btf
    from aiobpf.collection.load import Loaded
    from aiobpf.collection.replace import Replacement
    from aiobpf.kernel.btf import KernelBtfCache
    from aiobpf.kernel.tokens import TokenSource
    from aiobpf.runtime.kconfig_values import Kconfig
    from aiobpf.stream import PerfBuffer, RingBuffer, Rows

Source: TypeAlias = "CollectionSpec | str | PathLike[str] | bytes"


B = TypeVar("B")


@final
class Collection:
    """Maps, programs and variables of one object file, by name; closing it closes them, programs first.

    Made by `aiobpf.load`. What is to outlive it is taken out with `detach`, or pinned.
    """

    __slots__ = ("_changing", "_loaded", "maps", "programs", "spec", "variables")

    def __init__(self, loaded: Loaded) -> None:
        self._loaded: Loaded | None = loaded
        self._changing = anyio.Lock()
        self.spec: CollectionSpec = loaded.spec
        self.maps: Names[Map] = Names("map", loaded.maps)
        self.programs: Names[Program] = Names("program", loaded.programs)
        self.variables: Names[Variable] = Names("variable", loaded.variables)

    @classmethod
    async def load(
        cls,
        source: Source,
        *,
        replace_maps: Mapping[str, Map] | None = None,
        pin_path: str | PathLike[str] | None = None,
        kernel_btf: Btf | str | PathLike[str] | None = None,
        btf_cache: KernelBtfCache | None = None,
        token: TokenSource = "auto",
        kconfig: Kconfig | None = None,
        programs: Iterable[str] | None = None,
        attach_programs: Mapping[str, Program] | None = None,
        log: LogPolicy | None = None,
        limiter: CapacityLimiter | None = None,
    ) -> Collection:
        """`aiobpf.load` without the ``async with``: the caller ends it with `aclose`."""
        if isinstance(programs, str):
            raise SpecError(f"programs is a collection of names: programs=[{programs!r}]")
        plan = LoadPlan(
            replace_maps=dict(replace_maps or {}),
            pin_path=pin_path,
            programs=None if programs is None else frozenset(programs),
            options=LoadOptions(
                kernel_btf=kernel_btf,
                btf_cache=btf_cache,
                token=token,
                kconfig=kconfig,
                log=log or LogPolicy(),
                attach_programs=dict(attach_programs or {}),
                limiter=limiter,
            ),
        )
        # One job for the whole collection: a hop to a thread costs as much as loading three small programs, and the
        # job rolls back by itself, whether it fails or nobody waits for it any more.
        return cls(await in_worker(load_collection, source, plan, dispose=_dispose, limiter=limiter))

    # --- lifetime -----------------------------------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        return self._loaded is None

    async def aclose(self) -> None:
        """Close programs, then variables and maps; idempotent. Links are closed by who made them, before this.

        A `replace` that is under way comes to its end before.
        """
        if self._changing.locked():
            await uninterrupted(self._close_when_replaced)
            return
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            await loaded.aclose()

    async def _close_when_replaced(self) -> None:
        async with self._changing:
            loaded, self._loaded = self._loaded, None
        if loaded is not None:
            await loaded.aclose()

    async def __aenter__(self) -> Collection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self, _warn: Any = warnings.warn) -> None:
        loaded = getattr(self, "_loaded", None)
        if loaded is not None:
            _warn(f"{self!r} was never closed", ResourceWarning, source=self)
            loaded.close()

    def _open(self) -> Loaded:
        if self._loaded is None:
            raise ClosedError("the collection is closed")
        return self._loaded

    def detach(self, owned: B) -> B:
        """Hand a map or program of the collection out: the caller closes it from here on.

        It stays in `maps` or `programs` by its name. SpecError if it is not the collection's.
        """
        self._open().release(owned)
        return owned

    # --- use ----------------------------------------------------------------------------------------------------------

    def attach(self, *names: str) -> Opening[Attached]:
        """Attach the named programs and struct_ops maps (default: all) where their sections say, in the order of the
        object file, maps last.

        ``async with coll.attach() as links`` detaches them at the end; ``await coll.attach()`` hands the links over.
        All or nothing: if one cannot attach, those before it are detached again. A program whose type attaches only to
        what the user gives (an interface, a cgroup, a socket) is left out and listed in `Attached.skipped`; naming it
        is a SpecError, and so is a collection in which no program says where it attaches.
        """
        self._open()
        chosen: list[Program | Map]
        if names:
            chosen = [self.maps[name] if name in self.maps else self.programs[name] for name in names]
        else:
            chosen = attach_by_themselves(self.programs.values(), self.maps.values())
        return Opening(lambda: attach_each(chosen, required=bool(names)))

    def pin(self, directory: str | PathLike[str]) -> tuple[str, ...]:
        """Give every program and map its own name in *directory* of a bpffs, which is made if need be; the paths.

        They live as long as their names, whatever becomes of this process: `Program.from_pin`, `Map.from_pin`. Maps
        that are pinned already keep the name that they have. All or nothing; KernelError where a name is taken.
        """
        loaded = self._open()
        maps = [(name, map_) for name, map_ in loaded.maps.items() if map_.pin_path is None]
        return pin_each(directory, [*loaded.programs.items(), *maps])

    async def replace(
        self,
        source: Source,
        *,
        fresh: Iterable[str] = (),
        lossy: bool = False,
        programs: Iterable[str] | None = None,
        attach_programs: Mapping[str, Program] | None = None,
        kconfig: Kconfig | None = None,
    ) -> Replacement:
        """Put another version of the object in this one's place, while it runs: hot reload.

        All or nothing: *source* is read, compared and loaded first; where the verifier refuses it, or anything else
        fails, what ran goes on untouched and the error comes out. Then the programs are exchanged under their live
        links. Cancelled before that, nothing has changed; cancelled during it, it is completed.

        **Objects stay**: this collection's `maps`, `programs` and `variables`, and the Map, Program, Variable and Link
        objects that were taken from them, are those of the new version afterwards. Streams go on reading. Maps and
        variables that were seen in another way (`typed`) are to be taken anew where their map was not kept.

        **Links** made by `attach` or ``program.attach`` are updated in one step where the kernel can (XDP, tcx, netkit,
        cgroup, netns, netfilter, struct_ops, iterators); others (kprobes, tracepoints, perf events, fentry) get the new
        program beside the old one before that goes: events of that moment are seen by both, and none by neither.

        **Maps** are kept where type, size, flags and the layout of keys and values are the same. Where values only grew
        (new members, wider integers, longer arrays, larger max_entries; global variables by their names) a new map is
        filled with the converted elements; what the old programs write meanwhile is converted after they ended, unless
        the new ones wrote there too (`Migrated.conflicts`). Constants are those of *source*. Slots of program arrays
        get the new programs. Maps pinned by name keep their pin.

        *fresh*: maps that begin anew although they could not, or could, be kept. *lossy*: members and variables that
        the new version no longer has may go. *programs*, *attach_programs*, *kconfig*: as for `aiobpf.load`; by
        default, and for all else, what this collection was loaded with.

        Raises SpecError listing each map that does not fit, or a program that hangs somewhere and is gone; and what
        `aiobpf.load` and the links' `update` raise.
        """
        from aiobpf.collection.replace import replace_collection

        if isinstance(fresh, str) or isinstance(programs, str):
            raise SpecError("fresh and programs are collections of names")
        async with self._changing:
            loaded = self._open()
            spec = source if isinstance(source, CollectionSpec) else await in_worker(read_spec, source)
            before = loaded.plan
            options = evolve(
                before.options,
                kconfig=before.options.kconfig if kconfig is None else kconfig,
                attach_programs={
                    name: program
                    for name, program in (attach_programs or before.options.attach_programs).items()
                    if attach_programs is not None or name in spec.programs
                },
            )
            chosen = frozenset(programs) if programs is not None else before.programs
            plan = evolve(before, programs=chosen, options=options)
            report = await replace_collection(loaded, spec, plan, fresh=frozenset(fresh), lossy=lossy)
            self.spec = spec
            return report

    def stream(self, name: str, *, type: Any = None, **options: Any) -> RingBuffer[Any] | PerfBuffer[Any]:  # noqa: A002
        """The events of a ring buffer or perf event array: ``async with coll.stream("events") as events``.

        *type* says what an event is: a BTF type, the name of one in the object ("struct event"), or a Python class
        whose fields are matched by name; by default the BTF type of the map's values, else bytes. *options* are those
        of `RingBuffer` or `PerfBuffer`. A ring buffer's ``lost`` is the map or variable NAME_lost, where there is one.
        """
        self._open()
        map_ = self.maps[name]
        if map_.type == MapType.RINGBUF:
            from aiobpf.stream import RingBuffer

            counter = f"{name}_lost"
            if counter in self.maps or counter in self.variables:
                options.setdefault("lost", self.maps[counter] if counter in self.maps else self.variables[counter])
            return RingBuffer(map_, type, **options)
        if map_.type == MapType.PERF_EVENT_ARRAY:
            from aiobpf.stream import PerfBuffer

            return PerfBuffer(map_, type, **options)
        raise SpecError(f"map {name!r} is a {map_.type.name} map; events come from RINGBUF and PERF_EVENT_ARRAY maps")

    def rows(self, name: str, kind: Any = None, *, type: Any = str, **options: Any) -> Opening[Rows[Any]]:  # noqa: A002
        """One pass of the iterator *name*: ``async with coll.rows("tasks", type="struct task_row") as rows``.

        Attached where its section says, or by *kind* (``Iter("task", pid=...)``), only to be read. *type* and the
        options are those of `aiobpf.stream.Rows`, types being looked up in the object; by default lines of text.
        """
        self._open()
        program = self.programs[name]
        types = self.spec.types

        async def open_rows() -> Rows[Any]:
            from aiobpf.stream import Rows

            link = await program.attach(kind)
            try:
                rows: Rows[Any] = await Rows(link, type, types=types, **options).open()
            except BaseException:
                await link.aclose()
                raise
            try:
                await link.aclose()  # the iterator goes on without it
            except BaseException:
                await rows.aclose()
                raise
            return rows

        return Opening(open_rows)

    def bind(self, cls: type[B]) -> B:
        """An object of the user's typed class, filled by the names and types of its annotations.

        ::

            class Monitor:
                events: aiobpf.Map
                on_exec: aiobpf.Program
                enabled: aiobpf.Variable

            monitor = coll.bind(Monitor)

        ``Map[Key, Counters]``, ``Map[int, PerCpu[Counters]]`` and ``Variable[Limits]`` have keys and values of these
        classes, which are matched with the BTF types as `aiobpf.btf.codec` does it. An annotation Collection is the
        collection itself. ``__bpf_names__`` maps an attribute to the object's name for it, where they differ.

        An attrs class, a dataclass or a NamedTuple is made by its constructor, another one without arguments; class
        variables are left alone. SpecError names what the collection does not have, or has as something else.
        """
        from aiobpf.collection.bindings import Bindings

        self._open()
        kinds: dict[str, tuple[Names[Any], Any]] = {
            "Map": (self.maps, self.spec.maps),
            "Program": (self.programs, self.spec.programs),
            "Variable": (self.variables, self.spec.variables),
        }
        leaves_out = issubclass(cls, Bindings)
        values: dict[str, object] = {}
        for attribute, wanted in bound_fields(cls).items():
            if wanted.kind == COLLECTION:
                values[attribute] = self
                continue
            names, declared = kinds[wanted.kind]
            if leaves_out and wanted.name not in names and wanted.name in declared:
                continue  # not chosen to be loaded
            values[attribute] = typed(names[wanted.name], wanted, f"{cls.__name__}.{attribute}")
        filled: B = fill(cls, values)
        return filled

    def __repr__(self) -> str:
        state = "closed " if self.is_closed else ""
        return f"<{state}Collection of {len(self.programs)} programs, {len(self.maps)} maps>"


def _dispose(loaded: object) -> None:
    cast("Loaded", loaded).undo()
