"""Split BTF that does not depend on one very kernel: the base of a module, distilled to what it refers to.

A module built apart from its kernel comes with .BTF.base (since 6.11, for modules outside the kernel's tree): the named
types that it needs of the kernel, by name and size alone. When it is loaded they are looked up in the kernel that is
there, and the module's references moved to them. The rules are the kernel's and libbpf's, tools/lib/bpf/btf.c
(btf__distill_base) and btf_relocate.c of 6.12; where these let types of different kinds match, this does not.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from aiobpf.btf.btf import Btf
from aiobpf.btf.kinds import Kind
from aiobpf.btf.types import Enum, Float, Forward, Int, Struct, Union
from aiobpf.btf.words import StringTable, encode_words, kind_of, name_places, own_types, reference_places, words_of
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from aiobpf.btf.type_base import Type

_COMPOSITES: Final = frozenset({Kind.STRUCT, Kind.UNION})
_ENUMS: Final = frozenset({Kind.ENUM, Kind.ENUM64})
_BY_NAME: Final = _COMPOSITES | _ENUMS | {Kind.INT, Kind.FLOAT, Kind.FWD}
_COPIED: Final = frozenset(
    {Kind.ARRAY, Kind.TYPEDEF, Kind.PTR, Kind.CONST, Kind.RESTRICT, Kind.VOLATILE, Kind.FUNC_PROTO, Kind.TYPE_TAG}
)
_THROUGH: Final = frozenset({Kind.CONST, Kind.RESTRICT, Kind.VOLATILE, Kind.TYPEDEF, Kind.TYPE_TAG})
_KINDS: Final = {Kind.STRUCT: Struct, Kind.UNION: Union, Kind.ENUM: Enum, Kind.INT: Int, Kind.FLOAT: Float}


def distill_base(btf: Btf) -> Btf:
    """The split *btf* on a base of its own, which has what it needs of the base it is on now.

    The result's `raw` is a .BTF section, and its base's a .BTF.base. The base has integers and forward declarations as
    they are, structs and unions without members, enums without values; what has no name, and typedefs, pointers and so
    on, is added behind the own types, whose ids all move down alike. Raises BtfError where *btf* has no base, or refers
    to a kind of type that a base does not lend.
    """
    if btf.base is None:
        raise BtfError("this BTF adds to no base that could be distilled")
    first = btf.first_id
    needed: dict[int, array[int]] = {}
    own = own_types(btf)
    pending = [number for words in own for number in _references(words, btf)]
    while pending:
        number = pending.pop()
        if not 0 < number < first or number in needed:
            continue
        words = needed[number] = words_of(btf, number)
        if kind_of(words) not in _BY_NAME | _COPIED:
            raise BtfError(
                f"type [{number}] of the base is of a kind that a split BTF does not refer to: {kind_of(words)}"
            )
        if kind_of(words) in _COPIED or not words[0]:
            pending += _references(words, btf)
    named = [number for number in sorted(needed) if kind_of(needed[number]) in _BY_NAME and needed[number][0]]
    copied = [number for number in sorted(needed) if number not in set(named)]
    ids = {number: new for new, number in enumerate(named, 1)}
    ids |= {number: number - first + 1 + len(named) for number in range(first, len(btf.types))}
    ids |= {number: len(named) + 1 + len(own) + i for i, number in enumerate(copied)}
    strings = StringTable()
    base_types = [_outline(needed[number], strings.offset(btf.name_at(needed[number][0]))) for number in named]
    base = Btf.from_bytes(encode_words(base_types, strings.encode(), btf.byte_order))
    known = {each.name: words[0] for each, words in zip(base.types[1:], base_types, strict=True)}
    strings = StringTable(base.strings_end)
    types = []
    for words in [*own, *(needed[number] for number in copied)]:
        for place in name_places(words):
            text = btf.name_at(words[place])
            words[place] = known[text] if text in known else strings.offset(text)
        for place in reference_places(words):
            words[place] = ids.get(words[place], 0)
        types.append(words)
    return Btf.from_bytes(encode_words(types, strings.encode(), btf.byte_order), base)


def relocate_base(btf: Btf, base: Btf) -> Btf:
    """The split *btf*, whose base is a distilled one, on the real *base*: what the kernel makes of a module's types.

    Each type of the distilled base is one of *base* of the same name and kind: integers with the same size and
    encoding, enums and floating-point numbers with the same size; structs too where a struct of *btf* holds one, or
    where *base* has several of the name. A forward declaration is a struct as well. Ids of *btf*'s own types move with
    the number of types in the base.

    Raises BtfError that names the type where there is none, or several.
    """
    distilled = btf.base
    if distilled is None:
        raise BtfError("this BTF adds to no base that could be relocated")
    if base.byte_order != btf.byte_order:
        raise BtfError(f"types in {btf.byte_order}-endian order cannot be moved to a base in {base.byte_order}")
    own = own_types(btf)
    held = _held(btf, own)
    ids = {0: 0}
    names: dict[str, int] = {"": 0}
    for number in range(1, len(distilled.types)):
        words = words_of(distilled, number)
        found = _one_like(distilled.type_by_id(number), words, base, is_held=number in held)
        ids[number] = base.id_of(found)
        names[found.name] = words_of(base, ids[number])[0]
    shift = len(base.types) - len(distilled.types)
    string_shift = base.strings_end - distilled.strings_end
    strings = btf.own_strings
    for words in own:
        for place in name_places(words):
            offset = words[place]
            if offset >= distilled.strings_end:
                words[place] = offset + string_shift
            elif offset:
                text = btf.name_at(offset)
                if text not in names:  # of no type: no tool puts it into the base
                    names[text] = base.strings_end + len(strings)
                    strings += text.encode() + b"\0"
                words[place] = names[text]
        for place in reference_places(words):
            number = words[place]
            words[place] = ids[number] if number < len(distilled.types) else number + shift
    return Btf.from_bytes(encode_words(own, strings, btf.byte_order), base)


def _references(words: array[int], btf: Btf) -> list[int]:
    found = [words[place] for place in reference_places(words)]
    last = len(btf.types) - 1
    for number in found:
        if number > last:
            raise BtfError(f"a type refers to [{number}], and [{last}] is the last")
    return found


def _outline(words: array[int], name: int) -> array[int]:
    """A type of a base as a distilled one has it."""
    kind = kind_of(words)
    if kind in _COMPOSITES:
        return array("I", [name, kind << 24, words[2]])
    if kind in _ENUMS:
        return array("I", [name, Kind.ENUM << 24, words[2]])
    made = words[:]
    made[0] = name
    return made


def _held(btf: Btf, own: list[array[int]]) -> set[int]:
    """The types of the base that a struct or union of *btf* has a member of, not behind a pointer."""
    found: set[int] = set()
    seen: set[int] = set()
    pending = [number for words in own if kind_of(words) in _COMPOSITES for number in _references(words, btf)]
    while pending:
        number = pending.pop()
        if number in seen or not number:
            continue
        seen.add(number)
        words = words_of(btf, number)
        if kind_of(words) in _THROUGH:
            pending.append(words[2])
        elif kind_of(words) == Kind.ARRAY:
            pending.append(words[3])
        elif number < btf.first_id:
            found.add(number)
    for words in own:
        _references(words, btf)
    return found


def _one_like(wanted: Type, words: array[int], base: Btf, *, is_held: bool) -> Type:
    """The type of *base* that the distilled *wanted* stands for."""
    name, size = wanted.name, getattr(wanted, "size", 0)
    if not name or kind_of(words) not in {*_KINDS, Kind.FWD}:
        raise BtfError(f"a distilled base has named structs, unions, enums and numbers only, not {wanted!r}")
    found: list[Type]
    if isinstance(wanted, Forward):
        found = [each for each in base.all_by_name(name, Forward) if each.is_union == wanted.is_union]
        found += base.all_by_name(name, Union if wanted.is_union else Struct)
    else:
        found = list(base.all_by_name(name, _KINDS[Kind(kind_of(words))]))
        if is_held or len(found) > 1 or not isinstance(wanted, Struct | Union):
            found = [each for each in found if getattr(each, "size", 0) == size]
        if isinstance(wanted, Int):
            found = [each for each in found if isinstance(each, Int) and each.encoding == wanted.encoding]
    if len(found) == 1:
        return found[0]
    what = f"{wanted.kind.name.lower()} {name!r}" + (f" of {size} bytes" if size else "")
    if not found:
        raise BtfError(f"the base has no {what}, which the split BTF refers to")
    numbers = ", ".join(f"[{base.id_of(each)}]" for each in found[:8])
    raise BtfError(f"the base has {len(found)} types that {what} could be: {numbers}")
