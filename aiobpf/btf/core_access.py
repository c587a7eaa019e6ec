"""Where a CO-RE relocation points to: an access string, read against the type it starts from.

A path is kept as named steps, not raw numbers, because only the names mean anything in another kernel's types:
anonymous structs and unions contribute their offset and vanish.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from aiobpf.btf.types import (
    Array,
    DataSection,
    Enum,
    Float,
    Int,
    Member,
    Pointer,
    Struct,
    Type,
    Union,
    strip_qualifiers,
)
from aiobpf.errors import BtfError, CoreRelocationError

if TYPE_CHECKING:
    from aiobpf.btf.core_relocation import CoreRelocation, CoreRelocationKind

MAX_STEPS = 64
"""libbpf's BPF_CORE_SPEC_MAX_LEN: a longer path is refused there too."""

_MAX_ARRAY_DEPTH = 32
_ACCESS = re.compile(r"[0-9]{1,10}(?::[0-9]{1,10})*\Z")


class Step(NamedTuple):
    """One step: with a *name*, to member or enumerator *number* of *type*; without, to element *number*, a *type*."""

    type: Type
    number: int
    name: str | None

    def member(self) -> Member:
        """The member that a named step of a field path takes."""
        assert isinstance(self.type, (Struct, Union))
        return self.type.members[self.number]


class Path(NamedTuple):
    """A path below *root*; *bit_offset* counts from the start of the first root element, in bits."""

    root: Type
    steps: tuple[Step, ...]
    bit_offset: int


def byte_size(type: Type, pointer_size: int) -> int:  # noqa: A002
    """The bytes of *type* where pointers have *pointer_size*; CoreRelocationError when it has no size.

    `size_of` knows 8-byte pointers only, as BPF itself does; a 32-bit kernel's types need 4.
    """
    elements = 1
    for _ in range(_MAX_ARRAY_DEPTH):
        stripped = strip_qualifiers(type)
        if isinstance(stripped, Array):
            elements *= stripped.count
            type = stripped.element  # noqa: A001
            continue
        if isinstance(stripped, Pointer):
            size = pointer_size
        elif isinstance(stripped, (Struct, Union, Int, Enum, Float, DataSection)):
            size = stripped.size
        else:
            raise CoreRelocationError(f"{stripped!r} has no size")
        if elements * size > 0xFFFFFFFF:
            raise CoreRelocationError(f"{elements} elements of {size} bytes are more than 4 GiB")
        return elements * size
    raise CoreRelocationError("arrays of arrays are nested too deep")


def is_flexible(step: Step | None, array: Array) -> bool:
    """Whether *array*, which *step* led to, is the open-ended last member of its struct ("char data[]", "data[0]")."""
    if array.count > 0 or step is None or step.name is None:
        return False
    return isinstance(step.type, (Struct, Union)) and step.number == len(step.type.members) - 1


def parse_access(relocation: CoreRelocation) -> Path:
    """The path that *relocation* takes through its own, local types.

    Invariant: any string gives a Path, or a CoreRelocationError that quotes it; at most 64 steps are looked at.
    """
    try:
        return _parse(relocation)
    except (BtfError, CoreRelocationError) as error:
        raise CoreRelocationError(
            f"{relocation.kind.label} relocation {relocation.access!r} of type [{relocation.type_id}]: {error}"
        ) from error


def _parse(relocation: CoreRelocation) -> Path:
    access, kind, root = relocation.access, relocation.kind, relocation.type
    # Measure before matching: a hostile access string may be as long as the file.
    if len(access) > MAX_STEPS * 11 or not _ACCESS.match(access):
        raise CoreRelocationError("the access string is no list of numbers")
    numbers = [int(number) for number in access.split(":")]
    if len(numbers) > MAX_STEPS:
        raise CoreRelocationError(f"{len(numbers)} steps, at most {MAX_STEPS}")
    if kind.is_type_based:
        if access != "0":
            raise CoreRelocationError("a relocation of a whole type has the access string '0'")
        return Path(root, (), 0)
    if kind.is_enum_based:
        return _enumerator_path(root, numbers)
    return _field_path(root, numbers)


def _enumerator_path(root: Type, numbers: list[int]) -> Path:
    stripped = strip_qualifiers(root)
    if not isinstance(stripped, Enum):
        raise CoreRelocationError(f"{stripped!r} is no enum")
    if len(numbers) > 1 or numbers[0] >= len(stripped.enumerators):
        raise CoreRelocationError(f"there is no such enumerator among {len(stripped.enumerators)}")
    return Path(root, (Step(stripped, numbers[0], stripped.enumerators[numbers[0]].name),), 0)


def _field_path(root: Type, numbers: list[int]) -> Path:
    current = strip_qualifiers(root)
    # The object's own pointers are BPF's: 8 bytes whatever the target.
    bit_offset = numbers[0] * byte_size(current, 8) * 8
    steps = [Step(current, numbers[0], None)]
    for number in numbers[1:]:
        if isinstance(current, (Struct, Union)):
            if number >= len(current.members):
                raise CoreRelocationError(f"member {number} of {current.name!r}, which has {len(current.members)}")
            member = current.members[number]
            bit_offset += member.bit_offset
            if member.name:
                steps.append(Step(current, number, member.name))
            current = strip_qualifiers(member.type)
        elif isinstance(current, Array):
            if number >= current.count and not is_flexible(steps[-1], current):
                raise CoreRelocationError(f"element {number} of an array of {current.count}")
            current = strip_qualifiers(current.element)
            steps.append(Step(current, number, None))
            bit_offset += number * byte_size(current, 8) * 8
        else:
            raise CoreRelocationError(f"there is no step into {current!r}")
    return Path(root, tuple(steps), bit_offset)


def format_path(path: Path, kind: CoreRelocationKind) -> str:
    """*path* as C would write it: "struct sk_buff.len", "enum e.VALUE", "struct s[2].list[1].next"."""
    name = getattr(path.root, "name", "") or "<anonymous>"
    text = f"{_KEYWORDS.get(type(path.root).__name__, '')}{name}"
    if kind.is_type_based:
        return text
    for position, step in enumerate(path.steps):
        if step.name is not None:
            text += f".{step.name}"
        elif position or step.number:
            text += f"[{step.number}]"
    return text


_KEYWORDS = {"Struct": "struct ", "Union": "union ", "Enum": "enum ", "Typedef": "typedef "}


def describe_relocation(relocation: CoreRelocation) -> str:
    """What *relocation* asks for, as C would write it ("field struct task_struct.exit_code"); never an error."""
    try:
        path = format_path(parse_access(relocation), relocation.kind)
    except (BtfError, CoreRelocationError):
        return repr(relocation)
    kind = relocation.kind
    what = "field" if kind.is_field_based else "enumerator" if kind.is_enum_based else "type"
    return f"{what} {path}"
