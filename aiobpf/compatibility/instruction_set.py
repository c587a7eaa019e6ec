"""Whether a kernel knows the newer instructions. No type says so: what came with the same kernel does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiobpf.btf import Function
from aiobpf.uapi import AttachType, MapType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiobpf.asm.newer_instructions import NewerInstruction
    from aiobpf.compatibility.kernel import TargetKernel

_OF_THE_SAME_KERNEL: Final[Mapping[str, tuple[str, int]]] = {
    "ATOMICS": ("bpf_func_id", 163),  # bpf_check_mtu
    "FUNCTION_POINTERS": ("bpf_func_id", 164),  # bpf_for_each_map_elem, which they were made for
    "ISA_V4": ("bpf_attach_type", AttachType.TRACE_UPROBE_MULTI),
    "MAY_GOTO": ("bpf_map_type", MapType.ARENA),
}
"""For each feature a value of an enum that came with it."""
_VERIFIER_OF_6_15: Final = "atomic_ptr_type_ok"
"""A function that load-acquire brought (880442305a39). A compiler may have inlined it."""


def knows(kind: NewerInstruction, kernel: TargetKernel) -> bool | None:
    """Whether *kernel* takes instructions of that kind; None: not known."""
    mark = _OF_THE_SAME_KERNEL.get(kind.feature)
    if mark is not None:
        enum, value = mark
        values = kernel.enumerators(enum)
        return None if values is None else value in values
    if kind.feature == "LOAD_ACQUIRE":
        if kernel.find(_VERIFIER_OF_6_15, Function) is not None:
            return True
        maps = kernel.enumerators("bpf_map_type")
        if maps is not None and MapType.ARENA not in maps:
            return False  # older than 6.9
    if kernel.version is not None:
        return kernel.version[:2] >= tuple(map(int, kind.since.split(".")))
    return None
