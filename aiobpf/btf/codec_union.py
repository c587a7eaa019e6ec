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

    A subclass of the user's (of generated bindings) belongs to no BTF: what is made of it by name keeps the alternative
    as it was given until it is written. Values that are read are of a class derived from it that does.
    """

    __slots__ = ("_given", "raw")

    raw: bytes
    _given: dict[str, object]
    _record: ClassVar[Record | None] = None
    _fields: ClassVar[dict[str, Field]] = {}
    _decoders: ClassVar[dict[str, DecodeOne]] = {}

    def __init__(self, raw: bytes | None = None, **alternative: object) -> None:
        record = self._record
        self._given = {}
        if record is None:
            if len(alternative) != (raw is None):
                raise CodecError(f"{type(self).__name__}: either bytes, or one alternative by name")
            self._given = alternative
            if raw is not None:
                self.raw = raw
            return
        if raw is None:
            raw = _encoded(record, alternative)
        elif alternative or len(raw) != record.size:
            raise CodecError(f"{record.name}: either {record.size} bytes, or one alternative by name")
        self.raw = raw

    @property
    def _content(self) -> bytes | dict[str, object]:
        """The bytes, or where they are not known yet the alternative that was given, by name."""
        return self._given or self.raw

    def __getattr__(self, name: str) -> Any:
        record = self._record
        if name in {"_given", "raw"}:  # one that is being copied has nothing yet
            raise AttributeError(name)
        if record is None:
            if name in self._given:
                return self._given[name]
            raise AttributeError(f"{self!r} was not read from anywhere: it has no {name!r}")
        decode = self._decoders.get(name)
        if decode is None:
            field = self._fields.get(name)
            if field is None:
                raise AttributeError(f"union {record.name!r} has no member {name!r}")
            decode = self._decoders[name] = Decoder(field.shape, record.byte_order).decode_one
        return decode(self.raw)

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *self._fields, *self._given]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UnionValue) or not (isinstance(other, type(self)) or isinstance(self, type(other))):
            return NotImplemented
        if not (self._given or other._given):
            return self.raw == other.raw
        if self._given and other._given:
            return self._given == other._given
        known, given = (other, self._given) if self._given else (self, other._given)
        return known._record is not None and _encoded(known._record, given) == known.raw

    def __hash__(self) -> int:
        if self._given:
            raise TypeError(f"{self!r} has no hash until it is written: its bytes are not known")
        return hash(self.raw)

    def __repr__(self) -> str:
        content = ", ".join(f"{name}={part!r}" for name, part in self._given.items()) or repr(self.raw)
        return f"{type(self).__name__}({content})"


def _encoded(record: Record, alternative: dict[str, object]) -> bytes:
    from aiobpf.btf.codec_encode import encode_shape

    return encode_shape(record, alternative, record.byte_order, record.name)
