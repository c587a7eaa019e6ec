"""The records of .BTF.ext made again from a program, as BPF_PROG_LOAD takes them."""

from __future__ import annotations

import struct
import sys
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

from aiobpf.asm import COMMENT
from aiobpf.btf.notes import FUNCTION_INFO, LINE, Line
from aiobpf.btf.records import Lines

if TYPE_CHECKING:
    from aiobpf.asm import Instructions
    from aiobpf.btf.builder import BtfBuilder

FUNCTION_RECORD: Final = 8
LINE_RECORD: Final = 16
_LAST_LINE: Final = (1 << 22) - 1
_LAST_COLUMN: Final = (1 << 10) - 1


class EncodedExtInfos(NamedTuple):
    """`func_info` and `line_info` of BPF_PROG_LOAD: records of 8 and 16 bytes, by slot; b"" where there are none."""

    func_info: bytes
    line_info: bytes


def encode_ext_infos(instructions: Instructions, builder: BtfBuilder) -> EncodedExtInfos:
    """What *instructions* say about functions and source lines; types and strings go to *builder*.

    A comment becomes a source line, or goes behind the one that is there, and so into the verifier's log. A function
    without a line at its beginning gets an empty one: the kernel wants one there as soon as there are any.
    """
    order = "<" if builder.byte_order == "little" else ">"
    functions = list(instructions.with_key_by_slot(FUNCTION_INFO))
    pack = struct.Struct(order + "II").pack
    func_info = b"".join([pack(slot, builder.add(function)) for slot, function in functions])

    starts = [0, *(slot for slot, _ in functions)]
    whole = _encode_whole(instructions, builder, starts)
    if whole is not None:
        return EncodedExtInfos(func_info, whole)
    lines = dict(instructions.with_key_by_slot(LINE))
    for slot, comment in instructions.with_key_by_slot(COMMENT):
        line = lines.get(slot)
        text = comment.replace("\0", " ")
        if line is None:
            # Since 6.9 the verifier's log leaves out a line of the same file and number as the one before.
            lines[slot] = Line("", text, slot + 1, 0)
        else:
            lines[slot] = Line(line.file_name, f"{line.text} ; {text}", line.line, line.column)
    if lines:
        for slot in starts:
            lines.setdefault(slot, Line("", "", 0, 0))
    pack = struct.Struct(order + "IIII").pack
    string = builder.string
    records = [
        pack(
            slot,
            string(line.file_name),
            string(line.text),
            min(line.line, _LAST_LINE) << 10 | min(line.column, _LAST_COLUMN),
        )
        for slot, line in sorted(lines.items())
    ]
    return EncodedExtInfos(func_info, b"".join(records))


def _encode_whole(instructions: Instructions, builder: BtfBuilder, starts: list[int]) -> bytes | None:
    """`line_info` of a program whose lines are as a compiler wrote them; None where someone added or lacks some."""
    windows = instructions.windows(LINE)
    if not windows or COMMENT in instructions.metadata_keys():
        return None
    words = array("I")
    for window in windows:
        if not isinstance(window.values, Lines):
            return None
        slots = [window.base + slot for slot in window.slots[window.lo : window.hi]]
        string = None if builder.keeps_strings_of(window.values.types) else builder.string
        words += window.values.encode(slots, window.lo, window.hi, string)
    if not set(words[::4]).issuperset(starts):
        return None
    if builder.byte_order != sys.byteorder:
        words.byteswap()
    return words.tobytes()
