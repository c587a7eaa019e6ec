"""Structs written down on the command line."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.btf import Btf, Int, Kind, Struct, Type, codec, size_of
from aiobpf.cli.declaration import is_declaration, parse_struct
from aiobpf.errors import BtfError, SpecError

if TYPE_CHECKING:
    from pathlib import Path

ARGS = Struct("args_t", 16)


def lookup(name: str) -> Type:
    if name == "struct args_t":
        return ARGS
    raise BtfError(f"no type is called {name!r}")


def layout(text: str) -> tuple[int, dict[str, tuple[int, int]]]:
    struct = parse_struct(text, lookup)
    return struct.size, {each.name or "": (each.offset, size_of(each.type)) for each in struct.members}


def test_members_lie_where_a_compiler_puts_them() -> None:
    assert layout("char a; __u64 b; u16 c, d[3]; void *e; bool f") == (
        40, {"a": (0, 1), "b": (8, 8), "c": (16, 2), "d": (18, 6), "e": (24, 8), "f": (32, 1)},
    )  # fmt: skip


def test_a_declaration_may_be_wrapped_as_in_c() -> None:
    struct = parse_struct("struct open_event {\n\t__u64 ts;\n\tpid_t pid;\n\tchar comm[16];\n};", lookup)
    assert (struct.name, struct.size) == ("open_event", 32)


def test_a_member_may_be_of_a_type_of_the_object() -> None:
    assert layout("struct args_t args; int n") == (20, {"args": (0, 16), "n": (16, 4)})


def test_values_decode_as_declared() -> None:
    event = codec(parse_struct("u32 pid; s16 delta; char comm[4]; u8 mac[2]; const char *at", lookup))
    assert event.jsonable(event.decode(b"\7\0\0\0\xfe\xffab\0\0\1\2" + bytes(4) + b"\1" + bytes(7))) == {
        "pid": 7, "delta": -2, "comm": "ab", "mac": "0102", "at": "0x1",
    }  # fmt: skip


SPELLINGS = [
    "char", "signed char", "unsigned char", "short", "unsigned short", "short int", "int", "unsigned", "unsigned int",
    "long", "unsigned long", "long unsigned int", "long long", "unsigned long long",
]  # fmt: skip


def test_integers_are_those_of_the_compiler(tmp_path: Path) -> None:
    clang = shutil.which("clang-19") or shutil.which("clang")
    if clang is None:
        pytest.skip("no clang to compare with")
    members = "".join(f"{spelling} m{i};\n" for i, spelling in enumerate(SPELLINGS))
    source, target = tmp_path / "s.c", tmp_path / "s.o"
    source.write_text(f"struct event {{ {members} }};\nstruct event event = {{}};\n")
    subprocess.run([clang, "-target", "bpf", "-g", "-c", str(source), "-o", str(target)], check=True)
    theirs = Btf.from_file(target).by_name("event", Kind.STRUCT)
    assert isinstance(theirs, Struct)
    ours = parse_struct(members, lookup)
    assert ours.size == theirs.size
    for mine, other in zip(ours.members, theirs.members, strict=True):
        assert isinstance(mine.type, Int)
        assert isinstance(other.type, Int)
        assert (mine.offset, mine.type.size, mine.type.is_signed) == (
            other.offset, other.type.size, other.type.is_signed,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("struct nothing x;", "no type 'struct nothing' is known"),
        ("int;", "declares a type without a name"),
        ("x;", "no type 'x' is known"),
        ("int a b;", "no type 'int a' is known"),
        ("int *;", "a name is missing in"),
        ("void v;", "'v' is declared void"),
        ("int a[;", "cannot read"),
        ("int a[b];", "cannot read"),
        ("int a = 3;", "cannot read '= 3'"),
        ("char a[99999999999];", "more than 1048576 bytes"),
        (";", "no members are declared"),
        ("struct e { }", "no members are declared"),
        ("struct e { struct { int a; } b; }", "no type 'struct' is known"),
    ],
)
def test_what_cannot_be_read_is_one_error(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_struct(text, lookup)


@given(st.text(alphabet="struct int{};*[],09ax \n", max_size=80))
def test_any_text_is_a_struct_or_a_named_error(text: str) -> None:
    try:
        struct = parse_struct(text, lookup)
    except SpecError:
        return
    assert 0 <= struct.size <= 1 << 20


def test_a_name_is_no_declaration() -> None:
    assert not is_declaration("event")
    assert not is_declaration("struct event")
    assert is_declaration("unsigned int pid")
    assert is_declaration("int a; int b")
    assert is_declaration("char name[32]")
    assert is_declaration("__u32 pid")
    assert is_declaration("void *address")
    assert not is_declaration("unsigned int")
    assert not is_declaration("unsigned long long")
    assert not is_declaration("enum state")
