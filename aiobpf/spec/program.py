"""A program before the kernel has seen it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
from attrs import define, field

if TYPE_CHECKING:
    from aiobpf.asm import Instructions
    from aiobpf.btf import Btf
    from aiobpf.spec.map import MapSpec
    from aiobpf.uapi import AttachType, ProgramType


@define(kw_only=True)
class ProgramSpec:
    """What BPF_PROG_LOAD needs.

    *instructions* is the whole program: the entry function first, then each function it calls, directly or not, once.
    Its maps are found through the instructions' references, in *maps* (the collection's, shared), so one program can be
    loaded alone. *attach_to* is what the section name says after its prefix ("sched/sched_switch"), "" if nothing.
    """

    name: str
    type: ProgramType
    instructions: Instructions
    section: str = ""
    attach_type: AttachType | None = None
    attach_to: str = ""
    license: str = ""
    flags: int = 0
    kernel_version: int = 0
    ifindex: int = 0
    """The interface that an XDP program is bound to (BPF_F_XDP_DEV_BOUND_ONLY, 6.3) or offloaded to; 0 for none."""
    byte_order: Literal["little", "big"] = "little"
    autoload: bool = True
    """False for a section whose name begins with "?", and for one whose type is not known."""
    types: Btf | None = None
    maps: dict[str, MapSpec] = field(factory=dict, repr=False, eq=False)

    def copy(self) -> ProgramSpec:
        return attrs.evolve(self, instructions=self.instructions.copy())
