"""The vmlinux BTFs at hand: the running kernel's, and those of the folder that ``$AIOBPF_KERNEL_BTFS`` names.

Files of the folder are raw BTF, plain (``6.12.btf``) or compressed (``6.12.btf.xz``).
"""

from __future__ import annotations

import os
from pathlib import Path

from aiobpf.btf import Btf

RUNNING = Path("/sys/kernel/btf/vmlinux")


def kernel_btfs() -> list[Path]:
    """The files, the running kernel's first."""
    folder = os.environ.get("AIOBPF_KERNEL_BTFS", "")
    others = [each for each in Path(folder).iterdir() if each.name.endswith((".btf", ".btf.xz"))] if folder else []
    return [RUNNING, *sorted(others)]


def read_btf(path: Path) -> Btf:
    return Btf.from_file(path)


def name_of(path: Path) -> str:
    """What a test calls it."""
    return "running" if path == RUNNING else path.name.removesuffix(".xz").removesuffix(".btf")
