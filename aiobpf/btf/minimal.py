"""The smallest BTF that CO-RE needs: what the relocations of some objects look at in a kernel's types, and no more.

For kernels without BTF of their own: the types of each of many kernels, cut down to what a program asks for, are small
enough to come with it (as `bpftool gen min_core_btf` has it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from aiobpf.btf.btf import Btf
from aiobpf.btf.core_relocate import CoreRelocator
from aiobpf.btf.core_relocation import CoreRelocationKind
from aiobpf.btf.core_target import target_of
from aiobpf.btf.types import (
    Array,
    Const,
    FunctionPrototype,
    Int,
    Pointer,
    Restrict,
    Struct,
    Type,
    Typedef,
    TypeTag,
    Union,
    Volatile,
    strip_qualifiers,
)
from aiobpf.btf.words import SHAPES, StringTable, encode_words, kind_of, name_places, reference_places, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiobpf.btf.core_access import Path
    from aiobpf.btf.core_relocation import CoreRelocation

_VLEN: Final = 0xFF_FFFF


def minimal_btf(objects: Iterable[Sequence[CoreRelocation]], kernel: Btf) -> Btf:
    """The part of *kernel* that the relocations of *objects* (of each, in the order of the object) are resolved by.

    Resolved against the result they give what they give against *kernel*, but for ids of types (TYPE_ID_TARGET), which
    are the kernel's own in neither. Structs have their size and the members that are asked for; pointers that nobody
    follows point to void. Raises CoreRelocationError as `relocate` does.
    """
    part = _Part(kernel)
    for relocations in objects:
        relocator = CoreRelocator([kernel], byte_order=kernel.byte_order, on_match=part.keep)
        for relocation in relocations:
            relocator.resolve(relocation)
    return part.btf()


@final
class _Part:
    """Types of *kernel* that are kept, and which members of each struct and union."""

    def __init__(self, kernel: Btf) -> None:
        self._kernel = kernel
        self._target = target_of(kernel)
        self._members: dict[Type, set[int]] = {}
        self._followed: set[tuple[Type, bool]] = set()
        self._matched: set[tuple[Type, bool]] = set()
        if self._target.pointer_size != 8:  # told by "long", where it has been
            for name in ("long int", "long unsigned int", "long", "unsigned long"):
                for each in kernel.all_by_name(name, Int):
                    self._keep_type(each, follows_pointers=False)

    def keep(self, path: Path, kind: CoreRelocationKind) -> None:
        """Keep what *path*, which a relocation of *kind* found, leads through."""
        if kind is CoreRelocationKind.TYPE_MATCHES:
            self._keep_whole(path.root)
        self._keep_type(path.root, follows_pointers=kind.is_type_based)
        if not kind.is_field_based:
            return
        current = strip_qualifiers(path.root)
        for number, step in enumerate(path.steps):
            if step.name is not None:
                current = self._keep_member(current, step.name)
            elif number:
                assert isinstance(current, Array)
                current = strip_qualifiers(current.element)

    def _keep_member(self, owner: Type, name: str) -> Type:
        """Keep the member *name* of *owner*, and the anonymous ones around it; what it is, without qualifiers."""
        while True:
            assert isinstance(owner, Struct | Union)
            for number, member in enumerate(owner.members):
                inner = strip_qualifiers(member.type)
                if member.name == name:
                    self._keep_numbered(owner, number)
                    return inner
                if not member.name and isinstance(inner, Struct | Union) and self._target.has_member(inner, name):
                    self._keep_numbered(owner, number)
                    owner = inner
                    break

    def _keep_numbered(self, owner: Struct | Union, number: int) -> None:
        self._keep_type(owner, follows_pointers=False)
        self._members[owner].add(number)
        member = owner.members[number]
        self._keep_type(member.type, follows_pointers=False)
        found, last = strip_qualifiers(member.type), len(owner.members) - 1
        if isinstance(found, Array) and not found.count and number != last:
            # An array of no elements that is last is taken for one without end: it must not become the last.
            self._members[owner].add(last)
            self._keep_type(owner.members[last].type, follows_pointers=False)

    def _keep_type(self, type: Type, *, follows_pointers: bool) -> None:  # noqa: A002
        stack = [type]
        while stack:
            found = stack.pop()
            if (found, follows_pointers) in self._followed:
                continue
            self._followed.add((found, follows_pointers))
            if self._kernel.id_of(found):
                self._members.setdefault(found, set())
            if isinstance(found, Typedef | Const | Volatile | Restrict | TypeTag):
                stack.append(found.type)
            elif isinstance(found, Pointer) and follows_pointers:
                stack.append(found.target)
            elif isinstance(found, Array):
                stack += [found.index, found.element]
            elif isinstance(found, FunctionPrototype):
                stack += [found.return_type, *(each.type for each in found.parameters)]

    def _keep_whole(self, type: Type) -> None:  # noqa: A002
        """Keep all that `types_match` looks at: every member of every struct, but names alone behind pointers."""
        stack = [(type, False)]
        while stack:
            found, is_behind = stack.pop()
            if (found, is_behind) in self._matched:
                continue
            self._matched.add((found, is_behind))
            self._keep_type(found, follows_pointers=True)
            if isinstance(found, Typedef | Const | Volatile | Restrict | TypeTag):
                stack.append((found.type, is_behind))
            elif isinstance(found, Pointer):
                stack.append((found.target, True))
            elif isinstance(found, Array):
                stack.append((found.element, is_behind))
            elif isinstance(found, FunctionPrototype):
                stack += [(each.type, is_behind) for each in found.parameters]
                stack.append((found.return_type, is_behind))
            elif isinstance(found, Struct | Union) and not is_behind:
                self._members[found].update(range(len(found.members)))
                stack += [(member.type, False) for member in found.members]

    def btf(self) -> Btf:
        """What is kept, in the kernel's order."""
        kept = sorted((self._kernel.id_of(each), members) for each, members in self._members.items())
        new = {number: i for i, (number, _) in enumerate(kept, 1)}
        strings = StringTable()
        types = []
        for number, members in kept:
            words = words_of(self._kernel, number)
            size = len(SHAPES[kind_of(words)].each)
            if isinstance(self._kernel.type_by_id(number), Struct | Union):
                records = [words[3 + size * i : 3 + size * (i + 1)] for i in sorted(members)]
                words[1] = words[1] & ~_VLEN | len(records)
                del words[3:]
                for record in records:
                    words += record
            for place in name_places(words):
                words[place] = strings.offset(self._kernel.name_at(words[place]))
            for place in reference_places(words):
                words[place] = new.get(words[place], 0)
            types.append(words)
        return Btf.from_bytes(encode_words(types, strings.encode(), self._kernel.byte_order))
