"""A global variable, seen through the contents of its section's map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from attrs import define

from aiobpf.btf import codec
from aiobpf.errors import CodecError, SpecError

if TYPE_CHECKING:
    from typing import Literal

    from aiobpf.btf import Type
    from aiobpf.spec.map import MapSpec

_ONE = b"\0\0\0\0"


@define(kw_only=True)
class VariableSpec:
    """One global variable: *size* bytes at *offset* in *section*, of BTF type *type* (None: bytes).

    *map* is the section's, or the arena for a variable that is declared `__arena` (section ".addr_space.1").

    `value` reads and writes the initial contents, typed.
    """

    name: str
    section: str
    offset: int
    size: int
    type: Type | None
    map: MapSpec = attrs.field(repr=False, eq=False)
    byte_order: Literal["little", "big"] = "little"

    @property
    def value(self) -> Any:
        raw = self.raw
        return raw if self.type is None else codec(self.type, byte_order=self.byte_order).decode(raw)

    @value.setter
    def value(self, value: Any) -> None:
        if self.type is not None:
            try:
                value = codec(self.type, byte_order=self.byte_order).encode(value)
            except CodecError as error:
                raise CodecError(f"variable {self.name!r}: {error}") from error
        self.raw = value

    @property
    def raw(self) -> bytes:
        """The bytes of the variable."""
        contents = self.map.contents.get(_ONE)
        if not isinstance(contents, bytes):
            return bytes(self.size)  # .bss has none: all zero
        return contents[self.offset : self.offset + self.size]

    @raw.setter
    def raw(self, raw: bytes) -> None:
        if not isinstance(raw, (bytes, bytearray, memoryview)):
            raise CodecError(f"variable {self.name!r} has no BTF type and takes bytes, not {type(raw).__name__}")
        if len(raw) != self.size:
            raise SpecError(f"variable {self.name!r} has {self.size} bytes, not {len(raw)}")
        old = self.map.contents.get(_ONE)
        data = bytearray(old if isinstance(old, bytes) else self.map.data_size)
        data[self.offset : self.offset + self.size] = raw
        self.map.contents[_ONE] = bytes(data)

    def on_map(self, spec: MapSpec) -> VariableSpec:
        """The same variable in a copy of its map."""
        return attrs.evolve(self, map=spec)
