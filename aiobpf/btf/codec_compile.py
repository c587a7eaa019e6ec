"""Decoders as code: for each shape Python functions are generated once, around one `struct.Struct` for all of it.

`Struct.iter_unpack` and one object of a class with slots are the floor of what a Python object of a record costs;
interpreting a plan for each record would take ten times that. Objects of generated classes are filled attribute by
attribute, which takes 30 % less than calling their constructor; a user's class is called, as it may check or convert.
"""

from __future__ import annotations

import struct
from itertools import repeat, starmap
from typing import TYPE_CHECKING, Any, Protocol, final

from aiobpf.btf.codec_emit import Emitter, Leaf, Pieces, join
from aiobpf.btf.codec_shape import Blob, List, Record, Shape, Text, is_open_ended
from aiobpf.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Literal

    from typing_extensions import Buffer


class DecodeOne(Protocol):
    """Decodes one value at *offset* of *buffer*; struct.error when it is cut short."""

    def __call__(self, buffer: Buffer, offset: int = 0, /) -> Any: ...


@final
class Decoder:
    """The compiled decoders of one shape; *source* is the code they are made of.

    *decode_short* is asked for a value that *decode_one* finds cut short.
    """

    __slots__ = ("_decode_rows", "decode_one", "decode_places", "source", "struct", "tail")

    def __init__(
        self,
        shape: Shape,
        byte_order: Literal["little", "big"],
        decode_short: Callable[[Buffer, int], Any] | None = None,
        known: dict[Shape, Decoder] | None = None,
    ) -> None:
        parts: dict[Shape, Decoder] = {} if known is None else known

        def part(inner: Shape) -> tuple[object, object]:
            decoder = parts.get(inner)  # compiled once, however many members are of its type
            if decoder is None:
                decoder = parts[inner] = Decoder(inner, byte_order, known=parts)
            return decoder.decode_one, decoder.decode_all

        emitter = Emitter(shape, byte_order, part)
        namespace = emitter.namespace
        self.tail, start = open_end(shape)
        if self.tail is not None:
            namespace["tail"] = _tail_decoder(self.tail, byte_order)
        text = f"tail(buffer, offset + {start})"
        if isinstance(shape, Record) and shape.is_generated:
            fields = [(f.attribute, emitter.pieces(f.shape, f.offset)) for f in shape.fields]
            items, code = emitter.pack_items(shape.size)
            namespace |= {"cls": shape.python_type, "new": object.__new__, "repeat": repeat}
            self.source = _filling_source(items, fields, self.tail, text)
        else:
            pieces = emitter.pieces(shape, 0)
            items, code = emitter.pack_items(shape.size)
            namespace["starmap"] = starmap
            self.source = _calling_source(items, pieces, self.tail, text)
        try:
            self.struct = struct.Struct(code)
        except struct.error as error:
            raise CodecError(f"a value of {shape.size} bytes cannot be unpacked: {error}") from error
        namespace |= {"unpack_from": self.struct.unpack_from, "error": struct.error}
        namespace["decode_short"] = decode_short or _fail
        exec(compile(self.source, f"<decoder of {shape.size} bytes>", "exec"), namespace)
        self.decode_one: DecodeOne = namespace["decode_one"]
        # Of a number of values at offsets: struct.error, or what decode_short says, for one that is cut short.
        self.decode_places: Callable[[Buffer, Iterable[int], int], list[Any]] = namespace["decode_places"]
        self._decode_rows: Callable[[Iterable[tuple[object, ...]], int], list[Any]] = namespace["decode_rows"]

    def decode_all(self, raw: Buffer, stride: int | None = None) -> list[Any]:
        """The values in *raw*, one every *stride* bytes, which its length is a multiple of.

        An open-ended array is empty in each. *stride* is at least the size, and not 0.
        """
        rows = self.struct
        if stride is not None and stride != rows.size:
            rows = struct.Struct(f"{rows.format}{stride - rows.size}x")
        return self._decode_rows(rows.iter_unpack(raw), len(raw) // rows.size)  # type: ignore[arg-type]


def _fail(buffer: Buffer, offset: int) -> Any:
    raise CodecError(f"a value is cut short at byte {offset}")


def _row(items: list[str]) -> str:
    return f"({''.join(f'{item}, ' for item in items)})" if items else "_"


def _with_tail(pieces: Pieces, tail: Shape | None, text: str) -> str:
    """The expression *pieces* with *text* for the open-ended array, which is empty otherwise."""
    found = join(pieces)
    for piece in pieces:
        if isinstance(piece, Leaf) and piece.shape is tail:
            empty, piece.text = piece.text, text
            found = join(pieces)
            piece.text = empty
    return found


def _calling_source(items: list[str], pieces: Pieces, tail: Shape | None, text: str) -> str:
    """Functions that give an expression over a row of items."""
    whole = join(pieces)
    every = f"[{whole} for {_row(items)} in rows]"
    head, _, arguments = whole.partition("(")
    if head.isidentifier() and arguments == "".join(f"{item}, " for item in items) + ")":
        every = f"list(starmap({head}, rows))"
    return (
        "def decode_one(buffer, offset=0, /):\n"
        "    try:\n"
        f"        {_row(items)} = unpack_from(buffer, offset)\n"
        "    except error:\n"
        "        return decode_short(buffer, offset)\n"
        f"    return {_with_tail(pieces, tail, text)}\n"
        "def decode_rows(rows, count, /):\n"
        f"    return {every}\n"
        "def decode_places(buffer, offsets, count, /):\n"
        "    return [decode_one(buffer, offset) for offset in offsets]\n"
    )


def _filling_source(items: list[str], fields: list[tuple[str, Pieces]], tail: Shape | None, text: str) -> str:
    """Functions that make empty objects and fill them: `for o, (o.pid, v1, ...) in zip(made, rows): o.comm = f(v1)`."""
    targets = dict.fromkeys(items, "")
    rest = []
    for attribute, pieces in fields:
        expression = join(pieces)
        if targets.get(expression) == "":
            targets[expression] = f"o.{attribute}"
        else:
            rest.append((attribute, pieces))
    row = _row([target or item for item, target in targets.items()])
    alone = "".join(f"    o.{attribute} = {_with_tail(pieces, tail, text)}\n" for attribute, pieces in rest)
    in_a_row = "".join(f"        o.{attribute} = {join(pieces)}\n" for attribute, pieces in rest)
    return (
        "def decode_one(buffer, offset=0, /):\n"
        "    o = new(cls)\n"
        "    try:\n"
        f"        {row} = unpack_from(buffer, offset)\n"
        "    except error:\n"
        "        return decode_short(buffer, offset)\n"
        f"{alone}"
        "    return o\n"
        "def decode_rows(rows, count, /):\n"
        "    made = list(map(new, repeat(cls, count)))\n"
        f"    for o, {row} in zip(made, rows):\n"
        f"{in_a_row or '        pass' + chr(10)}"
        "    return made\n"
        "def decode_places(buffer, offsets, count, /):\n"
        "    made = list(map(new, repeat(cls, count)))\n"
        "    for o, offset in zip(made, offsets):\n"
        f"        {row} = unpack_from(buffer, offset)\n"
        f"{in_a_row}"
        "    return made\n"
    )


def open_end(shape: Shape) -> tuple[Shape | None, int]:
    """The open-ended array that *shape* ends in, or is, and where it starts; None when there is none."""
    if isinstance(shape, Record):
        tail = shape.tail
        return (None, 0) if tail is None else (tail.shape, tail.offset)
    return (shape, 0) if is_open_ended(shape) else (None, 0)


def _tail_decoder(shape: Shape, byte_order: Literal["little", "big"]) -> Callable[[Buffer, int], Any]:
    """Decodes an open-ended array: all that is left of a buffer from an offset on."""
    if isinstance(shape, Text):
        return lambda buffer, offset: (
            bytes(memoryview(buffer)[offset:]).partition(b"\0")[0].decode("utf-8", "backslashreplace")
        )
    if isinstance(shape, Blob):
        return lambda buffer, offset: bytes(memoryview(buffer)[offset:])
    assert isinstance(shape, List)
    element = Decoder(shape.element, byte_order)
    size = shape.element.size

    def decode_tail(buffer: Buffer, offset: int) -> list[Any]:
        rest = memoryview(buffer)[offset:]
        return element.decode_all(rest[: len(rest) // size * size]) if size else []

    return decode_tail
