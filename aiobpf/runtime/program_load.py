"""From a ProgramSpec to a program, in two steps with the BTF and the maps of the load between them.

`prepare` needs no map: it copies the instructions, relocates them, resolves externs and collects their types.
`Prepared.load` puts the maps' fds in, encodes and asks the verifier. The spec is never changed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, final

from aiobpf import asm
from aiobpf.asm import REFERENCE
from aiobpf.asm.opcodes import LD_IMM64
from aiobpf.btf import CORE_RELOCATION, relocate_instructions
from aiobpf.errors import CoreRelocationError, NotSupportedError, SpecError, UnresolvedSymbolError
from aiobpf.runtime.attach_target import AttachTarget, attach_target
from aiobpf.runtime.context_arguments import spell_out_contexts
from aiobpf.runtime.load_context import LoadContext
from aiobpf.runtime.map_create import create_empty_map, fill_map
from aiobpf.runtime.map_key import MAP
from aiobpf.runtime.program import Program
from aiobpf.runtime.program_externs import resolve_externs
from aiobpf.runtime.submission import Submission
from aiobpf.runtime.unlinked import require_linked
from aiobpf.spec import EXTERN, ExternKind, Pinning
from aiobpf.spec.kconfig import KCONFIG
from aiobpf.uapi import ProgramType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiobpf.asm import Instructions
    from aiobpf.runtime.map import Map
    from aiobpf.runtime.options import LoadOptions
    from aiobpf.spec import ProgramSpec


@final
class Prepared:
    """A program that lacks only its maps."""

    __slots__ = (
        "_context",
        "_fd_array",
        "_func_info",
        "_instructions",
        "_line_info",
        "_member",
        "_target",
        "spec",
    )

    def __init__(self, spec: ProgramSpec, context: LoadContext) -> None:
        if spec.byte_order != sys.byteorder:
            raise NotSupportedError(
                f"program {spec.name!r} is {spec.byte_order}-endian and this machine is {sys.byteorder}-endian"
            )
        if spec.type == ProgramType.UNSPEC:
            raise SpecError(
                f"program {spec.name!r}: nothing is known of section {spec.section!r}, so its type is not either; set "
                "type in its spec"
            )
        if not spec.instructions:
            raise SpecError(f"program {spec.name!r} has no instructions")
        require_linked(spec)
        self.spec = spec
        self._context = context
        self._instructions = instructions = spec.instructions.copy()
        self._fd_array: list[int] = []
        try:
            if CORE_RELOCATION in instructions.metadata_keys():
                relocate_instructions(instructions, context.relocator)
            resolve_externs(instructions, context, self._fd_array, spec.name)
        except CoreRelocationError as error:
            raise CoreRelocationError(f"program {spec.name!r}: {error}") from error
        context.replace_missing_helpers(instructions)
        spell_out_contexts(instructions, spec.type, context.token)
        self._target: AttachTarget | None
        self._member: int | None = None
        if spec.type == ProgramType.STRUCT_OPS:
            from aiobpf.runtime.struct_ops import struct_ops_target

            place = struct_ops_target(spec, context)
            self._target = AttachTarget(place.struct.type_id, btf_fd=place.struct.btf_fd)
            self._member = place.member
        else:
            self._target = attach_target(spec, context)
        self._func_info, self._line_info = context.btf.add_program(instructions)

    def tags(self) -> frozenset[bytes]:
        """The tags that a kernel may give the program: maps do not count in them. SHA-1 or, since 6.18, SHA-256."""
        instructions = self._as_submitted()
        return frozenset({instructions.tag("sha1", sys.byteorder), instructions.tag("sha256", sys.byteorder)})

    def digest(self) -> bytes:
        """The SHA-256 that a kernel since 6.18 gives the program."""
        return self._as_submitted().digest(sys.byteorder)

    def _as_submitted(self) -> Instructions:
        """The instructions but for the maps' fds, which no digest counts."""
        instructions = self._instructions.copy()
        for index, extern in list(instructions.with_key(EXTERN)):
            if extern.kind is ExternKind.KCONFIG:
                instructions.patch(index, src=asm.Pseudo.MAP_VALUE)
        return instructions

    def load(self, maps: Mapping[str, Map]) -> Program:
        """Ask the verifier; VerifierError, MissingPrivilegeError or NotSupportedError name the program."""
        spec, context, instructions = self.spec, self._context, self._instructions
        uses = _put_maps(instructions, spec, maps)
        fd, log = Submission(
            spec,
            instructions,
            instructions.encode(sys.byteorder),
            context.options.log,
            btf=context.btf.program_fd if self._func_info or self._line_info else None,
            func_info=self._func_info,
            line_info=self._line_info,
            fd_array=tuple(self._fd_array),
            target=self._target,
            member=self._member,
            token=context.token,
        ).load()
        program = Program(fd, name=spec.name, type=spec.type, spec=spec, log=log)
        program.uses = uses
        return program


