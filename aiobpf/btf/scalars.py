"""Types that refer to no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from aiobpf.btf.kinds import IntEncoding, Kind
from aiobpf.btf.type_base import Named, Sized, Type, set_slot
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiobpf.btf.parts import Enumerator
    from aiobpf.btf.type_base import Owner


@final
class Void(Type):
    """No type: what `void *` points to and a function without result returns. Its id is 0 everywhere."""

    __slots__ = ()

    kind = Kind.VOID
    name = "void"
    _instance: ClassVar[Void | None] = None

    def __new__(cls) -> Void:
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def _adopt(self, owner: Owner, id: int) -> None:  # noqa: A002
        raise BtfError("void belongs to no BTF")


@final
class Int(Sized):
    """An integer of *size* bytes, *bits* of which count (all of them but in bit-fields of old compilers)."""

    __slots__ = ("bit_offset", "bits", "encoding")

    kind = Kind.INT
    bits: int
    encoding: IntEncoding
    bit_offset: int

    def __init__(
        self,
        name: str,
        size: int,
        bits: int | None = None,
        encoding: IntEncoding = IntEncoding.UNSIGNED,
        bit_offset: int = 0,
    ) -> None:
        super().__init__(name, size)
        set_slot(self, "bits", size * 8 if bits is None else bits)
        set_slot(self, "encoding", encoding)
        set_slot(self, "bit_offset", bit_offset)

    @property
    def is_signed(self) -> bool:
        return bool(self.encoding & IntEncoding.SIGNED)

    @property
    def is_char(self) -> bool:
        return bool(self.encoding & IntEncoding.CHAR)

    @property
    def is_bool(self) -> bool:
        return bool(self.encoding & IntEncoding.BOOL)


@final
class Float(Sized):
    """A floating-point number of *size* bytes (2, 4, 8, 12 or 16). Since 5.13."""

    __slots__ = ()

    kind = Kind.FLOAT


@final
class Enum(Sized):
    """An enum of *size* bytes, of both wire kinds: ENUM up to 4 bytes, ENUM64 (since 6.0) for 8.

    Compilers before clang 15 and pahole 1.24 left *is_signed* out, so that a negative value reads as a large one.
    """

    __slots__ = ("enumerators", "is_signed")

    kind = Kind.ENUM
    is_signed: bool
    enumerators: tuple[Enumerator, ...]

    def __init__(
        self, name: str, size: int = 4, is_signed: bool = False, enumerators: Iterable[Enumerator] = ()
    ) -> None:
        super().__init__(name, size)
        set_slot(self, "is_signed", is_signed)
        set_slot(self, "enumerators", tuple(enumerators))


@final
class Forward(Named):
    """A struct or union that is declared here and defined elsewhere."""

    __slots__ = ("is_union",)

    kind = Kind.FWD
    is_union: bool

    def __init__(self, name: str, is_union: bool = False) -> None:
        super().__init__(name)
        set_slot(self, "is_union", is_union)


@final
class Unknown(Named):
    """A type of a kind that came after this version, skipped by the BTF's own layout section (since 7.1)."""

    __slots__ = ("kind_number",)

    kind = Kind.UNKNOWN
    kind_number: int

    def __init__(self, name: str, kind_number: int) -> None:
        super().__init__(name)
        set_slot(self, "kind_number", kind_number)
