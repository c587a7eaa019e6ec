"""Records that the kernel wrote backward, over the oldest ones."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLE: Final = 9  # PERF_RECORD_SAMPLE
_HEADER = struct.Struct("=IHH")
_RAW = struct.Struct("=I")
_WRAP = 1 << 64


@frozen
class Backward:
    """*data* is a buffer (its size a power of two) whose newest record begins at *head*, and older ones behind it;
    *before* is where the newest began when it was read the last time. Positions count down from 0, as 64 bits."""

    data: bytes
    head: int
    before: int

    @property
    def written(self) -> int:
        """Bytes written since the last time."""
        return (self.before - self.head) % _WRAP

    def newest_first(self) -> Iterator[bytes]:
        """The raw samples that are whole, each with the padding that the kernel gave it.

        Invariant: any bytes give samples that lie in the buffer, or none; each step goes on by 8 bytes at least.
        """
        size = len(self.data)
        twice = self.data + self.data  # a record may go over the end
        at, left = self.head % size, min(self.written, size)
        while left >= _HEADER.size:
            kind, _, length = _HEADER.unpack_from(twice, at)
            if length < _HEADER.size or length % 8 or length > left:
                return  # the oldest was overwritten in part, or nothing was ever here
            if kind == SAMPLE and length >= _HEADER.size + _RAW.size:
                (raw,) = _RAW.unpack_from(twice, at + _HEADER.size)
                start = at + _HEADER.size + _RAW.size
                if start + raw > at + length:
                    return
                yield twice[start : start + raw]
            left -= length
            at = (at + length) % size
