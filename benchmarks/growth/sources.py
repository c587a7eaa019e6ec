"""Objects of any size: C that is written by a rule and compiled by clang."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from benchmarks.peers.build import WORK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

CLANGS: Final = ("clang-19", "clang")
INCLUDE: Final = "aiobpf/include"

_HEAD: Final = """\
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
volatile __u64 cell;
char LICENSE[] SEC("license") = "Dual MIT/GPL";
"""
_FIELDS: Final = {
    "task_struct": ("pid", "tgid", "flags", "prio", "start_time", "exit_code", "utime", "stime"),
    "sk_buff": ("len", "data_len", "mac_len", "hash", "priority", "mark"),
    "file": ("f_flags", "f_mode", "f_pos"),
    "net_device": ("mtu", "ifindex", "flags", "type"),
    "inode": ("i_ino", "i_size", "i_mode", "i_rdev"),
}
"""Members that every kernel has, at places that differ."""


class NoCompilerError(Exception):
    """There is no clang: the objects cannot be made."""


def _program(name: str, lines: Iterable[str]) -> str:
    body = "\n".join(f"\t{line}" for line in lines)
    return f'SEC("socket") int {name}(void *context)\n{{\n\t__u64 total = 0;\n{body}\n\treturn total;\n}}\n'


def instructions(count: int) -> str:
    """One program of about *count* instructions, every second of them with a source line of its own."""
    return _HEAD + _program("program", _sum(count))


def _sum(count: int) -> list[str]:
    """Lines of two instructions each, with a branch now and then: a single block of 100,000 is too much for clang."""
    return ["if (cell & 1) total ^= 3;" if i % 100 == 99 else "total += cell;" for i in range(max(count // 2 - 2, 1))]


def refused(count: int) -> str:
    """As `instructions`, and the last of them is one that the verifier refuses."""
    return _HEAD + _program("program", [*_sum(count), "total += *(volatile __u64 *)total;"])


def relocations(count: int) -> str:
    """One program with *count* CO-RE relocations, of the members of five of the kernel's structs."""
    structs = "".join(
        f"struct {name} {{\n"
        + "".join(f"\tint {field};\n" for field in fields)
        + "} __attribute__((preserve_access_index));\n"
        for name, fields in _FIELDS.items()
    )
    places = [(name, field) for name, fields in _FIELDS.items() for field in fields]
    lines = []
    for i in range(count):
        name, field = places[i % len(places)]
        lines.append(f"total += bpf_core_field_offset(struct {name}, {field}) + cell;")
        if i % 100 == 99:
            lines.append("if (cell & 1) total ^= 3;")
    return _HEAD + structs + _program("program", lines)


def programs(count: int) -> str:
    """*count* programs that call one function and look into one map."""
    shared = """\
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} shared SEC(".maps");
static __attribute__((noinline)) __u64 *find(__u32 key) { return bpf_map_lookup_elem(&shared, &key); }
"""
    lines = ["__u64 *found = find({});", "if (found)", "\ttotal = *found + cell;"]
    return _HEAD + shared + "".join(_program(f"program_{i}", [lines[0].format(i), *lines[1:]]) for i in range(count))


def maps(count: int) -> str:
    """*count* hash maps, each with a struct of its own for its values."""
    return _HEAD + "".join(
        f"struct value_{i} {{ __u64 packets; __u32 flags; char name[{4 + i % 8}]; }};\n"
        "struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1); __type(key, __u32);"
        f' __type(value, struct value_{i}); }} map_{i} SEC(".maps");\n'
        for i in range(count)
    )


def types(count: int) -> str:
    """*count* structs that one variable leads to, and pointers to them."""
    structs = "".join(
        f"struct type_{i} {{ __u64 number; char name[{1 + i % 16}]; int flags; }};\n" for i in range(count)
    )
    members = "\n".join(f"\tstruct type_{i} *member_{i};" for i in range(count))
    all_of_them = f"struct all {{\n{members}\n}} *all;\n"
    return _HEAD + structs + all_of_them + _program("program", ["total += (__u64)all;"])


def compiled(rule: Callable[[int], str], count: int) -> Path:
    """The object that *rule* makes of *count*, compiled once; NoCompilerError without clang."""
    clang = next((found for name in CLANGS if (found := shutil.which(name))), None)
    if clang is None:
        raise NoCompilerError("objects of any size need clang, and there is none")
    directory = WORK / "growth"
    directory.mkdir(parents=True, exist_ok=True)
    source, target = directory / f"{rule.__name__}_{count}.bpf.c", directory / f"{rule.__name__}_{count}.bpf.o"
    text = rule(count)
    if not target.exists() or source.read_text(encoding="ascii") != text:
        source.write_text(text, encoding="ascii")
        options = ["-target", "bpfel", "-mcpu=v3", "-O2", "-g", "-nostdinc", "-I", INCLUDE, "-fno-builtin"]
        subprocess.run([clang, *options, "-c", str(source), "-o", str(target)], check=True)
    return target
