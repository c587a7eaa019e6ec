"""The types of BTF as immutable values.

A type is its identity: two structs that look alike are two types, and within one `Btf` an id always gives the same
object. References between types are resolved when they are first asked for, so that a type of the kernel's BTF costs
itself and not the half of the kernel it refers to.

A type made by hand refers to types. A struct that refers to itself is made by giving its members as a function::

    Struct("node", 8, lambda node: [Member("next", Pointer(node), 0)])
"""

from __future__ import annotations

from aiobpf.btf.composites import (
    DataSection,
    Function,
    FunctionPrototype,
    SectionVariable,
    Struct,
    Union,
    Variable,
)
from aiobpf.btf.derived import Array, Const, DeclTag, Pointer, Restrict, Typedef, TypeTag, Volatile
from aiobpf.btf.kinds import IntEncoding, Kind, Linkage
from aiobpf.btf.parts import Enumerator, Member, Parameter
from aiobpf.btf.scalars import Enum, Float, Forward, Int, Unknown, Void
from aiobpf.btf.shape import alignment_of, size_of, strip_modifiers, strip_qualifiers
from aiobpf.btf.type_base import Type

__all__ = [
    "Array",
    "Const",
    "DataSection",
    "DeclTag",
    "Enum",
    "Enumerator",
    "Float",
    "Forward",
    "Function",
    "FunctionPrototype",
    "Int",
    "IntEncoding",
    "Kind",
    "Linkage",
    "Member",
    "Parameter",
    "Pointer",
    "Restrict",
    "SectionVariable",
    "Struct",
    "Type",
    "TypeTag",
    "Typedef",
    "Union",
    "Unknown",
    "Variable",
    "Void",
    "Volatile",
    "alignment_of",
    "size_of",
    "strip_modifiers",
    "strip_qualifiers",
]
