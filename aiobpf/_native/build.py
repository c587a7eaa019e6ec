"""How cffi builds `aiobpf._native._lib` (API mode, stable ABI): ``setup.py`` and nothing else runs this.

Each concept is one NAME.c with one NAME.h; the header, without its preprocessor lines, is also what cffi declares, so a
function is declared once. To add C: add the pair to the directory and its name to UNITS, then its type to ``_lib.pyi``.
"""

from __future__ import annotations

from pathlib import Path

from cffi import FFI

UNITS = ["syscalls", "maps", "ring", "user_ring", "perf", "memory", "atomics", "btf_index", "btf_copy"]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def declarations(header: str) -> str:
    """What cffi parses of a header: all but the preprocessor's lines (no header here has a macro of several lines)."""
    return "\n".join(line for line in header.splitlines() if not line.lstrip().startswith("#"))


ffibuilder = FFI()
for unit in UNITS:
    ffibuilder.cdef(declarations((HERE / f"{unit}.h").read_text()))
ffibuilder.set_source(
    "aiobpf._native._lib",
    "".join(f'#include "{unit}.h"\n' for unit in UNITS),
    sources=[str((HERE / f"{unit}.c").relative_to(ROOT)) for unit in UNITS],
    include_dirs=[str(HERE.relative_to(ROOT))],
    depends=[str((HERE / f"{unit}.h").relative_to(ROOT)) for unit in UNITS],
    extra_compile_args=["-O2", "-std=gnu11", "-Wall", "-Wextra", "-fvisibility=hidden"],
)
