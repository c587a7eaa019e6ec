"""Whether values of one type can be kept as values of another: a struct gets members from one version to the next."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Final, final

from attrs import define, field, frozen

from aiobpf.btf.composites import DataSection, Struct, Union, Variable
from aiobpf.btf.derived import Array, Pointer, TypeTag
from aiobpf.btf.scalars import Enum, Float, Int
from aiobpf.btf.shape import MAX_DEPTH, member_bits, size_of, strip_qualifiers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.btf.parts import Member
    from aiobpf.btf.type_base import Type

MAX_MOVES: Final = 1 << 16

# What the kernel keeps to itself in a value: a lookup shows zeros there, and an update leaves it alone
# (include/linux/bpf.h: btf_field_type). A lock is as good when it is new; what hangs on the others would be lost.
_LOCKS: Final = frozenset({"bpf_spin_lock", "bpf_res_spin_lock"})
_HELD: Final = frozenset(
    {
        "bpf_timer",
        "bpf_wq",
        "bpf_list_head",
        "bpf_list_node",
        "bpf_rb_root",
        "bpf_rb_node",
        "bpf_refcount",
        "bpf_task_work",
    }
)
_KERNEL_POINTERS: Final = frozenset({"kptr", "kptr_untrusted", "percpu_kptr", "uptr"})


@frozen
class Move:
    """Bytes of the old value and where they go in the new one; a number may get wider on the way."""

    old_offset: int
    old_size: int
    new_offset: int
    new_size: int
    is_signed: bool = False

    def convert(self, old: bytes) -> bytes:
        """This part of *old*, as the new value has it."""
        part = old[self.old_offset : self.old_offset + self.old_size]
        if self.new_size == self.old_size:
            return part
        number = int.from_bytes(part, sys.byteorder, signed=self.is_signed)
        return number.to_bytes(self.new_size, sys.byteorder, signed=self.is_signed)


@frozen
class BitMove:
    """A bit-field's first bit in the old and in the new value, and its widths."""

    old_bit: int
    old_width: int
    new_bit: int
    new_width: int
    is_signed: bool = False


@final
@frozen
class Evolution:
    """How a value of one type becomes one of another.

    *is_identical*: both are the same in the kernel's memory, and mean the same. *differences* says, part by part, what
    cannot be kept at all; *removed* names the parts that the new type has not.
    """

    old_size: int
    new_size: int
    is_identical: bool = True
    moves: tuple[Move | BitMove, ...] = ()
    differences: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def convert(self, old: bytes) -> bytes:
        """*old*, a value of the old type, as one of the new: parts that it has not are zero."""
        new = bytearray(self.new_size)
        for move in self.moves:
            if isinstance(move, BitMove):
                _move_bits(move, old, new)
            else:
                new[move.new_offset : move.new_offset + move.new_size] = move.convert(old)
        return bytes(new)


def _move_bits(move: BitMove, old: bytes, new: bytearray) -> None:
    number = int.from_bytes(old, "little") >> move.old_bit & ((1 << move.old_width) - 1)
    if move.is_signed and number >> (move.old_width - 1):
        number |= -1 << move.old_width
    mask = (1 << move.new_width) - 1
    whole = int.from_bytes(new, "little") & ~(mask << move.new_bit) | (number & mask) << move.new_bit
    new[:] = whole.to_bytes(len(new), "little")


def evolution_of(old: Type | None, new: Type | None, old_size: int, new_size: int) -> Evolution:
    """From values of *old* to values of *new*, of which *old_size* and *new_size* bytes are stored.

    A member is known by its name, wherever it lies: it may move, an integer may get wider, an array longer, an enum may
    get more names. A sign that changes, a number that gets narrower and a union that is not the same are differences.
    Types that are not known (None) are bytes: of one size they are taken for the same.
    """
    if old is None or new is None:
        same = old_size == new_size
        told = () if same else (f"{new_size} bytes instead of {old_size}, of which the types are not known",)
        return Evolution(old_size, new_size, same, (Move(0, old_size, 0, old_size),) if same else (), told)
    walk = _Walk()
    walk.value(old, new, 0, 0, "", 0)
    is_identical = not walk.differences and not walk.removed and not walk.changed and old_size == new_size
    if is_identical:
        return Evolution(old_size, new_size, True, (Move(0, old_size, 0, new_size),))
    differences = (*walk.differences, *walk.uncopyable)
    moves = walk.moves if isinstance(old, DataSection) else _joined(walk.moves)
    return Evolution(old_size, new_size, False, tuple(moves), differences, tuple(walk.removed))


