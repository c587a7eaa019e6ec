"""The notes that the kernel keeps with a loaded program, put back on its instructions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.asm import SYMBOL
from aiobpf.btf.composites import Function
from aiobpf.btf.ext_info_encode import FUNCTION_RECORD, LINE_RECORD
from aiobpf.btf.notes import FUNCTION_INFO, LINE
from aiobpf.btf.records import Lines, Records, ascending
from aiobpf.errors import AsmError, BtfError

if TYPE_CHECKING:
    from array import array

    from aiobpf.asm import Instructions
    from aiobpf.btf.btf import Btf


def assign_kernel_infos(
    instructions: Instructions,
    types: Btf,
    func_info: bytes,
    line_info: bytes,
    *,
    func_info_size: int = FUNCTION_RECORD,
    line_info_size: int = LINE_RECORD,
) -> None:
    """Put symbols, functions and source lines on *instructions* from the records of BPF_OBJ_GET_INFO_BY_FD.

    *types* is the BTF that the program was loaded with. The kernel counts in slots and in the byte order of *types*.
    Raises BtfError for records that do not fit the program or the BTF.
    """
    functions = _records(func_info, types, func_info_size, FUNCTION_RECORD)
    slots = functions.column(0)
    found = []
    for type_id in functions.column(1):
        function = types.type_by_id(type_id)
        if not isinstance(function, Function):
            raise BtfError(f"function info names type [{type_id}], which is no function")
        found.append(function)
    lines = _records(line_info, types, line_info_size, LINE_RECORD)
    _check(slots)
    _check(lines.column(0))
    try:
        instructions.attach_slots(FUNCTION_INFO, slots, found)
        instructions.attach_slots(SYMBOL, slots, [function.name for function in found])
        instructions.attach_slots(LINE, lines.column(0), Lines(lines, types))
    except AsmError as error:
        raise BtfError(str(error)) from None


def _records(data: bytes, types: Btf, size: int, least: int) -> Records:
    if size < least or size % 4 or len(data) % size:
        raise BtfError(f"{len(data)} bytes are not records of {size} bytes")
    return Records(data, "<" if types.byte_order == "little" else ">", size // 4)


def _check(slots: array[int]) -> None:
    if not ascending(slots):
        raise BtfError("the places of function or line info do not ascend")
