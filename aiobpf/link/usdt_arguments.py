"""Where the arguments of a USDT probe are when it is reached, as the compiler wrote it into the probe's note.

Arguments are separated by spaces. Each is ``SIZE@PLACE``: the size in bytes, negative for a signed number, and an
operand in the assembler's own syntax, so that there is a grammar for each machine.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import frozen

from aiobpf.errors import NotSupportedError, SpecError
from aiobpf.link.usdt_registers import INSTRUCTION_POINTER, REGISTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@frozen
class Constant:
    """The argument is this number."""

    value: int


@frozen
class Register:
    """The argument is in this register."""

    name: str


@frozen
class Memory:
    """The argument is in memory, at *base* + *index* * *scale* + *offset*; *base* and *index* are registers."""

    base: str
    offset: int = 0
    index: str | None = None
    scale: int = 1


@frozen
class SymbolMemory:
    """The argument is in memory, *offset* bytes behind the binary's symbol *symbol*."""

    symbol: str
    offset: int = 0


Place: TypeAlias = "Constant | Register | Memory | SymbolMemory"


@frozen
class UsdtArgument:
    """One argument: *size* bytes (1, 2, 4 or 8) at *place*."""

    size: int
    is_signed: bool
    place: Place


_U64: Final = 1 << 64
_NEXT: Final = re.compile(r"\s+(?=-?[0-9]+f?@)")
_ARGUMENT: Final = re.compile(r"(?P<sign>-?)(?P<size>[0-9]{1,4})(?P<float>f?)@(?P<place>.+)", re.DOTALL)
_NUMBER: Final = r"[+-]?(?:0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})"
_SYMBOL: Final = r"[A-Za-z_.$][\w.$@]*"
_DISPLACEMENT: Final = re.compile(rf"(?:(?P<first>{_NUMBER})\+)?(?P<symbol>{_SYMBOL})(?P<rest>(?:[+-]{_NUMBER})*)")
_X86_MEMORY: Final = re.compile(
    r"(?P<displacement>[^()%]*)\(\s*%(?P<base>\w+)\s*(?:,\s*%(?P<index>\w+)\s*(?:,\s*(?P<scale>[0-9]+)\s*)?)?\)"
)
_AARCH64_MEMORY: Final = re.compile(
    rf"\[\s*(?P<base>\w+)\s*(?:,\s*(?:#?(?P<offset>{_NUMBER})|(?P<index>x\w+)\s*(?:,\s*lsl\s+#?(?P<shift>[0-3]))?)\s*)?\]"
)
_ARM_MEMORY: Final = re.compile(rf"\[\s*(?P<base>\w+)\s*(?:,\s*#?(?P<offset>{_NUMBER})\s*)?\]")
_PLAIN_MEMORY: Final = re.compile(rf"(?P<offset>{_NUMBER})?\(\s*%?(?P<base>\w+)\s*\)")


def parse_arguments(text: str, machine: str) -> tuple[UsdtArgument, ...]:
    """The arguments that *text* says, in a note of a binary for *machine* ("EM_X86_64").

    Invariant: any text gives arguments whose registers the machine has, or an error. SpecError: no such form.
    NotSupportedError: a form that no BPF program can read (a vector register, 16 bytes), an unknown machine.
    """
    if machine not in _GRAMMARS:
        raise NotSupportedError(f"USDT arguments of {machine} ({text!r})")
    text = text.strip()
    return tuple(_argument(each, machine) for each in _NEXT.split(text)) if text else ()


def _argument(text: str, machine: str) -> UsdtArgument:
    match = _ARGUMENT.fullmatch(text)
    if match is None:
        raise SpecError(f"USDT argument {text!r} is not SIZE@PLACE")
    size = int(match["size"])
    if match["float"] or "%xmm" in text or "%ymm" in text or "%st" in text:
        raise NotSupportedError(
            f"USDT argument {text!r} is a floating-point number, or in a register that no BPF program sees"
        )
    if size not in {1, 2, 4, 8}:
        raise NotSupportedError(f"USDT argument {text!r} has {size} bytes: a BPF program reads 1, 2, 4 or 8")
    place = _GRAMMARS[machine](match["place"].strip(), REGISTERS[machine])
    if place is None:
        raise SpecError(f"USDT argument {text!r} has a form that is not known on {machine}")
    return UsdtArgument(size, bool(match["sign"]), place)


