"""The kernel's C structs as data: fields in, bytes out, and back."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, final

from aiobpf._native import ffi

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from aiobpf._native._lib import CData

_ALIGNMENT = {"B": 1, "H": 2, "I": 4, "i": 4, "Q": 8, "P": 8, "s": 1}


@final
class Layout:
    """A struct described in one line: ``Layout("fd:I key:P flags:Q name:16s")``.

    The codes are `struct`'s (B, H, I, i, Q, 16s), with C's alignment; P is a 64-bit pointer, as bpf(2) has it on every
    machine. Of a union the line describes one alternative.
    """

    __slots__ = ("_empty", "_fields", "_packer", "size")

    def __init__(self, fields: str) -> None:
        offset = 0
        codes: list[str] = []
        self._fields: dict[str, tuple[int, int, str]] = {}  # name: index, offset, code
        for index, field in enumerate(fields.split()):
            name, _, code = field.partition(":")
            padding = -offset % _ALIGNMENT[code[-1]]
            if padding:
                codes.append(f"{padding}x")
            offset += padding
            self._fields[name] = (index, offset, code)
            codes.append("Q" if code == "P" else code)
            offset += struct.calcsize("=" + codes[-1])
        codes.append(f"{-offset % 8}x")
        self._packer = struct.Struct("=" + "".join(codes))
        self._empty: list[int | bytes] = [b"" if code[-1] == "s" else 0 for _, _, code in self._fields.values()]
        self.size = self._packer.size

    def make(self, **values: int | Buffer | None) -> Record:
        """A record with these fields set and all others 0.

        A pointer takes a buffer (kept alive by the record; None or an empty one is a null pointer) or an address; an
        unsigned number also a small negative one, as the kernel declares descriptors so. ValueError for one too large.
        """
        row = self._empty[:]
        keep: list[CData] = []
        for name, value in values.items():
            index, _, code = self._fields[name]
            if value is None or value == 0:
                continue
            if isinstance(value, int):
                row[index] = _fitting(name, value, code)
            elif code == "P":
                view = memoryview(value)
                if view.nbytes:
                    cdata = ffi.from_buffer(value)
                    keep.append(cdata)
                    row[index] = int(ffi.cast("uintptr_t", cdata))
            else:
                row[index] = bytes(value)
        return Record(self, bytearray(self._packer.pack(*row)), keep)

    def read(self, data: Buffer) -> Record:
        """The record in *data*, which may be shorter: fields beyond it are 0."""
        given = bytes(data)[: self.size]
        return Record(self, bytearray(given.ljust(self.size, b"\0")), [])

    def field(self, name: str) -> tuple[int, str]:
        """Offset in bytes, and the `struct` code."""
        _, offset, code = self._fields[name]
        return offset, "Q" if code == "P" else code


@final
class Record:
    """One struct in memory, which the kernel may write to; it keeps alive what its pointers point at."""

    __slots__ = ("_keep", "address", "buffer", "layout")

    def __init__(self, layout: Layout, buffer: bytearray, keep: list[CData]) -> None:
        self.layout = layout
        self.buffer = buffer
        self.address = ffi.from_buffer(buffer)
        self._keep = keep

    @property
    def size(self) -> int:
        return self.layout.size

    def __getitem__(self, name: str) -> int:
        """A number."""
        offset, code = self.layout.field(name)
        value: int = struct.unpack_from("=" + code, self.buffer, offset)[0]
        return value

    def raw(self, name: str) -> bytes:
        """The bytes of an array of chars."""
        offset, code = self.layout.field(name)
        value: bytes = struct.unpack_from("=" + code, self.buffer, offset)[0]
        return value

    def text(self, name: str) -> str:
        """An array of chars up to its NUL."""
        return self.raw(name).split(b"\0", 1)[0].decode(errors="replace")


_RANGES = {"B": 1 << 8, "H": 1 << 16, "I": 1 << 32, "Q": 1 << 64, "P": 1 << 64}


def _fitting(name: str, value: int, code: str) -> int:
    if code == "i":
        if -(1 << 31) <= value < 1 << 31:
            return int(value)
    elif -(_RANGES[code] >> 1) <= value < _RANGES[code]:
        return value % _RANGES[code]
    raise ValueError(f"{name} = {value} does not fit its {struct.calcsize('=' + code.replace('P', 'Q')) * 8} bits")
