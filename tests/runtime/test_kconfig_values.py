"""The contents of .kconfig: the kernel's configuration as C values, and the names that only a loader answers."""

from __future__ import annotations

import platform
import struct
import sys
from typing import TYPE_CHECKING

import pytest

from aiobpf.btf import Array, Enum, Enumerator, Int, IntEncoding
from aiobpf.errors import SpecError, UnresolvedSymbolError
from aiobpf.kernel.kallsyms import syscall_wrapper_prefix
from aiobpf.kernel.release import kernel_release, kernel_version_code
from aiobpf.runtime import kconfig_values
from aiobpf.runtime.kconfig_values import kconfig_contents
from aiobpf.spec import Extern, ExternKind

if TYPE_CHECKING:
    from aiobpf.btf import Type

U32 = Int("unsigned int", 4)
S64 = Int("long long", 8, encoding=IntEncoding.SIGNED)
BOOL = Int("_Bool", 1, encoding=IntEncoding.BOOL)
CHAR = Int("char", 1, encoding=IntEncoding.SIGNED)
TRISTATE = Enum(
    "libbpf_tristate",
    enumerators=[Enumerator("TRI_NO", 0), Enumerator("TRI_YES", 1), Enumerator("TRI_MODULE", 2)],
)
TEXT = Array(CHAR, U32, 8)


def extern(name: str, type_: Type, size: int, *, is_weak: bool = False) -> Extern:
    return Extern(name, ExternKind.KCONFIG, is_weak=is_weak, type=type_, size=size)


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {
        "CONFIG_YES": "y", "CONFIG_MODULE": "m", "CONFIG_HEX": "0x11", "CONFIG_NEGATIVE": "-3",
        "CONFIG_TEXT": '"gcc 12 and more"', "CONFIG_SHORT": '"a\\"b"', "CONFIG_BROKEN": '"', "CONFIG_ODD": "yes",
    }  # fmt: skip
    monkeypatch.setattr(kconfig_values, "kernel_config", lambda: options)


@pytest.mark.usefixtures("configure")
@pytest.mark.parametrize(
    ("name", "type_", "size", "value"),
    [
        ("CONFIG_YES", BOOL, 1, b"\1"),
        ("CONFIG_YES", CHAR, 1, b"y"),
        ("CONFIG_MODULE", CHAR, 1, b"m"),
        ("CONFIG_MODULE", TRISTATE, 4, struct.pack("=I", 2)),
        ("CONFIG_HEX", U32, 4, struct.pack("=I", 17)),
        ("CONFIG_NEGATIVE", S64, 8, struct.pack("=q", -3)),
        ("CONFIG_TEXT", TEXT, 8, b"gcc 12 \0"),
        ("CONFIG_SHORT", TEXT, 8, b'a"b\0\0\0\0\0'),
    ],
)
def test_an_option_becomes_a_value_of_its_type(name: str, type_: Type, size: int, value: bytes) -> None:
    assert kconfig_contents(size, [extern(name, type_, size)]) == value


@pytest.mark.usefixtures("configure")
@pytest.mark.parametrize(
    ("name", "type_", "message"),
    [
        ("CONFIG_MODULE", BOOL, "no value for m"),
        ("CONFIG_YES", U32, "need bool, char or enum"),
        ("CONFIG_NEGATIVE", U32, "CONFIG_NEGATIVE"),
        ("CONFIG_TEXT", U32, "needs an array of char"),
        ("CONFIG_HEX", TEXT, "takes a string"),
        ("CONFIG_BROKEN", TEXT, "without its closing quote"),
        ("CONFIG_ODD", U32, "neither y, m, n"),
    ],
)
def test_what_does_not_fit_names_the_option(name: str, type_: Type, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        kconfig_contents(8, [extern(name, type_, 8)])
    assert name in str(caught.value)


@pytest.mark.usefixtures("configure")
def test_a_weak_option_that_is_not_set_reads_as_0_and_another_is_named() -> None:
    assert kconfig_contents(4, [extern("CONFIG_ABSENT", U32, 4, is_weak=True)]) == bytes(4)
    with pytest.raises(UnresolvedSymbolError, match="does not set CONFIG_ABSENT") as caught:
        kconfig_contents(4, [extern("CONFIG_ABSENT", U32, 4)])
    assert caught.value.symbol == "CONFIG_ABSENT"


@pytest.mark.root
def test_virtual_names_are_answered_by_the_loader() -> None:
    names = ("LINUX_KERNEL_VERSION", "LINUX_HAS_BPF_COOKIE", "LINUX_HAS_SYSCALL_WRAPPER")
    version, cookie, wrapper = (
        int.from_bytes(kconfig_contents(4, [extern(name, U32, 4)]), sys.byteorder) for name in names
    )
    assert version == kernel_version_code()
    assert cookie == (kernel_release() >= (5, 15))
    assert wrapper == (syscall_wrapper_prefix() is not None)
    if platform.machine() == "x86_64":
        assert wrapper == 1, "since 4.17"