@define
class _Walk:
    """Both types side by side."""

    moves: list[Move | BitMove] = field(factory=list)
    differences: list[str] = field(factory=list)
    uncopyable: list[str] = field(factory=list)
    """What only a map that is kept as it is can keep: user space does not see it."""
    removed: list[str] = field(factory=list)
    changed: bool = False
    """Whether anything lies elsewhere, is wider, or is new."""

    def value(self, old: Type, new: Type, old_at: int, new_at: int, path: str, depth: int) -> None:
        if depth > MAX_DEPTH or len(self.moves) > MAX_MOVES:
            if not self.differences or self.differences[-1] != _TOO_MUCH:
                self.differences.append(_TOO_MUCH)
            return
        if old_at != new_at:
            self.changed = True
        kernel_pointer = _is_kernel_pointer(old) or _is_kernel_pointer(new)
        old, new = strip_qualifiers(old), strip_qualifiers(new)
        if isinstance(old, DataSection) and isinstance(new, DataSection):
            self._section(old, new, old_at, new_at, depth)
        elif isinstance(old, Struct) and isinstance(new, Struct):
            self._struct(old, new, old_at, new_at, path, depth)
        elif isinstance(old, Array) and isinstance(new, Array):
            self._array(old, new, old_at, new_at, path, depth)
        elif isinstance(old, Int | Enum) and isinstance(new, Int | Enum):
            self._number(old, new, old_at, new_at, path)
        elif (isinstance(old, Pointer) and isinstance(new, Pointer)) or (
            isinstance(old, Float) and isinstance(new, Float) and old.size == new.size
        ):
            if kernel_pointer:
                self.uncopyable.append(f"{path or 'the value'} holds a kernel object, which cannot be copied")
            else:
                self._move(old_at, new_at, size_of(old))
        elif isinstance(old, Union) and isinstance(new, Union) and _same(old, new, 0):
            self._move(old_at, new_at, old.size)
        else:
            self.differences.append(f"{path or 'the value'} is {_words(new)} instead of {_words(old)}")

    def _take(self, part: _Walk) -> None:
        """What *part* found, but for its moves."""
        self.changed = self.changed or part.changed
        self.differences += part.differences
        self.uncopyable += part.uncopyable
        self.removed += part.removed

    def _move(self, old_at: int, new_at: int, size: int) -> None:
        self.moves.append(Move(old_at, size, new_at, size))

    def _number(self, old: Int | Enum, new: Int | Enum, old_at: int, new_at: int, path: str) -> None:
        if isinstance(old, Enum) and isinstance(new, Enum):
            known = {each.name: each.value for each in new.enumerators}
            for each in old.enumerators:
                if known.get(each.name, each.value) != each.value:
                    self.differences.append(f"{path}: {each.name} is {known[each.name]} instead of {each.value}")
            if len(new.enumerators) != len(old.enumerators):
                self.changed = self.changed or len(new.enumerators) < len(old.enumerators)
        is_wider = new.size > old.size
        if new.size < old.size or (old.is_signed != new.is_signed and (is_wider or isinstance(old, type(new)))):
            self.differences.append(f"{path or 'the value'} is {_words(new)} instead of {_words(old)}")
            return
        self.changed = self.changed or is_wider
        self.moves.append(Move(old_at, old.size, new_at, new.size, old.is_signed))

    def _array(self, old: Array, new: Array, old_at: int, new_at: int, path: str, depth: int) -> None:
        if new.count < old.count:
            self.differences.append(f"{path or 'the value'} has {new.count} elements instead of {old.count}")
            return
        if new.count != old.count:
            self.changed = True
        if not old.count:
            return
        old_stride, new_stride = size_of(old.element), size_of(new.element)
        part = _Walk()
        part.value(old.element, new.element, 0, 0, f"{path}[]", depth + 1)
        self.changed = self.changed or old_stride != new_stride
        self._take(part)
        whole = Move(0, old_stride, 0, new_stride)
        if old_stride == new_stride and list(_joined(part.moves)) == [whole]:
            self._move(old_at, new_at, old_stride * old.count)
        elif len(self.moves) + len(part.moves) * old.count > MAX_MOVES:
            self.differences.append(_TOO_MUCH)
        else:
            for i in range(old.count):
                self.moves += (_shifted(move, old_at + i * old_stride, new_at + i * new_stride) for move in part.moves)

    def _struct(self, old: Struct, new: Struct, old_at: int, new_at: int, path: str, depth: int) -> None:
        if old.name in _LOCKS and old.name == new.name:
            return
        if old.name in _HELD and old.name == new.name:
            self.uncopyable.append(f"{path or 'the value'} is a {old.name}, which cannot be copied")
            return
        if old.size != new.size:
            self.changed = True
        olds, news = dict(_members(old, 0, "", 0)), dict(_members(new, 0, "", 0))
        if news.keys() - olds.keys():
            self.changed = True
        for name, (member, at) in olds.items():
            place = f"{path}.{name}" if path else name
            if name not in news:
                self.removed.append(place)
                continue
            other, other_at = news[name]
            self._member(member, other, old_at * 8 + at, new_at * 8 + other_at, place, depth)

    def _member(self, old: Member, new: Member, old_bit: int, new_bit: int, path: str, depth: int) -> None:
        old_width, new_width = member_bits(old)[1], member_bits(new)[1]
        if not old_width and not new_width:
            self.value(old.type, new.type, old_bit // 8, new_bit // 8, path, depth + 1)
            return
        old_type, new_type = strip_qualifiers(old.type), strip_qualifiers(new.type)
        is_signed = getattr(old_type, "is_signed", False)
        if (
            not old_width
            or not new_width
            or new_width < old_width
            or is_signed != getattr(new_type, "is_signed", False)
        ):
            self.differences.append(f"{path} is {new_width or 'no'} bits wide instead of {old_width or 'no'}")
        elif sys.byteorder == "big" and (old_bit, old_width) != (new_bit, new_width):
            self.differences.append(f"{path} is a bit-field that lies elsewhere")
        else:
            self.changed = self.changed or (old_bit, old_width) != (new_bit, new_width)
            self.moves.append(BitMove(old_bit, old_width, new_bit, new_width, is_signed))

    def _section(self, old: DataSection, new: DataSection, old_at: int, new_at: int, depth: int) -> None:
        seen_old: Counter[str] = Counter()
        seen_new: Counter[str] = Counter()
        news = {}
        for each in new.variables:  # static variables of one name are told apart by their order
            seen_new[each.variable.name] += 1
            news[each.variable.name, seen_new[each.variable.name]] = each
        for each in old.variables:
            name = each.variable.name
            seen_old[name] += 1
            other = news.pop((name, seen_old[name]), None)
            if other is None:
                self.removed.append(name)
                continue
            if not isinstance(each.variable, Variable) or not isinstance(other.variable, Variable):
                continue
            part = _Walk()
            old_place, new_place = old_at + each.offset, new_at + other.offset
            part.value(each.variable.type, other.variable.type, old_place, new_place, name, depth + 1)
            self._take(part)
            self.moves += _joined(part.moves)  # a variable stays a part of its own
        if news:
            self.changed = True


_TOO_MUCH: Final = "it has more parts than can be followed"


def _members(composite: Struct, at: int, prefix: str, depth: int) -> Iterator[tuple[str, tuple[Member, int]]]:
    """Members by name with their first bit, those of anonymous structs as the struct's own, as C has it.

    An anonymous union is known by the name of its first member.
    """
    for member in composite.members:
        bit = at + member_bits(member)[0]
        found = strip_qualifiers(member.type)
        if not member.name and isinstance(found, Struct) and depth < MAX_DEPTH:
            yield from _members(found, bit, prefix, depth + 1)
        elif not member.name and isinstance(found, Union):
            yield f"(union of {found.members[0].name if found.members else 'nothing'})", (member, bit)
        elif member.name:
            yield member.name, (member, bit)


def _is_kernel_pointer(type: Type) -> bool:  # noqa: A002
    """Whether it is a pointer with a tag that makes it a kptr; the tag stands before what it points to."""
    found = strip_qualifiers(type)
    if not isinstance(found, Pointer):
        return False
    target = found.target
    return isinstance(target, TypeTag) and target.name in _KERNEL_POINTERS


def _same(old: Type, new: Type, depth: int) -> bool:
    """Whether both look alike, to any depth that a value of theirs has."""
    if depth > MAX_DEPTH:
        return False
    old, new = strip_qualifiers(old), strip_qualifiers(new)
    if old.kind != new.kind:
        return False
    if isinstance(old, Struct | Union) and isinstance(new, Struct | Union):
        return (
            old.size == new.size
            and len(old.members) == len(new.members)
            and all(
                a.name == b.name and member_bits(a) == member_bits(b) and _same(a.type, b.type, depth + 1)
                for a, b in zip(old.members, new.members, strict=True)
            )
        )
    if isinstance(old, Array) and isinstance(new, Array):
        return old.count == new.count and _same(old.element, new.element, depth + 1)
    if isinstance(old, Int | Enum) and isinstance(new, Int | Enum):
        return old.size == new.size and old.is_signed == new.is_signed
    return size_of(old) == size_of(new)


def _words(type: Type) -> str:  # noqa: A002
    kind = {"INT": "", "STRUCT": "struct ", "UNION": "union ", "ENUM": "enum "}.get(type.kind.name)
    return f"{kind}{type.name or '(anonymous)'}" if kind is not None else f"a {type.kind.name.lower()}"


def _shifted(move: Move | BitMove, old: int, new: int) -> Move | BitMove:
    if isinstance(move, BitMove):
        return BitMove(move.old_bit + old * 8, move.old_width, move.new_bit + new * 8, move.new_width, move.is_signed)
    return Move(move.old_offset + old, move.old_size, move.new_offset + new, move.new_size, move.is_signed)


def _joined(moves: list[Move | BitMove]) -> Iterator[Move | BitMove]:
    """With neighbours that stay neighbours as one."""
    last: Move | None = None
    for move in moves:
        is_plain = isinstance(move, Move) and move.old_size == move.new_size
        if (
            last is not None
            and isinstance(move, Move)
            and is_plain
            and last.old_offset + last.old_size == move.old_offset
            and last.new_offset + last.new_size == move.new_offset
        ):
            size = last.old_size + move.old_size
            last = Move(last.old_offset, size, last.new_offset, size)
            continue
        if last is not None:
            yield last
            last = None
        if is_plain and isinstance(move, Move):
            last = Move(move.old_offset, move.old_size, move.new_offset, move.new_size)
        else:
            yield move
    if last is not None:
        yield last
