"""What it takes to run: the kernel, and no library for BPF or for making code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

OBJECT = Path(__file__).parent.parent / "objects" / "core.bpf.o"
FORBIDDEN = ("LLVM", "clang", "libbpf", "libelf", "libbcc")

PROGRAM = """
import asyncio, sys
import aiobpf

async def main():
    async with aiobpf.load(sys.argv[1]) as coll, coll.attach():
        with open("/proc/self/maps") as maps:
            print(*{line.split(maxsplit=5)[5].strip() for line in maps if "/" in line}, sep="\\n")

asyncio.run(main())
"""


def test_an_object_is_relocated_loaded_and_attached_without_any_other_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(OBJECT)], check=True, capture_output=True, text=True, cwd="/"
    )
    mapped = [Path(line).name for line in done.stdout.splitlines()]
    assert any(name.startswith("_lib.") for name in mapped), "the C unit is there"
    assert not [name for name in mapped if any(word in name for word in FORBIDDEN)]
