"""A program in the kernel."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar, final
from weakref import WeakSet

from attrs import evolve

from aiobpf import kernel
from aiobpf.errors import ClosedError, SpecError
from aiobpf.kernel.worker import in_worker
from aiobpf.runtime.all_objects import AllObjects
from aiobpf.runtime.attach import AttachKind, Closeable, Opening
from aiobpf.runtime.options import LoadOptions
from aiobpf.runtime.run_rules import what_a_run_takes
from aiobpf.uapi import ProgramType
from aiobpf.uapi.newer import member

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from os import PathLike
    from types import TracebackType

    from aiobpf.btf import Btf
    from aiobpf.kernel import OwnedFd, ProgramStats, TestRun
    from aiobpf.runtime import program_info
    from aiobpf.runtime.map import Map
    from aiobpf.runtime.program_target import ProgramTarget
    from aiobpf.spec import ProgramSpec

C = TypeVar("C", bound=Closeable)


@final
class Program:
    """A verified program, and the one owner of its fd. The kernel keeps the maps that it uses."""

    __slots__ = (
        "__weakref__",
        "_fd",
        "_id",
        "_owned_maps",
        "default_kind",
        "links",
        "log",
        "name",
        "pin_path",
        "spec",
        "type",
        "uses",
    )

    def __init__(
        self,
        fd: OwnedFd,
        *,
        name: str,
        type: ProgramType,  # noqa: A002 - the field's own word
        spec: ProgramSpec | None = None,
        log: str = "",
    ) -> None:
        self._fd = fd
        self.name = name
        self.type = type
        self.spec = spec
        self.log = log
        self.default_kind: AttachKind[Any] | None = None
        """Where `attach` hangs it if nothing else is said; a Collection sets it from the section's name."""
        self.pin_path: str | None = None
        """Where it was pinned, or found."""
        self._owned_maps: tuple[Map, ...] = ()
        self.uses: Mapping[str, Map] = {}
        """The maps that its instructions refer to, by the names there; they are owned by whoever made them. Empty for a
        program that was not loaded here."""
        self.links: WeakSet[Any] = WeakSet()
        """The links that it hangs by, as far as this object made them."""
        self._id = 0

    @classmethod
    def load(
        cls, spec: ProgramSpec, options: LoadOptions | None = None, *, attach_program: Program | None = None
    ) -> Opening[Program]:
        """Load one program alone; the maps that its instructions refer to are created and kept open with it.

        *attach_program* is the program whose function it replaces or traces (freplace, fentry and fexit of a program).

        ``await`` gives the program, ``async with`` closes it at the end. VerifierError says why the kernel refused it.
        """
        from aiobpf.runtime.program_load import load_alone

        options = options or LoadOptions()
        if attach_program is not None:
            options = evolve(options, attach_programs={spec.name: attach_program})
        return Opening(lambda: in_worker(load_alone, spec, options, dispose=Program.close, limiter=options.limiter))

    @staticmethod
    def ids() -> Iterator[int]:
        """The ids of all programs in the kernel, rising; they come and go meanwhile. CAP_SYS_ADMIN."""
        return kernel.all_ids(kernel.ObjectKind.PROGRAM)

    @classmethod
    def all(cls, *, after: int = 0) -> AllObjects[Program]:
        """``async for program in Program.all():`` opens each of the kernel's programs; who gets it closes it.

        Those with an id above *after* alone: they are numbered as they come, until numbers begin anew.
        """
        return AllObjects(kernel.ObjectKind.PROGRAM, Program.from_fd, Program.close, after)

    @classmethod
    def from_id(cls, id: int) -> Program:  # noqa: A002 - the field's own word
        """The kernel's program of that id; FileNotFoundError (ENOENT) if there is none."""
        return cls.from_fd(kernel.program_by_id(id))

    @classmethod
    def from_pin(cls, path: str | PathLike[str]) -> Program:
        """The program pinned at *path* in a bpffs. KernelError: ENOENT, EINVAL where it is another kind of object."""
        found = cls.from_fd(kernel.open_pin(path, kind="prog"))
        found.pin_path = os.fspath(path)
        return found

    @classmethod
    def from_fd(cls, fd: OwnedFd) -> Program:
        """A program that is open already; it owns *fd* from here on, also if this fails."""
        try:
            info = kernel.program_info(fd)
            found = cls(fd, name=info.name, type=member(ProgramType, info.type))
            found._id = info.id
            return found
        except BaseException:
            fd.close()
            raise

    # --- lifetime -----------------------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """The program's fd; ClosedError once it is closed."""
        if self._fd.is_closed:
            raise ClosedError(f"program {self.name!r} is closed")
        return self._fd.fileno()

    @property
    def is_closed(self) -> bool:
        return self._fd.is_closed

    @property
    def id(self) -> int:
        """The kernel's number for it, for as long as it lives."""
        if not self._id:
            self._id = kernel.object_id(self.fileno(), kernel.ObjectKind.PROGRAM, subject=f"program {self.name!r}")
        return self._id

    @property
    def maps(self) -> tuple[Map, ...]:
        """The maps that were made for a program loaded alone; they close with it."""
        return self._owned_maps

    def own_maps(self, maps: tuple[Map, ...]) -> None:
        """Close *maps* with the program."""
        self._owned_maps = maps

    def exchange(self, other: Program) -> None:
        """Become *other*, and it this, but for the links: who refers to one has the other from now on."""
        for slot in Program.__slots__:
            if slot not in {"__weakref__", "links"}:
                mine = getattr(self, slot)
                setattr(self, slot, getattr(other, slot))
                setattr(other, slot, mine)

    def close(self) -> None:
        """Close without waiting on the event loop; prefer `aclose`."""
        self._fd.close()
        for map_ in self._owned_maps:
            map_.close()

    async def aclose(self) -> None:
        """Close the program; idempotent. It runs on where a link, a pin or another fd holds it."""
        if not self._fd.is_closed:
            await kernel.close_in_worker(self._fd, *self._owned_maps)

    async def __aenter__(self) -> Program:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    # --- use ----------------------------------------------------------------------------------------------------------

    @staticmethod
    async def digest(spec: ProgramSpec, options: LoadOptions | None = None) -> bytes:
        """The SHA-256 by which this kernel will know the program of *spec*, 32 bytes, with its CO-RE relocations done.

        ``spec.maps["own"].exclusive_program = await aiobpf.Program.digest(spec.programs["p"])``: no other program may
        use that map (6.18).
        """
        from aiobpf.runtime.program_load import program_digest

        return await in_worker(program_digest, spec, options or LoadOptions())

    def attach(self, kind: AttachKind[C] | None = None) -> Opening[C]:
        """Hang the program on a hook: ``async with program.attach(Xdp("eth0")) as link`` or ``link = await ...``.

        Without *kind*, where its section's name says. NotSupportedError names what this kernel lacks.
        """
        chosen: AttachKind[C] | None = kind if kind is not None else self.default_kind
        if chosen is None:
            if self.type == ProgramType.STRUCT_OPS:
                raise SpecError(
                    f"program {self.name!r} is called through the struct_ops map that it is in: attach the map "
                    '(coll.maps["ops"].attach())'
                )
            if self.spec is not None and self.spec.attach_to:
                # The section says it, but only a Collection reads that: attach kinds are above this floor.
                raise SpecError(
                    f"program {self.name!r} was loaded by itself, so it is told where to attach: "
                    "program.attach(aiobpf.link.kind_of(spec))"
                )
            section = f" (section {self.spec.section!r})" if self.spec else ""
            raise SpecError(
                f"program {self.name!r}{section} says no place to attach to: give one, as in "
                'program.attach(aiobpf.link.Xdp("eth0"))'
            )
        if not hasattr(chosen, "attach_program"):
            raise SpecError(f'{chosen!r} is no attach kind, as aiobpf.link.Xdp("eth0") is one')
        return Opening(lambda: chosen.attach_program(self))

    async def run(
        self,
        data: bytes = b"",
        *,
        context: bytes = b"",
        repeat: int = 1,
        data_size_out: int | None = None,
        flags: int = 0,
        cpu: int = 0,
        batch_size: int = 0,
    ) -> TestRun:
        """Run the program once or *repeat* times on *data* (BPF_PROG_TEST_RUN), in a worker thread.

        Repetitions are for measuring: where a signal ends them early they begin again, so what the program does may be
        done more often than *repeat* says. One run is one run.

        The result has the return value, the data and context as the program left them, and the mean time of a run in
        ns. *flags* are `RunFlags`: XDP_LIVE_FRAMES really sends the packets, RUN_ON_CPU chooses the *cpu*. The worker's
        network namespace is not always the caller's; `run_sync` is in the caller's thread. Not every type can be run
        so: NotSupportedError (ENOTSUPP) or EINVAL.
        """
        return await in_worker(self.run_sync, data, context, repeat, data_size_out, flags, cpu, batch_size)

    def run_sync(
        self,
        data: bytes = b"",
        context: bytes = b"",
        repeat: int = 1,
        data_size_out: int | None = None,
        flags: int = 0,
        cpu: int = 0,
        batch_size: int = 0,
    ) -> TestRun:
        """`run` in place: a single run takes about a microsecond, for tests and benchmarks."""
        return kernel.test_run(
            self.fileno(),
            data,
            context=context,
            repeat=repeat,
            data_size_out=data_size_out,
            flags=flags,
            cpu=cpu,
            batch_size=batch_size,
            subject=f"program {self.name!r}",
            rules=what_a_run_takes(self.type),
        )

    async def info(self, *, code: bool = True, names: bool = False) -> program_info.ProgramInfo:
        """What the kernel says of the program: its instructions with symbols and source lines, its machine code.

        Without *code* only the numbers, for lists. With *names* also the kernel's functions that it calls are named:
        helpers, kfuncs, and what the verifier put in the place of helpers. That reads /proc/kallsyms (a few 100 ms),
        and takes CAP_SYSLOG.
        """
        from aiobpf.runtime.program_info import read_program_info

        return await in_worker(lambda: read_program_info(self, code=code, names=names))

    async def target(self) -> ProgramTarget | None:
        """The function or tracepoint that the program was loaded to attach to; None for other types of programs.

        Told since 5.16, but for extensions of a program that is not there any more. Reads the types of the kernel or
        the program that has it: CAP_SYS_ADMIN.
        """
        from aiobpf.runtime.program_target import read_target

        return await in_worker(read_target, self)

    async def types(self) -> Btf | None:
        """The types that the program was loaded with, or None; CAP_SYS_ADMIN."""

        def read() -> Btf | None:
            number = kernel.program_info(self, subject=f"program {self.name!r}").btf_id
            return kernel.read_btf(number) if number else None

        return await in_worker(read)

    async def is_made_from(self, spec: ProgramSpec, options: LoadOptions | None = None) -> bool:
        """Whether loading *spec* here would give this program: its type, and its instructions by the kernel's tag.

        The spec is prepared as for a load (CO-RE, kernel functions and symbols) without one; which maps it has does not
        count, nor do names and source lines. A program that asks for ids of its own types has others in each load.
        """
        from aiobpf.runtime.program_load import possible_tags

        def compare() -> bool:
            info = kernel.program_info(self, subject=f"program {self.name!r}")
            return info.type == spec.type and info.tag in possible_tags(spec, options or LoadOptions())

        return await in_worker(compare)

    def stats(self) -> ProgramStats:
        """Run time in ns, run count and recursion misses (5.12); they count while `aiobpf.enable_stats` is on, since
        the program was loaded."""
        return kernel.program_stats(self._fd)

    def pin(self, path: str | PathLike[str]) -> None:
        """Give the program a name in a bpffs; it lives as long as that. Missing directories of the bpffs are made."""
        self._id = self.id  # `unpin` looks for it, when the program may be closed
        kernel.pin(self.fileno(), path, subject=f"program {self.name!r}")
        self.pin_path = os.fspath(path)

    def unpin(self) -> None:
        """Take away the name that `pin` gave or the program was found by; nothing if it is another's by now."""
        path, self.pin_path = self.pin_path, None
        if path is not None:
            kernel.remove_pin(path, kernel.ObjectKind.PROGRAM, self.id)

    def duplicate(self) -> Program:
        """Another owner of the same program."""
        self.fileno()  # ClosedError by name
        copy = Program(self._fd.duplicate(), name=self.name, type=self.type, spec=self.spec, log=self.log)
        copy.default_kind = self.default_kind
        copy.pin_path = self.pin_path
        copy._id = self._id
        return copy

    def bind_map(self, map_: Map) -> None:
        """Keep *map_* alive as long as the program lives, though it does not refer to it (5.10)."""
        kernel.bind_map(self.fileno(), map_.fileno(), subject=f"program {self.name!r}")

    def __repr__(self) -> str:
        return f"<{'closed ' if self.is_closed else ''}Program {self.name!r} {self.type.name}>"
