"""Programs, maps and variables as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.lazy_names import lazy_names
from aiobpf.spec.collection import CollectionSpec
from aiobpf.spec.core_relocations import core_relocations
from aiobpf.spec.externs import EXTERN, Export, Extern, ExternKind
from aiobpf.spec.map import MapSpec, Pinning
from aiobpf.spec.program import ProgramSpec
from aiobpf.spec.variable import VariableSpec

if TYPE_CHECKING:
    from aiobpf.spec.struct_ops import StructOpsMembers, UnknownMemberError

__all__ = [
    "EXTERN",
    "CollectionSpec",
    "Export",
    "Extern",
    "ExternKind",
    "MapSpec",
    "Pinning",
    "ProgramSpec",
    "StructOpsMembers",
    "UnknownMemberError",
    "VariableSpec",
    "core_relocations",
]

# What only objects with struct_ops maps need, values' codecs behind it.
__getattr__, __dir__ = lazy_names(__name__, {"struct_ops": "StructOpsMembers UnknownMemberError"})
