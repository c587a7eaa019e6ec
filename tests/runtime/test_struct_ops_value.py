"""A struct of the object becomes the kernel's, member by member by name."""

from __future__ import annotations

import struct
import sys

import pytest

from aiobpf.btf import (
    Array,
    Enum,
    Float,
    FunctionPrototype,
    Int,
    IntEncoding,
    Member,
    Pointer,
    Struct,
    Type,
    Typedef,
    Union,
    Void,
    size_of,
)
from aiobpf.errors import BpfError, CodecError, NotSupportedError, SpecError
from aiobpf.runtime.struct_ops_value import KernelValue
from aiobpf.spec import StructOpsMembers

U8 = Int("unsigned char", 1)
U32 = Int("unsigned int", 4)
U64 = Int("unsigned long", 8)
S16 = Int("short", 2, encoding=IntEncoding.SIGNED)
S32 = Int("int", 4, encoding=IntEncoding.SIGNED)
S64 = Int("long", 8, encoding=IntEncoding.SIGNED)
CHAR = Int("char", 1, encoding=IntEncoding.SIGNED)
FUNCTION = Pointer(FunctionPrototype(Void(), ()))
DATA = Pointer(Struct("module", 8))
ORDER = sys.byteorder


def layout(name: str, *members: tuple[str, Type]) -> Struct:
    """A struct with *members* one after the other, each aligned to its size up to 8."""
    offset, found = 0, []
    for member, type_ in members:
        size = size_of(type_)
        alignment = min(size & -size or 1, 8)
        offset = -(-offset // alignment) * alignment
        found.append(Member(member, type_, offset * 8))
        offset += size
    return Struct(name, -(-offset // 8) * 8, found)


def members_of(local: Struct, **values: object) -> StructOpsMembers:
    members = StructOpsMembers(local, bytes(local.size), byte_order=ORDER)
    for name, value in values.items():
        members[name] = value
    return members


def made(local: Struct, kernel: Struct, **values: object) -> dict[str, object]:
    """The members of the kernel's struct."""
    value = KernelValue("ops", members_of(local, **values), kernel)
    result = StructOpsMembers(kernel, bytes(value.data), byte_order=ORDER)
    for member, program in value.programs.values():
        result[member] = program
    return {name: each for name, each in result.items() if each}


def refused(local: Struct, kernel: Struct, **values: object) -> str:
    with pytest.raises((SpecError, NotSupportedError)) as caught:
        KernelValue("ops", members_of(local, **values), kernel)
    assert "struct_ops map 'ops'" in str(caught.value)
    return str(caught.value)


def test_members_move_to_where_the_kernel_has_them() -> None:
    local = layout("ops", ("run", FUNCTION), ("flags", U32), ("limit", U64))
    kernel = layout("ops", ("new", U64), ("limit", U64), ("stop", FUNCTION), ("run", FUNCTION), ("flags", U32))
    value = KernelValue("ops", members_of(local, run="my_run", flags=3, limit=1 << 40), kernel)
    assert value.programs == {24: ("run", "my_run")}
    assert bytes(value.data) == struct.pack("=QQQQII", 0, 1 << 40, 0, 0, 3, 0)


def test_what_the_kernel_lacks_may_be_there_as_long_as_it_is_zero() -> None:
    local = layout("ops", ("run", FUNCTION), ("gone", FUNCTION), ("number", U32), ("owner", DATA))
    kernel = layout("ops", ("run", FUNCTION))
    assert made(local, kernel, run="r") == {"run": "r"}
    message = refused(local, kernel, run="r", gone="g")
    assert "member 'gone' of struct_ops map 'ops', which this kernel's struct has not" in message
    assert "members['gone'] = None" in message
    assert "member 'number'" in refused(local, kernel, number=1)


def test_numbers_may_be_of_another_width_if_they_fit() -> None:
    local = layout("ops", ("a", U64), ("b", S64), ("c", Enum("e", 4)), ("d", S16))
    kernel = layout("ops", ("a", U8), ("b", S32), ("c", U32), ("d", S64))
    assert made(local, kernel, a=255, b=-5, c=7, d=-3) == {"a": 255, "b": -5, "c": 7, "d": -3}
    assert "'a' of struct_ops map 'ops' does not fit the kernel's struct: 256 does not fit the 8 bits" in refused(
        local, kernel, a=256
    )
    assert "does not fit the 32 bits" in refused(local, kernel, b=1 << 31)
    unsigned = layout("ops", ("d", U64))
    assert "-3 does not fit" in refused(local, unsigned, d=-3)


def test_bit_fields_are_copied_by_their_bits() -> None:
    local = Struct("ops", 8, [Member("a", U32, 1, 3), Member("b", S32, 4, 5), Member("c", U64, 9, 30)])
    kernel = Struct("ops", 8, [Member("c", U64, 0, 31), Member("b", S32, 33, 6), Member("a", U8, 40)])
    assert made(local, kernel, a=5, b=-7, c=1 << 29) == {"a": 5, "b": -7, "c": 1 << 29}
    narrow = Struct("ops", 8, [Member("a", U32, 0, 2)])
    assert "5 does not fit the 2 bits" in refused(local, narrow, a=5)
    members = members_of(local, a=7, b=-16)
    assert (members["a"], members["b"], members["c"]) == (7, -16, 0)
    with pytest.raises(CodecError, match="8 is no number from 0 to 7"):
        members["a"] = 8
    with pytest.raises(CodecError, match="16 is no number from -16 to 15"):
        members["b"] = 16


def test_nested_structs_are_matched_by_name_too() -> None:
    inner = layout("limits", ("low", U32), ("high", U32), ("odd", U32))
    theirs = layout("limits", ("high", U64), ("low", U64))
    local = layout("ops", ("limits", Typedef("limits_t", inner)))
    kernel = layout("ops", ("first", U64), ("limits", theirs))
    value = KernelValue("ops", members_of(local, limits={"low": 1, "high": 2, "odd": 0}), kernel)
    assert bytes(value.data) == struct.pack("=QQQ", 0, 2, 1)
    assert "member 'limits.odd'" in refused(local, kernel, limits={"low": 1, "high": 2, "odd": 3})


def test_members_of_anonymous_structs_and_unions_count_as_the_structs_own() -> None:
    local = Struct("ops", 16, [Member("", Union("", 8, [Member("a", U64, 0), Member("b", U32, 0)]), 64)])
    kernel = Struct("ops", 16, [Member("", Struct("", 16, [Member("b", U32, 32), Member("a", U64, 64)]), 0)])
    assert list(members_of(local)) == ["a", "b"]
    assert made(local, kernel, b=9) == {"a": 9, "b": 9}


def test_arrays_must_fit() -> None:
    local = layout("ops", ("name", Array(CHAR, U32, 16)), ("numbers", Array(U32, U32, 3)))
    kernel = layout("ops", ("name", Array(CHAR, U32, 8)), ("numbers", Array(U64, U32, 4)))
    assert made(local, kernel, name="short", numbers=[1, 0, 3]) == {"name": "short", "numbers": [1, 0, 3, 0]}
    assert (
        "'name' of struct_ops map 'ops' does not fit the kernel's struct: it has more than the 8 elements"
        in refused(local, kernel, name="much longer")
    )


def test_floats_and_unions_are_copied_as_they_are() -> None:
    union = Union("u", 8, [Member("a", U32, 0), Member("b", U64, 0)])
    local = layout("ops", ("f", Float("double", 8)), ("u", union))
    kernel = layout("ops", ("u", Union("u", 8, [Member("x", U64, 0)])), ("f", Float("double", 8)))
    members = StructOpsMembers(local, struct.pack("=dQ", 1.5, 7), byte_order=ORDER)
    assert bytes(KernelValue("ops", members, kernel).data) == struct.pack("=Qd", 7, 1.5)
    narrow = layout("ops", ("f", Float("float", 4)))
    with pytest.raises(SpecError, match=r"'f' of struct_ops map 'ops' .*: it has 8 bytes, and 4 in the kernel"):
        KernelValue("ops", members, narrow)


def test_what_is_of_another_kind_is_named() -> None:
    local = layout("ops", ("run", FUNCTION), ("number", U64), ("owner", DATA))
    kernel = layout("ops", ("run", U64), ("number", FUNCTION), ("owner", DATA))
    assert "'run' of struct_ops map 'ops' does not fit the kernel's struct: it is no function pointer" in refused(
        local, kernel, run="r"
    )
    assert "'number'" in refused(local, kernel, number=1)
    assert "the kernel takes none from user space" in refused(local, kernel, owner=1)


def test_types_without_end_are_an_error_and_no_endless_work() -> None:
    level: Type = Struct("", 8)
    for _ in range(40):  # each holds two of the one before: 2**40 members
        level = Struct("", 8, [Member("", level, 0), Member("", level, 0)])
    endless = Struct("", 8, lambda self: [Member("", self, 0)])
    for inner in (level, endless):
        with pytest.raises(BpfError, match="members, or is nested deeper"):
            StructOpsMembers(Struct("ops", 8, [Member("", inner, 0)]), bytes(8))
