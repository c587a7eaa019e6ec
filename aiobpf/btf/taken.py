"""Types of one BTF on their way into another, as the words that they are."""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, Final, final

from aiobpf._native import ffi, lib
from aiobpf.btf.features import BtfFeature
from aiobpf.btf.kinds import Kind
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from aiobpf._native._lib import IntArray, Null
    from aiobpf.btf.btf import Btf

_MAX_STRINGS: Final = 1 << 20
"""Of a source whose strings are copied whole. The kernel keeps them for as long as the programs live."""

_FEATURES: Final = tuple(BtfFeature)


def can_be_taken(btf: Btf) -> bool:
    """Whether types of *btf* may be copied as words: a whole BTF in this machine's order, with strings of some size."""
    return btf.base is None and btf.byte_order == sys.byteorder and btf.strings_end <= _MAX_STRINGS


@final
class TakenTypes:
    """The types of *source* that another BTF takes over, each with all that it needs, under new ids.

    Nothing of a type is looked at but its ids: names keep their offsets, so the new BTF's strings begin with those of
    *source*.
    """

    __slots__ = ("_copy", "_index", "_tag_count", "_tags", "source")

    def __init__(self, source: Btf) -> None:
        self.source = source
        self._index = source._index
        count = self._index.count
        self._copy = ffi.new("struct btf_copy *")
        self._copy.new_ids = ids = ffi.new("uint32_t[]", count + 1)
        self._copy.taken = taken = ffi.new("uint32_t[]", max(count, 1))
        tags = [index + source.first_id for index in self._index.of_kind(Kind.DECL_TAG)]
        self._tags: tuple[IntArray | Null, IntArray, IntArray] = (
            ffi.new("uint32_t[]", tags) if tags else ffi.NULL,
            ids,
            taken,
        )
        self._tag_count = len(tags)

    def __len__(self) -> int:
        return self._copy.count

    def new_id(self, id: int) -> int:  # noqa: A002 - the field's word
        """What a type of *source* is called now; 0 where it was not taken."""
        return self._copy.new_ids[id]

    def source_id(self, place: int) -> int:
        """The id in *source* of the type that was taken as number *place*, counted from 0."""
        return self._copy.taken[place]

    def take(self, id: int, next_id: int) -> int:  # noqa: A002
        """Take a type, all that it leads to and the declaration tags on any of it, as ids from *next_id* on.

        The number of types taken. Raises BtfError, and takes nothing, for a reference that leads nowhere and for a type
        of a kind that is not known here.
        """
        count = lib.btf_take(self._index.view, self._copy, id, next_id, self._tags[0], self._tag_count)
        if count < 0:
            what = "needs a type of a kind that is not known" if count == -errno.ENOTSUP else "leads to no type"
            raise BtfError(f"type [{id}] {what}")
        return count

    def give_back(self, count: int) -> None:
        """Take only the first *count*."""
        lib.btf_untake(self._copy, count)

    @property
    def features(self) -> frozenset[BtfFeature]:
        """What a kernel must know for the types taken."""
        uses = self._copy.uses
        return frozenset(feature for bit, feature in enumerate(_FEATURES) if uses >> bit & 1)

    def encode(self, first: int, end: int) -> bytes:
        """The types taken as number *first* to *end*, under their new ids."""
        size = lib.btf_put(self._index.view, self._copy, first, end, ffi.NULL)
        out = ffi.new("uint8_t[]", size)
        lib.btf_put(self._index.view, self._copy, first, end, out)
        return bytes(ffi.buffer(out, size))

    @property
    def strings(self) -> bytes:
        """The strings of *source*, which the names of its types are offsets into."""
        return self.source.raw_strings
