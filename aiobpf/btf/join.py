"""Several BTFs as one: the types of each behind those of the one before, and one table of strings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf.btf.btf import Btf
from aiobpf.btf.words import StringTable, encode_words, name_places, own_types, reference_places
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence


@frozen
class Joined:
    """*btf* has the types of every input in order; what was [i] in input n is [i + shifts[n]], and void stays void."""

    btf: Btf
    shifts: tuple[int, ...]


def join_btfs(btfs: Sequence[Btf]) -> Joined:
    """One BTF with all types of *btfs*, which have one byte order and no base. Nothing is merged: see `deduplicate`.

    Raises BtfError, also for a type of a kind that is not known here, as nobody can tell what it refers to.
    """
    if not btfs:
        raise BtfError("there is no BTF to join")
    orders = {btf.byte_order for btf in btfs}
    if len(orders) > 1:
        raise BtfError("BTFs of both byte orders cannot be joined")
    strings = StringTable()
    types: list[array[int]] = []
    shifts = []
    for number, btf in enumerate(btfs):
        if btf.base is not None:
            raise BtfError(f"BTF {number} of {len(btfs)} adds to a base: only whole ones can be joined")
        shift = len(types)
        shifts.append(shift)
        moved: dict[int, int] = {0: 0}
        last = len(btf.types) - 1
        for words in own_types(btf):
            for place in name_places(words):
                offset = words[place]
                if offset not in moved:
                    moved[offset] = strings.offset(btf.name_at(offset))
                words[place] = moved[offset]
            for place in reference_places(words):
                if words[place] > last:
                    raise BtfError(
                        f"BTF {number} of {len(btfs)} refers to type [{words[place]}], and [{last}] is the last"
                    )
                if words[place]:
                    words[place] += shift
            types.append(words)
    return Joined(Btf.from_bytes(encode_words(types, strings.encode(), btfs[0].byte_order)), tuple(shifts))