def _put_maps(instructions: Instructions, spec: ProgramSpec, maps: Mapping[str, Map]) -> dict[str, Map]:
    """The fd of its map into each instruction that loads one; a map that travels on the instruction counts first.

    What comes back is the maps by the names that the instructions have for them.
    """
    used: dict[str, Map] = {}
    for index, map_ in list(instructions.with_key(MAP)):
        reference = instructions.get_metadata(index, REFERENCE)
        used[map_.name if reference is None else reference.name] = map_
        _put_fd(instructions, index, map_)
    for index, extern in list(instructions.with_key(EXTERN)):
        if extern.kind is ExternKind.KCONFIG:
            if KCONFIG not in maps:
                raise SpecError(
                    f"program {spec.name!r} refers to {extern.name}, but its collection has no {KCONFIG} map"
                )
            instructions.patch(index, src=asm.Pseudo.MAP_VALUE, constant=extern.offset << 32)
            used[KCONFIG] = maps[KCONFIG]
            _put_fd(instructions, index, maps[KCONFIG])
    done = {index for index, _ in instructions.with_key(MAP)}
    done |= {index for index, extern in instructions.with_key(EXTERN) if extern.kind is not ExternKind.MAP}
    for index, reference in list(instructions.with_key(REFERENCE)):
        if index in done or not _is_map_load(instructions, index):
            continue
        if reference.name not in maps:
            raise _missing_map(spec, instructions, index, reference.name)
        used[reference.name] = maps[reference.name]
        _put_fd(instructions, index, maps[reference.name])
    return used


def _missing_map(spec: ProgramSpec, instructions: Instructions, index: int | None, name: str) -> UnresolvedSymbolError:
    from aiobpf.runtime.source_lines import source_at

    error = UnresolvedSymbolError(f"program {spec.name!r} refers to map {name!r}, which is not there", name)
    if index is not None:
        error.asked_for_at(source_at(instructions, instructions.slot_of(index)))
    return error


def _put_fd(instructions: Instructions, index: int, map_: Map) -> None:
    _, _, src, _, constant = instructions.fields(index)
    if src == asm.Pseudo.MAP_VALUE:
        constant += map_.data_offset << 32
    instructions.patch(index, constant=constant & ~0xFFFF_FFFF | map_.fileno())


def _is_map_load(instructions: Instructions, index: int) -> bool:
    opcode, _, src, _, _ = instructions.fields(index)
    return opcode == LD_IMM64 and src in {asm.Pseudo.MAP_FD, asm.Pseudo.MAP_VALUE}


def referenced_maps(spec: ProgramSpec) -> list[str]:
    """The names of the maps that *spec* needs: those that its instructions refer to, in order of first use, then those
    that these hold. Maps on MAP are not counted. UnresolvedSymbolError where there is no spec of that name."""
    names: dict[str, None] = {}
    instructions = spec.instructions
    for index, reference in instructions.with_key(REFERENCE):
        if _is_map_load(instructions, index) and instructions.get_metadata(index, MAP) is None:
            names[reference.name] = None
    for _, extern in instructions.with_key(EXTERN):
        if extern.kind is ExternKind.KCONFIG:
            names[KCONFIG] = None
    found = list(names)
    for name in found:
        if name not in spec.maps:
            uses = (index for index, reference in instructions.with_key(REFERENCE) if reference.name == name)
            raise _missing_map(spec, instructions, next(uses, None), name)
        held = {value: None for value in spec.maps[name].contents.values() if isinstance(value, str)}
        found += [value for value in held if value in spec.maps and value not in found]
    return found


def possible_tags(spec: ProgramSpec, options: LoadOptions) -> frozenset[bytes]:
    """The tags that the kernel may give *spec* when it is loaded; everything but the load is done."""
    with LoadContext(options, spec.types) as context:
        return Prepared(spec, context).tags()


def program_digest(spec: ProgramSpec, options: LoadOptions) -> bytes:
    """The SHA-256 by which the kernel will know *spec* when it is loaded; everything but the load is done."""
    with LoadContext(options, spec.types) as context:
        return Prepared(spec, context).digest()


def load_alone(spec: ProgramSpec, options: LoadOptions) -> Program:
    """One program with maps of its own, made from the specs that its references name."""
    require_linked(spec)
    names = referenced_maps(spec)
    for name in names:
        if spec.maps[name].pinning != Pinning.NONE:
            raise SpecError(
                f"program {spec.name!r} refers to map {name!r}, which wants to be pinned by name: load its collection, "
                "or put a Map on the instruction (MAP)"
            )
    maps: dict[str, Map] = {}
    try:
        with LoadContext(options, spec.types) as context:
            prepared = Prepared(spec, context)
            for name in names:
                context.btf.add_map(spec.maps[name])
            context.btf.load(context.token)
            for name in names:
                maps[name] = create_empty_map(spec.maps[name], context.btf, token=context.token)
            externs = [extern for _, extern in spec.instructions.with_key(EXTERN)]
            for name in names:
                fill_map(maps[name], context.contents(name, spec.maps[name], externs), maps, {})
                if spec.maps[name].is_frozen:
                    maps[name].freeze()
            program = prepared.load(maps)
    except BaseException:
        for map_ in maps.values():
            map_.close()
        raise
    program.own_maps(tuple(maps.values()))
    return program
