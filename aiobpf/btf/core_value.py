"""What a path comes to: the number that a relocation of some kind puts in an instruction.

The same rules give the number that the compiler put there (from the local path) and the one that belongs there now
(from the target's), so that a wrong local number is noticed. Rules as in libbpf 1.6, lib/bpf/relo_core.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from aiobpf.btf.core_access import Path, byte_size
from aiobpf.btf.core_relocation import CoreRelocationKind
from aiobpf.btf.kinds import IntEncoding
from aiobpf.btf.types import Array, Enum, Int, Pointer, Type, strip_qualifiers
from aiobpf.errors import CoreRelocationError

if TYPE_CHECKING:
    from typing import Literal

_K = CoreRelocationKind


class Value(NamedTuple):
    """The *number* of a path. *type* and *size* (bytes) are of the field that a load or store at it accesses.

    *is_certain*: the compiler must have come to the same number; it may not for a bit-field, which can be loaded by
    more than one width.
    """

    number: int
    is_certain: bool = True
    size: int = 0
    type: Type | None = None


def field_value(path: Path | None, kind: CoreRelocationKind, pointer_size: int, byte_order: ByteOrder) -> Value | None:
    """The value of a field's path; None when the field is not there and its absence is no answer."""
    if kind is _K.FIELD_EXISTS:
        return Value(int(path is not None))
    if path is None:
        return None
    last = path.steps[-1]
    if last.name is None:
        return _element_value(path, kind, pointer_size)
    member = last.member()
    field = strip_qualifiers(member.type)
    if kind is _K.FIELD_SIGNED:  # never ambiguous, not even for a bit-field
        return Value(int(field.is_signed if isinstance(field, (Int, Enum)) else False))
    bit_size = member.bitfield_size
    is_bitfield = bit_size > 0
    size = byte_size(field, pointer_size)
    if is_bitfield:
        offset, size = _bitfield_load(path.bit_offset, bit_size, size, member.name)
    else:
        offset, bit_size = path.bit_offset // 8, size * 8
    if kind is _K.FIELD_BYTE_OFFSET:
        if is_bitfield:
            return Value(offset, is_certain=False)
        element = _innermost(field)
        return Value(offset, size=byte_size(element, pointer_size), type=element)
    if kind is _K.FIELD_BYTE_SIZE:
        return Value(size, not is_bitfield)
    if kind is _K.FIELD_RSHIFT_U64:  # never ambiguous either: it depends on the width of the field alone
        return Value(64 - bit_size)
    if kind is _K.FIELD_LSHIFT_U64:
        first_bit = path.bit_offset - offset * 8
        if byte_order == "little":
            return Value(64 - (first_bit + bit_size), not is_bitfield)
        return Value((8 - size) * 8 + first_bit, not is_bitfield)
    raise CoreRelocationError(f"{kind.label} is about no field")


def _element_value(path: Path, kind: CoreRelocationKind, pointer_size: int) -> Value:
    element = path.steps[-1].type
    size = byte_size(element, pointer_size)
    if kind is _K.FIELD_BYTE_OFFSET:
        return Value(path.bit_offset // 8, size=size, type=element)
    if kind is _K.FIELD_BYTE_SIZE:
        return Value(size)
    raise CoreRelocationError(f"{kind.label} cannot be asked of an array's element")


def _innermost(field: Type) -> Type:
    """What a load at an array accesses: its element (libbpf 1.6; before, a longer array in the kernel was an error)."""
    for _ in range(32):
        if not isinstance(field, Array):
            return field
        field = strip_qualifiers(field.element)
    raise CoreRelocationError("arrays of arrays are nested too deep")


def _bitfield_load(bit_offset: int, bit_size: int, size: int, name: str) -> tuple[int, int]:
    """Offset and bytes of the narrowest aligned load, but not narrower than *size*, that has the whole bit-field."""
    if size < 1:
        raise CoreRelocationError(f"bit-field {name!r} has a type of no size")
    offset = bit_offset // 8 // size * size
    while bit_offset + bit_size - offset * 8 > size * 8:
        if size >= 8:
            raise CoreRelocationError(f"no 64-bit load has the whole bit-field {name!r}")
        size *= 2
        offset = bit_offset // 8 // size * size
    return offset, size


def type_value(path: Path | None, kind: CoreRelocationKind, type_id: int, pointer_size: int) -> Value:
    """The value of a whole type, which *type_id* is the id of; one that is not there has 0 of everything."""
    if path is None:
        return Value(0)
    if kind in {_K.TYPE_EXISTS, _K.TYPE_MATCHES}:
        return Value(1)
    if kind is _K.TYPE_SIZE:
        return Value(byte_size(path.root, pointer_size))
    # A linker renumbers types without touching the instruction, so the old id says nothing.
    return Value(type_id, is_certain=False)


def enumerator_value(path: Path | None, kind: CoreRelocationKind) -> Value | None:
    """The value of an enumerator; None when it is not there and its absence is no answer."""
    if kind is _K.ENUMVAL_EXISTS:
        return Value(int(path is not None))
    if path is None:
        return None
    step = path.steps[0]
    assert isinstance(step.type, Enum)
    number = step.type.enumerators[step.number].value
    if step.type.size <= 4:
        # Signed whatever the enum says, as in libbpf and the kernel: BTF of before pahole 1.24 and clang 15 cannot say
        # that it is. `Fixup` undoes it where the compiler's own number shows that the enum is unsigned.
        number = (number & 0xFFFF_FFFF ^ 0x8000_0000) - 0x8000_0000
    return Value(number, size=step.type.size, type=step.type)


def may_resize(local: Value, target: Value) -> bool:
    """Whether a load or store of the local field may become one of the target's, of another size.

    Pointers (a 32-bit kernel's) and unsigned integers may: a narrower load clears the upper bits. A signed one would
    need its sign extended, and anything else is not one number.
    """
    if local.size == target.size:
        return True
    if isinstance(local.type, Pointer) and isinstance(target.type, Pointer):
        return True
    return (
        isinstance(local.type, Int)
        and isinstance(target.type, Int)
        and IntEncoding.SIGNED not in {local.type.encoding, target.type.encoding}
    )


if TYPE_CHECKING:
    ByteOrder = Literal["little", "big"]
