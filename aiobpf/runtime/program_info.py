"""What the kernel says of a program, its instructions read back with symbols and source lines."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from attrs import field, frozen

from aiobpf import kernel
from aiobpf.asm import Instructions
from aiobpf.btf import FUNCTION_INFO, LINE, Line, assign_kernel_infos
from aiobpf.errors import MissingPrivilegeError, NoSuchObjectError
from aiobpf.runtime.program_names import name_functions, name_helpers, name_maps
from aiobpf.uapi import ProgramType
from aiobpf.uapi.newer import member

if TYPE_CHECKING:
    from aiobpf.kernel import ProgramStats
    from aiobpf.runtime.program import Program


@frozen
class JitedFunction:
    """A function as the machine runs it: *code* at *address* of the kernel.

    *lines*: the source lines of its code, by their offset into it, rising. *name* is "" for a program without BTF.
    """

    name: str
    address: int
    code: bytes = field(repr=lambda code: f"{len(code)} bytes")
    lines: tuple[tuple[int, Line], ...] = field(default=(), repr=lambda lines: f"{len(lines)} lines")

    def line_at(self, address: int) -> Line | None:
        """The source line that the code at *address* was made of; an address of a stack trace, say."""
        found = None
        for offset, line in self.lines:
            if offset > address - self.address:
                break
            found = line
        return found


@frozen
class ProgramInfo:
    """`kernel.ProgramInfo`, and what is made of it.

    *instructions* are those that the kernel runs, after its own changes: they carry function types and source lines if
    the program was loaded with them, the names of its functions and of its maps, as far as one may open these by id
    (CAP_SYS_ADMIN); empty where the kernel does not show them (kptr_restrict, missing privileges). *functions* are
    those of the JIT, the entry first.
    """

    kernel: kernel.ProgramInfo
    instructions: Instructions
    functions: tuple[JitedFunction, ...] = ()
    memlock: int | None = None
    """Bytes of kernel memory, rounded up to pages; None where the kernel does not say."""

    @property
    def id(self) -> int:
        return self.kernel.id

    @property
    def type(self) -> ProgramType:
        return member(ProgramType, self.kernel.type)

    @property
    def name(self) -> str:
        return self.kernel.name

    @property
    def tag(self) -> str:
        """The hash of the instructions, in hexadecimal, as bpftool shows it."""
        return self.kernel.tag.hex()

    @property
    def map_ids(self) -> tuple[int, ...]:
        return self.kernel.map_ids

    @property
    def uid(self) -> int:
        """Of the user who loaded it."""
        return self.kernel.uid

    @property
    def load_time_ns(self) -> int:
        """When it was loaded, since boot (CLOCK_BOOTTIME)."""
        return self.kernel.load_time_ns

    @property
    def verified_instructions(self) -> int:
        """How many instructions the verifier walked, loops and branches anew each time (5.16; 0 before)."""
        return self.kernel.verified_instructions

    @property
    def stats(self) -> ProgramStats:
        """Runs, their time and recursion misses, as they were when it was asked."""
        return self.kernel.stats

    @property
    def is_gpl_compatible(self) -> bool:
        return self.kernel.is_gpl_compatible


def read_program_info(program: Program, *, code: bool = True, names: bool = False) -> ProgramInfo:
    """Blocking; a worker thread runs it."""
    subject = f"program {program.name!r}"
    info = kernel.program_info(program, instructions=code, subject=subject)
    instructions = Instructions.decode(info.xlated, sys.byteorder)
    types = None
    if info.btf_id and (info.func_info or info.line_info):  # lines alone: comments on a program by hand
        # Opening BTF by its id takes CAP_SYS_ADMIN; the rest does not.
        with contextlib.suppress(MissingPrivilegeError, NoSuchObjectError):
            types = kernel.read_btf(info.btf_id)
    if types is not None:
        assign_kernel_infos(instructions, types, info.func_info, info.line_info)
    name_functions(instructions)
    name_maps(instructions, info.btf_id, types)
    if names:
        name_helpers(instructions)
    return ProgramInfo(info, instructions, _functions(info, instructions), kernel.locked_memory(program))


def _functions(info: kernel.ProgramInfo, instructions: Instructions) -> tuple[JitedFunction, ...]:
    names = [function.name for _, function in instructions.with_key(FUNCTION_INFO)]
    lines = [line for _, line in instructions.with_key(LINE)]
    if len(lines) != len(info.jited_lines):
        lines = []
    found = []
    start = 0
    for number, (address, length) in enumerate(zip(info.jited_symbols, info.jited_lengths, strict=False)):
        code = info.jited[start : start + length]
        start += length
        own = tuple(
            (at - address, line)
            for at, line in zip(info.jited_lines, lines, strict=False)
            if address <= at < address + length
        )
        found.append(JitedFunction(names[number] if number < len(names) else "", address, code, own))
    return tuple(found)
