"""Programs, maps and variables as plain data."""

from aiobpf.spec.collection import CollectionSpec
from aiobpf.spec.core_relocations import core_relocations
from aiobpf.spec.externs import EXTERN, Export, Extern, ExternKind
from aiobpf.spec.map import MapSpec, Pinning
from aiobpf.spec.program import ProgramSpec
from aiobpf.spec.struct_ops import StructOpsMembers, UnknownMemberError
from aiobpf.spec.variable import VariableSpec

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
