"""Packed records of 32-bit words, and the source lines among them, which are most of an object's notes."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from itertools import islice
from operator import lt
from typing import TYPE_CHECKING, final, overload

from aiobpf.btf.notes import Line
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobpf.btf.btf import Btf

_NATIVE = "<" if sys.byteorder == "little" else ">"


def ascending(numbers: Sequence[int]) -> bool:
    """Whether each is greater than the one before."""
    return all(map(lt, numbers, islice(numbers, 1, None)))


@final
class Records:
    """Records of *width* words each, as they are on the wire but for the byte order."""

    __slots__ = ("_words", "width")

    def __init__(self, data: bytes, order: str, width: int) -> None:
        """The caller has checked that *data* is a whole number of records."""
        self.width = width
        self._words = array("I", data)
        if order != _NATIVE:
            self._words.byteswap()

    @classmethod
    def joined(cls, blocks: Sequence[Records]) -> Records:
        """All records of several blocks of one width."""
        if len(blocks) == 1:
            return blocks[0]
        records = cls(b"", _NATIVE, blocks[0].width if blocks else 4)
        for each in blocks:
            records._words += each._words
        return records

    def chosen(self, numbers: Sequence[int]) -> Records:
        """These records, in this order."""
        records = Records(b"", _NATIVE, self.width)
        for i in numbers:
            records._words += self._words[i * self.width : (i + 1) * self.width]
        return records

    def column(self, number: int) -> array[int]:
        """Word *number* of each record."""
        return self._words[number :: self.width]

    def record(self, index: int) -> array[int]:
        """All words of one record."""
        return self._words[index * self.width : (index + 1) * self.width]

    def __len__(self) -> int:
        return len(self._words) // self.width


@final
class Lines(Sequence[Line]):
    """Source lines, made when looked at: 16 bytes each until then.

    Texts are kept: the lines of inlined code and of loops come again and again.
    """

    __slots__ = ("_records", "_texts", "_types")

    def __init__(self, records: Records, types: Btf) -> None:
        """Words of a record: place, file name, text, line and column. BtfError where a string is not there."""
        for column in (1, 2):
            last = max(records.column(column), default=0)
            if last >= types.strings_end:
                raise BtfError(f"a source line has a string at {last}, past the end of the strings")
        self._records = records
        self._types = types
        self._texts: dict[int, str] = {}

    @property
    def types(self) -> Btf:
        """The BTF that has its strings."""
        return self._types

    def encode(self, slots: Sequence[int], lo: int, hi: int, string: Callable[[str], int] | None) -> array[int]:
        """Entries *lo* to *hi* as the words of BPF_PROG_LOAD's line_info, at *slots*; *string* has offsets of its own,
        None keeps those that there are.

        No `Line` is made: what a compiler wrote goes to the kernel as it is, but for its place and its strings.
        """
        words = array("I", bytes(16 * (hi - lo)))
        words[0::4] = array("I", slots)
        offsets: dict[int, int] = {}
        for column in (1, 2):
            wanted = self._records.column(column)[lo:hi]
            if string is None:
                words[column::4] = wanted
                continue
            for offset in set(wanted) - offsets.keys():
                offsets[offset] = string(self._text(offset))
            words[column::4] = array("I", [offsets[offset] for offset in wanted])
        words[3::4] = self._records.column(3)[lo:hi]
        return words

    def _text(self, offset: int) -> str:
        text = self._texts.get(offset)
        if text is None:
            text = self._texts[offset] = self._types.text_at(offset)
        return text

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Line: ...
    @overload
    def __getitem__(self, index: slice) -> list[Line]: ...
    def __getitem__(self, index: int | slice) -> Line | list[Line]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"line {index} of {len(self)}")
        _, file_name, text, place, *_ = self._records.record(at)
        return Line(self._text(file_name), self._text(text), place >> 10, place & 0x3FF)
