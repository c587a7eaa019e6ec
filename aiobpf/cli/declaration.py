"""A struct written down on the command line, for events whose type the object's BTF does not have.

``__u64 ts; pid_t pid; int ret; char comm[16]``, with or without ``struct name { ... }`` around it. Members are laid out
as the compiler for BPF does: each at its own alignment. A member is of an integer type by any of its usual names, of a
type that the object has (``struct args_t args``), a pointer, or an array of those.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiobpf.btf import Array, Int, IntEncoding, Member, Pointer, Struct, Void, alignment_of, size_of
from aiobpf.errors import BtfError, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobpf.btf import Type

MAX_BYTES = 1 << 20

_TOKEN = re.compile(r"\s*([A-Za-z_]\w*|0[xX][0-9a-fA-F]+|\d+|[{}\[\];,*])")
_STRUCT = re.compile(r"\s*struct(?:\s+([A-Za-z_]\w*))?\s*\{(.*)\}\s*;?\s*", re.DOTALL)
_QUALIFIERS = frozenset({"const", "volatile", "restrict"})

_SIGNED, _NONE, _BOOL = IntEncoding.SIGNED, IntEncoding.UNSIGNED, IntEncoding.BOOL
_NAMED = {
    "bool": ("_Bool", 1, _BOOL), "_Bool": ("_Bool", 1, _BOOL),
    "size_t": ("unsigned long", 8, _NONE), "ssize_t": ("long", 8, _SIGNED), "uintptr_t": ("unsigned long", 8, _NONE),
    "pid_t": ("int", 4, _SIGNED), "uid_t": ("unsigned int", 4, _NONE), "gid_t": ("unsigned int", 4, _NONE),
    "dev_t": ("unsigned int", 4, _NONE), "ino_t": ("unsigned long", 8, _NONE), "umode_t": ("unsigned short", 2, _NONE),
}  # fmt: skip
_UNSIGNED = {1: "unsigned char", 2: "unsigned short", 4: "unsigned int", 8: "unsigned long long"}
_FIXED = re.compile(r"_*([us])(8|16|32|64)|(u?)int(8|16|32|64)_t|__be(16|32|64)")
_PLAIN = frozenset({"unsigned", "signed", "char", "short", "int", "long"})


def is_declaration(text: str) -> bool:
    """Whether *text* declares members, and does not just name a type."""
    words = text.split()
    if any(each in text for each in ";{[*,"):
        return True
    if len(words) < 2 or words[-1] in _PLAIN:
        return False  # the name of a type: "event", "unsigned int"
    return len(words) > 2 or words[0] not in {"struct", "union", "enum"}


def parse_struct(text: str, lookup: Callable[[str], Type]) -> Struct:
    """The struct that *text* declares, else SpecError; *lookup* finds a type that the object has, by name."""
    match = _STRUCT.fullmatch(text)
    name, body = (match[1] or "event", match[2]) if match else ("event", text)
    members: list[Member] = []
    offset = 0
    alignment = 1
    for declaration in body.split(";"):
        if not declaration.strip():
            continue
        for member, type_ in declared(declaration, lookup):
            needs = alignment_of(type_)
            offset += -offset % needs
            members.append(Member(member, type_, offset * 8))
            offset += size_of(type_)
            alignment = max(alignment, needs)
            if offset > MAX_BYTES:
                raise SpecError(f"struct {name} of the command line has more than {MAX_BYTES} bytes")
    if not members:
        raise SpecError(f"no members are declared in {text!r}")
    return Struct(name, offset + -offset % alignment, members)


def declared(declaration: str, lookup: Callable[[str], Type]) -> list[tuple[str, Type]]:
    """The names and types of ``TYPE a, *b, c[4][2]``."""
    tokens = tokenize(declaration)
    words: list[str] = []
    while tokens and is_word(tokens[0]):
        words.append(tokens.pop(0))
    is_pointer = bool(tokens) and tokens[0] == "*"
    if not is_pointer and len(words) > 1:
        tokens.insert(0, words.pop())  # the last word is the first member's name
    base = named_type([word for word in words if word not in _QUALIFIERS], lookup)
    members = []
    while tokens:
        members.append(declarator(tokens, base, declaration))
        if tokens and tokens.pop(0) != ",":
            raise SpecError(f"cannot read {declaration.strip()!r}")
    if not members:
        raise SpecError(f"{declaration.strip()!r} declares a type without a name")
    return members


def declarator(tokens: list[str], base: Type, declaration: str) -> tuple[str, Type]:
    type_ = base
    while tokens and (tokens[0] == "*" or tokens[0] in _QUALIFIERS):
        if tokens.pop(0) == "*":
            type_ = Pointer(type_)
    if not tokens or not is_word(tokens[0]):
        raise SpecError(f"a name is missing in {declaration.strip()!r}")
    name = tokens.pop(0)
    counts = []
    while len(tokens) >= 3 and tokens[0] == "[" and tokens[1][0].isdigit() and tokens[2] == "]":
        counts.append(number(tokens[1]))
        del tokens[:3]
    for count in reversed(counts):
        type_ = Array(type_, _INDEX, count)
    if isinstance(type_, Void):
        raise SpecError(f"{name!r} is declared void")
    return name, type_


def number(token: str) -> int:
    """A number as C has it: decimal, 0x hexadecimal, 0 octal."""
    is_octal = token.startswith("0") and token.isdigit() and len(token) > 1
    try:
        return int(token, 8 if is_octal else 0)
    except ValueError:  # 08, or more digits than Python converts
        raise SpecError(f"{token[:40]!r} is no number") from None


def tokenize(text: str) -> list[str]:
    tokens = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise SpecError(f"cannot read {text[position:].strip()!r} in {text.strip()!r}")
        tokens.append(match[1])
        position = match.end()
    return tokens


def is_word(token: str) -> bool:
    return token[0].isalpha() or token[0] == "_"


def named_type(words: list[str], lookup: Callable[[str], Type]) -> Type:
    name = " ".join(words)
    if not words:
        raise SpecError("a member needs a type")
    if len(words) == 1:
        if name == "void":
            return Void()
        if name in _NAMED:
            return Int(_NAMED[name][0], _NAMED[name][1], encoding=_NAMED[name][2])
        fixed = _FIXED.fullmatch(name)
        if fixed:
            bits = int(fixed[2] or fixed[4] or fixed[5])
            is_signed = fixed[1] == "s" or (fixed[4] is not None and not fixed[3])
            return integer(bits // 8, is_signed=is_signed)
    if all(word in _PLAIN for word in words):
        return plain_integer(words)
    try:
        return lookup(name)
    except (BtfError, SpecError) as error:
        raise SpecError(f"no type {name!r} is known: {error}") from None


def plain_integer(words: list[str]) -> Int:
    if "char" in words and len(words) == 1:
        return Int("char", 1, encoding=_SIGNED)
    size = 1 if "char" in words else 2 if "short" in words else 8 if "long" in words else 4
    return integer(size, is_signed="unsigned" not in words)


def integer(size: int, *, is_signed: bool) -> Int:
    if is_signed:
        return Int(_UNSIGNED[size].removeprefix("un"), size, encoding=_SIGNED)
    return Int(_UNSIGNED[size], size)


_INDEX = integer(4, is_signed=False)
