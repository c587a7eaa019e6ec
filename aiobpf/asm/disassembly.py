"""Programs as text, in the words of the kernel's verifier log and of llvm-objdump."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from aiobpf.asm import opcodes as op
from aiobpf.asm.displacement import pointer_at
from aiobpf.asm.opcodes import CallKind, Pseudo
from aiobpf.asm.references import LABEL, REFERENCE, SYMBOL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.asm.instruction import Instruction
    from aiobpf.asm.instructions import Instructions
    from aiobpf.asm.metadata import Key

_ALU = {
    op.ADD: "+=",
    op.SUB: "-=",
    op.MUL: "*=",
    op.DIV: "/=",
    op.OR: "|=",
    op.AND: "&=",
    op.LSH: "<<=",
    op.RSH: ">>=",
    op.MOD: "%=",
    op.XOR: "^=",
    op.MOV: "=",
    op.ARSH: "s>>=",
}
_CONDITIONS = {
    op.JEQ: "==",
    op.JGT: ">",
    op.JGE: ">=",
    op.JSET: "&",
    op.JNE: "!=",
    op.JSGT: "s>",
    op.JSGE: "s>=",
    op.JLT: "<",
    op.JLE: "<=",
    op.JSLT: "s<",
    op.JSLE: "s<=",
}
_BITS = {op.SIZE_B: 8, op.SIZE_H: 16, op.SIZE_W: 32, op.SIZE_DW: 64}
_ATOMICS = {op.ATOMIC_ADD: ("+=", "add"), op.ATOMIC_OR: ("|=", "or"), op.ATOMIC_AND: ("&=", "and")}
_ATOMICS[op.ATOMIC_XOR] = ("^=", "xor")
_SIZES_OF_BITS = frozenset({16, 32, 64})


def format_instruction(instruction: Instruction, target: str | None = None) -> str:
    """One instruction as text: "r1 = *(u32 *)(r2 + 8)", "call bpf_map_lookup_elem#1", "r1 = <events> ll".

    *target* is the name of what a numeric jump or call leads to, where the caller knows it. An opcode that means
    nothing here is shown by its fields: ".insn 0xc2 dst=0 src=0 off=0 imm=0".
    """
    reference = instruction.metadata.get(REFERENCE)
    name = f"<{reference}>" if reference is not None else f"<{target}>" if target is not None else ""
    class_ = instruction.opcode & 0x07
    if class_ in {op.ALU, op.ALU64}:
        text = _alu(instruction)
    elif class_ in {op.JMP, op.JMP32}:
        text = _jump(instruction, name)
    elif class_ == op.LD:
        text = _load(instruction, name)
    else:
        text = _memory(instruction)
    return text or _raw(instruction)


class Disassembled(NamedTuple):
    """An instruction at a raw slot, and its *text* with the names of what it jumps to or calls."""

    slot: int
    instruction: Instruction
    text: str


def disassemble(instructions: Instructions) -> Iterator[Disassembled]:
    """Each instruction as text, by its raw slot, as the verifier counts."""
    places = dict(instructions.with_key_by_slot(SYMBOL))
    places |= dict(instructions.with_key_by_slot(LABEL)) | places
    slot = 0
    for instruction in instructions:
        yield Disassembled(slot, instruction, format_instruction(instruction, places.get(_target(instruction, slot))))
        slot += instruction.width


def format_instructions(instructions: Instructions, *, source: Key[Any] | None = None) -> str:
    """The disassembly of a program: one line an instruction, by its raw slot, as the verifier counts.

    A symbol or label stands on a line before its instruction. So does, after a semicolon, each value of a key whose
    `is_source` is set (comments, BTF lines) or that is *source*; empty ones are left out.
    """
    sources = [key for key in instructions.metadata_keys() if key.is_source or key is source]
    digits = max(4, len(str(instructions.slot_count)) + 1)
    indent = " " * (digits + 2)
    lines: list[str] = []
    for slot, instruction, shown in disassemble(instructions):
        metadata = instruction.metadata
        if metadata:
            for mark in (SYMBOL, LABEL):
                name = metadata.get(mark)
                if name is not None:
                    lines.append(f"{name}:")
            for key in sources:
                text = str(metadata.get(key) or "")
                lines += [f"{indent}; {line}" for line in text.splitlines() if line.strip()]
        lines.append(f"{slot:>{digits}}: {shown}")
    return "\n".join(lines)


def _target(instruction: Instruction, slot: int) -> int:
    """The slot that *instruction*, standing at *slot*, points to by distance; -1 if it points nowhere."""
    if instruction.opcode & 0x07 not in {op.JMP, op.JMP32, op.LD} or instruction.is_exit:
        return -1
    from aiobpf.asm.wire import pack

    pointer = pointer_at(bytearray(pack(*instruction.fields)), 0)
    return -1 if pointer is None else slot + pointer.target


def _raw(instruction: Instruction) -> str:
    opcode, dst, src, offset, constant = instruction.fields
    return f".insn {opcode:#04x} dst={dst} src={src} off={offset} imm={constant}"


def _alu(instruction: Instruction) -> str | None:
    opcode, dst, src, offset, constant = instruction.fields
    is_wide = opcode & 0x07 == op.ALU64
    operation = opcode & 0xF0
    letter = "r" if is_wide else "w"
    left = f"{letter}{dst}"
    if operation == op.END:
        if constant not in _SIZES_OF_BITS or offset or (is_wide and opcode & op.X):
            return None
        return f"r{dst} = {'bswap' if is_wide else 'be' if opcode & op.X else 'le'}{constant} r{dst}"
    if operation == op.NEG:
        return None if opcode & op.X or offset else f"{left} = -{left}"
    sign = _ALU.get(operation)
    if sign is None:
        return None
    right = f"{letter}{src}" if opcode & op.X else str(constant)
    if offset == 0:
        return f"{left} {sign} {right}"
    if operation in {op.DIV, op.MOD} and offset == 1:
        return f"{left} s{sign} {right}"
    if operation == op.MOV and opcode & op.X:
        if offset in {8, 16} or (offset == 32 and is_wide):
            return f"{left} = (s{offset}){right}"
        if offset == 1 and is_wide:
            return f"{left} = addr_space_cast({right}, {constant >> 16 & 0xFFFF}, {constant & 0xFFFF})"
        if offset == -1 and is_wide:
            return f"{left} = &(void __percpu *)({right})"
    return None


def _jump(instruction: Instruction, name: str) -> str | None:
    opcode, dst, src, offset, constant = instruction.fields
    operation = opcode & 0xF0
    if opcode == op.CALL_OP:
        return _call(src, offset, constant, name)
    if opcode == op.EXIT_OP:
        return "exit"
    if opcode == op.CALLX_OP:
        return f"callx r{dst}"
    if opcode == op.GOTOX_OP:
        return f"gotox r{dst}"
    if opcode == op.GOTOL_OP:
        return f"gotol {_distance(constant, instruction, name)}"
    to = _distance(offset, instruction, name)
    if opcode == op.JA_OP:
        return f"goto {to}"
    if opcode == op.MAY_GOTO_OP:
        return f"may_goto {to}" if src == 0 else None
    condition = _CONDITIONS.get(operation)
    if condition is None:
        return None
    letter = "r" if opcode & 0x07 == op.JMP else "w"
    right = f"{letter}{src}" if opcode & op.X else str(constant)
    return f"if {letter}{dst} {condition} {right} goto {to}"


def _distance(distance: int, instruction: Instruction, name: str) -> str:
    if name and REFERENCE in instruction.metadata:
        return name  # the number is not decided yet
    return f"{distance:+d} {name}" if name else f"{distance:+d}"


def _call(src: int, offset: int, constant: int, name: str) -> str | None:
    if src == CallKind.HELPER:
        if name:
            return f"call {name}"
        from aiobpf.asm.helper_functions import helper_name

        known = helper_name(constant)
        return f"call {known}" if "#" in known else f"call {known}#{constant}"
    if src == CallKind.FUNCTION:
        return f"call {name or format(constant, '+d')}"
    if src == CallKind.KFUNC:
        return f"call {name}" if name else f"call kfunc#{constant}" + (f" of fd_array[{offset}]" if offset else "")
    return None


def _load(instruction: Instruction, name: str) -> str | None:
    opcode, dst, src, _, constant = instruction.fields
    bits = _BITS[opcode & 0x18]
    mode = opcode & 0xE0
    if mode in {op.ABS, op.IND} and bits != 64:
        at = str(constant) if mode == op.ABS else f"r{src}" + (f" {_signed(constant)}" if constant else "")
        return f"r0 = *(u{bits} *)skb[{at}]"
    if opcode != op.LD_IMM64:
        return None
    low, high = constant & 0xFFFF_FFFF, constant >> 32
    if src == Pseudo.NONE:
        value = name or f"{constant:#x}"
    elif src == Pseudo.MAP_FD:
        value = name or f"map[fd:{low}]"
    elif src == Pseudo.MAP_IDX:
        value = name or f"map[idx:{low}]"
    elif src in {Pseudo.MAP_VALUE, Pseudo.MAP_IDX_VALUE}:
        what = "fd" if src == Pseudo.MAP_VALUE else "idx"
        value = f"map[{what}:{low}][0]+{high}"
        reference = instruction.metadata.get(REFERENCE)
        if reference is not None:
            value = f"<{reference.variable + '@' if reference.variable else ''}{reference.name}+{high}>"
    elif src == Pseudo.BTF_ID:
        value = name or f"btf[id:{low}]" + (f" of fd {high}" if high else "")
    elif src == Pseudo.FUNC:
        value = name or f"func[{low - (low >> 31 << 32):+d}]"
    else:
        return None
    return f"r{dst} = {value} ll"


def _memory(instruction: Instruction) -> str | None:
    opcode, dst, src, offset, constant = instruction.fields
    class_, mode, bits = opcode & 0x07, opcode & 0xE0, _BITS[opcode & 0x18]
    if class_ == op.LDX:
        if mode == op.MEM:
            return f"{_value(dst, bits)} = *(u{bits} *)({_address(src, offset)})"
        if mode == op.MEMSX and bits != 64:
            return f"r{dst} = *(s{bits} *)({_address(src, offset)})"
        return None
    at = _address(dst, offset)
    if class_ == op.ST:
        return f"*(u{bits} *)({at}) = {constant}" if mode == op.MEM else None
    if mode == op.MEM:
        return f"*(u{bits} *)({at}) = {_value(src, bits)}"
    return _atomic(instruction, bits) if mode == op.ATOMIC else None


def _atomic(instruction: Instruction, bits: int) -> str | None:
    _, dst, src, offset, operation = instruction.fields
    at = _address(dst, offset)
    if operation == op.LOAD_ACQUIRE:
        return f"{_value(dst, bits)} = load_acquire((u{bits} *)({_address(src, offset)}))"
    if operation == op.STORE_RELEASE:
        return f"store_release((u{bits} *)({at}), {_value(src, bits)})"
    if bits < 32:
        return None
    value = _value(src, bits)
    if operation == op.XCHG:
        return f"{value} = xchg{'' if bits == 64 else '32'}_{bits}({at}, {value})"
    if operation == op.CMPXCHG:
        old = _value(0, bits)
        return f"{old} = cmpxchg{'' if bits == 64 else '32'}_{bits}({at}, {old}, {value})"
    words = _ATOMICS.get(operation & ~op.FETCH)
    if words is None:
        return None
    if operation & op.FETCH:
        return f"{value} = atomic_fetch_{words[1]}((u{bits} *)({at}), {value})"
    return f"lock *(u{bits} *)({at}) {words[0]} {value}"


def _value(register: int, bits: int) -> str:
    """A register in the width that a memory access gives it: llvm's and the ISA's wN is the low half."""
    return f"r{register}" if bits == 64 else f"w{register}"


def _address(register: int, offset: int) -> str:
    return f"r{register} {_signed(offset)}"


def _signed(number: int) -> str:
    return f"- {-number}" if number < 0 else f"+ {number}"
