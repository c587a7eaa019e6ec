"""A C source to an object: which compiler is found, and what is said when there is none or it refuses."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from aiobpf.cli import compile as compile_module
from aiobpf.cli.compile import Compiler, compile_object, find_compiler, has_bpf_target, ziglang
from aiobpf.errors import CompilerError

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

struct event { __u32 pid; };

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct event);
} events SEC(".maps");

SEC("raw_tp/sys_enter")
int on_enter(void *ctx) { return 0; }

char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "probe.bpf.c"
    path.write_text(SOURCE)
    return path


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No compiler anywhere; gives the one directory on PATH."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.delenv("AIOBPF_CLANG", raising=False)
    monkeypatch.setattr(compile_module, "ziglang", lambda: None)
    has_bpf_target.cache_clear()
    return directory


def fake_clang(path: Path, targets: str, status: int = 0) -> None:
    path.write_text(f"#!/bin/sh\necho '  Registered Targets:'\necho '    {targets} - something'\nexit {status}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_without_a_compiler_the_error_names_the_extra(bare_machine: Path) -> None:
    with pytest.raises(CompilerError, match=r"aiobpf\[compile\]"):
        find_compiler()


def test_a_clang_without_the_target_does_not_count(bare_machine: Path) -> None:
    fake_clang(bare_machine / "clang", "x86-64")
    fake_clang(bare_machine / "clang-18", "bpf   ")
    fake_clang(bare_machine / "clang-9", "bpf   ")
    assert find_compiler().name == "clang-18"


def test_a_directory_on_path_that_cannot_be_read_is_passed_over(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_clang(bare_machine / "clang-18", "bpf   ")
    monkeypatch.setenv("PATH", f"{'x' * 300}:{bare_machine}")  # too long a name; root may read whatever exists
    assert find_compiler().name == "clang-18"


def test_the_plain_clang_comes_before_numbered_ones(bare_machine: Path) -> None:
    fake_clang(bare_machine / "clang", "bpf   ")
    fake_clang(bare_machine / "clang-99", "bpf   ")
    fake_clang(bare_machine / "clang-format-99", "bpf   ")
    assert find_compiler().name == "clang"


def test_the_setting_comes_first_and_takes_arguments(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_clang(bare_machine / "clang", "bpf   ")
    fake_clang(bare_machine / "mine", "bpf   ")
    monkeypatch.setenv("AIOBPF_CLANG", f"{bare_machine}/mine -Werror")
    assert find_compiler().command == (f"{bare_machine}/mine", "-Werror")


@pytest.mark.parametrize("status", [0, 1])
def test_a_wrong_setting_is_said_by_name(bare_machine: Path, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    fake_clang(bare_machine / "clang", "bpf   ")
    fake_clang(bare_machine / "mine", "x86-64" if status == 0 else "bpf   ", status)
    for setting in (f"{bare_machine}/mine", "/does/not/exist"):
        monkeypatch.setenv("AIOBPF_CLANG", setting)
        with pytest.raises(CompilerError, match=r"\$AIOBPF_CLANG .* has no BPF target"):
            find_compiler()


def found() -> Compiler:
    try:
        return find_compiler()
    except CompilerError:
        pytest.skip("no compiler for BPF on this machine")


def test_a_source_is_compiled_without_system_headers(source: Path) -> None:
    compiled = compile_object(source, compiler=found())
    assert compiled.data[:4] == b"\x7fELF"
    assert b".BTF.ext" in compiled.data
    assert not compiled.warnings


def test_ziglang_compiles_with_kernel_headers_of_its_own(source: Path) -> None:
    zig = ziglang()
    if zig is None:
        pytest.skip("ziglang is not installed")
    source.write_text("#include <linux/if_ether.h>\n" + SOURCE.replace("bpf/bpf_uapi.h", "linux/bpf.h"))
    assert b".BTF.ext" in compile_object(source, compiler=zig).data


def test_both_byte_orders(source: Path) -> None:
    assert compile_object(source, compiler=found(), byte_order="big").data[5] == 2
    assert compile_object(source, compiler=found(), byte_order="little").data[5] == 1


def test_a_refused_source_gives_the_compilers_words(source: Path) -> None:
    source.write_text("int x = ;\n")
    with pytest.raises(CompilerError, match=r"refused .*probe\.bpf\.c:\n(.|\n)*probe\.bpf\.c:1:9: error"):
        compile_object(source, compiler=found())


def test_warnings_come_with_the_object(source: Path) -> None:
    source.write_text(SOURCE + "\nstatic int unused(void) { return 0; }\n")
    assert "-Wunused-function" in compile_object(source, compiler=found()).warnings


def test_a_missing_source_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        compile_object(tmp_path / "absent.bpf.c")
