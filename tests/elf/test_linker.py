"""Linking functions to programs: order, budget, and objects that a linker made."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aiobpf import asm
from aiobpf.asm import REFERENCE, SYMBOL, Instructions, Reference
from aiobpf.elf import read_spec
from aiobpf.elf.file import Section
from aiobpf.elf.functions import Function
from aiobpf.elf.linker import Linker
from aiobpf.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXT = Section(1, ".text", 1, 4, 0, 1 << 20, 0, 0)
INCLUDE = Path(__file__).parent.parent.parent / "aiobpf" / "include"

FIRST = """\
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); }
	shared SEC(".maps");
int other(int x);
int counter = 3;
static __noinline int same(int x) { barrier_var(x); return x + 1; }
SEC("socket") int one(struct __sk_buff *skb) { return same(skb->len) + other(counter); }
"""
SECOND = """\
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>
extern struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); }
	shared SEC(".maps");
extern int counter;
static __noinline int same(int x) { barrier_var(x); return x + 2; }
__noinline int other(int x) { __u32 key = 0; return same(x) + counter + !bpf_map_lookup_elem(&shared, &key); }
SEC("socket") int two(struct __sk_buff *skb) { return same(skb->len); }
char LICENSE[] SEC("license") = "GPL";
"""


def make(name: str, callees: Sequence[Function] = (), padding: int = 0) -> Function:
    """A function that calls *callees*."""
    instructions = Instructions([asm.mov(asm.R0, 0)] * (padding + 1))
    for callee in callees:
        instructions.append(asm.call_function(callee.name))
    instructions.append(asm.exit_())
    instructions.set_metadata(0, SYMBOL, name)
    function = Function(name, TEXT, 0, instructions.slot_count, True)
    function.instructions = instructions
    function.callees = list(callees)
    return function


def order(program: Instructions) -> list[str]:
    return list(program.functions())


def test_a_function_that_calls_nothing_is_itself() -> None:
    function = make("alone")
    assert Linker().link(function) is function.instructions


def test_callees_follow_depth_first_at_their_first_call() -> None:
    leaf = make("leaf")
    left, right = make("left", [leaf]), make("right", [leaf])
    entry = make("entry", [left, right, left])
    program = Linker().link(entry)
    assert order(program) == ["entry", "left", "leaf", "right"]
    assert order(entry.instructions) == ["entry"]  # which other programs may call, too
    assert {reference for _, reference in program.with_key(REFERENCE)} == {
        Reference("left"), Reference("right"), Reference("leaf"),
    }  # fmt: skip
    program.encode()


def test_functions_may_call_each_other() -> None:
    # The verifier refuses recursion; linking must only come to an end.
    first, second = make("first"), make("second")
    first, second = make("first", [second]), make("second", [first])
    first.callees, second.callees = [second], [first, second]
    assert order(Linker().link(first)) == ["first", "second"]


def test_a_chain_of_calls_needs_no_stack() -> None:
    function = make("f0")
    for i in range(1, 1000):
        function = make(f"f{i}", [function])
    assert len(order(Linker().link(function))) == 1000


def test_a_program_of_too_many_functions() -> None:
    entry = make("entry", [make(f"f{i}") for i in range(1025)])
    with pytest.raises(ElfError, match="'entry' calls more than 1024 functions"):
        Linker().link(entry)


def test_a_small_file_cannot_become_a_large_spec() -> None:
    large = make("large", padding=1 << 16)
    linker = Linker()
    for i in range(63):
        linker.link(make(f"entry{i}", [large]))
    with pytest.raises(ElfError, match=r"'last'.*come to more than"):
        linker.link(make("last", [large]))


def test_objects_that_bpftool_linked(tmp_path: Path) -> None:
    clang = shutil.which("clang-19") or shutil.which("clang")
    bpftool = shutil.which("bpftool") or shutil.which("bpftool", path="/usr/sbin:/sbin")
    if clang is None or bpftool is None:
        pytest.skip("needs clang and bpftool")
    for name, text in (("first", FIRST), ("second", SECOND)):
        (tmp_path / f"{name}.bpf.c").write_text(text)
        subprocess.run(
            [clang, "-target", "bpfel", "-O2", "-g", "-nostdinc", "-I", INCLUDE, "-c", f"{name}.bpf.c",
             "-o", f"{name}.o"],
            check=True,
            cwd=tmp_path,
        )  # fmt: skip
    subprocess.run([bpftool, "gen", "object", "linked.o", "first.o", "second.o"], check=True, cwd=tmp_path)
    spec = read_spec(tmp_path / "linked.o")
    assert spec.programs.keys() == {"one", "two"}
    assert spec.maps.keys() == {"shared", ".data"}
    # Two static functions have one name: the second one is told apart by its place.
    first, *rest = order(spec.programs["one"].instructions)
    assert first == "one"
    assert rest[:2] == ["same", "other"]
    assert rest[2].startswith("same.")
    assert order(spec.programs["two"].instructions) == ["two", rest[2]]
    for program in spec.programs.values():
        program.instructions.encode()
    assert {name for name, extern in read_spec(tmp_path / "second.o").externs.items()} == {"shared", "counter"}
