"""The smallest BTF that has each feature; a kernel that does not know it answers EINVAL."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MAGIC = 0xEB9F
_STRINGS = b"\0int\0x\0a\0"
_INT_NAME, _X, _A = 1, 5, 7

# BTF_KIND_* of include/uapi/linux/btf.h
_INT, _POINTER, _STRUCT, _ENUM, _FUNC, _FUNC_PROTO, _VAR, _DATASEC = 1, 2, 4, 6, 12, 13, 14, 15
_FLOAT, _DECL_TAG, _TYPE_TAG, _ENUM64 = 16, 17, 18, 19


def _btf(*words: int, strings: bytes = _STRINGS) -> bytes:
    types = struct.pack(f"={len(words)}I", *words)
    header = struct.pack("=HBBIIIII", _MAGIC, 1, 0, 24, 0, len(types), len(types), len(strings))
    return header + types + strings


def _info(kind: int, count: int = 0, flag: int = 0) -> int:
    return flag << 31 | kind << 24 | count


_INT_TYPE = (_INT_NAME, _info(_INT), 4, 1 << 24 | 32)  # id 1: signed, 32 bits
_PROTOTYPE = (0, _info(_FUNC_PROTO, 1), 0, _A, 1)  # id 2: void (int a)
_STATIC_VAR = (_X, _info(_VAR), 1, 0)  # id 2: static int x

PLAIN_BTF = _btf(*_INT_TYPE)


def tagged_context() -> tuple[bytes, int, int]:
    """BTF of two functions that are ``int (void *a)``, the second's *a* tagged as the context; their type ids."""
    prototype = (0, _info(_FUNC_PROTO, 1), 1, _A, 2)  # id 3, of a pointer to void (id 2)
    functions = (_X, _info(_FUNC, 1), 3, _A, _info(_FUNC, 1), 3)  # ids 4 and 5, global
    tag = (len(_STRINGS), _info(_DECL_TAG), 5, 0)
    strings = _STRINGS + b"arg:ctx\0"
    return _btf(*_INT_TYPE, 0, _info(_POINTER), 0, *prototype, *functions, *tag, strings=strings), 4, 5


def two_functions() -> tuple[bytes, int, int]:
    """BTF of two static functions that are ``int (void)``; their type ids."""
    return _btf(*_INT_TYPE, 0, _info(_FUNC_PROTO), 1, _X, _info(_FUNC), 2, _A, _info(_FUNC), 2), 3, 4


def _many_enumerators() -> bytes:
    count = 1 << 16
    head = struct.pack("=III", 0, _info(_ENUM, count), 4)
    types = head + struct.pack("=II", _X, 0) * count
    header = struct.pack("=HBBIIIII", _MAGIC, 1, 0, 24, 0, len(types), len(types), len(_STRINGS))
    return header + types + _STRINGS


BTF_PROBES: Mapping[str, Callable[[], bytes]] = {
    "FUNC": lambda: _btf(*_INT_TYPE, *_PROTOTYPE, _X, _info(_FUNC), 2),
    "KIND_FLAG": lambda: _btf(*_INT_TYPE, _X, _info(_STRUCT, 1, 1), 4, _A, 1, 4 << 24),
    "DATASEC": lambda: _btf(*_INT_TYPE, *_STATIC_VAR, _X, _info(_DATASEC, 1), 4, 2, 0, 4),
    "FUNC_LINKAGE": lambda: _btf(*_INT_TYPE, *_PROTOTYPE, _X, _info(_FUNC, 1), 2),
    "FLOAT": lambda: _btf(_X, _info(_FLOAT), 4),
    "DECL_TAG": lambda: _btf(*_INT_TYPE, *_STATIC_VAR, _A, _info(_DECL_TAG), 2, 0xFFFFFFFF),
    "TYPE_TAG": lambda: _btf(*_INT_TYPE, _A, _info(_TYPE_TAG), 1, 0, _info(_POINTER), 2),
    "ENUM64": lambda: _btf(0, _info(_ENUM64, 1), 8, _X, 0, 0),
    "ATTRIBUTE_TAG": lambda: _btf(*_INT_TYPE, *_STATIC_VAR, _A, _info(_DECL_TAG, 0, 1), 2, 0xFFFFFFFF),
    "WIDE_VLEN": _many_enumerators,
}
"""By the name of the BtfFeature."""
