"""A library and programs with USDT probes of every form, made here: sys/sdt.h is on no fresh machine."""

from __future__ import annotations

import contextlib
import platform
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from tests.link.user_library import build

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="the probes are in assembler of x86-64")

# What SystemTap's sys/sdt.h makes of DTRACE_PROBE(provider, name, ...): one nop, and a note about it.
_NOTE: Final = r"""
#define PROBE(provider, name, semaphore, arguments)                                          \
    "990: nop\n"                                                                             \
    ".pushsection .note.stapsdt,\"\",\"note\"\n"                                             \
    ".balign 4\n .4byte 992f-991f, 994f-993f, 3\n"                                           \
    "991: .asciz \"stapsdt\"\n 992: .balign 4\n"                                             \
    "993: .8byte 990b\n .8byte _.stapsdt.base\n .8byte " semaphore "\n"                      \
    ".asciz \"" provider "\"\n .asciz \"" name "\"\n .asciz \"" arguments "\"\n"             \
    "994: .balign 4\n .popsection\n"                                                         \
    ".ifndef _.stapsdt.base\n"                                                               \
    ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"                  \
    ".weak _.stapsdt.base\n .hidden _.stapsdt.base\n _.stapsdt.base: .space 1\n"             \
    ".size _.stapsdt.base, 1\n .popsection\n .endif\n"
"""

SOURCE: Final = (
    _NOTE
    + r"""
#include <stdio.h>

unsigned short watched __attribute__((section(".probes"), visibility("hidden"))) = 0;
int numbers[2] __attribute__((visibility("hidden"))) = {-10, -20};
long cells[4] = {100 | -7L << 32, 200, 300, 400};

#define FIRE(name, arguments)                                                                                \
    __attribute__((noinline)) void fire_##name(void)                                                         \
    {                                                                                                        \
        register long *base __asm__("r8") = cells;                                                           \
        __asm__ volatile(PROBE("own", #name, "0", arguments)                                                 \
                         : : "r"(base), "D"(0x1122334455667788), "S"(0xffffffff80000001), "c"(2L),            \
                           "d"(0x1234ffffL) : "memory");                                                     \
    }

#define PLAIN "-4@$-9 8@%%rdi -4@%%esi 1@%%cl -2@%%dx 8@8(%%r8) -4@(%%r8) -4@numbers+4(%%rip)"
FIRE(all, PLAIN " 8@(%%r8,%%rcx,8) -4@-4(%%r8,%%rcx,4) 8@14(%%r8,%%rcx) 4@numbers(%%rip)")
FIRE(plain, PLAIN)
FIRE(simple, "-4@$-9 8@%%rdi -4@%%esi 1@%%cl -2@%%dx 8@8(%%r8) -4@(%%r8)")
FIRE(indexed, "8@(%%r8,%%rcx,8) -4@-4(%%r8,%%rcx,4) 8@14(%%r8,%%rcx)")
FIRE(none, "")
FIRE(floating, "8f@%%xmm0")
FIRE(missing, "4@no_such_symbol(%%rip)")

__attribute__((noinline)) void fire_twice(long a)
{
    __asm__ volatile(PROBE("own", "twice", "0", "-4@%%edi 8@$1000") : : "D"(a));
    __asm__ volatile(PROBE("own", "twice", "0", "8@$1 -4@%%edi") : : "D"(a));
}

__attribute__((noinline)) void fire_watched(void)
{
    if (watched)
        __asm__ volatile(PROBE("own", "watched", "watched", "2@watched(%%rip)") : :);
}

int semaphore(void) { return watched; }

int main(void)
{
    int command;
    while ((command = getchar()) != EOF) {
        if (command == 'a') fire_all();
        if (command == 'p') fire_plain();
        if (command == 's') fire_simple();
        if (command == 'i') fire_indexed();
        if (command == 'n') fire_none();
        if (command == 'w') fire_watched();
        if (command == '2') fire_twice(5);
        putchar('.');
        fflush(stdout);
    }
    return 0;
}
"""
)

MINUS_10: Final = 2**32 - 10
SIMPLE: Final = [-9, 0x1122334455667788, -0x7FFFFFFF, 2, -1, 200, 100]
PLAIN: Final = [*SIMPLE, -20]
INDEXED: Final = [300, -7, 300]
ALL: Final = [*PLAIN, *INDEXED, MINUS_10]
"""The values of the probes' arguments."""


def make_library(directory: Path) -> Path:
    return build(directory, "libprobes.so", SOURCE)


def make_program(directory: Path, name: str, *options: str) -> Path:
    return build(directory, name, SOURCE, *options)


@contextlib.contextmanager
def running(*command: str) -> Iterator[Running]:
    """A program that answers each byte of its input with one, while the context lasts."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        yield Running(process)
        process.terminate()


class Running:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self._process = process

    def say(self, commands: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for command in commands:
            self._process.stdin.write(command.encode())
            assert self._process.stdout.read(1) == b"."
