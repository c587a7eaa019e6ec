"""The types of a BTF with each of them once.

Two types are the same if all that can be said of them without following a reference is the same, and all that they
refer to is the same in turn. Types refer to each other in circles, so this asks for the coarsest division of the types
into classes that the references respect: first by what each says alone, then every class is divided as long as two of
its members refer to different classes. As in Hopcroft's minimisation the largest part keeps the class's number, so each
type gets a new one at most log n times, whatever the file is like.

A forward declaration stands for the one type of its name and kind. With several that differ it stays what it is.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, final

from attrs import frozen

from aiobpf.btf.btf import Btf
from aiobpf.btf.kinds import Kind
from aiobpf.btf.words import StringTable, encode_words, kind_of, name_places, own_types, reference_places
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence

_UNIQUE: Final = frozenset({Kind.VAR, Kind.DATASEC})
"""Two variables are two, however alike (libbpf merges neither)."""
_VLEN: Final = 0xFF_FFFF
_MAX_ROUNDS: Final = 16
_Declared: TypeAlias = tuple[object, ...]
"""What can be declared before it is defined: a kind, a name, and the size of an enum."""


@frozen
class Deduplicated:
    """*btf* has each type once; what was [i] before is [ids[i]] in it. Ids of a base are as they were."""

    btf: Btf
    ids: tuple[int, ...]


def deduplicate(btf: Btf) -> Deduplicated:
    """*btf* with equal types merged, strings too, in the order of the first of each.

    A split BTF's types that its base has already are left to the base, which itself stays as it is. The result is what
    libbpf's btf__dedup makes of it, but for a type that libbpf misses now and then (its search gives up on a part of
    a graph; this one does not). Raises BtfError for references that lead nowhere and for unknown kinds.

    Time: about 25 us a type, with a small factor for how deep a difference between two types lies.
    """
    owners = _bases_first(btf)
    types: list[array[int]] = [words for owner in owners for words in own_types(owner)]
    references = [list(reference_places(words)) for words in types]
    _check(types, references)
    names = _Names(btf)
    said = _said(types, references, names)
    ambiguous: set[_Declared] = set()
    rounds = 0
    while True:
        classes = _divide(types, references, said, ambiguous)
        torn = _torn(said, classes) - ambiguous
        if not torn:
            break
        # A kernel takes two rounds. A file made for it may take one for each of its types: then none is merged with
        # its declaration any more, which is correct too.
        rounds += 1
        ambiguous |= torn if rounds < _MAX_ROUNDS else _declared(said)
    return _rewrite(btf, types, references, classes, said, names)


class _Said(NamedTuple):
    """What a type says by itself: its *outline*, what it may be *declared* as, and whether it is but a declaration."""

    outline: tuple[object, ...]
    declared: _Declared | None
    is_forward: bool


def _said(types: list[array[int]], references: list[list[int]], names: _Names) -> list[_Said]:
    found = []
    for number, (words, places) in enumerate(zip(types, references, strict=True)):
        outline = (number,) if kind_of(words) in _UNIQUE else _outline(words, places, names)
        found.append(_Said(outline, _forward_of(words, names), _is_forward(words)))
    return found


@final
class _Names:
    """Names by their offsets, each text as one small number."""

    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        self._texts: dict[int, str] = {0: ""}

    def text(self, offset: int) -> str:
        found = self._texts.get(offset)
        if found is None:
            found = self._texts[offset] = self._btf.name_at(offset)
        return found


def _bases_first(btf: Btf) -> list[Btf]:
    owners = [btf]
    while owners[-1].base is not None:
        owners.append(owners[-1].base)
    return owners[::-1]


def _check(types: list[array[int]], references: list[list[int]]) -> None:
    last = len(types)
    for number, (words, places) in enumerate(zip(types, references, strict=True)):
        for place in places:
            if words[place] > last:
                raise BtfError(f"type [{number + 1}] refers to [{words[place]}], and [{last}] is the last")


def _outline(words: array[int], places: list[int], names: _Names) -> tuple[object, ...]:
    """All that a type says without following a reference: as a name, texts; as a number, the words."""
    plain = words[1:]
    for place in places:
        plain[place - 1] = 0
    texts = []
    for place in name_places(words):
        texts.append(names.text(words[place]))
        if place:
            plain[place - 1] = 0
    return (*texts, plain.tobytes())


def _forward_of(words: array[int], names: _Names) -> _Declared | None:
    """What a type may be declared as: its kind and name. None for those that cannot be declared ahead."""
    kind, name = kind_of(words), names.text(words[0])
    if not name:
        return None
    if kind == Kind.FWD:
        return (Kind.UNION if words[1] >> 31 else Kind.STRUCT, name)
    if kind in {Kind.STRUCT, Kind.UNION}:
        return (kind, name)
    if kind in {Kind.ENUM, Kind.ENUM64}:
        return (Kind.ENUM, name, words[2])  # `enum name;` has a size already
    return None


def _is_forward(words: array[int]) -> bool:
    kind = kind_of(words)
    return kind == Kind.FWD or (kind in {Kind.ENUM, Kind.ENUM64} and not words[1] & _VLEN)


def _divide(
    types: list[array[int]], references: list[list[int]], said: list[_Said], ambiguous: set[_Declared]
) -> list[int]:
    """The class of each type from id 0 (void) on."""
    definitions: dict[_Declared, tuple[object, ...]] = {}
    for outline, declared, is_forward in said:
        if declared is not None and not is_forward and definitions.setdefault(declared, outline) != outline:
            ambiguous.add(declared)
    stand_ins: dict[int, int] = {}  # a declaration's class is its definition's, and what it refers to is nothing
    numbers: dict[tuple[object, ...], int] = {}
    classes = [0]
    numbers[("void",)] = 0
    for number, (outline, declared, is_forward) in enumerate(said, 1):
        if is_forward and declared is not None and declared not in ambiguous and declared in definitions:
            outline = definitions[declared]
            stand_ins[number] = 0
        classes.append(numbers.setdefault(outline, len(numbers)))
    _refine(types, references, classes, stand_ins, len(numbers))
    return classes


def _refine(
    types: list[array[int]],
    references: list[list[int]],
    classes: list[int],
    stand_ins: dict[int, int],
    count: int,
) -> None:
    """Divide *classes* until all members of each refer to the same classes.

    Declarations (*stand_ins*) take no part: they go with whatever is left of the class that they began in, and `_torn`
    looks whether that was one.
    """
    users: list[list[int]] = [[] for _ in classes]
    members: dict[int, set[int]] = defaultdict(set)
    for number, (words, places) in enumerate(zip(types, references, strict=True), 1):
        if number in stand_ins:
            continue
        members[classes[number]].add(number)
        for place in places:
            users[words[place]].append(number)

    def refers(number: int) -> tuple[int, ...]:
        words = types[number - 1]
        return tuple([classes[words[place]] for place in references[number - 1]])

    changed = {number for number in range(1, len(classes)) if number not in stand_ins}
    while changed:
        by_class: dict[int, list[int]] = defaultdict(list)
        for number in changed:
            by_class[classes[number]].append(number)
        moved: list[int] = []
        for old, dirty in by_class.items():
            of_class = members[old]
            if len(of_class) == 1:
                continue
            parts: dict[tuple[int, ...], list[int]] = defaultdict(list)
            for number in dirty:
                parts[refers(number)].append(number)
            untouched = len(of_class) - len(dirty)
            if untouched:
                # They all refer to what the class referred to when it was last looked at; a dirty one may still too.
                sample = next(number for number in of_class if number not in changed)
                untouched += len(parts.pop(refers(sample), ()))
                if not parts:
                    continue
            elif len(parts) == 1:
                continue
            largest = max(parts.values(), key=len)
            rest = list(parts.values())
            if untouched < len(largest):
                rest.remove(largest)
                if untouched:
                    out = {number for part in parts.values() for number in part}
                    rest.append([number for number in of_class if number not in out])
            for part in rest:
                of_class.difference_update(part)
                members[count] = set(part)
                moved += part
                for number in part:
                    classes[number] = count
                count += 1
        changed = {user for number in moved for user in users[number]}


def _torn(said: list[_Said], classes: list[int]) -> set[_Declared]:
    """The declarations whose definitions turned out to be several types."""
    first: dict[_Declared, int] = {}
    torn: set[_Declared] = set()
    for number, (_, declared, is_forward) in enumerate(said, 1):
        if declared is not None and not is_forward and first.setdefault(declared, classes[number]) != classes[number]:
            torn.add(declared)
    return torn & _declared(said)


def _declared(said: list[_Said]) -> set[_Declared]:
    return {declared for _, declared, is_forward in said if is_forward and declared is not None}


def _rewrite(
    btf: Btf,
    types: list[array[int]],
    references: list[list[int]],
    classes: Sequence[int],
    said: list[_Said],
    names: _Names,
) -> Deduplicated:
    """The first type of each class, with a definition before any declaration."""
    first_own = btf.first_id
    chosen: dict[int, int] = {}
    for wants_forward in (False, True):
        for number, each in enumerate(said, 1):
            if each.is_forward == wants_forward:
                chosen.setdefault(classes[number], number)
    kept = sorted(number for number in chosen.values() if number >= first_own)
    new = {number: first_own + i for i, number in enumerate(kept)}
    ids = [0]
    for number in range(1, len(types) + 1):
        found = number if number < first_own else chosen[classes[number]]
        ids.append(new.get(found, found))
    strings = StringTable(0 if btf.base is None else btf.base.strings_end)
    below = 0 if btf.base is None else btf.base.strings_end
    known = {} if btf.base is None else _texts_of_base(types[: first_own - 1], names)
    out = []
    for number in kept:
        words = types[number - 1][:]
        for place in name_places(words):
            if words[place] >= below or not below:
                text = names.text(words[place])
                words[place] = known[text] if text in known else strings.offset(text)
        for place in references[number - 1]:
            words[place] = ids[words[place]]
        out.append(words)
    data = encode_words(out, strings.encode(), btf.byte_order)
    return Deduplicated(Btf.from_bytes(data, btf.base), tuple(ids))


def _texts_of_base(types: list[array[int]], names: _Names) -> dict[str, int]:
    """Names that a base has already, by text."""
    found: dict[str, int] = {}
    for words in types:
        for place in name_places(words):
            found.setdefault(names.text(words[place]), words[place])
    return found
