"""Where drained records go: memory that is used again once nobody looks at it any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from aiobpf._native import ffi

if TYPE_CHECKING:
    from aiobpf._native._lib import CData, IntArray

SMALL: Final = 32 << 10
"""Up to this many bytes memory is simply allocated (0.3 us); a stream of sparse events holds none while it waits."""

KEPT: Final = 2
"""Large pieces kept for the next batches: one being filled while another is read."""

_allocate = ffi.new_allocator(should_clear_after_alloc=False)


@final
class BatchMemory:
    """Hands out memory for batches, in large pieces of *size* bytes.

    A large piece comes back when the last object that refers to it is gone, be it a batch, a memoryview or a numpy
    array; allocating one for each batch would cost a page fault for every 4 KiB of events.
    """

    __slots__ = ("_free", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._free: list[CData] = []

    def take(self, size: int) -> CData:
        """At least *size* bytes, not cleared."""
        if size <= SMALL or size > self.size:
            return _allocate("uint8_t[]", size)
        try:
            piece = self._free.pop()
        except IndexError:
            piece = _allocate("uint8_t[]", self.size)
        return ffi.gc(piece, self._give_back)

    def _give_back(self, piece: CData) -> None:
        # In whichever thread the last reference went; list methods are atomic, and one piece too many does no harm.
        if len(self._free) < KEPT:
            self._free.append(piece)


def index_arrays(count: int) -> tuple[IntArray, IntArray]:
    """Room for the offsets and lengths of *count* records, not cleared."""
    return ffi.new("uint32_t[]", count), ffi.new("uint32_t[]", count)
