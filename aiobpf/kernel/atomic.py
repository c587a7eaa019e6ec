"""Integers in memory that programs share, changed by the processor's atomic instructions."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, final

from aiobpf._native import ffi, lib
from aiobpf.errors import CodecError, kernel_error

if TYPE_CHECKING:
    from aiobpf._native._lib import View

_apply = lib.atomic_apply


class _Operation(IntEnum):
    LOAD, STORE, ADD, AND, OR, XOR, EXCHANGE, COMPARE_EXCHANGE = range(8)


@final
class AtomicInteger:
    """One aligned integer of 1, 2, 4 or 8 bytes that programs and this process change at once.

    No update is lost, whichever side makes it; each operation is sequentially consistent, as a program's own atomic
    instructions are (a fetch_add, a cmpxchg). It wraps around as C's does. The memory stays mapped as long as this is
    held, also after the map is closed.
    """

    __slots__ = ("_address", "_memory", "is_signed", "size", "what")

    def __init__(self, memory: View, offset: int, size: int, *, is_signed: bool, what: str) -> None:
        """The integer of *size* bytes at *offset* of *memory*; CodecError where that is not aligned."""
        if size not in {1, 2, 4, 8} or offset % size:
            raise CodecError(f"{what}: {size} bytes at {offset} are no aligned integer: nothing changes them at once")
        if not 0 <= offset <= len(memory) - size:
            raise CodecError(f"{what}: {size} bytes at {offset} are not inside its {len(memory)} bytes")
        self._memory = memory  # keeps it mapped
        self._address = ffi.addressof(ffi.from_buffer("uint8_t[]", memory), offset)
        self.size = size
        """Bytes."""
        self.is_signed = is_signed
        self.what = what

    def _do(self, operation: _Operation, operand: int = 0, expected: int = 0) -> int:
        mask = (1 << 8 * self.size) - 1
        old = ffi.new("uint64_t *")  # one for each call: threads may share this object
        error = _apply(self._address, self.size, operation, operand & mask, expected & mask, old)
        if error:
            raise kernel_error(-error, operation.name.lower(), self.what)
        found = old[0]
        return found - mask - 1 if self.is_signed and found > mask >> 1 else found

    def _fitting(self, value: int) -> int:
        bits = 8 * self.size
        low, high = (-(1 << bits - 1), 1 << bits - 1) if self.is_signed else (0, 1 << bits)
        if not low <= value < high:
            raise CodecError(f"{self.what}: {value} does not fit {'a signed' if self.is_signed else 'an unsigned'}"
                             f" integer of {bits} bits")  # fmt: skip
        return value

    def load(self) -> int:
        """What it is now."""
        return self._do(_Operation.LOAD)

    def store(self, value: int) -> None:
        """Make it *value*; CodecError where that does not fit."""
        self._do(_Operation.STORE, self._fitting(value))

    def add(self, value: int) -> int:
        """Add *value*, which may be negative; what it was before."""
        return self._do(_Operation.ADD, value)

    def bit_and(self, value: int) -> int:
        """Keep the bits of *value*; what it was before."""
        return self._do(_Operation.AND, value)

    def bit_or(self, value: int) -> int:
        """Set the bits of *value*; what it was before."""
        return self._do(_Operation.OR, value)

    def bit_xor(self, value: int) -> int:
        """Flip the bits of *value*; what it was before."""
        return self._do(_Operation.XOR, value)

    def exchange(self, value: int) -> int:
        """Make it *value*; what it was before."""
        return self._do(_Operation.EXCHANGE, self._fitting(value))

    def compare_exchange(self, expected: int, value: int) -> int:
        """Make it *value* where it is *expected*; what it was before, so *expected* where that was done."""
        return self._do(_Operation.COMPARE_EXCHANGE, self._fitting(value), self._fitting(expected))

    def __repr__(self) -> str:
        return f"<AtomicInteger {self.what}: {self.load()}>"
