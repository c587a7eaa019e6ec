"""What the kernel put in place of names, turned back: calls of functions and helpers, addresses of functions, maps.

Source: bpf_insn_prepare_dump in kernel/bpf/syscall.c and jit_subprogs in kernel/bpf/verifier.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiobpf import kernel
from aiobpf.asm import REFERENCE, SYMBOL, CallKind, Helper, Pseudo, Reference
from aiobpf.asm.opcodes import CALL_OP, LD_IMM64
from aiobpf.btf import DataSection, Function
from aiobpf.errors import BpfError, BtfError

if TYPE_CHECKING:
    from aiobpf.asm import Instructions
    from aiobpf.btf import Btf
    from aiobpf.kernel import MapInfo

_CALL_BASE: Final = "__bpf_call_base"
_LOW_32: Final = 0xFFFF_FFFF


def name_functions(instructions: Instructions) -> None:
    """Let calls within the program, and loads of its functions' addresses, refer to the functions by name again.

    The JIT leaves the number of the function in the one half and the distance, cut to 16 bits for a call, in the other.
    """
    symbols = list(instructions.with_key_by_slot(SYMBOL))
    for index in list(instructions.find(CALL_OP, CallKind.FUNCTION)):
        offset, number = instructions.fields(index)[3:5]
        slot = instructions.slot_of(index)
        if 0 <= number < len(symbols):
            target, name = symbols[number]
            instructions.patch(index, offset=0, constant=target - slot - 1)
            instructions.set_metadata(index, REFERENCE, Reference(name))
        elif offset:
            instructions.patch(index, offset=0, constant=offset)
    for index in list(instructions.find(LD_IMM64, Pseudo.FUNC)):
        constant = instructions.fields(index)[4]
        number = constant >> 32
        instructions.patch(index, constant=constant & _LOW_32)
        if number < len(symbols):
            instructions.set_metadata(index, REFERENCE, Reference(symbols[number][1]))


def name_maps(instructions: Instructions, btf_id: int, types: Btf | None) -> None:
    """Let each load of a map refer to it by the name that the kernel has; the constant is its id.

    *types* are those of *btf_id*, which the program was loaded with: where its data sections were as well, the address
    of a variable is named by the variable.
    """
    known: dict[int, MapInfo | None] = {}
    for source in (Pseudo.MAP_FD, Pseudo.MAP_VALUE):
        for index in list(instructions.find(LD_IMM64, source)):
            constant = instructions.fields(index)[4]
            number = constant & _LOW_32
            if number not in known:
                known[number] = _map_info(number)
            info = known[number]
            if info is None or not info.name:
                continue
            variable = None
            if source == Pseudo.MAP_VALUE and types is not None and info.btf_id == btf_id:
                variable = _variable_at(types, info.btf_value_type_id, constant >> 32)
            instructions.set_metadata(index, REFERENCE, Reference(info.name, variable))


def _map_info(number: int) -> MapInfo | None:
    try:
        with kernel.map_by_id(number) as fd:
            return kernel.map_info(fd)
    except BpfError:  # no privilege
        return None


def _variable_at(types: Btf, type_id: int, offset: int) -> str | None:
    try:
        section = types.type_by_id(type_id)
    except BtfError:
        return None
    if not isinstance(section, DataSection):
        return None
    for each in section.variables:
        if each.offset <= offset < each.offset + each.size:
            return each.variable.name
    return None


def name_helpers(instructions: Instructions) -> None:
    """Give calls of helpers their numbers back, and name other functions of the kernel that are called.

    What is called in a helper's place (an inlined map operation, say) is named as it is. Without the right to see
    addresses the constants are 0, and nothing is named.
    """
    numbers = {f"bpf_{helper.name.lower()}": helper for helper in Helper}
    try:
        base = kernel.symbol_address(_CALL_BASE)
    except BpfError:  # hidden
        return
    if base is None:
        return
    symbols = kernel.Kallsyms.read()
    for index in list(instructions.find(CALL_OP)):
        _, _, kind, _, constant = instructions.fields(index)
        if kind == CallKind.FUNCTION or not constant:
            continue
        found = symbols.at(base + constant)
        if found is not None and not found[1]:
            name = found[0].name
            helper = numbers.get(name) if kind == CallKind.HELPER else None
            if helper is not None:
                instructions.patch(index, constant=int(helper))
            else:
                instructions.set_metadata(index, REFERENCE, Reference(name))
        elif kind == CallKind.KFUNC:
            _name_far_function(instructions, index, constant)


def _name_far_function(instructions: Instructions, index: int, type_id: int) -> None:
    """Where a call may reach further than 32 bits (arm64, s390x), the constant stays the BTF id in vmlinux."""
    try:
        type_ = kernel.shared_btf_cache().vmlinux().type_by_id(type_id)
    except (BtfError, BpfError):
        return
    if isinstance(type_, Function):
        instructions.set_metadata(index, REFERENCE, Reference(type_.name))
