"""What ``aiobpf run`` was given, as a spec: the bundled monitor, an object file, or a C source compiled on the spot."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aiobpf.programs import EXEC_MONITOR

if TYPE_CHECKING:
    from aiobpf.spec import CollectionSpec


def read_source(source: str | None) -> CollectionSpec:
    """Read it, compiling a ``.c`` first; the compiler's warnings go to stderr. ElfError, CompilerError, OSError."""
    from aiobpf.elf import read_spec

    if source is None:
        return read_spec(EXEC_MONITOR)
    path = Path(source)
    if path.suffix != ".c":
        return read_spec(path)
    from aiobpf.cli.compile import compile_object

    compiled = compile_object(path)
    if compiled.warnings:
        print(compiled.warnings, file=sys.stderr)
    return read_spec(compiled.data)
