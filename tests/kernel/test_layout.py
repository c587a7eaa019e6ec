"""The kernel's structs as data."""

from __future__ import annotations

import ctypes
import gc
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.kernel.layout import Layout


def test_fields_are_aligned_as_c_does() -> None:
    class C(ctypes.Structure):
        _fields_ = [
            ("a", ctypes.c_uint8),
            ("b", ctypes.c_uint64),
            ("c", ctypes.c_uint16),
            ("d", ctypes.c_int32),
            ("e", ctypes.c_char * 5),
            ("f", ctypes.c_uint32),
        ]

    layout = Layout("a:B b:Q c:H d:i e:5s f:I")
    assert layout.size == ctypes.sizeof(C)
    record = layout.make(a=1, b=2, c=3, d=-4, e=b"five", f=6)
    assert bytes(record.buffer) == bytes(C(1, 2, 3, -4, b"five", 6))
    assert [record[name] for name in "abcdf"] == [1, 2, 3, -4, 6]
    assert (record.raw("e"), record.text("e")) == (b"five\0", "five")


def test_what_is_not_given_is_zero() -> None:
    assert not any(Layout("a:I b:P c:16s").make(b=None).buffer)


def test_a_pointer_is_the_address_of_the_buffer_which_stays() -> None:
    layout = Layout("at:P")
    record = layout.make(at=bytearray(b"kept alive"))
    gc.collect()
    assert ctypes.string_at(record["at"], 10) == b"kept alive"
    assert layout.make(at=b"")["at"] == 0
    assert layout.make(at=0x1234)["at"] == 0x1234


def test_a_negative_descriptor_is_its_complement() -> None:
    assert struct.unpack("=I", Layout("fd:I").make(fd=-1).buffer[:4]) == (0xFFFFFFFF,)


@pytest.mark.parametrize(
    ("code", "value"), [("I", 1 << 32), ("I", -(1 << 31) - 1), ("i", 1 << 31), ("Q", 1 << 64), ("P", 1 << 64)]
)
def test_a_number_that_does_not_fit_is_named(code: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"entries = {value} does not fit"):
        Layout(f"entries:{code}").make(entries=value)


def test_a_field_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="nothing"):
        Layout("a:I").make(nothing=1)


@given(st.binary(max_size=40))
def test_a_shorter_struct_reads_as_zeros(data: bytes) -> None:
    layout = Layout("a:I b:Q name:8s")
    record = layout.read(data)
    whole = data.ljust(layout.size, b"\0")
    assert record["b"] == struct.unpack_from("=Q", whole, 8)[0]
    assert record.raw("name") == whole[16:24]
