"""The functions of all objects in one pool, and from it every program anew, with all that it reaches now."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, final

from attrs import evolve

from aiobpf.asm import REFERENCE, SYMBOL, CallKind, Pseudo
from aiobpf.asm.opcodes import CALL_OP, LD_IMM64
from aiobpf.elf.linker import Linker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiobpf.asm import Instructions
    from aiobpf.linker.code import CodeMover
    from aiobpf.spec import CollectionSpec


def join_programs(spec: CollectionSpec, movers: Sequence[CodeMover], kernel_version: int) -> None:
    """Put the programs and functions of all objects into *spec*, whose maps, externs and types are there.

    A program that has copies of functions keeps its own: someone may have changed them in there. AsmError where its
    functions cannot be told apart; ElfError where the programs become too large.
    """
    pool: dict[str, _Body] = {}
    for mover in movers:
        source = mover.input
        for name, instructions in source.bodies.items():
            if name not in source.lost:
                new = source.names.get(name, name)
                pool[new] = _Body(new, mover.move(instructions))
    linker = Linker()
    sections: dict[str, list[str]] = {}
    for mover in movers:
        source = mover.input
        for name, program in source.programs.items():
            if name in source.lost:
                continue
            own: dict[str, _Body] = {}
            for part, instructions in _functions(source.code[name])[1:]:
                if part not in source.lost:
                    new = source.names.get(part, part)
                    own[new] = _Body(new, mover.move(instructions))
            sections.setdefault(source.exports[name].section, []).append(name)
            spec.programs[name] = evolve(
                program,
                instructions=linker.link(_Scope(pool, own).node(name)),
                license=program.license or spec.license,
                kernel_version=program.kernel_version or kernel_version,
                types=spec.types,
                maps=spec.maps,
            )
    # Section by section, as if they were in a file.
    spec.programs = {name: spec.programs[name] for names in sections.values() for name in names}
    spec.functions = {name: body.instructions for name, body in pool.items() if name not in spec.programs}


def _functions(instructions: Instructions) -> list[tuple[str, Instructions]]:
    """The functions of a program, the entry first."""
    names = instructions.functions()  # AsmError if two have one name
    starts = [(where.start, name) for name, where in names.items()]
    if not starts or starts[0][0]:
        starts.insert(0, (0, ""))
    ends = [*starts, (len(instructions), "")]
    return [(name, instructions[start:end]) for (start, name), (end, _) in pairwise(ends)]


@final
class _Body:
    """One function alone, and the names of those that it calls or takes the address of, in order."""

    __slots__ = ("called", "instructions", "name")

    def __init__(self, name: str, instructions: Instructions) -> None:
        if len(instructions):
            instructions.set_metadata(0, SYMBOL, name)  # a second name of one function has a body of its own now
        self.name = name
        self.instructions = instructions
        self.called = [
            reference.name
            for index, reference in instructions.with_key(REFERENCE)
            if instructions.fields(index)[0::2][:2] in {(CALL_OP, CallKind.FUNCTION), (LD_IMM64, Pseudo.FUNC)}
        ]


@final
class _Scope:
    """What names mean in one program: its own copy of a function before the pool's."""

    def __init__(self, pool: Mapping[str, _Body], own: Mapping[str, _Body]) -> None:
        self._pool = pool
        self._own = own
        self._nodes: dict[str, _Node] = {}

    def node(self, name: str) -> _Node:
        found = self._nodes.get(name)
        if found is None:
            found = self._nodes[name] = _Node(self._own.get(name) or self._pool[name], self)
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._own or name in self._pool


@final
class _Node:
    """A function in the scope of one program; what nobody defines is left open."""

    __slots__ = ("_scope", "called", "instructions", "name")

    def __init__(self, body: _Body, scope: _Scope) -> None:
        self.name = body.name
        self.instructions = body.instructions
        self.called = body.called
        self._scope = scope

    @property
    def callees(self) -> list[_Node]:
        return [self._scope.node(name) for name in self.called if name in self._scope]
