"""Small libraries and programs that a compiler makes for a test."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def compiler_for(suffix: str) -> str:
    names = ("cc", "gcc", "clang", "clang-19") if suffix == ".c" else ("c++", "g++", "clang++", "clang++-19")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"needs a compiler for {suffix}")
    return found


def build(directory: Path, name: str, source: str, *options: str, suffix: str = ".c") -> Path:
    """*source* compiled to the file *name*; a library if that ends ".so"."""
    (directory / f"{name}{suffix}").write_text(source)
    path = directory / name
    shared = ["-shared", "-fPIC"] if name.endswith(".so") else []
    subprocess.run(
        [compiler_for(suffix), "-O1", *shared, *options, "-o", str(path), str(directory / f"{name}{suffix}")],
        check=True,
    )
    return path
