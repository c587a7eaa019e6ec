"""Shapes as expressions over the items that `struct` unpacks.

A shape becomes one format. What an item alone does not give (strings, enums, bit-fields, long arrays) is an expression
around it; items that overlap (bit-fields, alternatives of a union) are expressions over one chunk.

No name from BTF gets into an expression but the attributes that `python_names` made: items are v0, v1 ..., everything
else is k0, k1 ... from the namespace.
"""

from __future__ import annotations

import enum
import struct
from typing import TYPE_CHECKING, Any, TypeAlias, final

from aiobpf.btf.codec_shape import (
    Bits,
    Blob,
    Choice,
    List,
    Number,
    Record,
    Shape,
    Text,
    Wide,
    count_leaves,
    is_open_ended,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

_MAX_INLINE_ITEMS = 256
_MAX_INLINE_NUMBERS = 16
_MAX_INLINE_ELEMENTS = 4
_MAX_CACHED_TEXT = 32
_INT_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


class _Strings(dict[bytes, str]):
    """Short strings by their bytes: names of tasks and interfaces repeat, and a look-up is half of a decode."""

    __slots__ = ()
    _MAX = 4096

    def __missing__(self, raw: bytes) -> str:
        if len(self) >= self._MAX:
            self.clear()
        text = self[raw] = raw.partition(b"\0")[0].decode("utf-8", "backslashreplace")
        return text


class _Names(dict[int, Any]):
    """The members of an enum by value; a value without a name is itself."""

    __slots__ = ()

    def __missing__(self, value: int) -> int:
        return value


class _Flags(_Names):
    """The members of a flag enum by value, with the combinations that occurred."""

    __slots__ = ("_flags",)
    _MAX = 4096

    def __init__(self, flags: type[enum.IntFlag]) -> None:
        super().__init__()
        self._flags = flags

    def __missing__(self, value: int) -> int:
        if value < 0:
            return value
        if len(self) >= self._MAX:
            self.clear()
        found = self[value] = self._flags(value)
        return found


_STRINGS = _Strings()


@final
class Leaf:
    """One value at a place; *text* is the expression that gives it, once it is known what else overlaps it."""

    __slots__ = ("code", "offset", "shape", "size", "text")

    def __init__(self, shape: Shape, offset: int, size: int, code: str) -> None:
        self.shape = shape
        self.offset = offset
        self.size = size
        self.code = code
        self.text = ""


Pieces: TypeAlias = "list[str | Leaf]"


@final
class Emitter:
    """Collects the items that *root* is unpacked to, and writes the expressions that use them.

    *part* gives the decoders, of one value and of all in a chunk, of a part that is too large to be written out.
    """

    __slots__ = ("_byte_order", "_leaves", "_part", "_room", "_root", "namespace")

    def __init__(
        self,
        root: Shape,
        byte_order: Literal["little", "big"],
        part: Callable[[Shape], tuple[object, object]],
    ) -> None:
        self._root = root
        self._byte_order: Literal["little", "big"] = byte_order
        self._part = part
        self._leaves: list[Leaf] = []
        self._room = _MAX_INLINE_ITEMS
        self.namespace: dict[str, Any] = {"strings": _STRINGS, "int_from": int.from_bytes}

    @property
    def _order(self) -> str:
        return "<" if self._byte_order == "little" else ">"

    def _constant(self, value: object) -> str:
        name = f"k{len(self.namespace)}"
        self.namespace[name] = value
        return name

    def _leaf(self, shape: Shape, offset: int, code: str) -> Leaf:
        leaf = Leaf(shape, offset, shape.size, code)
        self._leaves.append(leaf)
        self._room -= 1
        return leaf

    # --- expressions --------------------------------------------------------------------------------------------------

    def pieces(self, shape: Shape, offset: int) -> Pieces:
        """The expression for *shape* at *offset*, with its leaves standing for themselves."""
        if isinstance(shape, Number):
            return [self._leaf(shape, offset, shape.code)]
        if is_open_ended(shape):
            empty = Leaf(shape, offset, 0, "")
            empty.text = "''" if isinstance(shape, Text) else "b''" if isinstance(shape, Blob) else "[]"
            return [empty]
        if isinstance(shape, (Text, Blob)):
            raw = self._leaf(shape, offset, f"{shape.size}s")
            if isinstance(shape, Blob):
                return [raw]
            if shape.size <= _MAX_CACHED_TEXT:
                return ["strings[", raw, "]"]
            return [raw, ".partition(b'\\0')[0].decode('utf-8', 'backslashreplace')"]
        if isinstance(shape, Wide):
            raw = self._leaf(shape, offset, f"{shape.size}s")
            return ["int_from(", raw, f", {self._byte_order!r}, signed={shape.is_signed})"]
        if isinstance(shape, Bits):
            raw = self._leaf(shape, offset, "")
            if shape.choice is not None:
                return [*self._named(shape.choice), raw, "]"]
            return ["(", raw, " != 0)"] if shape.is_boolean else [raw]
        if isinstance(shape, Choice):
            return [*self._named(shape), *self.pieces(shape.number, offset), "]"]
        if isinstance(shape, List):
            return self._list(shape, offset)
        assert isinstance(shape, Record)
        return self._record(shape, offset)

    def _named(self, choice: Choice) -> list[str]:
        return [self._constant(names_of(choice.python_type)), "["]

    def _list(self, shape: List, offset: int) -> Pieces:
        element = shape.element
        if element.size == 0:
            return ["[", *self.pieces(element, offset), f" for _ in range({shape.count})]"]
        inline = _MAX_INLINE_NUMBERS if isinstance(element, Number) else _MAX_INLINE_ELEMENTS
        if shape.count <= inline and self._has_room(shape):
            found: Pieces = ["["]
            for index in range(shape.count):
                found += [*self.pieces(element, offset + index * element.size), ", "]
            return [*found, "]"]
        chunk = self._leaf(shape, offset, f"{shape.size}s")
        if isinstance(element, Number):
            unpack = struct.Struct(f"{self._order}{shape.count}{element.code}").unpack
            return ["list(", self._constant(unpack), "(", chunk, "))"]
        return [self._constant(self._part(element)[1]), "(", chunk, ")"]

    def _record(self, shape: Record, offset: int) -> Pieces:
        if shape.is_union:
            return [self._constant(shape.python_type), "(", self._leaf(shape, offset, f"{shape.size}s"), ")"]
        if shape is not self._root and not self._has_room(shape):
            chunk = self._leaf(shape, offset, f"{shape.size}s")
            return [self._constant(self._part(shape)[0]), "(", chunk, ")"]
        self._room -= 1
        found: Pieces = [self._constant(shape.python_type), "("]
        for index in shape.arguments:
            field = shape.fields[index]
            found += [*self.pieces(field.shape, offset + field.offset), ", "]
        for name, index in shape.keywords:
            field = shape.fields[index]
            found += [f"{name}=", *self.pieces(field.shape, offset + field.offset), ", "]
        return [*found, ")"]

    def _has_room(self, shape: Shape) -> bool:
        return count_leaves(shape) <= self._room

    # --- items --------------------------------------------------------------------------------------------------------

    def pack_items(self, size: int) -> tuple[list[str], str]:
        """Give every leaf its text; the names of the items that are unpacked, and the format that unpacks them."""
        names: list[str] = []
        code = [self._order]
        position = 0
        for group in _overlapping(self._leaves):
            start = group[0].offset
            end = max(leaf.offset + leaf.size for leaf in group)
            item = f"v{len(names)}"
            names.append(item)
            code.append(f"{start - position}x" if start > position else "")
            code.append(self._group(group, start, end, item))
            position = end
        code.append(f"{size - position}x" if size > position else "")
        return names, "".join(code)

    def _group(self, group: list[Leaf], start: int, end: int, item: str) -> str:
        """Write the text of leaves that overlap as expressions of one *item*; the item's format."""
        if len(group) == 1 and group[0].code:
            group[0].text = item
            return group[0].code
        size = end - start
        if size in _INT_CODES and all(isinstance(leaf.shape, Bits) for leaf in group):
            for leaf in group:
                leaf.text = self._bits(leaf, item, start, end)
            return _INT_CODES[size]
        for leaf in group:
            if isinstance(leaf.shape, Bits):
                first = leaf.offset - start
                number = f"int_from({item}[{first}:{first + leaf.size}], {self._byte_order!r})"
                leaf.text = self._bits(leaf, number, leaf.offset, leaf.offset + leaf.size)
            else:
                before, after = leaf.offset - start, end - leaf.offset - leaf.size
                unpack = struct.Struct(f"{self._order}{before}x{leaf.code}{after}x").unpack
                leaf.text = f"{self._constant(unpack)}({item})[0]"
        return f"{size}s"

    def _bits(self, leaf: Leaf, number: str, start: int, end: int) -> str:
        """The bit-field *leaf* out of *number*, the integer from byte *start* to *end*."""
        shape = leaf.shape
        assert isinstance(shape, Bits)
        outside = leaf.offset - start if self._byte_order == "little" else end - leaf.offset - leaf.size
        mask = (1 << shape.width) - 1
        text = f"({number} >> {shape.shift + outside * 8} & {mask})"
        if shape.is_signed:
            sign = 1 << (shape.width - 1)
            text = f"(({text} ^ {sign}) - {sign})"
        return text


def _overlapping(leaves: list[Leaf]) -> Iterator[list[Leaf]]:
    """*leaves* by offset, those that share bytes together; a leaf of no size has no bytes."""
    group: list[Leaf] = []
    end = 0
    for leaf in sorted(leaves, key=lambda leaf: (leaf.offset, -leaf.size)):
        if group and leaf.offset >= end:
            yield group
            group = []
        group.append(leaf)
        end = max(end, leaf.offset + leaf.size)
    if group:
        yield group


def names_of(python_type: type) -> dict[int, Any]:
    """The members of an enum by value, with an item for any number; that of one without a name is itself."""
    if issubclass(python_type, enum.IntFlag):
        return _Flags(python_type)
    return _Names({each.value: each for each in python_type} if issubclass(python_type, enum.Enum) else {})


def join(pieces: Pieces) -> str:
    return "".join(piece if isinstance(piece, str) else piece.text for piece in pieces)
