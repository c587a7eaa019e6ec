"""The contents of .kconfig: the kernel's configuration as C values, and the names that only a loader answers."""

from __future__ import annotations

import platform
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.btf import Array, Const, Enum, Enumerator, Int, IntEncoding, Pointer, Struct, Typedef
from aiobpf.errors import NotSupportedError, SpecError, UnresolvedSymbolError
from aiobpf.kernel.kallsyms import syscall_wrapper_prefix
from aiobpf.kernel.release import kernel_release, kernel_version_code
from aiobpf.runtime import kconfig_values
from aiobpf.runtime.kconfig_values import kconfig_contents
from aiobpf.spec import Extern, ExternKind

if TYPE_CHECKING:
    from aiobpf.btf import Type
    from aiobpf.runtime.kconfig_values import Kconfig

U8 = Int("unsigned char", 1)
U32 = Int("unsigned int", 4)
U64 = Int("unsigned long long", 8)
S16 = Int("short", 2, encoding=IntEncoding.SIGNED)
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
        "CONFIG_NO": "n", "CONFIG_OCTAL": "017", "CONFIG_ZERO": "0", "CONFIG_BYTE": "65",
        "CONFIG_BIG": "0x8000000000000000",
        "CONFIG_SLASHES": '"a\\\\"', "CONFIG_EMPTY": '""', "CONFIG_LETTER": '"y"', "CONFIG_NOTHING": "",
        "CONFIG_UNCLOSED": '"abc', "CONFIG_HUGE": "9" * (1 << 20), "CONFIG_LONG": '"' + "x" * (1 << 20) + '"',
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
        ("CONFIG_NO", BOOL, 1, b"\0"),
        ("CONFIG_NO", CHAR, 1, b"n"),
        ("CONFIG_NO", TRISTATE, 4, bytes(4)),
        ("CONFIG_YES", TRISTATE, 4, struct.pack("=I", 1)),
        ("CONFIG_YES", Typedef("tristate_t", Const(TRISTATE)), 4, struct.pack("=I", 1)),
        ("CONFIG_OCTAL", U32, 4, struct.pack("=I", 15)),
        ("CONFIG_ZERO", U32, 4, bytes(4)),
        ("CONFIG_BYTE", U8, 1, b"A"),
        ("CONFIG_BYTE", CHAR, 1, b"A"),
        ("CONFIG_BYTE", S16, 2, struct.pack("=h", 65)),
        ("CONFIG_BIG", U64, 8, struct.pack("=Q", 1 << 63)),
        ("CONFIG_SLASHES", TEXT, 8, b"a\\\0\0\0\0\0\0"),
        ("CONFIG_EMPTY", TEXT, 8, bytes(8)),
        ("CONFIG_LETTER", TEXT, 8, b"y\0\0\0\0\0\0\0"),
        ("CONFIG_LONG", TEXT, 8, b"xxxxxxx\0"),
        ("CONFIG_LONG", Array(CHAR, U32, 1), 1, b"\0"),
    ],
)
def test_an_option_becomes_a_value_of_its_type(name: str, type_: Type, size: int, value: bytes) -> None:
    assert kconfig_contents(size, [extern(name, type_, size)]) == value


