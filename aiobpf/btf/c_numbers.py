"""What C calls the numbers of BTF, on a target of 64 bits.

BTF names them as the compiler of the kernel did, and they need not be C's there: Rust has "u8", gcc for arm64 has types
of its own, and a kernel of 32 bits has a "long int" of four bytes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from aiobpf.btf.scalars import Float, Int

_WORDS: Final = frozenset({"signed", "unsigned", "short", "long", "int", "char", "__int128"})
_PLAIN: Final = {1: "char", 2: "short", 4: "int", 8: "long long", 16: "__int128"}
_FLOATS: Final = {"float": 4, "double": 8}


@lru_cache(maxsize=256)
def _size_in_c(name: str) -> int:
    """The bytes of what C calls *name*; 0 where C has no such number."""
    if name == "_Bool":
        return 1
    words = name.split(" ")
    if not words[0] or not _WORDS.issuperset(words):
        return 0
    if "char" in words:
        return 1
    if "short" in words:
        return 2
    if "__int128" in words:
        return 16
    return 8 if "long" in words else 4


def number_in_c(type: Int | Float) -> str:  # noqa: A002
    """How C calls *type*, "" where it has no name for it and `definition_in_c` says what it is."""
    if isinstance(type, Float):
        return type.name if _FLOATS.get(type.name) == type.size else ""
    size = _size_in_c(type.name)
    if size == type.size:
        return type.name
    return plain_integer(type.size, is_signed=type.is_signed) if size or not type.name else ""


def plain_integer(size: int, *, is_signed: bool) -> str:
    """C's integer of *size* bytes, "" if it has none."""
    plain = _PLAIN.get(size, "")
    return f"{'signed' if is_signed else 'unsigned'} {plain}" if plain else ""


def definition_in_c(type: Int | Float) -> tuple[str, str]:  # noqa: A002
    """What a number of another name is a typedef of: "unsigned __int128", and "[12]" behind the name if of bytes."""
    if isinstance(type, Int) and type.is_bool and type.size == 1:
        return "_Bool", ""
    plain = plain_integer(type.size, is_signed=isinstance(type, Int) and type.is_signed)
    return (plain, "") if plain else ("unsigned char", f"[{type.size}]")


def number_alignment(type: Int | Float) -> int:  # noqa: A002
    """The alignment of *type* in bytes, as clang has it for BPF: 16 for __int128."""
    return type.size if type.size in _PLAIN else 1
