"""Mangled names as the source has them; the oracle is binutils' c++filt."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.symbols.demangle import demangle, is_mangled, without_parameters


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("_Z3fooli", "foo(long, int)"),
        ("_ZNKSt6vectorIiSaIiEE4sizeEv", "std::vector<int, std::allocator<int>>::size() const"),
        ("___Z3foov", "foo()"),
        ("_ZN3foo3bar17h05af221e174051e9E", "foo::bar"),  # Rust's older names: the hash is no part of it
        ("_RNvCskwGfYPst2Cb_3foo16example_function", "foo::example_function"),
        ("_Znwm@@GLIBCXX_3.4", "operator new(unsigned long)@@GLIBCXX_3.4"),
        ("main", "main"),
        ("_Zqq", "_Zqq"),
        ("_Z", "_Z"),
        ("_Z3foo\udc80v", "_Z3foo\udc80v"),
        ("", ""),
    ],
)
def test_a_mangled_name_is_read_as_its_source_has_it_and_any_other_is_left_alone(name: str, plain: str) -> None:
    assert demangle(name) == plain


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("foo(long, int)", "foo"),
        ("std::vector<int (*)(char)>::size() const", "std::vector<int (*)(char)>::size"),
        ("foo(int)::{lambda()#1}::operator()() const", "foo(int)::{lambda()#1}::operator()"),
        ("foo(void (*)(int))", "foo"),
        ("foo(int) (.cold)", "foo"),
        ("foo::bar", "foo::bar"),
        (")(", ")("),
        ("", ""),
    ],
)
def test_parameters_are_taken_off_a_name(name: str, plain: str) -> None:
    assert without_parameters(name) == plain


@given(st.text(max_size=60), st.sampled_from(["", "_Z", "_ZN", "_R", "_ZNSt", "___Z"]))
def test_no_name_is_an_error(text: str, prefix: str) -> None:
    without_parameters(demangle(prefix + text))


def test_the_names_of_the_c_plus_plus_library_are_those_of_cxxfilt() -> None:
    from aiobpf.link.library_path import resolve_binary
    from aiobpf.link.uprobe_symbols import _function_names
    from aiobpf.symbols.elf_image import open_elf

    tool = shutil.which("c++filt")
    assert tool is not None, "binutils come with gcc"
    path = resolve_binary("libstdc++.so.6")
    with open_elf(path, "library") as image:
        names = sorted(name for name in _function_names(image) if is_mangled(name) and "_ZGTt" not in name)
    assert len(names) > 1000
    # "_ZGTt": clones for transactional memory, which GCC alone makes and LLVM does not read
    told = subprocess.run([tool, *names[:1500]], check=True, capture_output=True, text=True).stdout.splitlines()

    # LLVM closes templates with ">>", and writes "std::string" where binutils write what it is short for.
    compared = [(name, plain) for name, plain in zip(names[:1500], told, strict=True) if "char_traits" not in plain]
    assert len(compared) > 300
    different = [
        (name, demangle(name), plain)
        for name, plain in compared
        if demangle(name).replace(" ", "") != plain.replace(" ", "")
    ]
    assert len(different) < 15, different
