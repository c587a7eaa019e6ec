"""The functions of a program in the kernel, by the types that it was loaded with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf import kernel

if TYPE_CHECKING:
    from aiobpf.runtime.program import Program

_RECORD_WORDS = 2  # struct bpf_func_info: the slot, the type


def function_type_ids(program: Program) -> dict[str, int]:
    """The BTF id of each function of *program*, by its name, the entry first; empty where it has no BTF.

    Opening a BTF object by its id takes CAP_SYS_ADMIN: MissingPrivilegeError.
    """
    info = kernel.program_info(program, instructions=True, subject=f"program {program.name!r}")
    if not info.btf_id or not info.func_info:
        return {}
    types = kernel.read_btf(info.btf_id)
    ids = memoryview(info.func_info).cast("I")[1::_RECORD_WORDS].tolist()
    return {types.type_by_id(id_).name: id_ for id_ in ids}
