"""What the kernel says of a program, its instructions read back with symbols and source lines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf import kernel
from aiobpf.asm import Instructions
from aiobpf.btf import Btf, assign_kernel_infos

if TYPE_CHECKING:
    from aiobpf.runtime.program import Program


@frozen
class ProgramInfo:
    """`kernel.ProgramInfo`, and the *instructions* as the kernel rewrote them.

    They carry function types and source lines if the program was loaded with them, and the symbols of its functions.
    *instructions* is empty where the kernel does not show them (kptr_restrict, missing privileges).
    """

    kernel: kernel.ProgramInfo
    instructions: Instructions

    @property
    def id(self) -> int:
        return self.kernel.id

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


def read_program_info(program: Program) -> ProgramInfo:
    """Blocking; a worker thread runs it."""
    subject = f"program {program.name!r}"
    info = kernel.program_info(program, instructions=True, subject=subject)
    instructions = Instructions.decode(info.xlated, sys.byteorder)
    if info.btf_id and (info.func_info or info.line_info):  # lines alone: comments on a program by hand
        with kernel.btf_by_id(info.btf_id) as fd:
            btf = Btf.from_bytes(kernel.btf_info(fd, data=True).data)
        assign_kernel_infos(instructions, btf, info.func_info, info.line_info)
    return ProgramInfo(info, instructions)
