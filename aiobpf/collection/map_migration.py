"""Elements from a map to another whose values have grown, while programs go on writing to the first."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, final

from attrs import define, field, frozen

from aiobpf.btf.evolution import BitMove
from aiobpf.errors import MapFullError, SpecError
from aiobpf.runtime.element import PER_CPU_TYPES
from aiobpf.uapi import MapFlags, MapType

if TYPE_CHECKING:
    from aiobpf.btf import Evolution
    from aiobpf.runtime import Map

_ARRAYS = frozenset({MapType.ARRAY, MapType.PERCPU_ARRAY})


@frozen
class Migrated:
    """What became of a map's elements.

    *elements* were converted before the programs were exchanged; of a data section, these are its variables. Of those
    that the old programs still wrote meanwhile, *late* were converted again afterwards; *conflicts* had been written
    by the new programs by then: theirs stand, and what the old ones added is lost. *unplaced* found no room.
    """

    elements: int
    late: int = 0
    conflicts: int = 0
    unplaced: int = 0


@final
@define
class MapMigration:
    """From *old* to *new*; both belong to somebody else. Everything here blocks."""

    old: Map
    new: Map
    values: Evolution
    _seen: dict[bytes, bytes] = field(factory=dict)

    def copy(self) -> None:
        """Convert every element. SpecError where they do not all fit."""
        for written, (key, raw) in enumerate(self._elements()):
            self._seen[key] = raw
            try:
                self.new.elements.update(key, self._converted(raw), 0)
            except MapFullError as error:
                raise SpecError(
                    f"map {self.new.name!r} takes {self.new.max_entries} elements: after {written} of map "
                    f"{self.old.name!r} it is full"
                ) from error

    def catch_up(self) -> Migrated:
        """Convert what the old programs wrote since `copy`, once they run no more."""
        if self.new.flags & MapFlags.MMAPABLE and self.new.spec is not None and self.new.spec.section is not None:
            return self._catch_up_variables()
        late = conflicts = unplaced = 0
        gone = dict(self._seen)
        for key, raw in self._elements():
            before = gone.pop(key, None)
            if raw == before:
                continue
            there = self.new.elements.lookup(key)
            untouched = None if before is None else self._converted(before)
            if there is not None and before is None and self.new.type in _ARRAYS:
                untouched = bytes(len(there))
            if there != untouched:
                conflicts += 1
                continue
            try:
                self.new.elements.update(key, self._converted(raw), 0)
                late += 1
            except MapFullError:
                unplaced += 1
        for key, raw in gone.items():  # deleted by the old programs meanwhile
            there = self.new.elements.lookup(key)
            if there is not None and there == self._converted(raw):
                self.new.elements.delete(key)
                late += 1
            elif there is not None:
                conflicts += 1
        return Migrated(len(self._seen), late, conflicts, unplaced)

    def _catch_up_variables(self) -> Migrated:
        """A data section variable by variable, in its memory, beside those that the new programs write."""
        late = conflicts = 0
        memory = self.new.shared_memory(writable=True)
        for key, raw in self._elements():
            before = self._seen[key]
            for move in self.values.moves:
                if isinstance(move, BitMove):  # no variable is one
                    continue
                was, now = move.convert(before), move.convert(raw)
                place = slice(move.new_offset, move.new_offset + move.new_size)
                if was == now:
                    continue
                if memory[place] == was:
                    memory[place] = now
                    late += 1
                else:
                    conflicts += 1
        return Migrated(len(self.values.moves), late, conflicts)

    def _elements(self) -> list[tuple[bytes, bytes]]:
        limit = self.new.max_entries
        found = list(self.old.elements.items())
        if self.new.type in _ARRAYS and len(found) > limit:
            found = [(key, raw) for key, raw in found if int.from_bytes(key, sys.byteorder) < limit]
        return found

    def _converted(self, raw: bytes) -> bytes:
        if self.old.type not in PER_CPU_TYPES:
            return self.values.convert(raw)
        old_stride = (self.old.value_size + 7) & ~7
        size = self.new.value_size
        padding = bytes((-size) % 8)
        slots = (raw[at : at + self.old.value_size] for at in range(0, len(raw), old_stride))
        return b"".join(self.values.convert(slot) + padding for slot in slots)
