"""A union as a Python value: the bytes, and a reading of them for each alternative."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from aiobpf.btf.codec_compile import DecodeOne, Decoder
from aiobpf.errors import CodecError

if TYPE_CHECKING:
    from aiobpf.btf.codec_shape import Field, Record


class UnionValue:
    """The base of classes made for unions: ``value.raw`` is the bytes, ``value.v4`` them read as member v4.

    Make one from bytes, or from one alternative by name: ``addr(b"...")``, ``addr(v4=0x7F000001)``. Nothing says which
    alternative is meant, so each is decoded when it is asked for.
    """

    __slots__ = ("raw",)

    raw: bytes
    _record: ClassVar[Record]
    _fields: ClassVar[dict[str, Field]]
    _decoders: ClassVar[dict[str, DecodeOne]]

    def __init__(self, raw: bytes | None = None, **alternative: object) -> None:
        if raw is None:
            from aiobpf.btf.codec_encode import encode_shape

            raw = encode_shape(self._record, alternative, self._record.byte_order, self._record.name)
        elif alternative or len(raw) != self._record.size:
            raise CodecError(f"{self._record.name}: either {self._record.size} bytes, or one alternative by name")
        self.raw = raw

    def __getattr__(self, name: str) -> Any:
        decode = self._decoders.get(name)
        if decode is None:
            field = self._fields.get(name)
            if field is None:
                raise AttributeError(f"union {self._record.name!r} has no member {name!r}")
            decode = self._decoders[name] = Decoder(field.shape, self._record.byte_order).decode_one
        return decode(self.raw)

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *self._fields]

    def __eq__(self, other: object) -> bool:
        return self.raw == other.raw if isinstance(other, type(self)) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.raw!r})"
