"""Where the registers of each machine lie in struct pt_regs, under the names that assemblers have for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


def _x86_64() -> dict[str, int]:
    # arch/x86/include/asm/ptrace.h; ah, bh, ch and dh are the upper halves of a word, which no offset alone reads.
    order = "r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di"
    found = {}
    for index, name in enumerate(order.split()):
        if name[0] == "r":
            names = [name, f"{name}d", f"{name}w", f"{name}b"]
        elif name.endswith("x"):
            names = [f"r{name}", f"e{name}", name, f"{name[0]}l"]
        else:
            names = [f"r{name}", f"e{name}", name, f"{name}l"]
        found.update(dict.fromkeys(names, 8 * index))
    found.update({"rip": 128, "eip": 128, "ip": 128, "rsp": 152, "esp": 152, "sp": 152, "spl": 152})
    return found


def _aarch64() -> dict[str, int]:
    found = {f"{letter}{number}": 8 * number for number in range(31) for letter in "xw"}
    return found | {"fp": 8 * 29, "lr": 8 * 30, "sp": 8 * 31, "wsp": 8 * 31, "pc": 8 * 32}


def _riscv64() -> dict[str, int]:
    # arch/riscv/include/asm/ptrace.h
    order = "pc ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6"
    found = {name: 8 * index for index, name in enumerate(order.split())}
    found.update({f"x{index}": 8 * index for index in range(1, 32)})
    return found | {"fp": found["s0"]}


def _s390x() -> dict[str, int]:
    # user_pt_regs: args[1], the PSW (mask and address), then the registers
    return {f"r{number}": 24 + 8 * number for number in range(16)} | {"pc": 16}


def _arm() -> dict[str, int]:
    found = {f"r{number}": 4 * number for number in range(16)}
    return found | {"fp": 44, "ip": 48, "sp": 52, "lr": 56, "pc": 60, "sl": 40}


REGISTERS: Final[Mapping[str, Mapping[str, int]]] = {
    "EM_X86_64": _x86_64(),
    "EM_AARCH64": _aarch64(),
    "EM_RISCV": _riscv64(),
    "EM_S390": _s390x(),
    "EM_ARM": _arm(),
}
"""By the ELF machine: offsets in bytes, from the start of what a probe's program gets as its context."""

INSTRUCTION_POINTER: Final[Mapping[str, str]] = dict.fromkeys(REGISTERS, "pc") | {"EM_X86_64": "rip"}