@pytest.mark.parametrize(("type_", "size"), [(BOOL, 1), (U8, 1), (U32, 4), (U64, 8)])
def test_an_answer_of_the_loader_goes_into_a_bool_as_into_a_number(type_: Type, size: int) -> None:
    name = "LINUX_HAS_BPF_COOKIE"  # as libbpf's usdt.bpf.h and its users declare it, either way
    assert int.from_bytes(kconfig_contents(size, [extern(name, type_, size)]), sys.byteorder) in {0, 1}


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
        ("CONFIG_ODD", TRISTATE, "neither y, m, n"),
        ("CONFIG_ODD", BOOL, "neither y, m, n"),
        ("CONFIG_NOTHING", U32, "neither y, m, n"),
        ("CONFIG_UNCLOSED", TEXT, "without its closing quote"),
        ("CONFIG_HUGE", U64, r"9999\.\.\. \(1048576 characters\): neither y, m, n, a number of 64 bits"),
        ("CONFIG_LONG", U32, r"xxxx\.\.\. \(1048578 characters\): a string needs an array of char"),
        ("CONFIG_LETTER", BOOL, "a string needs an array of char"),
        ("CONFIG_YES", TEXT, "takes a string"),
        ("CONFIG_TEXT", Array(U32, U32, 8), "an array of something else than char"),
        ("CONFIG_TEXT", Array(BOOL, U32, 8), "an array of something else than char"),
        ("CONFIG_HEX", TRISTATE, "a tristate takes y, m or n"),
        ("CONFIG_HEX", BOOL, "a bool takes y, n, 0 or 1"),
        (
            "CONFIG_YES",
            Enum("answer", enumerators=[Enumerator("YES", 1)]),
            "the only one for options is libbpf_tristate",
        ),
        ("CONFIG_HEX", Pointer(U32), "an option is a bool, char, integer, tristate or array of char"),
        ("CONFIG_BIG", U32, "CONFIG_BIG"),
        ("CONFIG_BIG", S64, "CONFIG_BIG"),
        ("CONFIG_HEX", Struct("s", 4), "an option is a bool"),
    ],
)
def test_what_does_not_fit_names_the_option(name: str, type_: Type, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        kconfig_contents(8, [extern(name, type_, 8)])
    assert name in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.usefixtures("configure")
def test_a_weak_option_that_is_not_set_reads_as_0_and_another_is_named() -> None:
    assert kconfig_contents(4, [extern("CONFIG_ABSENT", U32, 4, is_weak=True)]) == bytes(4)
    with pytest.raises(UnresolvedSymbolError, match="does not set CONFIG_ABSENT") as caught:
        kconfig_contents(4, [extern("CONFIG_ABSENT", U32, 4)])
    assert caught.value.symbol == "CONFIG_ABSENT"


@pytest.fixture
def no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that shows none."""

    def missing() -> dict[str, str]:
        raise NotSupportedError("the kernel's configuration")

    monkeypatch.setattr(kconfig_values, "kernel_config", missing)


@pytest.mark.usefixtures("no_configuration")
def test_without_a_configuration_weak_options_read_as_0_and_given_ones_as_they_are() -> None:
    weak = extern("CONFIG_HZ", U32, 4, is_weak=True)
    assert kconfig_contents(4, [weak]) == bytes(4)
    with pytest.raises(NotSupportedError, match="the kernel's configuration"):
        kconfig_contents(4, [extern("CONFIG_HZ", U32, 4)])
    assert kconfig_contents(4, [extern("CONFIG_HZ", U32, 4)], {"CONFIG_HZ": 250}) == struct.pack("=I", 250)
    assert kconfig_contents(4, [weak], "CONFIG_HZ=100") == struct.pack("=I", 100)


@pytest.mark.usefixtures("configure")
@pytest.mark.parametrize(
    ("options", "type_", "size", "value"),
    [
        ("# a comment\nCONFIG_YES=n\nCONFIG_OTHER=1\n", BOOL, 1, b"\0"),
        ({"CONFIG_YES": False}, BOOL, 1, b"\0"),
        ({"CONFIG_YES": True}, CHAR, 1, b"y"),
        ({"CONFIG_YES": "m"}, TRISTATE, 4, struct.pack("=I", 2)),
        ({"CONFIG_YES": -5}, S64, 8, struct.pack("=q", -5)),
        ({"CONFIG_YES": "0x10"}, U32, 4, struct.pack("=I", 16)),
        ({"CONFIG_YES": '"text"'}, TEXT, 8, b"text\0\0\0\0"),
        ({"CONFIG_OTHER": 1}, BOOL, 1, b"\1"),
        ("", BOOL, 1, b"\1"),
    ],
)
def test_given_options_count_before_the_kernels(options: Kconfig, type_: Type, size: int, value: bytes) -> None:
    assert kconfig_contents(size, [extern("CONFIG_YES", type_, size)], options) == value


@pytest.mark.usefixtures("configure")
def test_an_option_can_be_taken_away() -> None:
    assert kconfig_contents(1, [extern("CONFIG_YES", BOOL, 1, is_weak=True)], {"CONFIG_YES": None}) == b"\0"
    with pytest.raises(UnresolvedSymbolError, match=r"does not set CONFIG_YES.* kconfig="):
        kconfig_contents(1, [extern("CONFIG_YES", BOOL, 1)], {"CONFIG_YES": None})


def test_what_is_given_and_is_no_option_is_named() -> None:
    with pytest.raises(SpecError, match="kconfig has 'HZ', which is no option: their names begin with CONFIG_"):
        kconfig_contents(0, [], {"HZ": 1})
    with pytest.raises(SpecError, match="kconfig has 'CONFIG_HZ' as float: str, int, bool or None"):
        kconfig_contents(0, [], {"CONFIG_HZ": 1.5})  # type: ignore[dict-item]


@given(st.text(max_size=40))
def test_any_text_is_a_value_or_named(text: str) -> None:
    for type_, size in ((BOOL, 1), (CHAR, 1), (TRISTATE, 4), (U32, 4), (S64, 8), (TEXT, 8)):
        with suppress(SpecError):
            assert len(kconfig_contents(size, [extern("CONFIG_X", type_, size)], {"CONFIG_X": text})) == size


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


def test_an_answer_of_the_loader_may_be_a_bool() -> None:
    """As usdt.bpf.h has it: ``extern const _Bool LINUX_HAS_BPF_COOKIE __kconfig``."""
    cookie = extern("LINUX_HAS_BPF_COOKIE", BOOL, 1)
    assert kconfig_contents(1, [cookie]) in {b"\0", b"\1"}
