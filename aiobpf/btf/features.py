"""What kernels have learnt about BTF since they first took it (4.18)."""

from __future__ import annotations

from enum import Enum


class BtfFeature(Enum):
    """One thing that an older kernel refuses; `BtfBuilder.encode` writes something near it instead."""

    FUNC = "functions and prototypes, 5.0"
    KIND_FLAG = "bit-fields by member, 5.0"
    DATASEC = "variables and data sections, 5.2"
    FUNC_LINKAGE = "global functions, 5.6"
    FLOAT = "floating point, 5.13"
    DECL_TAG = "declaration tags, 5.16"
    TYPE_TAG = "type tags, 5.17"
    ENUM64 = "64-bit and signed enums, 6.0"
    ATTRIBUTE_TAG = "tags that are attributes, 6.15"
    WIDE_VLEN = "more than 65535 members, 7.1"