def _number(text: str) -> int:
    value = int(text, 0) if "x" in text.lower() else int(text)
    if not -_U64 // 2 <= value < _U64:
        raise SpecError(f"USDT argument with the number {text}, which does not fit 64 bits")
    return value


def _is_number(text: str) -> bool:
    return re.fullmatch(_NUMBER, text) is not None


def _symbol(text: str) -> SymbolMemory | None:
    match = _DISPLACEMENT.fullmatch(text)
    if match is None:
        return None
    # "foo@GOTPCREL" is the address of an address, and "foo@TPOFF" one of a thread's own.
    if "@" in match["symbol"]:
        raise NotSupportedError(f"USDT argument in memory that only the linker finds ({text})")
    numbers = re.findall(rf"[+-]{_NUMBER}", match["rest"])
    offset = sum(_number(number.replace("+-", "-").replace("++", "+").replace("--", "+")) for number in numbers)
    return SymbolMemory(match["symbol"], offset + (_number(match["first"]) if match["first"] else 0))


def _x86_64(text: str, registers: Mapping[str, int]) -> Place | None:
    if text.startswith("$"):
        return Constant(_number(text[1:])) if _is_number(text[1:]) else None
    if text.startswith("%"):
        return Register(text[1:]) if text[1:] in registers else None
    match = _X86_MEMORY.fullmatch(text)
    if match is None:
        return _symbol(text)  # without a base: the symbol's own address
    displacement, base, index, scale = match["displacement"].strip(), match["base"], match["index"], match["scale"]
    if base not in registers or (index is not None and index not in registers):
        return None
    if displacement and not _is_number(displacement):
        # What is written relative to rip is the symbol's address. An array that is indexed has a base register too,
        # which only a program that is not position-independent can add a symbol to.
        return _symbol(displacement) if base == INSTRUCTION_POINTER["EM_X86_64"] and index is None else None
    if scale is not None and int(scale) not in {1, 2, 4, 8}:
        return None
    return Memory(base, _number(displacement) if displacement else 0, index, int(scale or 1))


def _aarch64(text: str, registers: Mapping[str, int]) -> Place | None:
    plain = text.removeprefix("#")
    if _is_number(plain):
        return Constant(_number(plain))
    if text in {"xzr", "wzr"}:
        return Constant(0)
    if text in registers:
        return Register(text)
    match = _AARCH64_MEMORY.fullmatch(text)
    if match is None or match["base"] not in registers or (match["index"] or "x0") not in registers:
        return None
    offset = _number(match["offset"]) if match["offset"] else 0
    return Memory(match["base"], offset, match["index"], 1 << int(match["shift"] or 0))


def _arm(text: str, registers: Mapping[str, int]) -> Place | None:
    plain = text.removeprefix("#")
    if _is_number(plain):
        return Constant(_number(plain))
    if text in registers:
        return Register(text)
    match = _ARM_MEMORY.fullmatch(text)
    if match is None or match["base"] not in registers:
        return None
    return Memory(match["base"], _number(match["offset"]) if match["offset"] else 0)


def _plain(text: str, registers: Mapping[str, int]) -> Place | None:
    """RISC-V and s390x: "12", "a0" or "%r2", "-8(s0)" or "160(%r15)"."""
    if _is_number(text):
        return Constant(_number(text))
    if text.removeprefix("%") in registers:
        return Register(text.removeprefix("%"))
    match = _PLAIN_MEMORY.fullmatch(text)
    if match is None or match["base"] not in registers:
        return None
    return Memory(match["base"], _number(match["offset"]) if match["offset"] else 0)


_GRAMMARS: Final[Mapping[str, Callable[[str, Mapping[str, int]], Place | None]]] = {
    "EM_X86_64": _x86_64,
    "EM_AARCH64": _aarch64,
    "EM_RISCV": _plain,
    "EM_S390": _plain,
    "EM_ARM": _arm,
}
