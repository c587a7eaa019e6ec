"""BTF: types, their encoding, what the compiler notes beside instructions, CO-RE, and values as Python objects.

Names are imported when first used: reading an object needs no value codecs, and the kernel's BTF no CO-RE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.lazy_names import lazy_names

if TYPE_CHECKING:
    from aiobpf.btf.btf import Btf as Btf
    from aiobpf.btf.builder import BtfBuilder as BtfBuilder
    from aiobpf.btf.builder import encode as encode
    from aiobpf.btf.c_header import format_header as format_header
    from aiobpf.btf.codec_union import UnionValue as UnionValue
    from aiobpf.btf.codecs import Codec as Codec
    from aiobpf.btf.codecs import codec as codec
    from aiobpf.btf.core_access import describe_relocation as describe_relocation
    from aiobpf.btf.core_fixup import Fixup as Fixup
    from aiobpf.btf.core_match import essential_name as essential_name
    from aiobpf.btf.core_match import types_compatible as types_compatible
    from aiobpf.btf.core_relocate import CoreRelocator as CoreRelocator
    from aiobpf.btf.core_relocate import relocate as relocate
    from aiobpf.btf.core_relocate import relocate_instructions as relocate_instructions
    from aiobpf.btf.core_relocation import CORE_RELOCATION as CORE_RELOCATION
    from aiobpf.btf.core_relocation import CoreRelocation as CoreRelocation
    from aiobpf.btf.core_relocation import CoreRelocationKind as CoreRelocationKind
    from aiobpf.btf.dedup import Deduplicated as Deduplicated
    from aiobpf.btf.dedup import deduplicate as deduplicate
    from aiobpf.btf.distilled import distill_base as distill_base
    from aiobpf.btf.distilled import relocate_base as relocate_base
    from aiobpf.btf.evolution import Evolution as Evolution
    from aiobpf.btf.evolution import evolution_of as evolution_of
    from aiobpf.btf.ext_info import ExtInfos as ExtInfos
    from aiobpf.btf.ext_info import SectionInfos as SectionInfos
    from aiobpf.btf.ext_info import load_btf_and_ext_infos as load_btf_and_ext_infos
    from aiobpf.btf.ext_info_encode import EncodedExtInfos as EncodedExtInfos
    from aiobpf.btf.ext_info_encode import encode_ext_infos as encode_ext_infos
    from aiobpf.btf.features import BtfFeature as BtfFeature
    from aiobpf.btf.formatting import format_c as format_c
    from aiobpf.btf.formatting import format_type as format_type
    from aiobpf.btf.join import Joined as Joined
    from aiobpf.btf.join import join_btfs as join_btfs
    from aiobpf.btf.minimal import minimal_btf as minimal_btf
    from aiobpf.btf.notes import FUNCTION_INFO as FUNCTION_INFO
    from aiobpf.btf.notes import LINE as LINE
    from aiobpf.btf.notes import Line as Line
    from aiobpf.btf.read_back import assign_kernel_infos as assign_kernel_infos
    from aiobpf.btf.struct_members import MemberPlace as MemberPlace
    from aiobpf.btf.struct_members import member_places as member_places
    from aiobpf.btf.struct_members import read_bits as read_bits
    from aiobpf.btf.struct_members import write_bits as write_bits
    from aiobpf.btf.types import Array as Array
    from aiobpf.btf.types import Const as Const
    from aiobpf.btf.types import DataSection as DataSection
    from aiobpf.btf.types import DeclTag as DeclTag
    from aiobpf.btf.types import Enum as Enum
    from aiobpf.btf.types import Enumerator as Enumerator
    from aiobpf.btf.types import Float as Float
    from aiobpf.btf.types import Forward as Forward
    from aiobpf.btf.types import Function as Function
    from aiobpf.btf.types import FunctionPrototype as FunctionPrototype
    from aiobpf.btf.types import Int as Int
    from aiobpf.btf.types import IntEncoding as IntEncoding
    from aiobpf.btf.types import Kind as Kind
    from aiobpf.btf.types import Linkage as Linkage
    from aiobpf.btf.types import Member as Member
    from aiobpf.btf.types import Parameter as Parameter
    from aiobpf.btf.types import Pointer as Pointer
    from aiobpf.btf.types import Restrict as Restrict
    from aiobpf.btf.types import SectionVariable as SectionVariable
    from aiobpf.btf.types import Struct as Struct
    from aiobpf.btf.types import Type as Type
    from aiobpf.btf.types import Typedef as Typedef
    from aiobpf.btf.types import TypeTag as TypeTag
    from aiobpf.btf.types import Union as Union
    from aiobpf.btf.types import Unknown as Unknown
    from aiobpf.btf.types import Variable as Variable
    from aiobpf.btf.types import Void as Void
    from aiobpf.btf.types import Volatile as Volatile
    from aiobpf.btf.types import alignment_of as alignment_of
    from aiobpf.btf.types import size_of as size_of
    from aiobpf.btf.types import strip_modifiers as strip_modifiers
    from aiobpf.btf.types import strip_qualifiers as strip_qualifiers

__all__ = [
    "CORE_RELOCATION",
    "FUNCTION_INFO",
    "LINE",
    "Array",
    "Btf",
    "BtfBuilder",
    "BtfFeature",
    "Codec",
    "Const",
    "CoreRelocation",
    "CoreRelocationKind",
    "CoreRelocator",
    "DataSection",
    "DeclTag",
    "Deduplicated",
    "EncodedExtInfos",
    "Enum",
    "Enumerator",
    "Evolution",
    "ExtInfos",
    "Fixup",
    "Float",
    "Forward",
    "Function",
    "FunctionPrototype",
    "Int",
    "IntEncoding",
    "Joined",
    "Kind",
    "Line",
    "Linkage",
    "Member",
    "MemberPlace",
    "Parameter",
    "Pointer",
    "Restrict",
    "SectionInfos",
    "SectionVariable",
    "Struct",
    "Type",
    "TypeTag",
    "Typedef",
    "Union",
    "UnionValue",
    "Unknown",
    "Variable",
    "Void",
    "Volatile",
    "alignment_of",
    "assign_kernel_infos",
    "codec",
    "deduplicate",
    "describe_relocation",
    "distill_base",
    "encode",
    "encode_ext_infos",
    "essential_name",
    "evolution_of",
    "format_c",
    "format_header",
    "format_type",
    "join_btfs",
    "load_btf_and_ext_infos",
    "member_places",
    "minimal_btf",
    "read_bits",
    "relocate",
    "relocate_base",
    "relocate_instructions",
    "size_of",
    "strip_modifiers",
    "strip_qualifiers",
    "types_compatible",
    "write_bits",
]

_HOMES = {
    "btf": "Btf",
    "builder": "BtfBuilder encode",
    "core_access": "describe_relocation",
    "codec_union": "UnionValue",
    "codecs": "Codec codec",
    "core_fixup": "Fixup",
    "core_match": "essential_name types_compatible",
    "core_relocate": "CoreRelocator relocate relocate_instructions",
    "core_relocation": "CORE_RELOCATION CoreRelocation CoreRelocationKind",
    "dedup": "Deduplicated deduplicate",
    "distilled": "distill_base relocate_base",
    "evolution": "Evolution evolution_of",
    "ext_info": "ExtInfos SectionInfos load_btf_and_ext_infos",
    "ext_info_encode": "EncodedExtInfos encode_ext_infos",
    "features": "BtfFeature",
    "c_header": "format_header",
    "formatting": "format_c format_type",
    "join": "Joined join_btfs",
    "minimal": "minimal_btf",
    "struct_members": "MemberPlace member_places read_bits write_bits",
    "notes": "FUNCTION_INFO LINE Line",
    "read_back": "assign_kernel_infos",
    "types": "Array Const DataSection DeclTag Enum Enumerator Float Forward Function FunctionPrototype Int IntEncoding "
    "Kind Linkage Member Parameter Pointer Restrict SectionVariable Struct Type TypeTag Typedef Union Unknown Variable "
    "Void Volatile alignment_of size_of strip_modifiers strip_qualifiers",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
