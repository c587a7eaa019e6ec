"""What /proc and /sys tell: CPUs, symbols, configuration, release."""

from __future__ import annotations

import contextlib
import gzip
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.errors import BpfError, NotSupportedError
from aiobpf.kernel import (
    Kallsyms,
    has_syscall_wrapper,
    kernel_config,
    kernel_release,
    kernel_version_code,
    online_cpus,
    possible_cpus,
    symbol_address,
    symbol_addresses,
)
from aiobpf.kernel.cpus import parse_cpu_list
from aiobpf.kernel.kallsyms import Symbol
from aiobpf.kernel.kconfig import parse_kernel_config
from aiobpf.kernel.release import parse_kernel_version

# --- CPUs -------------------------------------------------------------------------------------------------------------


def test_online_cpus_are_possible() -> None:
    assert online_cpus()
    assert set(online_cpus()) <= set(possible_cpus())
    assert len(possible_cpus()) >= (os.cpu_count() or 1)


@given(st.sets(st.integers(min_value=0, max_value=300), min_size=1))
def test_a_cpu_list_comes_back(cpus: set[int]) -> None:
    ranges: list[list[int]] = []
    for cpu in sorted(cpus):
        if ranges and ranges[-1][-1] == cpu - 1:
            ranges[-1].append(cpu)
        else:
            ranges.append([cpu])
    text = ",".join(str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in ranges)
    assert parse_cpu_list(text + "\n") == tuple(sorted(cpus))


@pytest.mark.parametrize("text", ["", "\n", "a", "1-", "-1", "3-1", "1,,2", "0-99999999999", "0x10", "1-2-3", "²"])
def test_what_is_no_cpu_list_is_refused(text: str) -> None:
    with pytest.raises(BpfError, match="not a list of CPUs"):
        parse_cpu_list(text)


@given(st.text())
def test_any_text_is_a_cpu_list_or_refused(text: str) -> None:
    with contextlib.suppress(BpfError):
        parse_cpu_list(text)


# --- symbols ----------------------------------------------------------------------------------------------------------

SYMBOLS = b"""\
ffffffff81000000 T _stext
ffffffff81000100 t twice
ffffffff81000200 t twice
ffffffff81000300 T vfs_read
ffffffffc0000000 t veth_xmit\t[veth]
ffffffffc0001000 t bpf_prog_abc_test\t[bpf]
"""


def test_symbols_by_name() -> None:
    symbols = Kallsyms(SYMBOLS)
    assert symbols.address_of("vfs_read") == 0xFFFFFFFF81000300
    assert symbols.lookup("veth_xmit") == [Symbol("veth_xmit", 0xFFFFFFFFC0000000, "t", "veth")]
    assert symbols.lookup("veth_xmit", module="other") == []
    assert "vfs_read" in symbols
    assert "nothing" not in symbols
    with pytest.raises(BpfError, match="no symbol 'nothing'"):
        symbols.address_of("nothing")
    with pytest.raises(BpfError, match="2 symbols 'twice'"):
        symbols.address_of("twice")


def test_symbols_by_address() -> None:
    symbols = Kallsyms(SYMBOLS)
    found = symbols.at(0xFFFFFFFF81000310)
    assert found is not None
    assert (found[0].name, found[1]) == ("vfs_read", 0x10)
    assert symbols.at(0x1000) is None
    assert symbols.has_addresses


def test_hidden_addresses_are_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "kallsyms"
    path.write_bytes(b"0000000000000000 T vfs_read\n")
    symbols = Kallsyms.read(path)
    assert not symbols.has_addresses
    assert symbols.at(0x1000) is None
    with pytest.raises(BpfError, match="CAP_SYSLOG"):
        symbols.address_of("vfs_read")


@given(st.binary(max_size=200))
def test_any_bytes_are_symbols_or_nothing(data: bytes) -> None:
    symbols = Kallsyms(data)
    assert symbols.lookup("nothing at all") == []


def test_the_running_kernels_symbols() -> None:
    assert symbol_addresses(["bpf_prog_load", "no_such_symbol_at_all"]).keys() <= {"bpf_prog_load"}
    assert symbol_address("no_such_symbol_at_all") is None
    if os.uname().machine == "x86_64" and os.geteuid() == 0:
        assert has_syscall_wrapper()


# --- configuration ----------------------------------------------------------------------------------------------------


def test_the_running_kernels_configuration() -> None:
    try:
        config = kernel_config()
    except NotSupportedError as error:
        pytest.skip(str(error))
    assert config["CONFIG_BPF_SYSCALL"] == "y"


def test_a_configuration_is_read_gzipped_or_not() -> None:
    text = b'# a comment\nCONFIG_HZ=250\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S="a=b"\nnot one=1\n'
    expected = {"CONFIG_HZ": "250", "CONFIG_A": "y", "CONFIG_S": '"a=b"'}
    assert parse_kernel_config(text) == expected
    assert parse_kernel_config(gzip.compress(text)) == expected


def test_a_line_of_a_megabyte_is_a_line() -> None:
    text = b"CONFIG_LONG=" + b"x" * (1 << 20) + b"\nCONFIG_HZ=250\n" + b"CONFIG_" * (1 << 17)
    assert parse_kernel_config(text) == {"CONFIG_LONG": "x" * (1 << 20), "CONFIG_HZ": "250"}


def test_without_a_configuration_it_says_where_it_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiobpf.kernel.kconfig._candidates", lambda _: [Path("/nowhere/config")])
    with pytest.raises(NotSupportedError, match="not found: /nowhere/config"):
        kernel_config()


@given(st.one_of(st.binary(max_size=100), st.binary(max_size=100).map(lambda data: b"\x1f\x8b" + data)))
def test_any_bytes_are_a_configuration_or_refused(data: bytes) -> None:
    try:
        parse_kernel_config(data)
    except NotSupportedError:
        assert data.startswith(b"\x1f\x8b")


# --- release ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "version", "signature", "expected"),
    [
        ("6.18.44-fc-v595", "#1 SMP", "", (6, 18, 44)),
        ("6.12.117+deb12-cloud-amd64", "#1 SMP Debian 6.12.117-1", "", (6, 12, 117)),
        ("5.10.0-46-cloud-amd64", "#1 SMP Debian 5.10.259-1 (2026-07-30)", "", (5, 10, 259)),
        ("4.15.0-55-generic", "#60-Ubuntu SMP", "Ubuntu 4.15.0-55.60-generic 4.15.18", (4, 15, 18)),
        ("7.3", "", "", (7, 3, 0)),
        ("6.1-rc3", "", "one two", (6, 1, 0)),
        ("strange", "", "", (0, 0, 0)),
    ],
)
def test_a_version_is_what_programs_may_depend_on(
    release: str, version: str, signature: str, expected: tuple[int, int, int]
) -> None:
    assert parse_kernel_version(release, version, signature) == expected


def test_the_running_kernels_version() -> None:
    code = kernel_version_code()
    assert (code >> 16, code >> 8 & 255) == kernel_release()
    assert kernel_release() >= (4, 18)


@given(st.text(), st.text(), st.text())
def test_any_text_has_a_version(release: str, version: str, signature: str) -> None:
    assert all(part >= 0 for part in parse_kernel_version(release, version, signature))


def test_importing_the_package_imports_none_of_it() -> None:
    import subprocess

    code = "import sys, aiobpf.kernel; print([m for m in sys.modules if m.startswith('aiobpf.kernel.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
