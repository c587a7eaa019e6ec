"""Rebuild the committed object: ``python benchmarks/objects/build.py`` (clang 19, llvm 19)."""

from __future__ import annotations

import subprocess
from pathlib import Path

HERE = Path(__file__).parent
INCLUDE = "../../aiobpf/include"  # from here, so that no path of a machine gets into the object


def build(clang: str, output: Path) -> None:
    """Compile workload.bpf.c; CalledProcessError if the compiler refuses."""
    options = ["-target", "bpfel", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror", "-nostdinc", "-I", INCLUDE]
    options += ["-fdebug-compilation-dir=.", "-c", "workload.bpf.c", "-o", str(output)]
    subprocess.run([clang, *options], check=True, cwd=HERE)
    subprocess.run(["llvm-strip-19", "--strip-debug", output], check=True)


if __name__ == "__main__":
    build("clang-19", HERE / "workload.bpf.o")
