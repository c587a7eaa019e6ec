"""Objects that belong together."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

LINKING = Path(__file__).parent.parent / "objects" / "linking"
INCLUDE = Path(__file__).parent.parent.parent / "aiobpf" / "include"
START = "#include <bpf/bpf_uapi.h>\n#include <bpf/bpf_helpers.h>\n"
PATH = "/usr/bin:/bin:/usr/sbin:/sbin"


@pytest.fixture
def front() -> Path:
    return LINKING / "front.bpf.o"


@pytest.fixture
def back() -> Path:
    return LINKING / "back.bpf.o"


@pytest.fixture
def spare() -> Path:
    return LINKING / "spare.bpf.o"


@pytest.fixture
def tables() -> Path:
    return LINKING / "tables.bpf.o"


@pytest.fixture
def together(front: Path, back: Path, spare: Path) -> list[Path]:
    """The three objects, in the order in which the tests link them."""
    return [front, back, spare]


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., Path]:
    """Compile a text to an object of that name."""
    clang = shutil.which("clang-19") or shutil.which("clang")
    if clang is None:
        pytest.skip("no clang")

    def compile_text(name: str, text: str, *options: str) -> Path:
        (tmp_path / f"{name}.bpf.c").write_text(START + text)
        subprocess.run(
            [clang, "-target", "bpfel", "-mcpu=v3", "-O2", "-g", "-w", "-nostdinc", "-I", INCLUDE, *options,
             "-c", f"{name}.bpf.c", "-o", f"{name}.o"],
            check=True,
            cwd=tmp_path,
        )  # fmt: skip
        return tmp_path / f"{name}.o"

    return compile_text


@pytest.fixture
def bpftool(tmp_path: Path) -> Callable[[list[Path]], Path | None]:
    """What libbpf's linker makes of objects; None where it refuses them."""
    tool = shutil.which("bpftool", path=PATH)
    if tool is None:
        pytest.skip("no bpftool (Debian: bpftool)")

    def link(paths: list[Path]) -> Path | None:
        linked = tmp_path / "linked.o"
        run = subprocess.run([tool, "gen", "object", linked, *paths], check=False, capture_output=True)
        return None if run.returncode else linked

    return link
