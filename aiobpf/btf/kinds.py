"""The numbers that BTF encodes types with.

Source: include/uapi/linux/btf.h of Linux 7.1.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Kind(IntEnum):
    """What a type is on the wire; UNKNOWN is any number that came later."""

    UNKNOWN = -1
    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


class IntEncoding(IntFlag):
    """How an integer is meant to be read; none of them is an unsigned number."""

    UNSIGNED = 0
    SIGNED = 1
    CHAR = 2
    BOOL = 4


class Linkage(IntEnum):
    """The linkage of a function or variable; the numbers of functions and variables agree."""

    STATIC = 0
    GLOBAL = 1
    EXTERN = 2
